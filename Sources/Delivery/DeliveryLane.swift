package import LogModel

/// Gets batches to one sink, each counted once there, through outages. Decides; performs nothing: events go in, actions come
/// out, and the lane runner carries them out. Reads no clock; identities and jitter come from the generator it is given.
///
///     up ────────────► away ──────────────────────────────► up
///         send failed       a send succeeded; tried when the
///                           pause is over or a probe sees the
///                           sink come back
///
/// While **up**, a fresh batch is named in the live stream and sent. One send is under way at a time; what is in the spool
/// is drained in between, fresh batches first. While **away**, fresh batches are spilled under a backlog stream. When a
/// send fails, what it carried is spilled under the name it has, for it may have been applied, and the live stream ends: the
/// next begins with new random bits. So each stream is sent in order, one span at a time, by one lane: what the sink's
/// compare-and-set needs (docs/formats/delivery.md).
///
/// Guarantees: a batch handed over is in memory here, in the spool, at the sink, or among the dead letters; it is
/// acknowledged once, when it first is in one of the latter three. Does not guarantee: durability while the sink is away and
/// the spool refuses; then batches stay in memory, and the intake refuses records when the budget is used up.
package struct DeliveryLane {
    /// A batch with the ticket by which it was handed over, and the name under which it goes out.
    package struct Item: Sendable {
        package var ticket: Int
        package var batch: Batch
        package var stream: StreamID
        package var sequence: Int64
        /// Whether somebody waits for a receipt.
        package var isAwaited: Bool
        /// Whether a sink may have seen it under this name, which it then keeps for ever.
        package var wasSent: Bool
        /// The name kept for it should it be sent and not spilled after all.
        var reserved: Name?
        /// Whether it may not be sent yet, though spilled.
        var isHeld = false
    }

    /// An item on its way to the dead letters, whole or in part.
    package struct SetAside: Sendable {
        package var item: Item
        package var parts: [RefusedPart]
        /// What takes the item's place, under its name.
        package var rest: Batch?
    }

    package enum Action: Sendable {
        /// Ask the sink to apply these items, which are all of the span, and call back with the number.
        case send(BatchSpan, [Item], number: Int)
        /// Write the item to the spool; synced if somebody waits.
        case spill(Item)
        case readSpool
        /// Take these out of the spool, and call ``removalSucceeded(now:)`` or ``removalFailed(now:)``.
        case removeSpooled(StreamID, through: Int64)
        /// Set these aside, all or none: the sink will never take them. Where the spool holds the item, its rest takes the
        /// item's place in the same transaction.
        case setAside([SetAside])
        /// The batch of this ticket is durable: at the sink, in the spool, or set aside.
        case acknowledge(ticket: Int)
        case scheduleRetry(at: MonotonicTime)
        /// Call ``removalDue()`` then.
        case scheduleRemoval(at: MonotonicTime)
        case scheduleProbe(at: MonotonicTime)
        case probe
        /// Call ``patienceEnded(_:now:)`` with this number then.
        case schedulePatience(at: MonotonicTime, number: Int)
        /// The lane treats a new batch differently from now on: look whether the open one should be sealed.
        case readinessChanged
        /// For the log.
        case outageBegan(FailureClass, reason: String, retryAfter: Duration)
        case outageEnded(after: Duration)
    }

    /// What the spool returned for ``Action/readSpool``: neighbours in one stream, oldest first.
    package struct Backlog: Sendable {
        package var stream: StreamID
        package var previous: Int64
        package var batches: [(sequence: Int64, batch: Batch)]

        package init(stream: StreamID, previous: Int64, batches: [(sequence: Int64, batch: Batch)]) {
            self.stream = stream
            self.previous = previous
            self.batches = batches
        }
    }

    /// Records by where they are; with those in the open batch they add up to what was accepted.
    package struct Counts: Sendable, Equatable {
        package var delivered = 0
        package var spooled = 0
        package var deadLettered = 0
        package var inMemory = 0
    }

    package enum Phase: String, Sendable, CaseIterable { case up, away, stopping }

    struct Fresh {
        var ticket: Int
        var batch: Batch
        var isAwaited: Bool
        /// Whoever sealed it named it.
        var name: Name?
        /// May be spilled, but not sent before ``DeliveryLane/released(_:now:)``.
        var isHeld = false
    }

    /// A name given from outside: a stream of its own.
    package struct Name: Sendable, Equatable {
        package var stream: StreamID
        package var sequence: Int64
        /// Whether a sink may have seen it before, from an earlier process or request: then it is kept for ever. Otherwise it
        /// holds for being sent; spilled before that, the batch is named as any other and may be merged in the spool.
        package var isFirm: Bool

        package init(stream: StreamID, sequence: Int64, isFirm: Bool = true) {
            self.stream = stream
            self.sequence = sequence
            self.isFirm = isFirm
        }
    }

    struct Sending {
        var number: Int
        var span: BatchSpan
        var items: [Item]
        var isFromSpool: Bool
        var startedAt: MonotonicTime
        /// Its patience ended: what somebody waits for was spilled too, and later batches go the same way.
        var isStalled = false
    }

    /// The ticket of batches that came from the spool: they were acknowledged when they went in.
    static let noTicket = -1

    package internal(set) var phase = Phase.up
    package internal(set) var counts = Counts()
    /// Sends that failed since the start.
    package internal(set) var failureCount = 0
    package internal(set) var spooledBatchCount: Int
    /// Times that batches which nothing took were merged in memory.
    package internal(set) var mergedInMemoryCount = 0
    /// Payload bytes that only memory holds.
    package internal(set) var bytesInMemory = 0
    package internal(set) var nextRetry: MonotonicTime?
    package internal(set) var awaySince: MonotonicTime?

    var generator: any RandomNumberGenerator
    var live: StreamID
    var liveSequence: Int64 = 0
    var backlog: StreamID
    var backlogSequence: Int64 = 0
    /// Dead letters that a person had sent again.
    var replay: StreamID
    var replaySequence: Int64 = 0

    /// Sealed, not yet named.
    var waiting: [Fresh] = []
    /// By ticket: the tickets of batches that were merged into its batch, to be acknowledged with it.
    var mergedTickets: [Int: [Int]] = [:]
    /// Sent before and perhaps applied, but the spool refused them: sent again first, under the name they have.
    var stranded: [Item] = []
    var sending: Sending?
    var sendNumber = 0
    /// By ticket: on their way into the spool; decided by the sink meanwhile; there, while their send is still under way.
    var spilling: [Int: Item] = [:]
    var decidedWhileSpilling: Set<Int> = []
    var spilledWhileSending: Set<Int> = []

    /// What the sink holds and the spool may hold too, one entry a stream; the first is on its way out, or is to be tried again.
    /// Until all are out, and those on their way in that the sink has decided meanwhile, the spool is not read: it would hand out
    /// once more what was counted as delivered.
    var removals: [(stream: StreamID, through: Int64)] = []
    var isReadingSpool = false
    var isAttempting = false
    var isSettingAside = false
    /// The batch on its way to the dead letters, when it is a fresh one: its spill may still be under way.
    var settingAsideTicket: Int?
    var readyBacklog: Backlog?
    /// After a poison answer to several batches, spans of one until the bad one is found.
    var sendsSingly = false
    var backoff = Backoff()
    var patience = SinkPatience()
    var wasReachable: Bool?

    /// - Parameters: what the spool holds for this lane from before.
    package init(spooledBatchCount: Int, spooledRecordCount: Int, generator: any RandomNumberGenerator) {
        var generator = generator
        live = StreamID(rawValue: generator.next())
        backlog = StreamID(rawValue: generator.next())
        replay = StreamID(rawValue: generator.next())
        self.generator = generator
        self.spooledBatchCount = spooledBatchCount
        counts.spooled = spooledRecordCount
    }

    /// The streams it sends under besides those in the spool: with them, all that the sink must remember.
    package var streams: [StreamID] {
        let items = stranded + (sending?.items ?? []) + Array(spilling.values)
        return [live, backlog, replay] + items.map(\.stream) + waiting.compactMap { $0.name?.stream }
    }

    /// Whether nothing waits to be sent. What may not be sent yet holds up nobody.
    private var isIdle: Bool { waiting.allSatisfy(\.isHeld) }

    /// How it would treat a batch sealed now.
    package var readiness: Batcher.Readiness {
        guard phase == .up else { return .ready }
        if let sending {
            if sending.isStalled { return .stalled }
            return sending.isFromSpool && isIdle ? .ready : .busy
        }
        return isIdle ? .ready : .busy
    }

    /// Whether nothing is left that only memory holds.
    package var isSettled: Bool { counts.inMemory == 0 }

    /// Consecutive failures of the outage under way.
    package var attempts: Int { phase == .away ? backoff.attempts : 0 }
}

