package import Delivery
package import LogModel
package import Ports
package import Telemetry

/// Drives one delivery lane: carries out its actions on a sink and the spool, and feeds the answers back as events.
///
/// `@unchecked Sendable`: every stored property is used on the scheduler's loop only, which ``perform(_:)`` checks; the
/// closures given to sinks and spool hop back before they touch anything.
package final class LaneRunner: @unchecked Sendable {
    package let id: Lane
    package let sink: any Sink
    package private(set) var lane: DeliveryLane
    /// The last failure's text, safe to show; `nil` when the last send succeeded.
    package private(set) var lastError: SinkError?
    /// Batches applied by the sink, spans sent, and bytes of payload sent, since the start.
    package private(set) var deliveredBatchCount = 0
    package private(set) var spilledBatchCount = 0
    package private(set) var spillFailureCount = 0
    package private(set) var sendSeconds = 0.0
    package private(set) var sendCount = 0
    /// Sends that failed, by what it meant for the batch, and by what was wrong.
    package private(set) var failureCounts: [FailureClass: Int] = [:]
    package private(set) var faultCounts: [Fault: Int] = [:]
    /// Times that something was set aside.
    private var setAsideCount = 0
    /// Records of dead letters put back into the spool, and those of them that an earlier process had set aside.
    package private(set) var replayedRecordCount = 0
    package private(set) var replayedForeignRecordCount = 0

    /// Names of stretches of a replayable source that may be sent, or asked about, later on.
    package var sourceStreams: [StreamID] = []

    private let spool: any Spool
    private let node: NodeID
    private let scheduler: any Scheduler
    private let log: Log
    private var sendStartedAt: MonotonicTime?
    private var patience: (at: MonotonicTime, number: Int)?
    private var isPatienceTimerSet = false

    /// Called on the loop: a batch is durable; the lane's readiness changed.
    package var onAcknowledge: (Int) -> Void = { _ in }
    package var onReadinessChange: () -> Void = {}

    package init(
        id: Lane,
        sink: any Sink,
        spool: any Spool,
        spooled: SpoolUsage,
        node: NodeID,
        generator: any RandomNumberGenerator,
        scheduler: any Scheduler,
        log: Log
    ) {
        self.id = id
        self.sink = sink
        self.spool = spool
        self.node = node
        self.scheduler = scheduler
        self.log = log
        lane = DeliveryLane(
            spooledBatchCount: spooled.batchCount,
            spooledRecordCount: spooled.recordCount,
            generator: generator
        )
    }

    /// Makes the sink forget streams that can never be sent again, then drains what the last process left.
    ///
    /// - Parameter spooledStreams: those in the spool; `nil` when nobody knows, as its file cannot be used now: then the sink
    ///   forgets nothing, or a batch it had applied before would count again when the file is back.
    package func start(spooledStreams: [StreamID]?) {
        if let spooledStreams { forgetOldStreams(spooledStreams: spooledStreams) }
        perform(lane.started(now: scheduler.now))
    }

    /// The spool's file is back, and holds so much more (or less) than was known.
    package func spoolRecounted(_ difference: SpoolUsage) {
        perform(
            lane.spoolRecounted(
                batchDifference: difference.batchCount,
                recordDifference: difference.recordCount,
                now: scheduler.now
            )
        )
    }

    /// Makes the sink forget streams of before that stood still for a day: one a process, and one a request with a key.
    package func forgetOldStreams(spooledStreams: [StreamID]) {
        sink.forgetStreams(except: lane.streams + sourceStreams + spooledStreams, of: node)
    }

    package func deliver(
        _ batch: Batch,
        ticket: Int,
        isAwaited: Bool,
        name: DeliveryLane.Name? = nil,
        isHeld: Bool = false
    ) {
        perform(
            lane.batchSealed(
                batch,
                ticket: ticket,
                isAwaited: isAwaited,
                name: name,
                isHeld: isHeld,
                now: scheduler.now
            )
        )
    }

    /// A batch that was held may be sent.
    package func release(_ ticket: Int) {
        perform(lane.released(ticket, now: scheduler.now))
    }

    /// Asks the sink for the positions of replayable sources that it keeps; `completion` is called on the loop.
    package func sourcePositions(_ completion: @escaping (Result<[SourcePosition], SinkError>) -> Void) {
        let completion = LoopConfined(completion)
        sink.sourcePositions(of: node) { result in
            self.scheduler.execute { completion.value(result) }
        }
    }

    /// Has the sink apply an empty stretch, so that nothing is applied under its name from now on. Answers whether it was; else the
    /// name was taken. `completion` is called on the loop.
    package func ruleOut(_ position: SourcePosition, _ completion: @escaping (Result<Bool, SinkError>) -> Void) {
        let completion = LoopConfined(completion)
        guard let name = position.stretches.last?.name else { return }
        let writer = BatchWriter(
            windowStart: scheduler.wallClock,
            windowEnd: scheduler.wallClock,
            clockIsKnown: true,
            recordCount: 0,
            seriesCount: 0,
            byteCountEstimate: 64
        )
        var empty = Batch(payload: writer.bytes, recordCount: 0, seriesCount: 0)
        empty.position = position
        sink.apply(BatchSpan(stream: name, previous: 0, last: 1), [empty], from: node) { result in
            self.scheduler.execute { completion.value(result.map { $0 == .applied }) }
        }
    }

    /// Stamps that were guessed can be put right: in memory, and in the spool, which all lanes share.
    package func correctStamps(_ correction: ClockWatch.Correction, inSpool: Bool) {
        lane.clockCorrected(correction)
        if inSpool { spool.correctStamps(correction) }
    }

    /// Tries a sink that is away without waiting for the pause to end.
    package func retryNow() {
        perform(lane.configurationChanged(now: scheduler.now))
    }

    /// Puts a dead letter back into the spool and delivers it from there. `completion` is called on the loop.
    package func replay(deadLetter id: Int64, completion: @escaping (Result<Replay, SinkError>) -> Void) {
        scheduler.preconditionOnLoop()
        let completion = LoopConfined(completion)
        spool.replay(deadLetter: id, of: self.id, as: lane.nextReplayName()) { result in
            self.scheduler.execute {
                self.replayEnded(deadLetter: id, result)
                completion.value(result)
            }
        }
    }

    private func replayEnded(deadLetter id: Int64, _ result: Result<Replay, SinkError>) {
        guard case .success(.done(let recordCount, let wasCounted)) = result else { return }
        replayedRecordCount += recordCount
        if !wasCounted { replayedForeignRecordCount += recordCount }
        log.notice("lane \(self.id.rawValue): dead letter \(id), \(recordCount) records, is sent again")
        perform(lane.replaySucceeded(recordCount: recordCount, wasCounted: wasCounted, now: scheduler.now))
    }

    package func stop() {
        perform(lane.stopped())
    }

    /// Syncs what the spool holds, of every lane; says whether that went well. For who was promised more than the survival of
    /// the process.
    package func syncSpool(completion: @escaping (_ isSynced: Bool) -> Void) {
        let completion = LoopConfined(completion)
        spool.syncedUsage { result in
            self.scheduler.execute {
                if case .success = result { completion.value(true) } else { completion.value(false) }
            }
        }
    }

    private func perform(_ actions: [DeliveryLane.Action]) {
        scheduler.preconditionOnLoop()
        for action in actions { perform(action) }
    }

    private func perform(_ action: DeliveryLane.Action) {
        switch action {
        case .send(let span, let items, let number):
            send(span, items, number: number)
        case .spill(let item):
            spilledBatchCount += 1
            // A position in an unsynced row could be lost while the sink learns of a later one.
            spool.append(spooled(item), durable: item.isAwaited || item.batch.position != nil) { result in
                self.scheduler.execute { self.spillEnded(item, result) }
            }
        case .readSpool:
            spool.head(of: id, byteCountMax: Limits.drainByteCountMax) { result in
                self.scheduler.execute { self.spoolReadEnded(result) }
            }
        case .removeSpooled(let stream, let sequence):
            spool.remove(lane: id, stream: stream, through: sequence) { result in
                self.scheduler.execute { self.removalEnded(result) }
            }
        case .setAside(let letters):
            setAside(letters)
        case .acknowledge(let ticket):
            onAcknowledge(ticket)
        case .scheduleRetry(let time):
            scheduler.schedule(at: time) { self.perform(self.lane.retryDue(now: self.scheduler.now)) }
        case .scheduleRemoval(let time):
            scheduler.schedule(at: time) { self.perform(self.lane.removalDue()) }
        case .scheduleProbe(let time):
            scheduler.schedule(at: time) { self.perform(self.lane.probeDue()) }
        case .probe:
            sink.probe { isReachable in
                self.scheduler.execute {
                    self.perform(self.lane.probed(isReachable: isReachable, now: self.scheduler.now))
                }
            }
        case .schedulePatience(let time, let number):
            patience = (time, number)
            setPatienceTimer()
        case .readinessChanged:
            onReadinessChange()
        case .outageBegan(let failure, let reason, let pause):
            let text =
                "\(sink.name): \(reason) (\(failure.rawValue)); next attempt in \(pause.seconds.rounded(toPlaces: 1)) s"
            // Once an outage, then quietly: a night without a database is one line, not thousands.
            if lane.attempts <= 1 { log.warning(text) } else { log.debug(text) }
        case .outageEnded(let duration):
            log.notice("\(sink.name): is back after \(duration.seconds.rounded(toPlaces: 1)) s")
        }
    }

    private func spooled(_ item: DeliveryLane.Item) -> SpooledBatch {
        SpooledBatch(
            lane: id,
            stream: item.stream,
            sequence: item.sequence,
            batch: item.batch,
            wasSent: item.wasSent
        )
    }

    private func send(_ span: BatchSpan, _ items: [DeliveryLane.Item], number: Int) {
        sendStartedAt = scheduler.now
        sink.apply(span, items.map(\.batch), from: node) { result in
            self.scheduler.execute { self.sendEnded(number, batchCount: items.count, result) }
        }
    }

    private func sendEnded(_ number: Int, batchCount: Int, _ result: Result<SinkAnswer, SinkError>) {
        let now = scheduler.now
        if let started = sendStartedAt { sendSeconds += now.since(started).seconds }
        sendStartedAt = nil
        sendCount += 1
        switch result {
        case .success(let answer):
            lastError = nil
            switch answer {
            case .applied:
                deliveredBatchCount += batchCount
                perform(lane.sendSucceeded(number, through: nil, now: now))
            case .alreadyApplied(let applied):
                perform(lane.sendSucceeded(number, through: applied, now: now))
            }
        case .failure(let error):
            lastError = error
            failureCounts[error.failureClass, default: 0] += 1
            faultCounts[error.fault, default: 0] += 1
            perform(
                lane.sendFailed(
                    number,
                    error.failureClass,
                    reason: error.description,
                    refused: error.refused,
                    now: now
                )
            )
        }
    }

    private func spillEnded(_ item: DeliveryLane.Item, _ result: Result<Void, SinkError>) {
        switch result {
        case .success:
            perform(lane.spillSucceeded(item, now: scheduler.now))
        case .failure(let error):
            spillFailureCount += 1
            // The first of a row of failures is worth a person's attention, the rest a counter.
            if spillFailureCount & (spillFailureCount - 1) == 0 {
                log.error("lane \(id.rawValue): the spool refused a batch, it stays in memory: \(error)")
            }
            perform(lane.spillFailed(item, now: scheduler.now))
        }
    }

    private func spoolReadEnded(_ result: Result<SpoolHead?, SinkError>) {
        switch result {
        case .success(let head):
            let backlog = head.map { head in
                DeliveryLane.Backlog(
                    stream: head.stream,
                    previous: head.previous,
                    batches: head.batches.map { ($0.sequence, $0.batch) }
                )
            }
            perform(lane.spoolRead(backlog, now: scheduler.now))
        case .failure(let error):
            log.error("lane \(id.rawValue): \(error)")
            perform(lane.spoolReadFailed(now: scheduler.now))
        }
    }

    private func setAside(_ letters: [DeliveryLane.SetAside]) {
        let parts = letters.flatMap(\.parts)
        let refused = parts.reduce(0) { $0 + $1.batch.recordCount }
        let all = letters.reduce(0) { $0 + $1.item.batch.recordCount }
        setAsideCount += 1
        let text =
            "lane \(id.rawValue): set aside \(refused) of \(all) records (see logboom dead-letters): "
            + (parts.first?.reason ?? "refused")
        // Where every batch has something refused (a database of another encoding), a line for each would be a flood that
        // wears the card: the first, second, fourth, eighth … time says it.
        if setAsideCount & (setAsideCount - 1) == 0 { log.error(text) } else { log.debug(text) }
        let batches = letters.map { SetAsideBatch(spooled($0.item), parts: $0.parts, rest: $0.rest) }
        spool.setAside(batches) { result in
            self.scheduler.execute { self.settingAsideEnded(letters, result) }
        }
    }

    private func removalEnded(_ result: Result<Void, SinkError>) {
        switch result {
        case .success:
            perform(lane.removalSucceeded(now: scheduler.now))
        case .failure(let error):
            log.warning("lane \(id.rawValue): \(error)")
            perform(lane.removalFailed(now: scheduler.now))
        }
    }

    private func settingAsideEnded(_ letters: [DeliveryLane.SetAside], _ result: Result<Void, SinkError>) {
        switch result {
        case .success:
            perform(lane.settingAsideSucceeded(letters, now: scheduler.now))
        case .failure(let error):
            log.error("lane \(id.rawValue): \(error)")
            perform(lane.settingAsideFailed(letters, now: scheduler.now))
        }
    }

    /// One timer serves all sends: thousands of sends a second would otherwise leave a second's worth of timers. Where patience grew
    /// shorter, it fires when the older, longer one ends.
    private func setPatienceTimer() {
        guard !isPatienceTimerSet, let patience else { return }
        isPatienceTimerSet = true
        scheduler.schedule(at: patience.at) { self.patienceTimerFired() }
    }

    private func patienceTimerFired() {
        isPatienceTimerSet = false
        guard let due = patience else { return }
        guard scheduler.now >= due.at else { return setPatienceTimer() }
        patience = nil
        perform(lane.patienceEnded(due.number, now: scheduler.now))
    }
}

extension Double {
    /// For messages: 0.1234 with two places is 0.12.
    package func rounded(toPlaces places: Int) -> Double {
        var factor = 1.0
        for _ in 0..<places { factor *= 10 }
        return (self * factor).rounded() / factor
    }
}
