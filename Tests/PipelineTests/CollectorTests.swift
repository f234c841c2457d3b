import Delivery
import LogModel
import Pipeline
import PipelineTesting
import Ports
import Synchronization
import Testing

@Suite struct CollectorTests {
    @Test func `a record below the durable level is answered at once and delivered with its window`() {
        let rig = Rig()
        #expect(rig.post(["all is well"]).isFolded)
        rig.scheduler.advance(by: .milliseconds(29_999))
        #expect(rig.store.recordCount == 0)
        rig.scheduler.advance(by: .milliseconds(1))
        #expect(rig.store.recordCount == 1)
        #expect(rig.spool.rowCount == 0)
        #expect(rig.isConserved)
    }

    @Test func `a record at the durable level is answered when the sink has committed, and not before`() {
        let rig = Rig()
        rig.store.state.withLock { $0.holds = true }
        let answers = rig.post(["disk on fire"], severity: .error)
        rig.scheduler.run()
        #expect(answers.receipts.isEmpty)
        rig.store.release()
        rig.scheduler.run()
        #expect(answers.isDurable)
        #expect(rig.isConserved)
    }

    @Test func `while a flush is under way the requests that wait share the next one`() {
        let rig = Rig()
        rig.store.state.withLock { $0.holds = true }
        let first = rig.post(["a"], severity: .error)
        rig.scheduler.run()
        let others = (0..<50).map { _ in rig.post(["a"], severity: .error) }
        rig.scheduler.run()
        rig.store.release()
        rig.scheduler.run()
        #expect(first.isDurable && others.allSatisfy(\.isDurable))
        #expect(rig.collector.counters.sealed[.durable] == 2)
        #expect(rig.store.recordCount == 51)
    }

    @Test func `a sink that does not answer costs a sender a quarter second, then the spool is the receipt`() {
        let rig = Rig()
        rig.store.state.withLock { $0.holds = true }
        let answers = rig.post(["disk on fire"], severity: .error)
        rig.scheduler.advance(by: .milliseconds(249))
        #expect(answers.receipts.isEmpty)
        rig.scheduler.advance(by: .milliseconds(1))
        #expect(answers.isDurable && rig.spool.rowCount == 1)
        // Later ones do not even wait for that.
        let later = rig.post(["disk on fire"], severity: .error)
        rig.scheduler.run()
        #expect(later.isDurable)
        rig.store.release()
        rig.scheduler.advance(by: .seconds(1))
        #expect(rig.store.recordCount == 2 && rig.spool.rowCount == 0)
        #expect(rig.isConserved)
    }

    @Test func `an outage loses nothing and repeats nothing, and the backlog leaves by itself`() {
        let rig = Rig()
        rig.store.state.withLock {
            $0.failure = SinkError(.transient, code: "08006", "connect: refused")
            $0.isReachable = false
        }
        for _ in 0..<100 {
            #expect(rig.post(["a", "b"], severity: .error).receipts.count <= 1)
            rig.scheduler.advance(by: .milliseconds(100))
        }
        #expect(rig.store.recordCount == 0 && rig.spool.rowCount > 0)
        #expect(rig.isConserved)
        rig.store.state.withLock {
            $0.failure = nil
            $0.isReachable = true
        }
        rig.scheduler.advance(by: .seconds(1))
        #expect(rig.store.recordCount == 200 && rig.spool.rowCount == 0)
        #expect(rig.isConserved)
    }

    @Test func `the analytics node being away delays the store by nothing`() {
        let rig = Rig(hasForward: true)
        rig.forward.state.withLock { $0.failure = SinkError(.transient, code: "ECONNREFUSED", "connect: refused") }
        let answers = rig.post(["a"], severity: .error)
        rig.scheduler.run()
        #expect(answers.isDurable && rig.store.recordCount == 1)
        #expect(rig.spool.rowCount == 1)
        rig.forward.state.withLock { $0.failure = nil }
        rig.scheduler.advance(by: .seconds(2))
        #expect(rig.forward.recordCount == 1 && rig.spool.rowCount == 0)
    }

