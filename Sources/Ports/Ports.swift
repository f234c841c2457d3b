package import Delivery
package import LogModel

/// A thread that can be asked whether it still moves: the block runs on it after what it is doing.
package protocol Pingable: Sendable {
    /// Short name for messages, such as `spool`.
    var threadName: String { get }
    /// How long it may be busy with one thing and show nothing of itself, and still count as alive. Asked at every look, and
    /// before ``signOfLifeCount``: it may depend on what the thread is doing.
    var silenceMax: Duration { get }
    /// Grows while the thread is busy with one thing and gets on with it, or waits for others in turns.
    var signOfLifeCount: Int { get }
    func ping(_ answer: @escaping @Sendable () -> Void)
}

extension Pingable {
    /// None: what it does takes less than ``silenceMax``.
    package var signOfLifeCount: Int { 0 }
}

/// The lanes there can be, one a sink. Raw values stand in the spool and in metrics: never change one.
package enum Lane: String, Sendable, CaseIterable {
    /// PostgreSQL, or the embedded store when no PostgreSQL is configured.
    case store
    /// The analytics node.
    case forward
}

/// Why a sink did not apply what it was given.
package struct SinkError: Error, Sendable, CustomStringConvertible {
    package var failureClass: FailureClass
    /// What was attempted, on what, with which code. Safe to log: no secrets, no log text.
    package var description: String
    /// A short code for grouping: an SQLSTATE, an HTTP status, an errno name.
    package var code: String
    /// Of a poison failure, what exactly the sink refused, if it found out; in the order of the batches.
    package var refused: [RefusedBatch] = []

    package init(_ failureClass: FailureClass, code: String, _ description: String) {
        self.failureClass = failureClass
        self.code = code
        self.description = description
    }
}

/// What a sink says of a span it now holds durably.
package enum SinkAnswer: Sendable, Equatable {
    /// Applied by this very call.
    case applied
    /// Nothing was done: everything up to here had been applied before. Below the span's `last` when an earlier attempt got
    /// through with fewer batches; the caller sends the rest under a new span.
    case alreadyApplied(through: Int64)
}

/// Where batches go. One lane drives one sink, with at most one call of ``apply(_:_:from:completion:)`` under way.
package protocol Sink: Sendable {
    /// Short name for messages and metric labels: `postgres`, `embedded`, `forward`.
    var name: String { get }

    /// Applies `batches`, which are all of `span`, in one transaction, if nothing after `span.previous` was applied.
    /// Connects when it has to. Calls `completion` exactly once, on any thread, also when it fails.
    func apply(
        _ span: BatchSpan,
        _ batches: [Batch],
        from node: NodeID,
        completion: @escaping @Sendable (Result<SinkAnswer, SinkError>) -> Void
    )

    /// Whether the sink can be reached at all, found out cheaply and without logging in; at most 2 s.
    func probe(completion: @escaping @Sendable (Bool) -> Void)

    /// Forgets, at the sink, the progress of every stream of `node` but these, unless it moved within the last day. Called once
    /// after a start, when the streams named are all that will be sent again; what an earlier process sent may still be on
    /// its way, in the socket that the kernel keeps after it, and must find its stream known. A failure is harmless: rows of
    /// dead streams stay until the next start.
    func forgetStreams(except live: [StreamID], of node: NodeID)

    /// The newest positions of replayable sources that were applied with batches of `node`, in any order; empty for a sink
    /// that keeps none. Connects when it has to.
    func sourcePositions(
        of node: NodeID,
        completion: @escaping @Sendable (Result<[SourcePosition], SinkError>) -> Void
    )

    /// Whether a call may reach the sink although its caller is gone: what is on the other side of a connection.
    var outlivesCallers: Bool { get }

    /// Closes the connection and ends the thread; `completion` when done.
    func close(completion: @escaping @Sendable () -> Void)
}

extension Sink {
    package var outlivesCallers: Bool { true }

    /// For one that keeps none.
    package func sourcePositions(
        of node: NodeID,
        completion: @escaping @Sendable (Result<[SourcePosition], SinkError>) -> Void
    ) {
        completion(.success([]))
    }
}

/// A batch as the spool keeps it, under a name that never changes.
package struct SpooledBatch: Sendable {
    package var lane: Lane
    package var stream: StreamID
    package var sequence: Int64
    package var batch: Batch
    /// Whether a sink may have seen it under this name. The spool then keeps its bounds: it is never merged with another.
    package var wasSent: Bool

    package init(lane: Lane, stream: StreamID, sequence: Int64, batch: Batch, wasSent: Bool = false) {
        self.lane = lane
        self.stream = stream
        self.sequence = sequence
        self.batch = batch
        self.wasSent = wasSent
    }
}

/// A batch that its sink refused: what to keep of it for a person, and what is left.
package struct SetAsideBatch: Sendable {
    /// As it was sent.
    package var batch: SpooledBatch
    package var parts: [RefusedPart]
    /// `nil` when nothing is left.
    package var rest: Batch?

    package init(_ batch: SpooledBatch, parts: [RefusedPart], rest: Batch?) {
        self.batch = batch
        self.parts = parts
        self.rest = rest
    }
}

/// What the spool holds for one lane.
package struct SpoolUsage: Sendable, Equatable {
    package var batchCount = 0
    package var recordCount = 0
    package var byteCount = 0
    /// Streams with batches in the spool.
    package var streams: [StreamID] = []

    package init() {}
}

/// The next batches to drain: neighbours in one stream, oldest first.
package struct SpoolHead: Sendable {
    package var stream: StreamID
    /// Sequence of the batch before the first; what a span needs as `previous`.
    package var previous: Int64
    package var batches: [SpooledBatch]

    package init(stream: StreamID, previous: Int64, batches: [SpooledBatch]) {
        self.stream = stream
        self.previous = previous
        self.batches = batches
    }
}

