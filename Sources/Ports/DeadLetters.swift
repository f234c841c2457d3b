package import LogModel

/// A batch, or a part of one, that its sink refused: kept for a person.
package struct DeadLetter: Sendable, Equatable {
    /// Never given twice in one state file.
    package var id: Int64
    /// The raw value of a ``Lane``; or of one that only a later version knows.
    package var lane: String
    /// The name of the batch that it was in.
    package var stream: StreamID
    package var sequence: Int64
    package var recordCount: Int
    package var byteCount: Int
    package var reason: String
    /// When it was set aside.
    package var time: Timestamp
    /// The encoded batch, if that was asked for; damaged ones are kept as they are.
    package var payload: [UInt8]

    package init(
        id: Int64,
        lane: String,
        stream: StreamID,
        sequence: Int64,
        recordCount: Int,
        byteCount: Int,
        reason: String,
        time: Timestamp,
        payload: [UInt8] = []
    ) {
        self.id = id
        self.lane = lane
        self.stream = stream
        self.sequence = sequence
        self.recordCount = recordCount
        self.byteCount = byteCount
        self.reason = reason
        self.time = time
        self.payload = payload
    }
}

/// What came of putting a dead letter back into the spool.
package enum Replay: Sendable, Equatable {
    /// It is a batch of the spool again, and no dead letter any more. `wasCounted`: this process had set it aside, and so
    /// counts it among the dead-lettered.
    case done(recordCount: Int, wasCounted: Bool)
    case unknown
    /// Damaged: nobody knows what a sink would be told.
    case unreadable
}

/// The dead letters as a person deals with them. Calls are carried out in order on a thread of the implementation's own;
/// `completion` is called exactly once, on that thread.
package protocol DeadLetterBox: Sendable {
    /// Those with an id above `id`, oldest first, at most `limit`; without payloads.
    func deadLetters(
        after id: Int64,
        limit: Int,
        completion: @escaping @Sendable (Result<[DeadLetter], SinkError>) -> Void
    )

    /// With its payload; `nil` when there is none of this id.
    func deadLetter(_ id: Int64, completion: @escaping @Sendable (Result<DeadLetter?, SinkError>) -> Void)

    /// Removes it for good; what it was, or `nil` when there was none.
    func dropDeadLetter(_ id: Int64, completion: @escaping @Sendable (Result<DeadLetter?, SinkError>) -> Void)
}
