import Delivery
import LogModel
import Pipeline
import PipelineTesting
import Ports
import Synchronization
import Telemetry
import Testing

/// A journal of numbered entries in memory, read when told to.
private final class MemoryJournal: ReplayableSource {
    struct State {
        var count = 0
        var place = 0
        var end: Int?
        var starts: [SourceStart] = []
        var reads: [@Sendable (SourceChunk) -> Void] = []
    }

    let state = Mutex(State())
    var status: SourceStatus { SourceStatus() }

    func seek(_ start: SourceStart, through end: String?) {
        state.withLock { state in
            state.starts.append(start)
            state.place = if case .after(let cursor) = start { Int(cursor) ?? 0 } else { 0 }
            state.end = end.flatMap { Int($0) }
        }
    }

    func read(_ completion: @escaping @Sendable (SourceChunk) -> Void) {
        state.withLock { $0.reads.append(completion) }
        answer()
    }

    func write(_ count: Int) {
        state.withLock { $0.count += count }
        answer()
    }

    /// All there is in one chunk.
    private func answer() {
        let answer: (@Sendable () -> Void)? = state.withLock { state in
            let end = state.end ?? state.count
            guard !state.reads.isEmpty, end > state.place || state.end != nil else { return nil }
            var chunk = SourceChunk()
            let message: [UInt8] = Array("line".utf8)
            for _ in state.place..<max(state.place, end) {
                message.withUnsafeBufferPointer { chunk.append(LogRecord(message: $0), at: Timestamp(nanoseconds: 0)) }
            }
            state.place = end
            chunk.cursor = String(end)
            chunk.isLast = state.end != nil
            let read = state.reads.removeFirst()
            return { [chunk] in read(chunk) }
        }
        answer?()
    }

    func close(completion: @escaping @Sendable () -> Void) { completion() }
}

/// What was kept for the next process, in order.
private final class Kept: Sendable {
    let positions = Mutex<[SourcePosition]>([])
}

@Suite struct StretchTests {
    private let rig: CollectorTests.Rig
    private let journal = MemoryJournal()
    private let kept = Kept()

    init() {
        rig = CollectorTests.Rig(hasForward: true)
    }

    private func runner(_ local: SourceRunner.Local = SourceRunner.Local()) -> SourceRunner {
        let runner = SourceRunner(
            journal,
            collector: rig.collector,
            scheduler: rig.scheduler,
            log: Log(format: .text(isColored: false), minimum: .fatal),
            patience: .seconds(3600),
            generator: SeededGenerator(seed: 2),
            keep: { [kept] position in kept.positions.withLock { $0.append(position) } }
        )
        runner.start(local, firstName: StreamID(rawValue: 1))
        rig.scheduler.run()
        return runner
    }

    private func seal() {
        rig.collector.flush { _, _ in }
        rig.scheduler.run()
    }

    @Test func `the analytics node gets a stretch only when the store has it`() {
        let runner = runner()
        journal.write(5)
        rig.scheduler.run()
        rig.store.state.withLock { $0.holds = true }
        seal()
        #expect(rig.store.recordCount == 0 && rig.forward.recordCount == 0)
        rig.store.release()
        rig.scheduler.run()
        #expect(rig.store.recordCount == 5 && rig.forward.recordCount == 5)
        #expect(runner.phase == .reading && rig.isConserved)
        #expect(rig.spool.rowCount == 0)
    }

    @Test func `the next process is told of a stretch before any sink sees it`() {
        let runner = runner()
        journal.write(5)
        rig.scheduler.run()
        rig.store.state.withLock { $0.holds = true }
        seal()
        let intended = kept.positions.withLock { $0.last?.stretches.last }
        #expect(intended?.through == "5" && intended?.isStored == false)
        rig.store.release()
        rig.scheduler.run()
        let done = kept.positions.withLock { $0.last?.stretches.last }
        #expect(done?.isStored == true && done?.isForwarded == true)
        #expect(rig.store.state.withLock { $0.batches.last?.position?.own } == intended?.seal)
        #expect(runner.phase == .reading)
    }

    @Test func `after a power cut the store is waited for, and asked every five seconds`() {
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "ECONNREFUSED", "connect: refused") }
        let runner = runner()
        journal.write(3)
        rig.scheduler.advance(by: .seconds(60))
        #expect(runner.phase == .waiting && rig.collector.counters.accepted == 0)
        rig.store.state.withLock { $0.failure = nil }
        rig.scheduler.advance(by: .seconds(5))
        #expect(runner.phase == .reading && rig.collector.counters.accepted == 3)
        #expect(!runner.isGuess)
    }

    @Test func `a store that stays away is not waited for without end, and the doubt is said`() {
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "ECONNREFUSED", "connect: refused") }
        let runner = runner()
        journal.write(3)
        rig.scheduler.advance(by: .seconds(3606))
        #expect(runner.phase == .reading && runner.isGuess && rig.collector.counters.accepted == 3)
    }

    @Test func `with the last process's word a stretch without a receipt is read again, and nobody is waited for`() {
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "ECONNREFUSED", "connect: refused") }
        var stretch = SourceStretch(seal: 3, name: StreamID(rawValue: 77), from: "2", through: "6")
        stretch.isForwarded = true
        var local = SourceRunner.Local()
        local.addComplete(SourcePosition(own: 0, stretches: [stretch], nextName: StreamID(rawValue: 5)))
        journal.write(10)
        let runner = runner(local)
        #expect(runner.phase == .reading)
        #expect(journal.state.withLock { $0.starts } == [.after("2"), .after("6")])
        // Four entries again for the store alone, then the rest for both.
        #expect(rig.collector.counters.reread == [.store: 4])
        #expect(rig.collector.counters.accepted == 4)
        rig.store.state.withLock { $0.failure = nil }
        seal()
        rig.scheduler.advance(by: .seconds(120))
        #expect(rig.store.recordCount == 8 && rig.forward.recordCount == 4)
        #expect(rig.store.state.withLock { $0.applied[StreamID(rawValue: 77)] } == 1)
    }

    @Test func `a chunk waits until there is room, and is folded then`() {
        let runner = runner()
        rig.collector.sourceBytes = 1 << 26
        journal.write(5)
        rig.scheduler.run()
        #expect(rig.collector.counters.accepted == 0 && runner.waitCount == 1)
        rig.collector.sourceBytes = 0
        rig.scheduler.advance(by: .milliseconds(100))
        #expect(rig.collector.counters.accepted == 5)
    }

    @Test func `with eight stretches without a receipt nothing more is folded`() {
        let runner = runner()
        rig.forward.state.withLock { $0.failure = SinkError(.transient, code: "ECONNREFUSED", "connect: refused") }
        rig.spool.state.withLock { $0.isFull = true }
        for _ in 0..<12 {
            journal.write(1)
            rig.scheduler.advance(by: .seconds(31))
        }
        #expect(rig.collector.counters.accepted == 8 && runner.waitCount > 0)
        rig.forward.state.withLock { $0.failure = nil }
        rig.scheduler.advance(by: .seconds(200))
        #expect(rig.collector.counters.accepted == 12)
        #expect(rig.forward.recordCount == 12 && rig.store.recordCount == 12)
    }
}
