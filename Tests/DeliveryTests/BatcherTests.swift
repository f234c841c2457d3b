import Delivery
import LogModel
import PipelineTesting
import Testing

@Suite struct BatcherTests {
    private let start = MonotonicTime(nanoseconds: 0)

    private func makeBatcher() -> Batcher {
        Batcher(window: .seconds(30), recordCountMax: 10, byteCountMax: 1000)
    }

    @Test func `an empty batch is never sealed`() {
        var batcher = makeBatcher()
        batcher.forced()
        #expect(batcher.sealReason(now: start.advanced(by: .seconds(3600)), readiness: .ready) == nil)
    }

    @Test(arguments: [(9, nil), (10, SealReason.size), (11, SealReason.size)])
    func `size seals at the bound`(count: Int, reason: SealReason?) {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: count, byteCount: 1, isFull: false, isAwaited: false, now: start)
        #expect(batcher.sealReason(now: start, readiness: .ready) == reason)
    }

    @Test(arguments: [(999, nil), (1000, SealReason.memory), (1001, SealReason.memory)])
    func `memory seals at the bound, even while a flush is under way`(bytes: Int, reason: SealReason?) {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: 1, byteCount: bytes, isFull: false, isAwaited: false, now: start)
        #expect(batcher.sealReason(now: start, readiness: .busy) == reason)
    }

    @Test func `time counts from the first record and seals on the window's end`() {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: 1, byteCount: 1, isFull: false, isAwaited: false, now: start)
        let later = start.advanced(by: .seconds(20))
        batcher.recordsFolded(recordCount: 2, byteCount: 2, isFull: false, isAwaited: false, now: later)
        #expect(batcher.deadline == start.advanced(by: .seconds(30)))
        #expect(batcher.sealReason(now: start.advanced(by: .milliseconds(29_999)), readiness: .ready) == nil)
        #expect(batcher.sealReason(now: start.advanced(by: .seconds(30)), readiness: .ready) == .time)
    }

    @Test func `while a flush is under way the next batch grows`() {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: 5, byteCount: 1, isFull: false, isAwaited: true, now: start)
        #expect(batcher.sealReason(now: start.advanced(by: .seconds(60)), readiness: .busy) == nil)
        #expect(batcher.sealReason(now: start, readiness: .ready) == .durable)
    }

    @Test func `behind a sink that stalls only what somebody waits for is sealed`() {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: 500, byteCount: 1, isFull: false, isAwaited: false, now: start)
        #expect(batcher.sealReason(now: start.advanced(by: .seconds(60)), readiness: .stalled) == nil)
        batcher.recordsFolded(recordCount: 501, byteCount: 1, isFull: false, isAwaited: true, now: start)
        #expect(batcher.sealReason(now: start, readiness: .stalled) == .durable)
    }

    @Test func `on a busy day seals for size keep their distance, and memory does not wait for it`() {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: 10, byteCount: 1, isFull: false, isAwaited: false, now: start)
        #expect(batcher.sealReason(now: start, readiness: .ready) == .size)
        batcher.sealed(now: start)
        batcher.recordsFolded(recordCount: 10, byteCount: 1, isFull: false, isAwaited: false, now: start)
        let end = start.advanced(by: Limits.sizeSealDistance)
        #expect(batcher.heldUntil == end)
        #expect(batcher.sealReason(now: end.advanced(by: .nanoseconds(-1)), readiness: .ready) == nil)
        #expect(batcher.sealReason(now: end, readiness: .ready) == .size)
        batcher.recordsFolded(recordCount: 11, byteCount: 1000, isFull: false, isAwaited: false, now: start)
        #expect(batcher.sealReason(now: start, readiness: .ready) == .memory)
    }

    @Test func `records that wait do not keep the rest from its window's end`() {
        var batcher = makeBatcher()
        let end = start.advanced(by: .seconds(30))
        batcher.recordsFolded(recordCount: 2, byteCount: 2, isFull: false, isAwaited: true, now: start)
        #expect(batcher.sealReason(now: start, readiness: .ready) == .durable)
        batcher.awaitedSealed(recordCount: 1, byteCount: 1, now: start)
        batcher.recordsFolded(recordCount: 2, byteCount: 2, isFull: false, isAwaited: true, now: end)
        #expect(batcher.sealReason(now: end, readiness: .ready) == .time)
        // Behind a sink that stalls the waiting ones go alone, as ever.
        #expect(batcher.sealReason(now: end, readiness: .stalled) == .durable)
    }

    @Test func `the companions of a durable record are due within a second`() {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: 1, byteCount: 1, isFull: false, isAwaited: false, now: start)
        let later = start.advanced(by: .seconds(3))
        batcher.recordsFolded(
            recordCount: 3,
            byteCount: 3,
            isFull: false,
            isAwaited: true,
            hasCompanions: true,
            now: later
        )
        batcher.awaitedSealed(recordCount: 2, byteCount: 2, now: later)
        #expect(batcher.deadline == later.advanced(by: Limits.companionDelay))
        #expect(batcher.sealReason(now: later.advanced(by: .milliseconds(999)), readiness: .ready) == nil)
        #expect(batcher.sealReason(now: later.advanced(by: .seconds(1)), readiness: .ready) == .time)
        // Near the window's end it is the window that counts.
        batcher.sealed(now: later)
        #expect(batcher.deadline == nil)
    }

    @Test func `a shorter window holds for the batch that is open, a longer one does not put it off`() {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: 1, byteCount: 1, isFull: false, isAwaited: false, now: start)
        batcher.window = .seconds(5)
        #expect(batcher.deadline == start.advanced(by: .seconds(5)))
        batcher.window = .seconds(50)
        #expect(batcher.deadline == start.advanced(by: .seconds(5)))
    }

    @Test func `sealing forgets everything about the batch before`() {
        var batcher = makeBatcher()
        batcher.recordsFolded(recordCount: 500, byteCount: 5000, isFull: true, isAwaited: true, now: start)
        batcher.forced()
        batcher.sealed(now: start)
        batcher.recordsFolded(recordCount: 1, byteCount: 1, isFull: false, isAwaited: false, now: start)
        #expect(batcher.sealReason(now: start, readiness: .ready) == nil)
    }
}