    @Test func `with sink and spool both failing a sender is told so, and the record still counts`() {
        let rig = Rig()
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "08006", "connect: refused") }
        rig.spool.state.withLock { $0.isFull = true }
        let answers = rig.post(["a"], severity: .error)
        rig.scheduler.advance(by: .seconds(29))
        #expect(answers.receipts.isEmpty)
        rig.scheduler.advance(by: .seconds(1))
        #expect(answers.isTimedOut)
        rig.store.state.withLock { $0.failure = nil }
        rig.scheduler.advance(by: .seconds(61))
        #expect(rig.store.recordCount == 1)
        #expect(rig.isConserved)
    }

    @Test func `past the memory budget records are refused, and taken again when there is room`() {
        let rig = Rig(durableLevel: nil, memoryLimit: 1 << 20)
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "08006", "connect: refused") }
        rig.spool.state.withLock { $0.isFull = true }
        var count = 0
        while rig.collector.refusal == nil, count < 100_000 {
            _ = rig.post(["all is well, as it was yesterday and the day before"], source: "sender \(count)")
            rig.scheduler.advance(by: .milliseconds(20))
            count += 1
        }
        #expect(rig.collector.refusal == .memory)
        #expect(rig.isConserved)
        rig.store.state.withLock { $0.failure = nil }
        rig.scheduler.advance(by: .seconds(120))
        #expect(rig.collector.refusal == nil)
        #expect(rig.store.recordCount == count)
    }

    @Test(arguments: [(9, 0), (10, 10), (11, 11)])
    func `size seals at the bound`(count: Int, delivered: Int) {
        let rig = Rig(batchSize: 10)
        _ = rig.post((0..<count).map { "line \($0)" })
        rig.scheduler.run()
        #expect(rig.store.recordCount == delivered)
    }

    @Test(arguments: [true, false])
    func `a flush answers for what was spilled without a sync only when the spool is synced`(isSynced: Bool) {
        let rig = Rig()
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "08006", "connect: refused") }
        _ = rig.post(["all is well"])
        rig.scheduler.advance(by: .seconds(30))
        #expect(rig.spool.state.withLock { $0.durableCount } == 0 && rig.spool.rowCount == 1)
        let answers = Answers()
        rig.collector.flush { receipt, _ in answers.add(receipt) }
        rig.scheduler.run()
        #expect(answers.receipts.isEmpty)
        for sync in rig.spool.state.withLock({ $0.syncs }) { sync(isSynced) }
        rig.scheduler.run()
        #expect(isSynced ? answers.isDurable : answers.isTimedOut)
    }

    @Test func `a flush answers when everything before it is durable, with its count`() {
        let rig = Rig()
        _ = rig.post(["a", "b", "c"])
        rig.store.state.withLock { $0.holds = true }
        var answered: (isDurable: Bool, count: Int)?
        rig.collector.flush { receipt, count in
            if case .durable = receipt { answered = (true, count) } else { answered = (false, count) }
        }
        rig.scheduler.run()
        #expect(answered == nil)
        rig.store.release()
        rig.scheduler.run()
        #expect(answered?.isDurable == true && answered?.count == 3)
    }

    @Test func `a flush with nothing open answers at once`() {
        let rig = Rig()
        var count: Int?
        rig.collector.flush { _, flushed in count = flushed }
        #expect(count == 0)
    }

    @Test func `stopping delivers what is open`() {
        let rig = Rig()
        _ = rig.post(["a", "b"])
        let isStopped = Mutex(false)
        rig.collector.stop { isStopped.withLock { $0 = true } }
        rig.scheduler.advance(by: .seconds(4))
        #expect(isStopped.withLock { $0 } && rig.store.recordCount == 2)
    }

    @Test func `stopping with a sink that hangs leaves everything in the spool within three seconds`() {
        let rig = Rig()
        rig.store.state.withLock { $0.holds = true }
        _ = rig.post(["a", "b"])
        let isStopped = Mutex(false)
        rig.collector.stop { isStopped.withLock { $0 = true } }
        rig.scheduler.advance(by: .seconds(3))
        #expect(isStopped.withLock { $0 } && rig.spool.rowCount == 1)
        #expect(rig.isConserved)
    }

    @Test func `what neither sink nor spool took at the stop is counted as dropped`() {
        let rig = Rig()
        rig.store.state.withLock { $0.failure = SinkError(.transient, code: "08006", "connect: refused") }
        rig.spool.state.withLock { $0.isFull = true }
        _ = rig.post(["a", "b"])
        rig.collector.stop {}
        rig.scheduler.advance(by: .seconds(4))
        #expect(rig.collector.counters.dropped == 2)
    }

    @Test func `the wall clock may jump, the window still lasts thirty seconds`() {
        let rig = Rig()
        _ = rig.post(["a"])
        rig.scheduler.setWallClock(Timestamp(nanoseconds: 1_460_000_000 * 1_000_000_000))
        rig.scheduler.advance(by: .seconds(15))
        rig.scheduler.setWallClock(Timestamp(nanoseconds: 1_900_000_000 * 1_000_000_000))
        rig.scheduler.advance(by: .milliseconds(14_999))
        #expect(rig.store.recordCount == 0)
        rig.scheduler.advance(by: .milliseconds(1))
        #expect(rig.store.recordCount == 1)
    }

    @Test func `a shorter window applies to the batch that is open`() {
        let rig = Rig()
        _ = rig.post(["a"])
        rig.collector.reconfigure(
            Collector.Configuration(
                window: .seconds(2),
                batchSize: 1000,
                memoryLimit: 1 << 25,
                durableLevel: .error,
                hostName: []
            )
        )
        rig.scheduler.advance(by: .milliseconds(1999))
        #expect(rig.store.recordCount == 0)
        rig.scheduler.advance(by: .milliseconds(1))
        #expect(rig.store.recordCount == 1)
    }

    @Test func `an error commits alone and leaves the window of the rest open`() {
        let rig = Rig()
        _ = rig.post(["a", "b"])
        let answers = rig.post(["disk on fire"], severity: .error)
        rig.scheduler.run()
        #expect(answers.isDurable && rig.store.recordCount == 1)
        rig.scheduler.advance(by: .seconds(30))
        #expect(rig.store.recordCount == 3)
        #expect(rig.isConserved)
    }

    @Test func `of a request of mixed levels the errors are durable at once and the rest within a second`() {
        let rig = Rig()
        _ = rig.post(["open since before"])
        let answers = rig.post(["all is well"], then: ["disk on fire"])
        rig.scheduler.run()
        #expect(answers.durableCount == 1 && rig.store.recordCount == 1)
        rig.scheduler.advance(by: .milliseconds(999))
        #expect(rig.store.recordCount == 1)
        rig.scheduler.advance(by: .milliseconds(1))
        #expect(rig.store.recordCount == 3)
        #expect(rig.collector.openRecordCount == 0 && rig.isConserved)
    }

    @Test func `errors without an end do not keep the window of the rest open`() {
        let rig = Rig()
        _ = rig.post(["all is well"])
        for _ in 0..<301 {
            _ = rig.post(["disk on fire"], severity: .error)
            rig.scheduler.advance(by: .milliseconds(100))
        }
        #expect(rig.store.recordCount == 302 && rig.collector.counters.sealed[.time] == 1)
        #expect(rig.isConserved)
    }

    @Test func `a flush waits for errors sealed before it as well`() {
        let rig = Rig()
        rig.store.state.withLock { $0.holds = true }
        _ = rig.post(["disk on fire"], severity: .error)
        rig.scheduler.run()
        _ = rig.post(["all is well"], then: ["disk on fire"])
        var flushed = 0
        rig.collector.flush { _, count in flushed = count }
        rig.scheduler.run()
        #expect(flushed == 0)
        rig.store.release()
        rig.scheduler.run()
        #expect(flushed == 2 && rig.store.recordCount == 3 && rig.isConserved)
    }

    @Test func `on a busy day a batch holds what came in a tenth of a second`() {
        let rig = Rig(batchSize: 10)
        for _ in 0..<100 {
            _ = rig.post((0..<10).map { "line \($0)" })
            rig.scheduler.advance(by: .milliseconds(10))
        }
        #expect((9...11).contains(rig.collector.counters.sealed[.size] ?? 0))
        rig.scheduler.advance(by: .milliseconds(100))
        #expect(rig.store.recordCount == 1000 && rig.isConserved)
    }

    @Test func `clients of the log stream see records, and nobody pays when there are none`() {
        let rig = Rig()
        var seen: [String] = []
        let client = rig.collector.tail.add { seen.append(String(decoding: $0.message, as: UTF8.self)) }
        _ = rig.post(["a\u{0}b"])
        #expect(seen == ["a\u{FFFD}b"])
        if let client { rig.collector.tail.remove(client) }
        _ = rig.post(["c"])
        #expect(seen.count == 1 && rig.collector.tail.isEmpty)
    }
}
