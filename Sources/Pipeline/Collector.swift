package import Delivery
package import LogModel
package import Patterns
package import Ports
package import Telemetry

/// What a sender who waited for durability is told.
package enum Receipt: Sendable {
    /// Folded into the open batch; its severity does not ask for more (`DURABLE_LEVEL`).
    case folded
    /// The records of the request that had to be durable are: committed at every sink or in the spool.
    case durable(recordCount: Int)
    /// Not durable within ``Limits/receiptWait``: sink and spool both fail. The records are in memory and still count.
    case timedOut
}

/// The middle of the daemon: takes records from sources, folds them into the open batch, seals it when the batcher says so,
/// hands it to the lanes, and tells whoever waits when it is durable.
///
/// One a process. Owns the aggregator, the batcher and the lane runners. The path of a record: ``fold(_:)`` → aggregator →
/// ``sealIfDue()`` → ``LaneRunner/deliver(_:ticket:isAwaited:)`` → sink or spool → ``acknowledged(_:)``.
///
/// `@unchecked Sendable`: everything is used on the scheduler's loop only, which the entry points check.
package final class Collector: @unchecked Sendable {
    package struct Configuration: Sendable {
        package var window: Duration
        package var batchSize: Int
        /// `MEMORY_LIMIT`: what records may take in memory, all stages together.
        package var memoryLimit: Int
        /// Records at or above it are answered when durable; `nil` makes none wait.
        package var durableLevel: Severity?
        /// How fast a source may be before its records are counted without samples and attributes; `nil`: no limit.
        package var sourceLimit: RateLimit?
        /// What stands for the host of records that name none: this machine.
        package var hostName: [UInt8]

        package init(
            window: Duration,
            batchSize: Int,
            memoryLimit: Int,
            durableLevel: Severity?,
            sourceLimit: RateLimit? = nil,
            hostName: [UInt8]
        ) {
            self.window = window
            self.batchSize = batchSize
            self.memoryLimit = memoryLimit
            self.durableLevel = durableLevel
            self.sourceLimit = sourceLimit
            self.hostName = hostName
        }
    }

    /// A sealed batch on its way: how many lanes have not made it durable, and who waits.
    struct Pending {
        var remainingLanes: Int
        var waiters: [Waiter]
        /// The number of the stretch of a replayable source that is in it.
        var stretch: Int64?
    }

    package internal(set) var counters = CollectorCounters()
    package let lanes: [LaneRunner]
    /// Clients of the log stream see each record as it is folded.
    package let tail = Tail()
    /// Bytes that sources hold for requests under way; part of the memory budget.
    package var sourceBytes = 0

    private(set) var configuration: Configuration
    var aggregator: Aggregator
    private var batcher: Batcher
    let scheduler: any Scheduler
    private let log: Log
    /// Whether the wall clock is right, as far as the machine knows: stamps from before are guesses.
    let isClockKnown: @Sendable () -> Bool
    private var clockWatch = ClockWatch()
    private var memoryPolicy = MemoryPolicy()
    /// Who waits for the awaited part of the open batch, and who for all of it.
    private var awaitedWaiters: [Waiter] = []
    private var flushWaiters: [Waiter] = []
    /// Flushes that wait for no batch any more, only for the spool's sync.
    private var syncWaiters: [Waiter] = []
    var pending: [Int: Pending] = [:]
    private var nextTicket = 1
    private var isSealCheckScheduled = false
    private var isWaitTimerSet = false
    /// When the timer for the open batch's window fires; `nil` when none is set.
    private var windowTimer: MonotonicTime?
    private var isHoldTimerSet = false
    private var isStopping = false
    /// The open batch takes no more series; as of the last record or seal.
    private var isOpenFull = false
    /// ``usedByteCount`` without ``sourceBytes``, as of the last request or acknowledgement.
    private var knownByteCount = 0

    // The request being folded: whether a record in the open batch, or in one sealed meanwhile, must be durable.
    private var requestIsDurable = false
    private var requestAwaitedCount = 0
    private var requestHasOrdinary = false
    private var requestTickets: [Int] = []
    /// Of a request with an `Idempotency-Key`: the name of its batches, how many there are, and the records in them.
    private var requestKey: StreamID?
    private var requestSequence: Int64 = 0
    private var requestKeyedCount = 0
    /// Streams that every lane found in the spool at the start: what had such a key is taken in already.
    private var spooledAtStart: Set<StreamID> = []
    /// Streams in the spool at the start; `nil` when nobody knew.
    private(set) var streamsAtStart: [Lane: [StreamID]]?
    /// Whether sinks may be told which streams are still in use: not before it is known what a replayable source needs.
    package internal(set) var maySinksForget = true

    /// The stretches of a replayable source; `nil` while none is read.
    var stretches: StretchBook?
    /// The cursor up to which the open batch has everything of it; `nil` when nothing of it is in there.
    var openCursor: String?
    /// Where the very first stretch began.
    var firstCursor: String?
    /// Keeps what outlives this process and no power cut. Called before a stretch is sent and after each receipt.
    var keepPosition: (SourcePosition) -> Void = { _ in }

    /// One stamp for the records of a request, and one look at each clock: they came together.
    var requestedAt = Timestamp(nanoseconds: 0)
    var requestClock = MonotonicTime(nanoseconds: 0)

    package init(
        configuration: Configuration,
        aggregator: consuming Aggregator,
        lanes: [LaneRunner],
        scheduler: any Scheduler,
        log: Log,
        isClockKnown: @escaping @Sendable () -> Bool
    ) {
        precondition(!lanes.isEmpty, "batches need somewhere to go")
        self.configuration = configuration
        self.aggregator = aggregator
        self.aggregator.limitSources(to: configuration.sourceLimit)
        self.lanes = lanes
        self.scheduler = scheduler
        self.log = log
        self.isClockKnown = isClockKnown
        batcher = Batcher(
            window: configuration.window,
            recordCountMax: configuration.batchSize,
            byteCountMax: configuration.memoryLimit / Limits.openBatchBudgetShare
        )
    }

    /// Connects the lanes and drains what the last process left.
    ///
    /// - Parameter awaitsSource: whether a replayable source follows, which may name streams that its sinks must not forget:
    ///   they forget nothing before ``beginStretches(_:keep:)``.
    package func start(spooled: [Lane: SpoolUsage]?, awaitsSource: Bool = false) {
        scheduler.preconditionOnLoop()
        counters.recovered = spooled?[.store]?.recordCount ?? 0
        let found = lanes.map { Set(spooled?[$0.id]?.streams ?? []) }
        spooledAtStart = found.dropFirst().reduce(found.first ?? []) { $0.intersection($1) }
        for runner in lanes {
            runner.onAcknowledge = { [unowned self] ticket in acknowledged(ticket, by: runner.id) }
            runner.onReadinessChange = { [unowned self] in scheduleSealCheck() }
        }
        streamsAtStart = spooled.map { $0.mapValues(\.streams) }
        maySinksForget = !awaitsSource
        for runner in lanes {
            runner.start(spooledStreams: awaitsSource ? nil : streamsAtStart.map { $0[runner.id] ?? [] })
        }
    }

    /// The spool's file can be used again: by how much each lane's part of it differs from what the lane knows.
    package func spoolRecounted(_ differences: [Lane: SpoolUsage]) {
        scheduler.preconditionOnLoop()
        counters.recovered += max(0, differences[.store]?.recordCount ?? 0)
        for runner in lanes {
            if let difference = differences[runner.id] { runner.spoolRecounted(difference) }
        }
    }

    /// Takes a changed configuration, also for the batch that is open. Sinks that are away are tried at once: what they
    /// refused, a password for one, may be right now.
    package func reconfigure(_ configuration: Configuration) {
        self.configuration = configuration
        batcher.window = configuration.window
        batcher.recordCountMax = configuration.batchSize
        batcher.byteCountMax = configuration.memoryLimit / Limits.openBatchBudgetShare
        aggregator.limitSources(to: configuration.sourceLimit)
        scheduleSealCheck()
        setWindowTimer()
        for runner in lanes { runner.retryNow() }
    }

    // MARK: Figures

    /// Bytes of records in memory: open batch, patterns known, batches on their way, request bodies.
    package var usedByteCount: Int {
        aggregator.byteCount + lanes.reduce(0) { $0 + $1.lane.bytesInMemory } + sourceBytes
    }

    // MARK: Intake

    /// Whether records may come in now; asked before a request is decoded.
    package var refusal: Refusal? {
        if isStopping { return .stopping }
        // What was known last is at most one request old; only when that is too much is it worth a look at what is.
        guard knownByteCount + sourceBytes >= configuration.memoryLimit else { return nil }
        return usedByteCount >= configuration.memoryLimit ? .memory : nil
    }

    /// A source begins to hand over the records of one request.
    ///
    /// With a `key` its records become batches of their own, named after the key: the same request from the same node is
    /// applied once at each sink, whichever process takes it in (``RequestKeys/stream(of:for:)``). They are sealed when
    /// the request ends, so they wait for no window.
    package func beginRequest(key: StreamID? = nil) {
        scheduler.preconditionOnLoop()
        requestKey = key
        requestSequence = 0
        requestKeyedCount = 0
        requestIsDurable = false
        requestAwaitedCount = 0
        requestHasOrdinary = false
        requestTickets.removeAll(keepingCapacity: true)
        requestedAt = scheduler.wallClock
        requestClock = scheduler.now
        observeClock(wallClock: requestedAt, now: requestClock)
    }

    /// Looks whether the clock was set, and puts right what was stamped before: the open batches here, sealed ones in memory,
    /// and those in the spool. What is at a sink already carries the mark that its time was a guess.
    func observeClock(wallClock: Timestamp, now: MonotonicTime) {
        guard let correction = clockWatch.observe(wallClock: wallClock, now: now, isKnown: isClockKnown())
        else { return }
        let before = wallClock.advanced(by: .zero - correction.step)
        aggregator.correctStamps(by: correction.step, until: before)
        // They share one spool.
        for (place, runner) in lanes.enumerated() { runner.correctStamps(correction, inSpool: place == 0) }
        counters.clockCorrections += 1
        log.notice(
            "the clock was set by \(correction.step.seconds.rounded(toPlaces: 1)) s; stamps taken before and not yet delivered "
                + "were put right"
        )
    }

    /// Gives up samples and attributes of new records while memory is short, and takes them up again.
    func updateDetail(aggregatorByteCount: Int) {
        knownByteCount = aggregatorByteCount
        for runner in lanes { knownByteCount += runner.lane.bytesInMemory }
        let used = knownByteCount + sourceBytes
        guard memoryPolicy.update(usedByteCount: used, limit: configuration.memoryLimit) else { return }
        let detail = memoryPolicy.detail
        aggregator.keep(samples: detail < .withoutSamples, attributes: detail < .countsOnly)
        switch detail {
        case .all: log.notice("memory: samples and attributes are kept again")
        case .withoutSamples: log.warning("memory: half of MEMORY_LIMIT is in use; one sample a pattern is kept")
        case .countsOnly: log.warning("memory: three quarters of MEMORY_LIMIT are in use; no attributes are kept")
        }
    }

    /// How much of new records is kept; less while memory is short.
    package var detail: BatchDetail { memoryPolicy.detail }

    /// Folds one record into the open batch. Between ``beginRequest()`` and ``endRequest(_:)`` only.
    package func fold(_ record: LogRecord) {
        if isOpenFull && requestKey != nil { sealKeyed() }
        if isOpenFull { seal(.memory) }
        guard record.host.isEmpty else { return fold(named: record) }
        configuration.hostName.withUnsafeBufferPointer { host in
            var named = record
            named.host = host
            fold(named: named)
        }
    }

    private func fold(named record: LogRecord) {
        fold(named: record, durableLevel: configuration.durableLevel)
    }

    func fold(named record: LogRecord, durableLevel: Severity?) {
        let now = requestedAt
        let isKeyed = requestKey != nil
        let outcome = aggregator.fold(
            record,
            durableLevel: durableLevel,
            isKeyed: isKeyed,
            now: now,
            clock: requestClock
        )
        isOpenFull = outcome.isFull
        counters.accepted += 1
        if outcome.isMatched { counters.matched += 1 }
        if isKeyed {
            requestKeyedCount += 1
            if outcome.isAwaited { requestAwaitedCount += 1 }
        } else if outcome.isAwaited {
            requestIsDurable = true
            requestAwaitedCount += 1
        } else {
            requestHasOrdinary = true
        }
        if !tail.isEmpty {
            var shown = record
            shown.message = outcome.message
            tail.publish(shown, severity: outcome.severity, at: record.timestamp ?? now)
        }
    }

    /// The source is through. `answer` is called on the loop, now or when every record that has to be durable is.
    package func endRequest(received: Int, failed: Int, answer: @escaping (Receipt) -> Void) {
        if let waiter = endRequest(received: received, failed: failed) {
            waiter.whenGiven(answer)
        } else {
            answer(.folded)
        }
    }

    /// The source is through. Who waits for the records that have to be durable; `nil` when there are none, and the receipt is
    /// ``Receipt/folded``: most requests, which so cost nothing more.
    package func endRequest(received: Int, failed: Int) -> Waiter? {
        counters.received += received
        counters.failed += failed
        sealKeyed()
        requestKey = nil
        var waiter: Waiter?
        if requestAwaitedCount > 0 {
            // A keyed request is durable as a whole.
            let pendingWaiter = Waiter(recordCount: max(requestAwaitedCount, requestKeyedCount))
            for ticket in requestTickets where pending[ticket] != nil {
                pending[ticket]?.waiters.append(pendingWaiter)
                pendingWaiter.remaining += 1
            }
            if requestIsDurable {
                awaitedWaiters.append(pendingWaiter)
                pendingWaiter.remaining += 1
            }
            wait(pendingWaiter)
            waiter = pendingWaiter
        }
        let standing = aggregator.standing
        noteFolded(standing, isAwaited: requestIsDurable, hasCompanions: requestHasOrdinary)
        requestIsDurable = false
        updateDetail(aggregatorByteCount: standing.byteCount)
        return waiter
    }

    /// Whether a request with this key waits in the spool, from the process before.
    package func isSpooled(_ key: StreamID) -> Bool { spooledAtStart.contains(key) }

    private func sealKeyed() {
        guard let key = requestKey,
            let batch = aggregator.seal(.keyed, now: scheduler.wallClock, clockIsKnown: isClockKnown())
        else { return }
        isOpenFull = aggregator.isFull
        requestSequence += 1
        counters.sealed[.key, default: 0] += 1
        let ticket = issueTicket(for: batch, waiters: [])
        requestTickets.append(ticket)
        let name = DeliveryLane.Name(stream: key, sequence: requestSequence)
        for runner in lanes {
            runner.deliver(batch, ticket: ticket, isAwaited: requestAwaitedCount > 0, name: name)
        }
    }

    /// Counts what was turned away.
    package func refused(_ refusal: Refusal, recordCount: Int) {
        counters.received += recordCount
        counters.refused[refusal, default: 0] += recordCount
    }

    /// Seals the open batch and calls back when all that was folded before is durable, with the number of records that
    /// were open.
    package func flush(answer: @escaping (Receipt, _ recordCount: Int) -> Void) {
        scheduler.preconditionOnLoop()
        let openCount = aggregator.recordCount
        let deadline = scheduler.now.advanced(by: Limits.receiptWait)
        let waiter = Waiter(recordCount: openCount) { [self] receipt in
            // What was spilled while nobody waited for it is in the spool without a sync.
            guard case .durable = receipt, let runner = lanes.first(where: { $0.lane.spooledBatchCount > 0 }) else {
                return answer(receipt, openCount)
            }
            let syncing = Waiter(recordCount: openCount) { answer($0, openCount) }
            syncing.deadline = deadline
            syncWaiters.append(syncing)
            setWaitTimer()
            runner.syncSpool { [self] isSynced in
                syncWaiters.removeAll { $0 === syncing }
                syncing.give(isSynced ? receipt : .timedOut)
            }
        }
        for ticket in pending.keys {
            pending[ticket]?.waiters.append(waiter)
            waiter.remaining += 1
        }
        if openCount > 0 {
            flushWaiters.append(waiter)
            waiter.remaining += 1
            batcher.forced()
            scheduleSealCheck()
        }
        wait(waiter)
    }

    private func wait(_ waiter: Waiter) {
        guard waiter.remaining > 0 else { return waiter.giveDurable() }
        waiter.deadline = scheduler.now.advanced(by: Limits.receiptWait)
        setWaitTimer()
    }

    /// One timer for all who wait, and none while nobody does: one for each request would outlive it by half a minute, and
    /// a busy half minute is a million requests.
    private func setWaitTimer() {
        guard !isWaitTimerSet else { return }
        isWaitTimerSet = true
        scheduler.schedule(at: scheduler.now.advanced(by: .seconds(1))) { [self] in
            isWaitTimerSet = false
            let waiters = awaitedWaiters + flushWaiters + syncWaiters + pending.values.flatMap(\.waiters)
            guard !waiters.isEmpty else { return }
            for waiter in waiters where scheduler.now >= waiter.deadline { waiter.give(.timedOut) }
            setWaitTimer()
        }
    }

    // MARK: Sealing

    func noteFolded(_ standing: Aggregator.Standing, isAwaited: Bool, hasCompanions: Bool) {
        guard standing.recordCount > 0 else { return }
        batcher.recordsFolded(
            recordCount: standing.recordCount,
            byteCount: standing.openByteCount,
            isFull: standing.isFull,
            isAwaited: isAwaited,
            hasCompanions: hasCompanions,
            now: requestClock
        )
        if isAwaited || standing.recordCount >= configuration.batchSize
            || standing.openByteCount >= batcher.byteCountMax
        {
            scheduleSealCheck()
        }
        setWindowTimer()
    }

    /// Looks, after the loop has read what other connections have ready, whether the batch should be sealed: so requests
    /// that came in together share one commit.
    private func scheduleSealCheck() {
        guard !isSealCheckScheduled else { return }
        isSealCheckScheduled = true
        scheduler.execute { [self] in
            isSealCheckScheduled = false
            sealIfDue()
        }
    }

    private func setWindowTimer() {
        guard let deadline = batcher.deadline, windowTimer.map({ deadline < $0 }) ?? true else { return }
        windowTimer = deadline
        scheduler.schedule(at: deadline) { [self] in
            // A deadline that moved forward has set an earlier timer; this one is over.
            guard windowTimer == deadline else { return }
            windowTimer = nil
            sealIfDue()
            // Sealed early meanwhile: a younger batch is open, with a later deadline.
            if let deadline = batcher.deadline, deadline > scheduler.now { setWindowTimer() }
        }
    }

    private func sealIfDue() {
        let now = scheduler.now
        if let reason = batcher.sealReason(now: now, readiness: readiness) { return seal(reason) }
        // A lane that is busy says when it is ready; the distance between seals ends by the clock.
        guard let time = batcher.heldUntil, time > now, !isHoldTimerSet else { return }
        isHoldTimerSet = true
        scheduler.schedule(at: time) { [self] in
            isHoldTimerSet = false
            sealIfDue()
        }
    }

    /// The least ready lane decides, each for at most its patience; a lane that is away or stalled holds up nobody.
    private var readiness: Batcher.Readiness {
        var readiness = Batcher.Readiness.ready
        for runner in lanes {
            switch runner.lane.readiness {
            case .busy: return .busy
            case .stalled: readiness = .stalled
            case .ready: break
            }
        }
        return readiness
    }

    /// Seals the open batches; for a durable record only the part that somebody waits for, so that a commit carries what it
    /// must and the window of all else goes on.
    func seal(_ reason: SealReason) {
        let now = scheduler.wallClock
        observeClock(wallClock: now, now: scheduler.now)
        let isClockKnown = isClockKnown()
        let awaited = aggregator.seal(.awaited, now: now, clockIsKnown: isClockKnown)
        var ordinary: Batch?
        if reason == .durable {
            batcher.awaitedSealed(
                recordCount: aggregator.recordCount,
                byteCount: aggregator.openByteCount,
                now: scheduler.now
            )
        } else {
            ordinary = aggregator.seal(.ordinary, now: now, clockIsKnown: isClockKnown)
            batcher.sealed(now: scheduler.now)
        }
        isOpenFull = aggregator.isFull
        guard awaited != nil || ordinary != nil else { return }
        counters.sealed[reason, default: 0] += 1
        let isFlushed = reason == .force || reason == .shutdown
        if let awaited {
            let ticket = issueTicket(for: awaited, waiters: awaitedWaiters + flushWaiters)
            // Each waited for the open batch: for this part of it now.
            for waiter in flushWaiters { waiter.remaining += 1 }
            awaitedWaiters = []
            if requestIsDurable {
                // In the middle of a request: its durable records so far are in this batch.
                requestTickets.append(ticket)
                requestIsDurable = false
            }
            for runner in lanes { runner.deliver(awaited, ticket: ticket, isAwaited: true) }
        }
        if let ordinary {
            let waiters = flushWaiters
            flushWaiters = []
            let ticket = issueTicket(for: ordinary, waiters: waiters)
            if let cursor = openCursor, let stretch = stretches?.sealed(through: cursor, first: firstCursor) {
                openCursor = nil
                deliver(stretch, ordinary, ticket: ticket, isAwaited: isFlushed)
            } else {
                for runner in lanes { runner.deliver(ordinary, ticket: ticket, isAwaited: isFlushed) }
            }
        } else if reason != .durable {
            settle(flushWaiters)
            flushWaiters = []
        }
    }

    func issueTicket(for batch: Batch, waiters: [Waiter]) -> Int {
        counters.sealedSeries += batch.seriesCount
        let ticket = nextTicket
        nextTicket += 1
        pending[ticket] = Pending(remainingLanes: lanes.count, waiters: waiters)
        return ticket
    }

    /// Each of them waits for one batch less.
    private func settle(_ waiters: [Waiter]) {
        for waiter in waiters {
            waiter.remaining -= 1
            if waiter.remaining == 0 { waiter.giveDurable() }
        }
    }

    private func acknowledged(_ ticket: Int, by lane: Lane) {
        guard var entry = pending[ticket] else { return }
        entry.remainingLanes -= 1
        if let seal = entry.stretch { stretchReceived(seal, ticket: ticket, by: lane) }
        guard entry.remainingLanes == 0 else {
            pending[ticket] = entry
            return
        }
        pending[ticket] = nil
        settle(entry.waiters)
        updateDetail(aggregatorByteCount: aggregator.byteCount)
    }

    // MARK: Stopping

    /// Takes no more records, delivers what it can within ``Limits/stopPatience``, spills the rest, and calls back when
    /// nothing is left in memory or a second more has passed.
    package func stop(completion: @escaping @Sendable () -> Void) {
        scheduler.preconditionOnLoop()
        guard !isStopping else { return }
        isStopping = true
        seal(.shutdown)
        let patienceEnd = scheduler.now.advanced(by: Limits.stopPatience)
        waitUntilSettled(until: patienceEnd) { [self] in
            for runner in lanes { runner.stop() }
            waitUntilSettled(until: scheduler.now.advanced(by: .seconds(1))) { [self] in
                for runner in lanes where !runner.lane.isSettled {
                    let count = runner.lane.counts.inMemory
                    log.error(
                        "lane \(runner.id.rawValue): stopped with \(count) records that neither sink nor spool took"
                    )
                    if runner.id == .store { counters.dropped += count }
                }
                completion()
            }
        }
    }

    private func waitUntilSettled(until end: MonotonicTime, then: @escaping @Sendable () -> Void) {
        if lanes.allSatisfy(\.lane.isSettled) || scheduler.now >= end { return then() }
        scheduler.schedule(at: scheduler.now.advanced(by: .milliseconds(5))) { [self] in
            waitUntilSettled(until: end, then: then)
        }
    }
}
