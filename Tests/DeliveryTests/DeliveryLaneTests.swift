import LogModel
import PipelineTesting
import Testing

@testable import Delivery

@Suite struct DeliveryLaneTests {
    @Test(arguments: SeededGenerator.seeds(fixed: 400, fresh: 100))
    func `every batch is counted once through outages, lost answers, full spools and kills`(seed: UInt64) {
        var simulation = LaneSimulation(seed: seed)
        simulation.run(batchCount: 60)
        let wrong = simulation.check()
        #expect(wrong.isEmpty, "repeat with LOGBOOM_TEST_SEED=\(seed): \(wrong.prefix(5))")
    }

    @Test func `a batch that is set aside while it is being spilled is acknowledged once`() {
        var simulation = LaneSimulation(seed: 622_013_511)
        simulation.run(batchCount: 60)
        #expect(simulation.check().isEmpty)
    }

    @Test func `the simulation meets outages, kills and dead letters at all`() {
        var outages = 0
        var crashes = 0
        var deadLetters = 0
        var refusedParts = 0
        var replays = 0
        var spilledRests = 0
        for seed in 0..<100 as Range<UInt64> {
            var simulation = LaneSimulation(seed: seed)
            simulation.run(batchCount: 60)
            outages += simulation.outageCount
            crashes += simulation.crashCount
            deadLetters += simulation.deadLetters.count
            refusedParts += simulation.refusedParts.count
            replays += simulation.replayCount
            spilledRests += simulation.spilledRestCount
        }
        #expect(outages > 200)
        #expect(crashes > 20)
        #expect(deadLetters > 20)
        #expect(refusedParts > 20)
        #expect(replays > 20)
        #expect(spilledRests > 5)
    }

    @Test func `a sink that forgets what it applied is found out`() {
        let caught = (0..<50 as Range<UInt64>).contains { seed in
            var simulation = LaneSimulation(seed: seed, breaksRule: true)
            simulation.run(batchCount: 60)
            return !simulation.check().isEmpty
        }
        #expect(caught, "the canary must be caught, or the simulation checks nothing")
    }

    @Test func `a fresh batch is sent at once under the live stream`() throws {
        var lane = makeLane()
        let actions = lane.batchSealed(makeBatch(), ticket: 1, isAwaited: true, now: start)
        let sent = try #require(sends(actions).first)
        #expect(sent.span.previous == 0 && sent.span.last == 1)
        #expect(lane.readiness == .busy)
        #expect(acknowledgements(lane.sendSucceeded(sent.number, through: nil, now: start)) == [1])
        #expect(lane.readiness == .ready && lane.isSettled)
    }

