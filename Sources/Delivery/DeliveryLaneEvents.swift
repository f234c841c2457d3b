package import LogModel

extension DeliveryLane {
    /// The daemon has started: drain what the last process left.
    package mutating func started(now: MonotonicTime) -> [Action] {
        pump(now: now)
    }

    /// A batch was sealed; `ticket`, positive and never used before, comes back in ``Action/acknowledge(ticket:)``. With a
    /// `name` it goes out under that, at any time and from any process: a sink that has it says so. One that `isHeld` may be
    /// spilled, but is not sent before ``released(_:now:)``.
    package mutating func batchSealed(
        _ batch: Batch,
        ticket: Int,
        isAwaited: Bool,
        name: Name? = nil,
        isHeld: Bool = false,
        now: MonotonicTime
    ) -> [Action] {
        counts.inMemory += batch.recordCount
        bytesInMemory += batch.payload.count
        let fresh = Fresh(ticket: ticket, batch: batch, isAwaited: isAwaited, name: name, isHeld: isHeld)
        let isStalled = sending?.isStalled ?? false
        guard phase == .up, !(isStalled && isAwaited) else { return [spill(fresh)] }
        waiting.append(fresh)
        return pump(now: now)
    }

    /// A batch that was held may be sent now.
    package mutating func released(_ ticket: Int, now: MonotonicTime) -> [Action] {
        spilling[ticket]?.isHeld = false
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return [] }
        waiting[index].isHeld = false
        return pump(now: now)
    }

    // MARK: The sink's answers

    /// The sink holds the span up to `applied`, or all of it.
    package mutating func sendSucceeded(_ number: Int, through applied: Int64?, now: MonotonicTime) -> [Action] {
        guard let done = sending, done.number == number else { return [] }
        sending = nil
        backoff.worked(now: now)
        // Portions of a backlog are larger than what anybody waits for.
        if !done.isFromSpool { patience.answered(after: now.since(done.startedAt), now: now) }
        var actions = recovered(now: now)
        let through = min(applied ?? done.span.last, done.span.last)
        let isInSpool = done.isFromSpool || done.items.contains { spilledWhileSending.contains($0.ticket) }
        for item in done.items where item.sequence <= through {
            actions += settle(item, isFromSpool: done.isFromSpool)
        }
        if isInSpool { actions += remove(done.span.stream, through: through) }
        let rest = done.items.filter { $0.sequence > through }
        if !rest.isEmpty && !done.isFromSpool {
            // The rest keeps its names, and goes before anything else.
            return actions
                + send(BatchSpan(stream: done.span.stream, previous: through, last: done.span.last), rest, now: now)
        }
        spilledWhileSending = []
        return actions + pump(now: now) + [.readinessChanged]
    }

    /// The sink did not apply the span, or its answer was lost. With ``FailureClass/poison`` comes what it `refused`, if it
    /// knows.
    package mutating func sendFailed(
        _ number: Int,
        _ failure: FailureClass,
        reason: String,
        refused: [RefusedBatch] = [],
        now: MonotonicTime
    ) -> [Action] {
        guard let failed = sending, failed.number == number else { return [] }
        sending = nil
        failureCount += 1
        if failure == .poison { return poisoned(failed, reason: reason, refused: refused, now: now) }

        var actions: [Action] = []
        if !failed.isFromSpool {
            for item in failed.items where !isSpilled(item) { actions.append(spill(item)) }
        }
        return actions + pause(failure, reason: reason, now: now)
    }

    private func isSpilled(_ item: Item) -> Bool {
        spilledWhileSending.contains(item.ticket) || spilling[item.ticket] != nil
    }

    /// The outage begins, or goes on: new streams, and the next attempt after a pause.
    private mutating func pause(_ failure: FailureClass, reason: String, now: MonotonicTime) -> [Action] {
        var actions: [Action] = []
        for fresh in waiting { actions.append(spill(fresh)) }
        waiting = []
        spilledWhileSending = []
        readyBacklog = nil
        isAttempting = false
        live = StreamID(rawValue: generator.next())
        liveSequence = 0
        if phase == .up {
            phase = .away
            awaySince = now
            wasReachable = nil
            backlog = StreamID(rawValue: generator.next())
            backlogSequence = 0
            actions.append(.scheduleProbe(at: now.advanced(by: Limits.probeInterval)))
        }
        var delay = backoff.failed(now: now, using: &generator)
        // What only a person can mend is not asked for every second: it would change nothing, and fill the server's log.
        if failure == .permanent { delay = max(delay, Limits.retryDelayCeiling / 4) }
        let retry = now.advanced(by: delay)
        nextRetry = retry
        actions.append(.outageBegan(failure, reason: reason, retryAfter: delay))
        actions.append(.scheduleRetry(at: retry))
        actions.append(.readinessChanged)
        return actions
    }

    /// Something of the span can never be applied: it is set aside. When the sink does not know what, the batches are sent
    /// one at a time, and the one refused alone is set aside whole.
    private mutating func poisoned(
        _ failed: Sending,
        reason: String,
        refused: [RefusedBatch],
        now: MonotonicTime
    ) -> [Action] {
        backoff.worked(now: now)
        var actions = recovered(now: now)
        readyBacklog = nil
        var letters = refused.filter { failed.items.indices.contains($0.index) && !$0.parts.isEmpty }.map {
            SetAside(item: failed.items[$0.index], parts: $0.parts, rest: $0.rest)
        }
        if letters.isEmpty, failed.items.count > 1 {
            // Several come from the spool only: read again, and send one at a time until the portion is through.
            sendsSingly = true
            return actions + pump(now: now)
        }
        if letters.isEmpty {
            letters = failed.items.map {
                SetAside(item: $0, parts: [RefusedPart(batch: $0.batch, reason: reason)], rest: nil)
            }
        }
        isSettingAside = true
        settingAsideTicket = letters.first.map(\.item.ticket).flatMap { $0 == Self.noTicket ? nil : $0 }
        actions.append(.setAside(letters))
        return actions
    }

    /// The refused parts are among the dead letters; what is left of the batches goes out again, under their names.
    package mutating func settingAsideSucceeded(_ letters: [SetAside], now: MonotonicTime) -> [Action] {
        isSettingAside = false
        settingAsideTicket = nil
        sendsSingly = false
        var actions: [Action] = []
        for letter in letters { actions += wasSetAside(letter) }
        return actions + pump(now: now) + [.readinessChanged]
    }

    private mutating func wasSetAside(_ letter: SetAside) -> [Action] {
        let item = letter.item
        let recordCount = item.batch.recordCount - (letter.rest?.recordCount ?? 0)
        let isSpooled = item.ticket == Self.noTicket || spilledWhileSending.contains(item.ticket)
        counts.deadLettered += recordCount
        if isSpooled {
            counts.spooled -= recordCount
        } else {
            counts.inMemory -= recordCount
            bytesInMemory -= item.batch.payload.count - (letter.rest?.payload.count ?? 0)
        }
        guard let rest = letter.rest else {
            if isSpooled {
                spilledWhileSending.remove(item.ticket)
                spooledBatchCount -= 1
                return []
            }
            if spilling[item.ticket] != nil { decidedWhileSpilling.insert(item.ticket) }
            return acknowledge(item.ticket)
        }
        // The spool has the rest where it had the batch, and it is read again from there.
        guard item.ticket != Self.noTicket else { return [] }
        var left = item
        left.batch = rest
        if phase == .stopping { return isSpooled ? [] : [spill(left)] }
        // Before anything else: what follows in its stream would make the sink take it for applied.
        stranded.insert(left, at: 0)
        return []
    }

    /// The dead letters could not be written (disk full): the batches are kept and tried again like any other.
    package mutating func settingAsideFailed(_ letters: [SetAside], now: MonotonicTime) -> [Action] {
        isSettingAside = false
        settingAsideTicket = nil
        var actions: [Action] = []
        for item in letters.map(\.item) where item.ticket != Self.noTicket && !isSpilled(item) {
            if phase == .stopping { actions.append(spill(item)) } else { stranded.insert(item, at: 0) }
        }
        return actions + pause(.transient, reason: "set a refused batch aside", now: now)
    }

    /// A send has had its time: what somebody waits for is spilled, under the name it was sent by if it was.
    package mutating func patienceEnded(_ number: Int, now: MonotonicTime) -> [Action] {
        guard var current = sending, current.number == number, !current.isStalled else { return [] }
        current.isStalled = true
        sending = current
        var actions: [Action] = []
        if !current.isFromSpool {
            for item in current.items where item.isAwaited && !isSpilled(item) { actions.append(spill(item)) }
        }
        // Taken out first: Swift 6.2.3 does not compile a loop over `waiting` that names them.
        let awaited = waiting.filter(\.isAwaited)
        waiting.removeAll(where: \.isAwaited)
        for fresh in awaited { actions.append(spill(fresh)) }
        actions.append(.readinessChanged)
        return actions
    }

    // MARK: The spool's answers

    /// The spool holds the item: it is durable.
    package mutating func spillSucceeded(_ item: Item, now: MonotonicTime) -> [Action] {
        guard spilling.removeValue(forKey: item.ticket) != nil else { return [] }
        if decidedWhileSpilling.remove(item.ticket) != nil {
            return remove(item.stream, through: item.sequence)
        }
        leaveMemory(item)
        spooledBatchCount += 1
        counts.spooled += item.batch.recordCount
        let isUnderWay = sending?.items.contains { $0.ticket == item.ticket } ?? false
        if isUnderWay || settingAsideTicket == item.ticket { spilledWhileSending.insert(item.ticket) }
        return acknowledge(item.ticket) + pump(now: now)
    }

    /// The spool refused the item (full, or the disk failed): it stays in memory until the sink is back.
    package mutating func spillFailed(_ item: Item, now: MonotonicTime) -> [Action] {
        guard let known = spilling.removeValue(forKey: item.ticket) else { return [] }
        if decidedWhileSpilling.remove(item.ticket) != nil { return pump(now: now) }
        if let sending, sending.items.contains(where: { $0.ticket == item.ticket }) { return [] }
        if settingAsideTicket == item.ticket { return [] }
        if item.wasSent && !known.isHeld {
            stranded.append(item)
        } else {
            // No sink has seen its name, so it gets another: neighbours spilled after it may be drained before it.
            waiting.append(
                Fresh(
                    ticket: item.ticket,
                    batch: item.batch,
                    isAwaited: item.isAwaited,
                    name: item.reserved,
                    isHeld: known.isHeld
                )
            )
            mergeWaiting()
        }
        return pump(now: now)
    }

    /// The spool no longer holds what ``Action/removeSpooled(_:through:)`` named.
    package mutating func removalSucceeded(now: MonotonicTime) -> [Action] {
        if !removals.isEmpty { removals.removeFirst() }
        return removals.isEmpty ? pump(now: now) : removalDue()
    }

    /// The spool could not be changed (disk full, or failing): again after a while. Until then it is not drained; fresh
    /// batches go their way.
    package mutating func removalFailed(now: MonotonicTime) -> [Action] {
        [.scheduleRemoval(at: now.advanced(by: Limits.probeIntervalCeiling))]
    }

    package mutating func removalDue() -> [Action] {
        removals.first.map { [.removeSpooled($0.stream, through: $0.through)] } ?? []
    }

    /// The spool's oldest batches; `nil` when it holds none for this lane.
    package mutating func spoolRead(_ head: Backlog?, now: MonotonicTime) -> [Action] {
        isReadingSpool = false
        if let head {
            readyBacklog = head
        } else {
            // What the counters still say was unreadable: the spool itself set it aside.
            counts.deadLettered += counts.spooled
            counts.spooled = 0
            spooledBatchCount = 0
            sendsSingly = false
        }
        return pump(now: now)
    }

    /// A file of the spool came within reach again: it holds so much more than is known here or, where negative, less; what is
    /// missing could not be read any more.
    package mutating func spoolRecounted(batchDifference: Int, recordDifference: Int, now: MonotonicTime) -> [Action] {
        spooledBatchCount += batchDifference
        counts.spooled += recordDifference
        counts.deadLettered += max(0, -recordDifference)
        return pump(now: now)
    }

    /// The spool could not be read: again after a while.
    package mutating func spoolReadFailed(now: MonotonicTime) -> [Action] {
        isReadingSpool = false
        isAttempting = false
        let retry = now.advanced(by: Limits.probeIntervalCeiling)
        nextRetry = retry
        return [.scheduleRetry(at: retry)]
    }

    // MARK: Dead letters sent again

    /// The name under which the next dead letter goes back into the spool. Never given twice, so a letter that does not get
    /// there leaves a hole, which the spool's order allows for.
    package mutating func nextReplayName() -> (stream: StreamID, sequence: Int64) {
        replaySequence += 1
        return (replay, replaySequence)
    }

    /// A dead letter is a batch of the spool again. `wasCounted`: it is among ``Counts/deadLettered``; one that an earlier
    /// process set aside is not, and is new here.
    package mutating func replaySucceeded(recordCount: Int, wasCounted: Bool, now: MonotonicTime) -> [Action] {
        if wasCounted { counts.deadLettered -= recordCount }
        counts.spooled += recordCount
        spooledBatchCount += 1
        return pump(now: now)
    }

    // MARK: Time

    package mutating func retryDue(now: MonotonicTime) -> [Action] {
        guard let due = nextRetry, now >= due, sending == nil else { return [] }
        return attempt(now: now)
    }

    /// A person changed the configuration: what the sink refused, it may take now.
    package mutating func configurationChanged(now: MonotonicTime) -> [Action] {
        guard phase == .away, sending == nil, !isReadingSpool else { return [] }
        return attempt(now: now)
    }

    package mutating func probeDue() -> [Action] {
        phase == .away ? [.probe] : []
    }

    /// A probe's result. Only the change from away to reachable brings an attempt forward: a sink that answers probes but
    /// refuses batches (a wrong password) keeps the pace of the backoff.
    package mutating func probed(isReachable: Bool, now: MonotonicTime) -> [Action] {
        guard phase == .away else { return [] }
        let isBack = isReachable && wasReachable != true
        wasReachable = isReachable
        let interval = min(Limits.probeIntervalCeiling, max(Limits.probeInterval, now.since(awaySince ?? now) / 20))
        let next = Action.scheduleProbe(at: now.advanced(by: interval))
        guard isBack, sending == nil, !isReadingSpool else { return [next] }
        return attempt(now: now) + [next]
    }

    /// The daemon stops: what is not delivered by now goes to the spool, the send under way included.
    package mutating func stopped() -> [Action] {
        phase = .stopping
        isAttempting = false
        var actions: [Action] = []
        if let current = sending, !current.isFromSpool {
            for item in current.items where !isSpilled(item) { actions.append(spill(item)) }
        }
        for item in stranded { actions.append(spill(item)) }
        stranded = []
        for fresh in waiting { actions.append(spill(fresh)) }
        waiting = []
        return actions
    }
}
