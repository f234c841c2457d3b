import Delivery
import LogModel
import Patterns
import Pipeline
import PipelineTesting
import Ports
import Synchronization
import Telemetry
import Testing

/// A sink in memory that answers when told to: with compare-and-set, like the real ones.
final class ScriptedSink: Sink {
    struct State {
        var applied: [StreamID: Int64] = [:]
        var recordCount = 0
        var batches: [Batch] = []
        var held: [@Sendable () -> Void] = []
        var holds = false
        var failure: SinkError?
        var isReachable = true
    }

    let name = "scripted"
    let state = Mutex(State())

    func apply(
        _ span: BatchSpan,
        _ batches: [Batch],
        from node: NodeID,
        completion: @escaping @Sendable (Result<SinkAnswer, SinkError>) -> Void
    ) {
        let answer: (@Sendable () -> Void)? = state.withLock { state in
            let answer: @Sendable () -> Void = { completion(self.decide(span, batches)) }
            guard state.holds else { return answer }
            state.held.append(answer)
            return nil
        }
        answer?()
    }

    private func decide(_ span: BatchSpan, _ batches: [Batch]) -> Result<SinkAnswer, SinkError> {
        state.withLock { state in
            if let failure = state.failure { return .failure(failure) }
            let known = state.applied[span.stream] ?? 0
            guard known <= span.previous else { return .success(.alreadyApplied(through: known)) }
            state.applied[span.stream] = span.last
            state.recordCount += batches.reduce(0) { $0 + $1.recordCount }
            state.batches += batches
            return .success(.applied)
        }
    }

    func release() {
        let held = state.withLock { state in
            state.holds = false
            defer { state.held = [] }
            return state.held
        }
        for answer in held { answer() }
    }

    func probe(completion: @escaping @Sendable (Bool) -> Void) {
        completion(state.withLock { $0.isReachable })
    }

    func forgetStreams(except live: [StreamID], of node: NodeID) {}

    func close(completion: @escaping @Sendable () -> Void) {
        completion()
    }

    var recordCount: Int { state.withLock { $0.recordCount } }
}

/// A spool in memory that can be full.
final class MemorySpool: Spool {
    struct State {
        var rows: [SpooledBatch] = []
        var isFull = false
        var durableCount = 0
        var deadLetters = 0
        var syncs: [@Sendable (Bool) -> Void] = []
    }

    let state = Mutex(State())

    func append(
        _ batch: SpooledBatch,
        durable: Bool,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        let isKept = state.withLock { state in
            guard !state.isFull else { return false }
            state.rows.append(batch)
            if durable { state.durableCount += 1 }
            return true
        }
        completion(isKept ? .success(()) : .failure(SinkError(.transient, code: "SPOOL_FULL", "append a batch: full")))
    }

    func head(
        of lane: Lane,
        byteCountMax: Int,
        completion: @escaping @Sendable (Result<SpoolHead?, SinkError>) -> Void
    ) {
        completion(
            .success(
                state.withLock { state in
                    guard let first = state.rows.first(where: { $0.lane == lane }) else { return nil }
                    let batches = state.rows.filter { $0.lane == lane && $0.stream == first.stream }
                    return SpoolHead(stream: first.stream, previous: first.sequence - 1, batches: batches)
                }
            )
        )
    }

    func remove(
        lane: Lane,
        stream: StreamID,
        through sequence: Int64,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        state.withLock { $0.rows.removeAll { $0.lane == lane && $0.stream == stream && $0.sequence <= sequence } }
        completion(.success(()))
    }

    func setAside(
        _ batches: [SetAsideBatch],
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        state.withLock { $0.deadLetters += batches.count }
        completion(.success(()))
    }

    func replay(
        deadLetter id: Int64,
        of lane: Lane,
        as name: (stream: StreamID, sequence: Int64),
        completion: @escaping @Sendable (Result<Replay, SinkError>) -> Void
    ) {
        completion(.success(.unknown))
    }

