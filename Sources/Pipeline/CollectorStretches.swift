package import Delivery
package import LogModel
internal import Patterns
package import Ports

// Replayable sources: their chunks, and the stretches that are sealed of them (docs/formats/delivery.md).
extension Collector {
    /// Folds the records of a replayable source, all or none: nobody waits for them, as the source keeps them until the batch
    /// that holds them is durable. With room for the records (``refusal``) only, and between two requests.
    package func fold(_ chunk: SourceChunk) {
        scheduler.preconditionOnLoop()
        // A chunk lies in one batch whole, so that a cursor stands for all that is in it.
        if !aggregator.hasRoom(forSeries: chunk.entryCount) { seal(.memory) }
        requestedAt = scheduler.wallClock
        requestClock = scheduler.now
        observeClock(wallClock: requestedAt, now: requestClock)
        chunk.forEachRecord { record in
            guard record.host.isEmpty else { return fold(named: record, durableLevel: nil) }
            configuration.hostName.withUnsafeBufferPointer { host in
                var named = record
                named.host = host
                fold(named: named, durableLevel: nil)
            }
        }
        counters.received += chunk.entryCount
        openCursor = chunk.cursor ?? openCursor
        if let first = chunk.firstCursor { firstCursor = SourceStart.atMark + first }
        let standing = aggregator.standing
        noteFolded(standing, isAwaited: false, hasCompanions: false)
        updateDetail(aggregatorByteCount: standing.byteCount)
    }

    /// Begins to keep the books of a replayable source. To be called once, before its first chunk.
    package func beginStretches(_ book: StretchBook, keep: @escaping (SourcePosition) -> Void) {
        stretches = book
        keepPosition = keep
        noteStretches()
        maySinksForget = true
        guard let streams = streamsAtStart else { return }
        for runner in lanes { runner.forgetOldStreams(spooledStreams: streams[runner.id] ?? []) }
    }

    /// How far the source was counted, as it stands now; `nil` before the first stretch.
    package var sourcePosition: SourcePosition? { stretches?.position() }

    /// Whether a chunk may be folded: there is room, and not too many stretches are without a receipt.
    package var takesChunks: Bool {
        refusal == nil && stretches.map { $0.openCount < StretchBook.openCountMax } ?? true
    }

    /// Hands a stretch's batch to the lanes. The store goes first: it makes the stretch's bounds durable. What was sent
    /// elsewhere before could be sent twice after a power cut, in two batches of different bounds.
    func deliver(_ stretch: SourceStretch, _ batch: Batch, ticket: Int, isAwaited: Bool) {
        var batch = batch
        batch.position = stretches?.position(own: stretch.seal)
        pending[ticket]?.stretch = stretch.seal
        noteStretches()
        let name = DeliveryLane.Name(stream: stretch.name, sequence: 1, isFirm: false)
        for runner in lanes {
            runner.deliver(
                batch,
                ticket: ticket,
                // The others wait for the store, so that it has no longer than its patience.
                isAwaited: isAwaited || lanes.count > 1,
                name: name,
                isHeld: runner.id != .store
            )
        }
    }

    func stretchReceived(_ seal: Int64, ticket: Int, by lane: Lane) {
        stretches?.received(seal, by: StretchReceiver(lane))
        noteStretches()
        guard lane == .store else { return }
        for runner in lanes where runner.id != .store { runner.release(ticket) }
    }

    private func noteStretches() {
        guard let stretches else { return }
        for runner in lanes { runner.sourceStreams = stretches.names }
        if let position = stretches.position() { keepPosition(position) }
    }

    /// Stretches that an earlier process sealed, and for which some lane has no receipt, oldest first.
    package var lackingStretches: [SourceStretch] { stretches?.lacking ?? [] }

    /// Folds a part of a stretch that is read again; ``endReread(_:)`` follows.
    package func foldReread(_ chunk: SourceChunk) {
        scheduler.preconditionOnLoop()
        requestedAt = scheduler.wallClock
        observeClock(wallClock: requestedAt, now: scheduler.now)
        chunk.forEachRecord { record in
            configuration.hostName.withUnsafeBufferPointer { host in
                var named = record
                if named.host.isEmpty { named.host = host }
                _ = aggregator.fold(named, isReread: true, now: requestedAt)
            }
        }
    }

    /// The stretch was read again: its batch goes to the lanes that have no receipt for it, under the name it had.
    package func endReread(_ stretch: SourceStretch) {
        let batch = aggregator.seal(.reread, now: scheduler.wallClock, clockIsKnown: isClockKnown())
        let missing = lanes.filter { stretches?.lacks(stretch, at: StretchReceiver($0.id)) ?? false }
        guard var batch, !missing.isEmpty else {
            // The source has nothing of it any more.
            for runner in missing { stretches?.received(stretch.seal, by: StretchReceiver(runner.id)) }
            return noteStretches()
        }
        batch.position = stretches?.position(own: stretch.seal)
        let ticket = issueTicket(for: batch, waiters: [])
        pending[ticket]?.stretch = stretch.seal
        pending[ticket]?.remainingLanes = missing.count
        let isStoreMissing = missing.contains { $0.id == .store }
        for runner in missing {
            counters.reread[runner.id, default: 0] += batch.recordCount
            runner.deliver(
                batch,
                ticket: ticket,
                isAwaited: lanes.count > 1,
                name: DeliveryLane.Name(stream: stretch.name, sequence: 1),
                isHeld: isStoreMissing && runner.id != .store
            )
        }
    }
}
