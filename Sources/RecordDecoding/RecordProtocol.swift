internal import LogModel

/// What one kind of sender speaks: how its body becomes records, and how it wants to be answered.
///
/// One file each, with the sender's own bytes as fixtures in `Tests/RecordDecodingTests/Fixtures`, and one row in
/// ``IntakeRoute/table``. Called through its type once a request; within a body no call goes through an existential.
protocol RecordProtocol: SendableMetatype {
    /// The header, in lower case, whose value is the tenant of records that name none.
    static var tenantHeader: StaticString? { get }

    /// Reads the body to its end and hands its records over, in order. What cannot be read as a whole must be found before
    /// the first record is handed over.
    ///
    /// - Parameters:
    ///   - reading: begun on the body; counts what becomes of each record.
    ///   - records: scratch memory for one record after another.
    static func read(
        _ reading: consuming BodyReading,
        _ records: inout JSONRecordDecoder,
        contentType: ByteView?,
        rules: RecordRules,
        accept: BodyReading.Accept
    ) -> BodyReading.Outcome

    /// The answer in this protocol's own words; `nil` for the counts as JSON that `/ingest` answers with.
    static func answer(_ outcome: IntakeOutcome) -> IntakeAnswer?
}

extension RecordProtocol {
    static var tenantHeader: StaticString? { nil }
    static func answer(_ outcome: IntakeOutcome) -> IntakeAnswer? { nil }
}

/// A path to which records are posted, and what is spoken there.
package struct IntakeRoute: Sendable {
    package let path: StaticString
    package let rules: RecordRules
    let spoken: any RecordProtocol.Type

    /// Every path that takes records. The one most used stands first.
    package static let table = [
        IntakeRoute("/ingest", LogboomRecords.self),
        IntakeRoute("/ingest/batch", LogboomRecords.self),
        IntakeRoute("/logs/ingest", LogboomRecords.self, requiresTenant: true),
        IntakeRoute("/v1/logs/ingest", LogboomRecords.self, requiresTenant: true),
        IntakeRoute("/loki/api/v1/push", LokiPush.self),
    ]

    private init(_ path: StaticString, _ spoken: any RecordProtocol.Type, requiresTenant: Bool = false) {
        self.path = path
        self.spoken = spoken
        rules = RecordRules(requiresTenant: requiresTenant)
    }

    /// The header, in lower case, whose value is the tenant of records that name none.
    package var tenantHeader: StaticString? { spoken.tenantHeader }

    /// The answer in the words of the protocol spoken here; `nil` for the counts as JSON that `/ingest` answers with.
    package func answer(_ outcome: IntakeOutcome) -> IntakeAnswer? {
        spoken.answer(outcome)
    }
}

/// How a request with records ended, as far as its answer depends on it.
package enum IntakeOutcome {
    /// Nothing was taken.
    case malformed(MalformedBody)
    /// `isOverdue`: records that should be durable are counted, but neither sink nor spool took them in time.
    case taken(BodySummary, isOverdue: Bool)
}

/// An answer as bytes.
package struct IntakeAnswer {
    /// Of HTTP.
    package var status: Int
    package var contentType: StaticString
    package var body: [UInt8]
}