    func syncedUsage(completion: @escaping @Sendable (Result<[Lane: SpoolUsage], SinkError>) -> Void) {
        let failed = SinkError(.transient, code: "SQLITE_IOERR", "sync the spool: input/output error")
        state.withLock { $0.syncs.append { completion($0 ? .success([:]) : .failure(failed)) } }
    }

    var rowCount: Int { state.withLock { $0.rows.count } }
}

final class Flag: Sendable {
    let value = Mutex(false)
}

extension CollectorTests {
    /// A collector on a manual clock, with its parts at hand.
    struct Rig {
        let scheduler = ManualScheduler()
        let store = ScriptedSink()
        let forward = ScriptedSink()
        let spool = MemorySpool()
        let collector: Collector

        init(
            durableLevel: Severity? = .error,
            hasForward: Bool = false,
            batchSize: Int = 1000,
            memoryLimit: Int = 1 << 25,
            isClockKnown: @escaping @Sendable () -> Bool = { true }
        ) {
            let log = Log(format: .text(isColored: false), minimum: .fatal)
            let node = NodeID(random: [UInt8](repeating: 7, count: 16))
            var lanes: [LaneRunner] = []
            for (id, sink) in [(Lane.store, store)] + (hasForward ? [(Lane.forward, forward)] : []) {
                lanes.append(
                    LaneRunner(
                        id: id,
                        sink: sink,
                        spool: spool,
                        spooled: SpoolUsage(),
                        node: node,
                        generator: SeededGenerator(seed: 1),
                        scheduler: scheduler,
                        log: log
                    )
                )
            }
            collector = Collector(
                configuration: Collector.Configuration(
                    window: .seconds(30),
                    batchSize: batchSize,
                    memoryLimit: memoryLimit,
                    durableLevel: durableLevel,
                    hostName: Array("pi".utf8)
                ),
                aggregator: Aggregator(templateCountMax: 100, style: .angle),
                lanes: lanes,
                scheduler: scheduler,
                log: log,
                isClockKnown: isClockKnown
            )
            collector.start(spooled: [:])
            scheduler.run()
        }

        /// Sends one request and returns where its answers go.
        func post(_ messages: [String], severity: Severity = .info, source: String = "") -> Answers {
            let answers = Answers()
            collector.beginRequest()
            let source = Array(source.utf8)
            for message in messages {
                var message = message
                message.withUTF8 { bytes in
                    source.withUnsafeBufferPointer { source in
                        var record = LogRecord(message: bytes)
                        record.severity = severity
                        record.source = source
                        collector.fold(record)
                    }
                }
            }
            collector.endRequest(received: messages.count, failed: 0) { answers.add($0) }
            return answers
        }

        /// One request with records below the durable level and errors after them.
        func post(_ messages: [String], then errors: [String]) -> Answers {
            let answers = Answers()
            collector.beginRequest()
            for (text, severity) in messages.map({ ($0, Severity.info) }) + errors.map({ ($0, Severity.error) }) {
                var text = text
                text.withUTF8 { bytes in
                    var record = LogRecord(message: bytes)
                    record.severity = severity
                    collector.fold(record)
                }
            }
            collector.endRequest(received: messages.count + errors.count, failed: 0) { answers.add($0) }
            return answers
        }

        /// I1 as `/stats` shows it.
        var isConserved: Bool {
            let store = collector.lanes[0].lane.counts
            let placed = store.delivered + store.spooled + store.deadLettered + store.inMemory
            return collector.counters.accepted == placed + collector.openRecordCount
        }
    }

    final class Answers {
        private(set) var receipts: [Receipt] = []
        func add(_ receipt: Receipt) { receipts.append(receipt) }
        var isFolded: Bool { if case .folded = receipts.first, receipts.count == 1 { true } else { false } }
        var isDurable: Bool { if case .durable = receipts.first, receipts.count == 1 { true } else { false } }
        var durableCount: Int? {
            if case .durable(let count) = receipts.first, receipts.count == 1 { count } else { nil }
        }
        var isTimedOut: Bool { if case .timedOut = receipts.first, receipts.count == 1 { true } else { false } }
    }
}