// MARK: - Moving batches

extension DeliveryLane {
    /// Sends what comes next, if anything may be sent: what may have been applied already, then fresh, then the backlog.
    mutating func pump(now: MonotonicTime) -> [Action] {
        guard sending == nil, !isSettingAside, phase == .up || isAttempting else { return [] }
        if let item = stranded.first {
            stranded.removeFirst()
            return send(
                BatchSpan(stream: item.stream, previous: item.sequence - 1, last: item.sequence),
                [item],
                now: now
            )
        }
        if let index = waiting.firstIndex(where: { !$0.isHeld }) {
            // One batch a send: so a stream that ends undecided ends with one batch, and its place in the order is plain
            // even if the spool takes some batches and refuses others.
            let fresh = waiting.remove(at: index)
            if fresh.name == nil { liveSequence += 1 }
            let name = fresh.name ?? Name(stream: live, sequence: liveSequence)
            let item = Item(
                ticket: fresh.ticket,
                batch: fresh.batch,
                stream: name.stream,
                sequence: name.sequence,
                isAwaited: fresh.isAwaited,
                wasSent: true
            )
            let span = BatchSpan(stream: name.stream, previous: name.sequence - 1, last: name.sequence)
            return send(span, [item], now: now)
        }
        if let backlog = readyBacklog {
            readyBacklog = nil
            let portion = sendsSingly ? backlog.batches.prefix(1) : backlog.batches[...]
            guard let last = portion.last else { return [] }
            let items = portion.map {
                Item(
                    ticket: Self.noTicket,
                    batch: $0.batch,
                    stream: backlog.stream,
                    sequence: $0.sequence,
                    isAwaited: false,
                    wasSent: true
                )
            }
            return send(
                BatchSpan(stream: backlog.stream, previous: backlog.previous, last: last.sequence),
                items,
                isFromSpool: true,
                now: now
            )
        }
        if spooledBatchCount > 0 || isReadingSpool {
            guard !isReadingSpool, removals.isEmpty, decidedWhileSpilling.isEmpty else { return [] }
            isReadingSpool = true
            return [.readSpool]
        }
        // Nothing is left to try the sink with; unless something is on its way into the spool, call it up until it fails.
        return isAttempting && spilling.isEmpty ? recovered(now: now) : []
    }

