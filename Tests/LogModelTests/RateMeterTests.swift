import PipelineTesting
import Testing

@testable import LogModel

/// A limit holds over every stretch of time, whatever comes when.
struct RateMeterTests {
    private func at(_ milliseconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: milliseconds * 1_000_000)
    }

    /// How many of `asked` records come in at this moment.
    private func taken(_ meter: inout RateMeter, _ limit: RateLimit, of asked: Int, at milliseconds: Int64) -> Int {
        (0..<asked).filter { _ in meter.take(limit, now: at(milliseconds)) }.count
    }

    @Test func `after a pause a burst comes in at once, and then the rate`() {
        let limit = RateLimit(perSecond: 10, burst: 5)
        var meter = RateMeter()
        let steps: [(milliseconds: Int64, asked: Int, taken: Int)] = [
            (0, 9, 5), (99, 2, 0), (100, 2, 1), (350, 9, 2), (10_000, 9, 5),
        ]
        for step in steps {
            let count = taken(&meter, limit, of: step.asked, at: step.milliseconds)
            #expect(count == step.taken, "\(step)")
        }
        #expect(meter.wait(limit, now: at(10_000)) == .milliseconds(100))
        #expect(meter.wait(limit, now: at(10_100)) == nil)
    }

    @Test func `what is taken in beyond the limit is made up for`() {
        let limit = RateLimit(perSecond: 10, burst: 5)
        var meter = RateMeter()
        meter.charge(25, limit, now: at(0))
        #expect(meter.wait(limit, now: at(0)) == .milliseconds(2_100))
        #expect(meter.wait(limit, now: at(2_099)) == .milliseconds(1))
        #expect(meter.wait(limit, now: at(2_100)) == nil)
    }

    @Test func `a debt is never more than an hour, whatever is charged`() throws {
        let limit = RateLimit(perSecond: 1, burst: 1)
        for count in [4_000, 1_000_000, Int.max] {
            var meter = RateMeter()
            for _ in 0..<3 { meter.charge(count, limit, now: at(0)) }
            let wait = try #require(meter.wait(limit, now: at(0)))
            #expect(wait <= .seconds(3_602), "\(count)")
            #expect(meter.wait(limit, now: at(3_602_000)) == nil)
        }
    }

    @Test func `a clock that goes back opens nothing`() {
        let limit = RateLimit(perSecond: 1, burst: 1)
        var meter = RateMeter()
        let counts = [100_000, 1_000, -5, 100_999, 101_000].map { taken(&meter, limit, of: 1, at: $0) }
        #expect(counts == [1, 0, 0, 0, 1])
    }

    @Test func `rates and bursts are brought into their bounds, and the burst is ten seconds by default`() {
        #expect(RateLimit(perSecond: 0).perSecond == 1)
        #expect(RateLimit(perSecond: 2_000_000).perSecond == 1_000_000)
        #expect(RateLimit(perSecond: 30).burst == 300)
        #expect(RateLimit(perSecond: 1, burst: Int.max).burst == 100_000_000)
        #expect(RateLimit(perSecond: 1_000_000, burst: 100_000_000).tolerance == 100_000_000_000)
    }

    /// Over any stretch, at most the burst and what the rate gives in its time; and whoever stays below is never refused.
    @Test(arguments: SeededGenerator.seeds(fixed: 20, fresh: 5))
    func `over any stretch no more comes in than burst and rate allow`(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let limit = RateLimit(
            perSecond: Int.random(in: 1...2_000, using: &generator),
            burst: Int.random(in: 1...500, using: &generator)
        )
        var meter = RateMeter()
        var now: Int64 = 0
        var taken: [Int64] = []
        for _ in 0..<400 {
            let pauseMax: Int64 = Bool.random(using: &generator) ? 3_000_000 : 200_000_000
            now += Int64.random(in: 0...pauseMax, using: &generator)
            let time = MonotonicTime(nanoseconds: now)
            let isFree = meter.wait(limit, now: time) == nil
            let isTaken = meter.take(limit, now: time)
            #expect(isTaken == isFree)
            if isFree { taken.append(now) }
        }
        for first in stride(from: 0, to: taken.count, by: 7) {
            for last in stride(from: first, to: taken.count, by: 11) {
                let allowed = limit.burst + Int((taken[last] - taken[first]) / limit.interval)
                #expect(last - first + 1 <= allowed)
            }
        }
    }
}
