import Delivery
import LogModel
import Testing

@Suite struct ClockWatchTests {
    private static let boot2016 = Timestamp(nanoseconds: 1_460_000_000 * 1_000_000_000)
    private static let today = Timestamp(nanoseconds: 1_795_000_000 * 1_000_000_000)

    private func at(_ seconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * 1_000_000_000) }

    private func after(_ start: Timestamp, _ seconds: Int64) -> Timestamp { start.advanced(by: .seconds(seconds)) }

    @Test func `a clock that boots in 2016 and jumps to today is put right by the jump, once`() {
        var watch = ClockWatch()
        #expect(watch.observe(wallClock: Self.boot2016, now: at(5), isKnown: false) == nil)
        #expect(watch.observe(wallClock: after(Self.boot2016, 10), now: at(15), isKnown: false) == nil)
        let correction = watch.observe(wallClock: Self.today, now: at(25), isKnown: true)
        let jump = Duration.nanoseconds(Self.today.nanoseconds - after(Self.boot2016, 20).nanoseconds)
        #expect(correction == ClockWatch.Correction(step: jump, isKnown: true))
        #expect(watch.observe(wallClock: after(Self.today, 10), now: at(35), isKnown: true) == nil)
    }

    @Test func `a clock restored from the last stop is an hour behind until it is set`() {
        var watch = ClockWatch()
        _ = watch.observe(wallClock: Self.today, now: at(5), isKnown: false)
        #expect(
            watch.observe(wallClock: after(Self.today, 3610), now: at(15), isKnown: true)
                == ClockWatch.Correction(step: .seconds(3600), isKnown: true)
        )
    }

    @Test func `a step of a clock that is still a guess counts, and the next one too`() {
        var watch = ClockWatch()
        _ = watch.observe(wallClock: Self.today, now: at(0), isKnown: false)
        #expect(watch.observe(wallClock: after(Self.today, 61), now: at(1), isKnown: false)?.step == .seconds(60))
        #expect(watch.observe(wallClock: after(Self.today, -8), now: at(2), isKnown: false)?.step == .seconds(-70))
        #expect(
            watch.observe(wallClock: after(Self.today, -7), now: at(3), isKnown: true)
                == ClockWatch.Correction(step: .zero, isKnown: true)
        )
    }

    @Test func `a clock that was known and is set an hour back corrects nothing`() {
        var watch = ClockWatch()
        #expect(watch.observe(wallClock: Self.today, now: at(0), isKnown: true) == nil)
        #expect(watch.observe(wallClock: after(Self.today, -3600), now: at(1), isKnown: true) == nil)
    }

    @Test(arguments: [-1, 0, 1] as [Int64])
    func `a leap second, slewing and rounding are no steps`(second: Int64) {
        var watch = ClockWatch()
        _ = watch.observe(wallClock: Self.today, now: at(0), isKnown: false)
        #expect(watch.observe(wallClock: after(Self.today, 10 + second), now: at(10), isKnown: false) == nil)
    }

    @Test func `a batch is put right whole, but not what senders with another clock stated`() throws {
        let start = Self.boot2016
        func batch(clockIsKnown: Bool) -> Batch {
            var writer = BatchWriter(
                windowStart: start,
                windowEnd: after(start, 30),
                clockIsKnown: clockIsKnown,
                recordCount: 3,
                seriesCount: 2,
                byteCountEstimate: 64
            )
            let text = Array("ok".utf8)
            text.withUnsafeBufferPointer { text in
                for (id, first) in [(UInt64(1), after(start, 10)), (2, after(start, -86_400 * 30))] {
                    writer.beginSeries(
                        templateID: id,
                        severity: .info,
                        template: text,
                        source: text,
                        host: text,
                        tenant: text,
                        dashboard: text,
                        count: id == 1 ? 2 : 1,
                        firstSeen: first,
                        lastSeen: first,
                        latency: nil
                    )
                    writer.append(0)
                    writer.append(0)
                }
            }
            return Batch(payload: writer.bytes, recordCount: 3, seriesCount: 2)
        }
        let correction = ClockWatch.Correction(step: .seconds(1000), isKnown: true)
        let corrected = BatchMerge.corrected(batch(clockIsKnown: false), by: correction)
        #expect(corrected.recordCount == 3 && corrected.seriesCount == 2)
        try BatchReader.forEachSeries(in: corrected) { header, series in
            #expect(header.clockIsKnown)
            #expect(header.windowStart == after(start, 1000) && header.windowEnd == after(start, 1030))
            #expect(series.firstSeen == (series.templateID == 1 ? after(start, 1010) : after(start, -86_400 * 30)))
        }
        let known = batch(clockIsKnown: true)
        #expect(BatchMerge.corrected(known, by: correction).payload == known.payload)
        let noBatch = Batch(payload: [1, 2, 3], recordCount: 1, seriesCount: 1)
        #expect(BatchMerge.corrected(noBatch, by: correction).payload == [1, 2, 3])
    }
}

@Suite struct MemoryPolicyTests {
    @Test func `samples go at half of the budget, attributes at three quarters, and both come back with some room`() {
        var policy = MemoryPolicy()
        var seen: [BatchDetail] = []
        for share in [0, 49, 50, 60, 74, 75, 99, 70, 64, 62, 40, 38, 37, 0] {
            let changed = policy.update(usedByteCount: share, limit: 100)
            #expect(changed == (seen.last ?? .all != policy.detail))
            seen.append(policy.detail)
        }
        #expect(
            seen == [
                .all, .all, .withoutSamples, .withoutSamples, .withoutSamples, .countsOnly, .countsOnly, .countsOnly,
                .countsOnly, .withoutSamples, .withoutSamples, .withoutSamples, .all, .all,
            ]
        )
    }
}