    mutating func send(_ span: BatchSpan, _ items: [Item], isFromSpool: Bool = false, now: MonotonicTime) -> [Action] {
        sendNumber += 1
        sending = Sending(number: sendNumber, span: span, items: items, isFromSpool: isFromSpool, startedAt: now)
        return [
            .send(span, items, number: sendNumber),
            .schedulePatience(at: now.advanced(by: patience.current(now: now)), number: sendNumber),
        ]
    }

    /// Takes a stream's batches through `sequence` out of the spool, after what is on its way out.
    mutating func remove(_ stream: StreamID, through sequence: Int64) -> [Action] {
        if let index = removals.dropFirst().firstIndex(where: { $0.stream == stream }) {
            removals[index].through = max(removals[index].through, sequence)
            return []
        }
        removals.append((stream, sequence))
        return removals.count == 1 ? [.removeSpooled(stream, through: sequence)] : []
    }

    mutating func recovered(now: MonotonicTime) -> [Action] {
        isAttempting = false
        guard phase == .away else { return [] }
        phase = .up
        nextRetry = nil
        let outage = now.since(awaySince ?? now)
        awaySince = nil
        return [.outageEnded(after: outage)]
    }

    /// Tries the sink although it is away.
    mutating func attempt(now: MonotonicTime) -> [Action] {
        nextRetry = nil
        isAttempting = true
        return pump(now: now)
    }