    @Test func `a sink that does not answer in time sends what somebody waits for to the spool under the same name`()
        throws
    {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: true, now: start)).first)
        let later = start.advanced(by: Limits.sinkPatience)
        let spilled = try #require(spills(lane.patienceEnded(sent.number, now: later)).first)
        #expect(spilled.stream == sent.span.stream && spilled.sequence == 1)
        #expect(lane.readiness == .stalled)
        #expect(acknowledgements(lane.spillSucceeded(spilled, now: later)) == [1])
        // The sink answers after all: the batch leaves the spool, and nobody is told a second time.
        let actions = lane.sendSucceeded(sent.number, through: nil, now: later)
        #expect(acknowledgements(actions).isEmpty)
        #expect(removals(actions).map(\.through) == [1])
        #expect(lane.counts == DeliveryLane.Counts(delivered: 3))
    }

    @Test func `a sink that was slow of late is given longer the next time`() throws {
        func patience(_ actions: [DeliveryLane.Action]) -> MonotonicTime? {
            actions.compactMap { if case .schedulePatience(let time, _) = $0 { time } else { nil } }.first
        }
        var lane = makeLane()
        let first = lane.batchSealed(makeBatch(), ticket: 1, isAwaited: true, now: start)
        #expect(patience(first) == start.advanced(by: Limits.sinkPatience))
        // Spilled at its time, and applied a little later.
        let number = try #require(sends(first).first).number
        let spilled = try #require(
            spills(lane.patienceEnded(number, now: start.advanced(by: Limits.sinkPatience))).first
        )
        _ = lane.spillSucceeded(spilled, now: start.advanced(by: .milliseconds(260)))
        let later = start.advanced(by: .milliseconds(300))
        _ = lane.sendSucceeded(number, through: nil, now: later)
        _ = lane.removalSucceeded(now: later)
        let second = lane.batchSealed(makeBatch(), ticket: 2, isAwaited: true, now: later)
        #expect(patience(second) == later.advanced(by: .milliseconds(600)))
    }

    @Test func `a batch nobody waits for is not written to disk while the sink is merely slow`() throws {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: false, now: start)).first)
        #expect(spills(lane.patienceEnded(sent.number, now: start.advanced(by: Limits.sinkPatience))).isEmpty)
    }

    @Test func `after a failure the undecided batch keeps its name and later ones get a new stream`() throws {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: false, now: start)).first)
        let first = try #require(spills(lane.sendFailed(sent.number, .ambiguous, reason: "cut", now: start)).first)
        #expect(first.stream == sent.span.stream && first.sequence == 1)
        let second = try #require(spills(lane.batchSealed(makeBatch(), ticket: 2, isAwaited: false, now: start)).first)
        #expect(second.stream != first.stream)
        #expect(lane.phase == .away && lane.readiness == .ready)
    }

    @Test func `a probe brings the attempt forward once, not again and again`() throws {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: false, now: start)).first)
        let item = try #require(spills(lane.sendFailed(sent.number, .permanent, reason: "password", now: start)).first)
        _ = lane.spillSucceeded(item, now: start)
        let second = start.advanced(by: .seconds(1))
        #expect(reads(lane.probed(isReachable: true, now: second)) == 1)
        let backlog = DeliveryLane.Backlog(stream: item.stream, previous: 0, batches: [(1, item.batch)])
        let again = try #require(sends(lane.spoolRead(backlog, now: second)).first)
        _ = lane.sendFailed(again.number, .permanent, reason: "password", now: second)
        #expect(reads(lane.probed(isReachable: true, now: second.advanced(by: .seconds(1)))) == 0)
    }

    @Test func `a changed configuration tries a sink that is away without waiting`() throws {
        var lane = makeLane()
        #expect(reads(lane.configurationChanged(now: start)) == 0)
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: false, now: start)).first)
        let item = try #require(spills(lane.sendFailed(sent.number, .permanent, reason: "password", now: start)).first)
        _ = lane.spillSucceeded(item, now: start)
        #expect(reads(lane.configurationChanged(now: start.advanced(by: .milliseconds(1)))) == 1)
    }

    @Test func `what a sink applied of a longer span is not sent again`() throws {
        var lane = DeliveryLane(spooledBatchCount: 3, spooledRecordCount: 9, generator: SeededGenerator(seed: 1))
        #expect(reads(lane.started(now: start)) == 1)
        let stream = StreamID(rawValue: 42)
        let backlog = DeliveryLane.Backlog(
            stream: stream,
            previous: 0,
            batches: [(1, makeBatch()), (2, makeBatch()), (3, makeBatch())]
        )
        let sent = try #require(sends(lane.spoolRead(backlog, now: start)).first)
        let actions = lane.sendSucceeded(sent.number, through: 2, now: start)
        #expect(removals(actions).map(\.through) == [2])
        #expect(lane.counts == DeliveryLane.Counts(delivered: 6, spooled: 3))
        // Read before that is out, the spool would hand out again what counts as delivered.
        #expect(reads(actions) == 0)
        #expect(reads(lane.removalSucceeded(now: start)) == 1)
    }

    @Test func `batches that the spool fails to give up are not drained again, and are removed later`() throws {
        var lane = DeliveryLane(spooledBatchCount: 2, spooledRecordCount: 6, generator: SeededGenerator(seed: 1))
        _ = lane.started(now: start)
        let stream = StreamID(rawValue: 42)
        let backlog = DeliveryLane.Backlog(stream: stream, previous: 0, batches: [(1, makeBatch())])
        let sent = try #require(sends(lane.spoolRead(backlog, now: start)).first)
        #expect(removals(lane.sendSucceeded(sent.number, through: nil, now: start)).map(\.through) == [1])
        let failed = lane.removalFailed(now: start)
        #expect(reads(failed) == 0 && removals(failed).isEmpty)
        // Fresh batches go their way meanwhile.
        let fresh = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: true, now: start)).first)
        #expect(reads(lane.sendSucceeded(fresh.number, through: nil, now: start)) == 0)
        #expect(removals(lane.removalDue()).map(\.through) == [1])
        #expect(reads(lane.removalSucceeded(now: start)) == 1)
        #expect(lane.counts == DeliveryLane.Counts(delivered: 6, spooled: 3))
    }

    @Test func `a batch that the sink decided on its way into the spool is not drained from there`() throws {
        var lane = DeliveryLane(spooledBatchCount: 1, spooledRecordCount: 3, generator: SeededGenerator(seed: 1))
        _ = lane.started(now: start)
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: true, now: start)).first)
        let item = try #require(spills(lane.patienceEnded(sent.number, now: start)).first)
        let head = DeliveryLane.Backlog(stream: StreamID(rawValue: 42), previous: 0, batches: [(1, makeBatch())])
        _ = lane.spoolRead(head, now: start)
        let backlog = try #require(sends(lane.sendSucceeded(sent.number, through: nil, now: start)).first)
        // The spool would be read again, and would find the batch that is on its way in.
        _ = lane.sendSucceeded(backlog.number, through: nil, now: start)
        #expect(reads(lane.removalSucceeded(now: start)) == 0)
        #expect(removals(lane.spillSucceeded(item, now: start)).map(\.stream) == [item.stream])
        #expect(lane.counts == DeliveryLane.Counts(delivered: 6))
    }

    @Test func `a fresh batch goes before the backlog`() throws {
        var lane = DeliveryLane(spooledBatchCount: 2, spooledRecordCount: 6, generator: SeededGenerator(seed: 1))
        _ = lane.started(now: start)
        let fresh = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: true, now: start)).first)
        let backlog = DeliveryLane.Backlog(stream: StreamID(rawValue: 42), previous: 0, batches: [(1, makeBatch())])
        #expect(sends(lane.spoolRead(backlog, now: start)).isEmpty)
        let actions = lane.sendSucceeded(fresh.number, through: nil, now: start)
        #expect(sends(actions).first?.span.stream == StreamID(rawValue: 42))
    }

    @Test func `stopping spills what is under way, under its name`() throws {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: false, now: start)).first)
        let spilled = spills(lane.stopped())
        #expect(spilled.map(\.sequence) == [1] && spilled.first?.stream == sent.span.stream)
        #expect(!lane.isSettled)
        _ = lane.spillSucceeded(spilled[0], now: start)
        #expect(lane.isSettled)
    }

    @Test func `with the sink away and the spool full a batch waits in memory and leaves first`() throws {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: true, now: start)).first)
        let item = try #require(spills(lane.sendFailed(sent.number, .transient, reason: "away", now: start)).first)
        #expect(acknowledgements(lane.spillFailed(item, now: start)).isEmpty)
        #expect(lane.counts.inMemory == 3)
        let retry = try #require(lane.nextRetry)
        let again = try #require(sends(lane.retryDue(now: retry)).first)
        #expect(again.span == sent.span)
        #expect(acknowledgements(lane.sendSucceeded(again.number, through: nil, now: retry)) == [1])
    }

    @Test func `what is left of a refused batch goes out before what follows it, under its name`() throws {
        var lane = makeLane()
        let whole = makeBatch()
        let sent = try #require(sends(lane.batchSealed(whole, ticket: 1, isAwaited: true, now: start)).first)
        _ = lane.batchSealed(makeBatch(), ticket: 2, isAwaited: false, now: start)
        let rest = Batch(payload: [1], recordCount: 2, seriesCount: 1)
        let part = RefusedPart(batch: Batch(payload: [2], recordCount: 1, seriesCount: 1), reason: "23514")
        let refused = [RefusedBatch(index: 0, parts: [part], rest: rest)]
        let actions = lane.sendFailed(sent.number, .poison, reason: "23514", refused: refused, now: start)
        let letters = try #require(settingsAside(actions).first)
        #expect(letters.count == 1 && sends(actions).isEmpty && lane.phase == .up)
        let after = lane.settingAsideSucceeded(letters, now: start)
        #expect(acknowledgements(after).isEmpty, "the rest is only in memory")
        let again = try #require(sends(after).first)
        #expect(again.span == sent.span)
        #expect(lane.counts == DeliveryLane.Counts(deadLettered: 1, inMemory: 5) && lane.bytesInMemory == 4)
        let done = lane.sendSucceeded(again.number, through: nil, now: start)
        #expect(acknowledgements(done) == [1])
        #expect(sends(done).first?.span.previous == 1)
        #expect(lane.counts == DeliveryLane.Counts(delivered: 2, deadLettered: 1, inMemory: 3))
    }

    @Test func `what is left of a batch that was spilled meanwhile goes out before what follows it`() throws {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: true, now: start)).first)
        let later = start.advanced(by: Limits.sinkPatience)
        let spilled = try #require(spills(lane.patienceEnded(sent.number, now: later)).first)
        #expect(acknowledgements(lane.spillSucceeded(spilled, now: later)) == [1])
        _ = lane.batchSealed(makeBatch(), ticket: 2, isAwaited: false, now: later)
        let rest = Batch(payload: [1], recordCount: 2, seriesCount: 1)
        let part = RefusedPart(batch: Batch(payload: [2], recordCount: 1, seriesCount: 1), reason: "23514")
        let refused = [RefusedBatch(index: 0, parts: [part], rest: rest)]
        let actions = lane.sendFailed(sent.number, .poison, reason: "23514", refused: refused, now: later)
        let letters = try #require(settingsAside(actions).first)
        let again = try #require(sends(lane.settingAsideSucceeded(letters, now: later)).first)
        // Were the next of the stream sent first, the sink would take this one for applied.
        #expect(again.span == sent.span)
        #expect(lane.counts == DeliveryLane.Counts(spooled: 2, deadLettered: 1, inMemory: 3))
        let done = lane.sendSucceeded(again.number, through: nil, now: later)
        #expect(removals(done).map(\.through) == [1] && acknowledgements(done).isEmpty)
        #expect(lane.counts == DeliveryLane.Counts(delivered: 2, deadLettered: 1, inMemory: 3))
        #expect(lane.spooledBatchCount == 0)
    }

    @Test func `a refused part that cannot be kept leaves the batch whole`() throws {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: false, now: start)).first)
        _ = lane.batchSealed(makeBatch(), ticket: 2, isAwaited: true, now: start)
        let rest = Batch(payload: [1], recordCount: 2, seriesCount: 1)
        let part = RefusedPart(batch: Batch(payload: [2], recordCount: 1, seriesCount: 1), reason: "23514")
        let refused = [RefusedBatch(index: 0, parts: [part], rest: rest)]
        let actions = lane.sendFailed(sent.number, .poison, reason: "23514", refused: refused, now: start)
        let letters = try #require(settingsAside(actions).first)
        let after = lane.settingAsideFailed(letters, now: start)
        #expect(lane.phase == .away && lane.counts == DeliveryLane.Counts(inMemory: 6))
        // Who waits for a later batch is not kept waiting by that.
        #expect(spills(after).map(\.ticket) == [2])
        let retry = try #require(lane.nextRetry)
        #expect(sends(lane.retryDue(now: retry)).first?.span == sent.span)
    }

    @Test func `a dead letter sent again is spooled, and counted where it was before`() throws {
        var lane = makeLane()
        let sent = try #require(sends(lane.batchSealed(makeBatch(), ticket: 1, isAwaited: false, now: start)).first)
        let letters = try #require(settingsAside(lane.sendFailed(sent.number, .poison, reason: "no", now: start)).first)
        #expect(acknowledgements(lane.settingAsideSucceeded(letters, now: start)) == [1])
        #expect(lane.counts == DeliveryLane.Counts(deadLettered: 3))
        let names = (0..<3).map { _ in lane.nextReplayName() }
        #expect(names.map(\.sequence) == [1, 2, 3] && Set(names.map(\.stream)).count == 1)
        #expect(names[0].stream != sent.span.stream && lane.streams.contains(names[0].stream))
        #expect(reads(lane.replaySucceeded(recordCount: 3, wasCounted: true, now: start)) == 1)
        #expect(lane.counts == DeliveryLane.Counts(spooled: 3))
        _ = lane.replaySucceeded(recordCount: 4, wasCounted: false, now: start)
        #expect(lane.counts == DeliveryLane.Counts(spooled: 7) && lane.spooledBatchCount == 2)
    }

    // MARK: Reading actions

    private let start = MonotonicTime(nanoseconds: 0)

    private func makeLane() -> DeliveryLane {
        DeliveryLane(spooledBatchCount: 0, spooledRecordCount: 0, generator: SeededGenerator(seed: 1))
    }

    private func makeBatch() -> Batch {
        Batch(payload: [1, 2, 3], recordCount: 3, seriesCount: 1)
    }

    private func sends(_ actions: [DeliveryLane.Action]) -> [(span: BatchSpan, number: Int)] {
        actions.compactMap { if case .send(let span, _, let number) = $0 { (span, number) } else { nil } }
    }

    private func spills(_ actions: [DeliveryLane.Action]) -> [DeliveryLane.Item] {
        actions.compactMap { if case .spill(let item) = $0 { item } else { nil } }
    }

    private func settingsAside(_ actions: [DeliveryLane.Action]) -> [[DeliveryLane.SetAside]] {
        actions.compactMap { if case .setAside(let letters) = $0 { letters } else { nil } }
    }

    private func acknowledgements(_ actions: [DeliveryLane.Action]) -> [Int] {
        actions.compactMap { if case .acknowledge(let ticket) = $0 { ticket } else { nil } }
    }

    private func removals(_ actions: [DeliveryLane.Action]) -> [(stream: StreamID, through: Int64)] {
        actions.compactMap { if case .removeSpooled(let stream, let through) = $0 { (stream, through) } else { nil } }
    }

    private func reads(_ actions: [DeliveryLane.Action]) -> Int {
        actions.count { if case .readSpool = $0 { true } else { false } }
    }
}
