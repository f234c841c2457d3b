package import LogModel

/// What a path asks of its records beyond a message.
package struct RecordRules: Sendable, Equatable {
    /// True on `/logs/ingest`: a record without `org` fails.
    package var requiresTenant: Bool

    /// - Parameter requiresTenant: whether a record without `org` fails.
    package init(requiresTenant: Bool = false) {
        self.requiresTenant = requiresTenant
    }
}

/// Why a well-formed record was not taken, said by whoever takes records.
package struct RecordRefusal: Sendable {
    /// Goes into the answer as it is.
    package var reason: StaticString

    /// - Parameter reason: a sentence part such as `memory is full`.
    package init(reason: StaticString) {
        self.reason = reason
    }
}

/// One failed record of a body.
package struct RecordError: Sendable, Equatable, CustomStringConvertible {
    /// Its place among the records of the body, from 0.
    package var index: Int
    /// Why; never holds text of the body.
    package var reason: StaticString
    /// Where in the body its JSON breaks off, in bytes; `nil` when the JSON is sound.
    package var offset: Int?

    package init(index: Int, reason: StaticString, offset: Int? = nil) {
        self.index = index
        self.reason = reason
        self.offset = offset
    }

    /// The reason and the place, for the answer.
    package var description: String {
        if let offset { "\(reason) at byte \(offset)" } else { "\(reason)" }
    }

    package static func == (left: RecordError, right: RecordError) -> Bool {
        left.index == right.index && left.offset == right.offset && left.reason.description == right.reason.description
    }
}

/// What became of a body's records. `received == accepted + failed`, always.
package struct BodySummary: Sendable, Equatable {
    /// Errors listed; ``failed`` counts all.
    package static let errorCountMax = 100

    package var received = 0
    package var accepted = 0
    package var failed = 0
    /// The first ``errorCountMax`` failed records, in order.
    package var errors: [RecordError] = []
    /// Accepted records whose message was cut to ``RecordLimits/messageByteCountMax``.
    package var truncated = 0
    /// Accepted records that had more than ``RecordLimits/attributeCountMax`` attributes.
    package var attributesDropped = 0

    package init() {}

    mutating func fail(_ reason: StaticString, offset: Int? = nil) {
        if errors.count < Self.errorCountMax {
            errors.append(RecordError(index: received, reason: reason, offset: offset))
        }
        received += 1
        failed += 1
    }
}

/// The body as a whole cannot be read; nothing of it was accepted. For the sender: HTTP 400.
package struct MalformedBody: Error, Sendable, Equatable, CustomStringConvertible {
    /// In bytes from the body's start.
    package var offset: Int
    /// Safe to show; never holds text of the body.
    package var reason: String
    /// The body is in a form that is not spoken here at all: HTTP 415 and not 400.
    package var isForeign = false

    package init(offset: Int, reason: String) {
        self.offset = offset
        self.reason = reason
    }

    /// The sentence for a log or an answer.
    package var description: String {
        "read the body: \(reason) at byte \(offset)"
    }
}

/// Turns the body of a request into records, by the protocol spoken where it came in.
///
/// A document (object, array, `logs`) is checked to its end before its first record is handed over, so a body cut short
/// leaves nothing behind. Lines stand alone: a broken one costs only itself. Owns scratch memory; belongs to one event loop,
/// and `accept` must not call back into it. Linear in the body; no allocation except for errors.
package final class BodyDecoder {
    private var records = JSONRecordDecoder()

    package init() {}

    /// Calls `accept` for each usable record in order. The record's views are valid during that call only.
    ///
    /// - Parameters:
    ///   - route: where the body came in.
    ///   - contentType: the header's value, or `nil`.
    ///   - tenant: of records that name none; empty for none.
    ///   - accept: returns why it will not take the record, or `nil` when it took it.
    /// - Returns: what became of the records, or why there are none.
    package func decode(
        _ body: ByteView,
        at route: IntakeRoute,
        contentType: ByteView?,
        tenant: ByteView = ByteView(start: nil, count: 0),
        accept: (LogRecord) -> RecordRefusal?
    ) -> Result<BodySummary, MalformedBody> {
        records.tenant = tenant
        defer { records.tenant = ByteView(start: nil, count: 0) }
        return route.spoken.read(
            BodyReading(body: body),
            &records,
            contentType: contentType,
            rules: route.rules,
            accept: accept
        )
    }

    /// The same for our own protocol, wherever the text is from.
    package func decode(
        _ body: ByteView,
        contentType: ByteView?,
        rules: RecordRules,
        accept: (LogRecord) -> RecordRefusal?
    ) -> Result<BodySummary, MalformedBody> {
        LogboomRecords.read(
            BodyReading(body: body),
            &records,
            contentType: contentType,
            rules: rules,
            accept: accept
        )
    }
}