@Suite struct BackoffTests {
    @Test func `a pause never exceeds its bound and the bound doubles to the ceiling`() {
        var generator = SeededGenerator(seed: 7)
        var backoff = Backoff()
        var bound = Limits.retryDelayBase
        for _ in 0..<100 {
            #expect(backoff.bound == bound)
            let pause = backoff.failed(now: MonotonicTime(nanoseconds: 0), using: &generator)
            #expect(pause >= .zero && pause <= bound)
            bound = min(bound * 2, Limits.retryDelayCeiling)
        }
        #expect(backoff.bound == Limits.retryDelayCeiling)
    }

    @Test func `pauses spread over the whole range below the bound`() {
        var generator = SeededGenerator(seed: 7)
        var pauses: [Duration] = []
        for _ in 0..<1000 {
            var backoff = Backoff()
            pauses.append(backoff.failed(now: MonotonicTime(nanoseconds: 0), using: &generator))
        }
        #expect(pauses.contains { $0 < Limits.retryDelayBase / 10 })
        #expect(pauses.contains { $0 > Limits.retryDelayBase * 9 / 10 })
    }

    @Test(arguments: [(59, false), (60, true)])
    func `only a stable minute starts the pauses over`(seconds: Int, isReset: Bool) {
        var generator = SeededGenerator(seed: 7)
        var backoff = Backoff()
        let start = MonotonicTime(nanoseconds: 0)
        for _ in 0..<5 { _ = backoff.failed(now: start, using: &generator) }
        backoff.worked(now: start)
        backoff.worked(now: start.advanced(by: .seconds(1)))
        _ = backoff.failed(now: start.advanced(by: .seconds(seconds)), using: &generator)
        #expect(backoff.attempts == (isReset ? 1 : 6))
    }
}