/// The durable queue used while a sink is away. Every call is carried out in order on one thread of its own; `completion` is
/// called exactly once, on that thread.
package protocol Spool: Sendable {
    /// Keeps the batch, and in the same transaction its position of a replayable source, if it has one. With `durable` it is synced to disk before `completion` says success (survives a power cut);
    /// without, it survives the process (kill -9) and reaches the disk within the operating system's write-back time.
    /// Appends that wait together share one transaction.
    func append(
        _ batch: SpooledBatch,
        durable: Bool,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    )

    /// The oldest batches of a lane, at most `byteCountMax` payload bytes but at least one batch; `nil` when there are none.
    /// Unreadable ones are set aside as dead letters on the way and counted. They count as sent from now on, also after a
    /// power cut: only batches that were never returned here may have been merged with their neighbours meanwhile.
    func head(
        of lane: Lane,
        byteCountMax: Int,
        completion: @escaping @Sendable (Result<SpoolHead?, SinkError>) -> Void
    )

    /// Removes a stream's batches up to and including `sequence`: the sink holds them. Not synced; should it be undone by a
    /// power cut, the sink's own record of what it applied keeps the counts right.
    func remove(
        lane: Lane,
        stream: StreamID,
        through sequence: Int64,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    )

    /// Keeps the refused parts for a person, each with its reason, as dead letters; where the spool holds one of the batches,
    /// its rest takes its place under the same name. All in one transaction, synced: it may be the only copy. Asked again
    /// with the same, it changes nothing.
    func setAside(_ batches: [SetAsideBatch], completion: @escaping @Sendable (Result<Void, SinkError>) -> Void)

    /// Puts a dead letter of `lane` back into the spool as a batch of the name given, which no sink has seen. One transaction,
    /// synced: it is in one of the two places, whenever the process ends.
    func replay(
        deadLetter id: Int64,
        of lane: Lane,
        as name: (stream: StreamID, sequence: Int64),
        completion: @escaping @Sendable (Result<Replay, SinkError>) -> Void
    )

    /// Puts right the stamps of the batches that this process appended while its clock was a guess, as far as they were not
    /// sent. Best effort: what cannot be is marked as guessed at the sink.
    func correctStamps(_ correction: ClockWatch.Correction)

    /// The positions of replayable sources that came with batches, by the lane that kept them, and the one kept last by
    /// ``keep(_:completion:)``.
    func sourcePositions(
        completion: @escaping @Sendable (Result<[(position: SourcePosition, lane: Lane?)], SinkError>) -> Void
    )

    /// Keeps a position beside those of batches, synced: a copy for a start at which nobody else can be asked.
    func keep(_ position: SourcePosition, completion: @escaping @Sendable (Result<Void, SinkError>) -> Void)

    /// Syncs everything so far to the disk, then says what each lane holds.
    func syncedUsage(completion: @escaping @Sendable (Result<[Lane: SpoolUsage], SinkError>) -> Void)
}

extension Spool {
    /// For one that keeps no positions.
    package func sourcePositions(
        completion: @escaping @Sendable (Result<[(position: SourcePosition, lane: Lane?)], SinkError>) -> Void
    ) {
        completion(.success([]))
    }

    package func keep(
        _ position: SourcePosition,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        completion(.success(()))
    }

    /// For one that keeps nothing across a setting of the clock.
    package func correctStamps(_ correction: ClockWatch.Correction) {}
}

/// A question to the store: which patterns, most frequent or most recent first.
package struct PatternQuery: Sendable, Equatable {
    package enum Order: String, Sendable, CaseIterable { case count, lastSeen = "last_seen", firstSeen = "first_seen" }

    /// Only rows last seen at or after this.
    package var since: Timestamp?
    package var minimumSeverity: Severity?
    package var source: String?
    /// Only patterns whose text contains this, in any case of ASCII letters.
    package var search: String?
    package var order: Order = .count
    /// 1...1000.
    package var limit = 20

    package init() {}
}

/// A pattern as users see it: a template with its statistics, summed over windows and hosts.
package struct PatternRow: Sendable, Equatable {
    package var patternID: Int64
    package var pattern: String
    package var level: String
    package var source: String
    package var count: Int
    package var firstSeen: Timestamp
    package var lastSeen: Timestamp
    /// A JSON array of strings, newest rows' samples first, at most five.
    package var samples: String

    package init(
        patternID: Int64,
        pattern: String,
        level: String,
        source: String,
        count: Int,
        firstSeen: Timestamp,
        lastSeen: Timestamp,
        samples: String
    ) {
        self.patternID = patternID
        self.pattern = pattern
        self.level = level
        self.source = source
        self.count = count
        self.firstSeen = firstSeen
        self.lastSeen = lastSeen
        self.samples = samples
    }
}

/// What a store says of itself when it answers.
package struct StoreStatus: Sendable {
    /// e.g. `15.18`.
    package var serverVersion: String
    /// How long it took to answer a question about nothing.
    package var latency: Duration

    package init(serverVersion: String, latency: Duration) {
        self.serverVersion = serverVersion
        self.latency = latency
    }
}

/// Answers questions about what is stored, on a connection that never holds up writing.
package protocol PatternReader: Sendable {
    func patterns(_ query: PatternQuery, completion: @escaping @Sendable (Result<[PatternRow], SinkError>) -> Void)
    /// Asks for a sign of life; a store that cannot be reached is a failure that says why.
    func status(completion: @escaping @Sendable (Result<StoreStatus, SinkError>) -> Void)
}
