import Delivery
import LogModel
import Pipeline
import PipelineTesting
import Ports
import Synchronization
import Testing

// A clock that is set late, and memory that runs short.
extension CollectorTests {
    @Test func `records stamped before the clock was set are put right once it is, in memory and in the open batch`()
        throws
    {
        let isKnown = Flag()
        let rig = Rig(isClockKnown: { isKnown.value.withLock { $0 } })
        let boot = Timestamp(nanoseconds: 1_460_000_000 * 1_000_000_000)
        let today = Timestamp(nanoseconds: 1_795_000_000 * 1_000_000_000)
        rig.scheduler.setWallClock(boot)
        // A window that was sent, and may be applied, one that neither sink nor spool takes, and one that is open.
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "08006", "connect") }
        rig.spool.state.withLock { $0.isFull = true }
        _ = rig.post(["sent and lost"])
        rig.scheduler.advance(by: .seconds(30))
        _ = rig.post(["before the network"])
        rig.scheduler.advance(by: .seconds(30))
        _ = rig.post(["still before"])
        rig.scheduler.advance(by: .seconds(10))
        #expect(rig.collector.counters.clockCorrections == 0)
        rig.scheduler.setWallClock(today)
        isKnown.value.withLock { $0 = true }
        _ = rig.post(["the clock is set"])
        #expect(rig.collector.counters.clockCorrections == 1)
        rig.store.state.withLock { $0.failure = nil }
        rig.scheduler.advance(by: .seconds(120))
        #expect(rig.store.recordCount == 4 && rig.isConserved)
        var seen: [String: Int64] = [:]
        for batch in rig.store.state.withLock({ $0.batches }) {
            try BatchReader.forEachSeries(in: batch) { header, series in
                let text = String(decoding: series.template, as: UTF8.self)
                #expect(header.clockIsKnown == (text != "sent and lost"))
                guard header.clockIsKnown else { return }
                seen[text] = (today.nanoseconds - series.firstSeen.nanoseconds) / 1_000_000_000
            }
        }
        #expect(seen == ["before the network": 40, "still before": 10, "the clock is set": 0])
    }

    @Test func `with sink and spool refusing, a day of windows takes the memory of a few`() {
        let rig = Rig(memoryLimit: 1 << 20)
        rig.store.state.withLock {
            $0.failure = SinkError(.transient, code: "08006", "connect")
            $0.isReachable = false
        }
        rig.spool.state.withLock { $0.isFull = true }
        let messages = ["the pump is on", "the pump is off", "the door is open"]
        var most = 0
        for _ in 0..<2880 {
            #expect(rig.collector.refusal == nil)
            _ = rig.post(messages)
            rig.scheduler.advance(by: .seconds(30))
            most = max(most, rig.collector.lanes[0].lane.bytesInMemory)
        }
        #expect(rig.isConserved)
        #expect(most < 20_000)
        #expect(rig.collector.lanes[0].lane.mergedInMemoryCount > 100)
        rig.store.state.withLock {
            $0.failure = nil
            $0.isReachable = true
        }
        rig.scheduler.advance(by: .seconds(300))
        #expect(rig.store.recordCount == 2880 * 3 && rig.isConserved)
    }

    @Test func `who waits for a batch that was merged in memory is answered with it`() {
        let rig = Rig(durableLevel: .trace)
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "08006", "connect") }
        rig.spool.state.withLock { $0.isFull = true }
        var answers: [Answers] = []
        for number in 0..<20 {
            answers.append(rig.post(["message of a kind \(number)"]))
            rig.scheduler.advance(by: .milliseconds(50))
        }
        #expect(answers.allSatisfy { $0.receipts.isEmpty })
        rig.store.state.withLock { $0.failure = nil }
        rig.scheduler.advance(by: .seconds(5))
        #expect(answers.allSatisfy { $0.isDurable })
        #expect(rig.store.recordCount == 20 && rig.isConserved)
    }
}
