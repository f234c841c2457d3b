import Delivery
import LogModel
import PipelineTesting
import Testing

@Suite struct SinkPatienceTests {
    private let start = MonotonicTime(nanoseconds: 5_000_000_000)

    private func milliseconds(_ count: Int) -> Duration { .milliseconds(count) }

    @Test func `a sink that answers at once is given a quarter of a second`() {
        var patience = SinkPatience()
        #expect(patience.current(now: start) == Limits.sinkPatience)
        for number in 0..<100 {
            patience.answered(after: milliseconds(5), now: start.advanced(by: milliseconds(number)))
        }
        #expect(patience.current(now: start.advanced(by: .seconds(1))) == Limits.sinkPatience)
    }

    @Test func `one that took longer is given twice that, up to a second`() {
        var patience = SinkPatience()
        patience.answered(after: milliseconds(310), now: start)
        #expect(patience.current(now: start) == milliseconds(620))
        // Quick ones in between change nothing: it is the rare slow one that counts.
        patience.answered(after: milliseconds(4), now: start)
        #expect(patience.current(now: start) == milliseconds(620))
        patience.answered(after: milliseconds(900), now: start)
        #expect(patience.current(now: start) == Limits.sinkPatienceCeiling)
    }

    @Test func `an answer that took longer than the ceiling is none to wait for`() {
        var patience = SinkPatience()
        patience.answered(after: Limits.sinkPatienceCeiling + milliseconds(1), now: start)
        patience.answered(after: .seconds(40), now: start)
        #expect(patience.current(now: start) == Limits.sinkPatience)
        patience.answered(after: Limits.sinkPatienceCeiling, now: start)
        #expect(patience.current(now: start) == Limits.sinkPatienceCeiling)
    }

    @Test func `a slow answer is remembered for one to two spans, whether anything is sent meanwhile or not`() {
        for steps in [1, 7, 500] {
            var patience = SinkPatience()
            _ = patience.current(now: start)
            let slow = start.advanced(by: .seconds(Limits.sinkPatienceMemory.components.seconds / 2))
            patience.answered(after: milliseconds(400), now: slow)
            let end = slow.advanced(by: Limits.sinkPatienceMemory)
            for step in 1...steps {
                let now = slow.advanced(by: Limits.sinkPatienceMemory * step / steps)
                #expect(patience.current(now: now) == milliseconds(800), "\(step) of \(steps)")
            }
            for step in 1...steps {
                _ = patience.current(now: end.advanced(by: Limits.sinkPatienceMemory * step / steps))
            }
            #expect(patience.current(now: end.advanced(by: Limits.sinkPatienceMemory)) == Limits.sinkPatience)
        }
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 2, fresh: 2))
    func `whatever it is told, it stays between its bounds`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var patience = SinkPatience()
        var now = start
        for _ in 0..<2_000 {
            now = now.advanced(by: .milliseconds(Int.random(in: 0...400_000, using: &random)))
            patience.answered(after: .milliseconds(Int.random(in: 0...3_000, using: &random)), now: now)
            let current = patience.current(now: now)
            #expect(
                current >= Limits.sinkPatience && current <= Limits.sinkPatienceCeiling,
                "LOGBOOM_TEST_SEED=\(seed)"
            )
        }
    }
}