    mutating func spill(_ item: Item) -> Action {
        spilling[item.ticket] = item
        return .spill(item)
    }

    /// Spills a batch that no sink has seen, under the next name of the backlog stream.
    mutating func spill(_ fresh: Fresh) -> Action {
        let firm = fresh.name.flatMap { $0.isFirm ? $0 : nil }
        if firm == nil { backlogSequence += 1 }
        let name = firm ?? Name(stream: backlog, sequence: backlogSequence)
        return spill(
            Item(
                ticket: fresh.ticket,
                batch: fresh.batch,
                stream: name.stream,
                sequence: name.sequence,
                isAwaited: fresh.isAwaited,
                wasSent: firm != nil,
                reserved: fresh.name,
                isHeld: fresh.isHeld
            )
        )
    }

    /// The sink holds the item: moves it to the delivered, and tells whoever waits unless that was done.
    mutating func settle(_ item: Item, isFromSpool: Bool) -> [Action] {
        counts.delivered += item.batch.recordCount
        if isFromSpool || spilledWhileSending.remove(item.ticket) != nil {
            counts.spooled -= item.batch.recordCount
            spooledBatchCount -= 1
            return []
        }
        if spilling[item.ticket] != nil { decidedWhileSpilling.insert(item.ticket) }
        leaveMemory(item)
        return acknowledge(item.ticket)
    }

    mutating func acknowledge(_ ticket: Int) -> [Action] {
        let merged = mergedTickets.removeValue(forKey: ticket) ?? []
        return ([ticket] + merged).map { .acknowledge(ticket: $0) }
    }

    /// Makes one of the batches that wait in memory, once there are some: neither sink nor spool takes them, and so what they
    /// take depends on the patterns in them and not on how long this lasts. No sink has seen their names, for they have none.
    mutating func mergeWaiting() {
        let named = waiting.filter { $0.name != nil }
        let unnamed = waiting.filter { $0.name == nil }
        guard unnamed.count > Limits.waitingBatchCountMax, let first = unnamed.first else { return }
        let before = unnamed.reduce(0) { $0 + $1.batch.payload.count }
        // A batch that cannot be read stays what it is, for the sink to say so.
        guard let merged = try? BatchMerge.merged(unnamed.map(\.batch)), merged.payload.count < before else { return }
        mergedTickets[first.ticket, default: []] += unnamed.dropFirst().flatMap { fresh in
            [fresh.ticket] + (mergedTickets.removeValue(forKey: fresh.ticket) ?? [])
        }
        waiting = named + [Fresh(ticket: first.ticket, batch: merged, isAwaited: unnamed.contains { $0.isAwaited })]
        bytesInMemory += merged.payload.count - before
        mergedInMemoryCount += 1
    }

    /// Stamps that were guessed can be put right: those of the batches that no sink or spool has.
    package mutating func clockCorrected(_ correction: ClockWatch.Correction) {
        for index in waiting.indices {
            let before = waiting[index].batch
            waiting[index].batch = BatchMerge.corrected(before, by: correction)
            bytesInMemory += waiting[index].batch.payload.count - before.payload.count
        }
    }

    mutating func leaveMemory(_ item: Item) {
        counts.inMemory -= item.batch.recordCount
        bytesInMemory -= item.batch.payload.count
    }
}
