internal import Delivery
internal import LogModel
internal import Ports
internal import SQLiteClient

// Making the spool coarser near its bound. SpoolPolicy decides what is merged; here it is done, a portion a turn.
extension SpoolStore {
    /// Where the work stands between two turns.
    struct Compaction {
        var policy = SpoolPolicy()
        /// What the present step still has to go over, and how far it is in the first of them.
        var streams: [(lane: Lane, stream: StreamID)] = []
        var isPassUnderWay = false
        var sequence: Int64 = 0
        var isActive = false
        /// Appends that were refused since everything had been tried: after some of them there may be new batches to merge.
        var refusalCount = 0
        /// Whether a turn that goes on with it is in the thread's queue.
        var isScheduled = false
    }

    private struct Neighbour {
        var sequence: Int64
        var row: SpoolPolicy.Row
    }

    /// Whether a turn of ``compactIfNearlyFull()`` would find something to do.
    var isCompactionDue: Bool {
        compaction.isActive ? compaction.policy.step != nil : spooledByteCount > byteCountToBegin
    }

    private var byteCountToBegin: Int { Int(Double(configuration.spoolByteCountMax) * SpoolPolicy.beginShare) }
    private var byteCountToEnd: Int { Int(Double(configuration.spoolByteCountMax) * SpoolPolicy.endShare) }

    /// One portion of work, if there is any: the spool is filled beyond three quarters, or was and is not yet below the mark
    /// at which it ends. Returns whether to come again.
    func compactIfNearlyFull() throws(SQLiteError) -> Bool {
        if !compaction.isActive {
            guard spooledByteCount > byteCountToBegin else { return false }
            compaction.isActive = true
        }
        guard spooledByteCount > byteCountToEnd else {
            compaction.isActive = false
            return false
        }
        return try compactStep()
    }

    /// Batches have left: past the outage, the next one is met with the mildest step again.
    func restartCompactionIfEmptied() {
        guard spooledByteCount < Int(Double(configuration.spoolByteCountMax) * SpoolPolicy.restartShare) else { return }
        compaction = Compaction(isScheduled: compaction.isScheduled)
    }

    /// Merges until `byteCount` more bytes fit, as far as that is possible in about a second. What fails here fails again in
    /// the append, which says so.
    func makeRoom(for byteCount: Int) {
        guard spooledByteCount + byteCount > configuration.spoolByteCountMax else { return }
        if compaction.policy.step == nil {
            compaction.refusalCount += 1
            guard compaction.refusalCount >= SpoolPolicy.runLengthMax else { return }
            compaction = Compaction(isScheduled: compaction.isScheduled)
        }
        compaction.isActive = true
        for _ in 0..<SpoolLimits.mergesForRoomMax {
            guard spooledByteCount + byteCount > configuration.spoolByteCountMax, (try? compactStep()) == true else {
                return
            }
        }
    }

    /// Looks at the next neighbours and makes them one, if the step says so. False when every step is done.
    private func compactStep() throws(SQLiteError) -> Bool {
        guard let step = compaction.policy.step else { return false }
        if !compaction.isPassUnderWay {
            compaction.isPassUnderWay = true
            compaction.streams = Lane.allCases.flatMap { lane in
                (streams[lane] ?? []).map { (lane, $0.stream) }
            }
            compaction.sequence = 0
        }
        guard let (lane, stream) = compaction.streams.first else {
            compaction.policy.passEnded()
            compaction.isPassUnderWay = false
            return compaction.policy.step != nil
        }
        // What was sent keeps its bounds: the sink may have applied some of it.
        let after = max(compaction.sequence, sentThrough(lane, stream))
        let neighbours = try self.neighbours(lane, stream, after: after)
        let least = if case .reduce = step { 1 } else { 2 }
        for start in neighbours.indices.dropLast(least - 1) {
            let length = SpoolPolicy.runLength(of: neighbours[start...].lazy.map(\.row), in: step)
            guard length >= least else { continue }
            let run = neighbours[start..<start + length]
            compaction.sequence = try replace(run, lane, stream, in: step)
            return true
        }
        if neighbours.count > SpoolPolicy.runLengthMax {
            compaction.sequence = neighbours[neighbours.count - 2].sequence
        } else {
            compaction.streams.removeFirst()
            compaction.sequence = 0
        }
        return true
    }

    private func neighbours(_ lane: Lane, _ stream: StreamID, after: Int64) throws(SQLiteError) -> [Neighbour] {
        var found: [Neighbour] = []
        try connection.query(
            """
            SELECT sequence, byte_count, window_start, window_end FROM spool
            WHERE lane = ?1 AND stream = ?2 AND sequence > ?3 ORDER BY sequence LIMIT \(SpoolPolicy.runLengthMax + 1)
            """
        ) { statement in
            statement.bind(1, lane.rawValue)
            statement.bind(2, stream.signed)
            statement.bind(3, after)
        } row: { row in
            found.append(
                Neighbour(
                    sequence: row.integer(0),
                    row: SpoolPolicy.Row(
                        byteCount: Int(clamping: row.integer(1)),
                        windowStart: Timestamp(nanoseconds: row.integer(2) &* 1000),
                        windowEnd: Timestamp(nanoseconds: row.integer(3) &* 1000)
                    )
                )
            )
            return true
        }
        return found
    }

    /// Makes the run one row, as far as its rows are sound and the result is not too large. Returns the last sequence that
    /// is done with.
    private func replace(
        _ run: ArraySlice<Neighbour>,
        _ lane: Lane,
        _ stream: StreamID,
        in step: SpoolPolicy.Step
    ) throws(SQLiteError) -> Int64 {
        guard let first = run.first, let last = run.last else { return compaction.sequence }
        let detail: BatchDetail = if case .reduce(let detail) = step { detail } else { .all }
        var merge = BatchMerge(keeping: detail)
        var taken: (id: Int64, firstSequence: Int64, sequence: Int64, count: Int, byteCount: Int)?
        var isUnreadable = false
        try connection.query(
            """
            SELECT \(SpoolRow.columns) FROM spool
            WHERE lane = ?1 AND stream = ?2 AND sequence BETWEEN ?3 AND ?4 ORDER BY sequence
            """
        ) { statement in
            statement.bind(1, lane.rawValue)
            statement.bind(2, stream.signed)
            statement.bind(3, first.sequence)
            statement.bind(4, last.sequence)
        } row: { statement in
            let row = SpoolRow(statement)
            // A damaged row is found, and set aside, when its turn to be sent comes.
            guard row.isSound, let batch = row.batch,
                taken == nil || merge.byteCount + batch.payload.count <= SpoolLimits.mergedByteCountMax
            else { return false }
            do throws(BatchFormatError) {
                try merge.add(batch)
            } catch {
                // One that no reader takes, and part of it is in the sum: the run stays as it is.
                isUnreadable = true
                return false
            }
            let start = taken ?? (row.id, row.firstSequence, 0, 0, 0)
            taken = (start.id, start.firstSequence, row.sequence, start.count + 1, start.byteCount + row.payload.count)
            return true
        }
        guard !isUnreadable else { return last.sequence }
        guard let taken, taken.count > 1 || detail != .all else { return taken?.sequence ?? first.sequence }
        let merged = SpooledBatch(lane: lane, stream: stream, sequence: taken.sequence, batch: merge.result())
        let payload = Self.stored(merged.batch.payload)
        let saved = taken.byteCount + (taken.count - 1) * SpoolLimits.rowOverheadByteCount - payload.count
        // Rows with nothing in common save nothing by standing together; writing them would only wear the card.
        guard saved * 32 > taken.byteCount else { return taken.sequence }
        try write(synced: false) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try connection.run(
                "DELETE FROM spool WHERE lane = ?1 AND stream = ?2 AND sequence BETWEEN ?3 AND ?4"
            ) { statement in
                statement.bind(1, lane.rawValue)
                statement.bind(2, stream.signed)
                statement.bind(3, first.sequence)
                statement.bind(4, taken.sequence)
            }
            try insert(
                SpoolRow.Content(merged, firstSequence: taken.firstSequence),
                payload: payload,
                id: taken.id
            )
            return .commit(())
        }
        try rowsMerged(
            lane,
            stream,
            removedCount: taken.count - 1,
            byteCountChange: payload.count - taken.byteCount
        )
        if detail == .all {
            let content = SpoolRow.Content(merged)
            batchesMerged(taken.count, into: .microseconds(content.windowEnd - content.windowStart))
        } else {
            batchReduced()
        }
        return taken.sequence
    }

    // MARK: Clock

    /// Puts right what this process stamped with a clock that was a guess, as far as no sink may have it: the stamps are part
    /// of what keeps its bytes under a name.
    func correctStamps(_ correction: ClockWatch.Correction) throws(SQLiteError) {
        let ids = guessedRows
        if correction.isKnown { guessedRows = [] }
        for id in ids {
            var found: (batch: SpooledBatch, firstSequence: Int64)?
            try connection.query("SELECT \(SpoolRow.columns) FROM spool WHERE id = ?1") { statement in
                statement.bind(1, id)
            } row: { statement in
                let row = SpoolRow(statement)
                guard row.isSound, let lane = Lane(rawValue: statement.text(1)), let batch = row.batch,
                    row.sequence > sentThrough(lane, row.stream)
                else { return false }
                found = (
                    SpooledBatch(lane: lane, stream: row.stream, sequence: row.sequence, batch: batch),
                    row.firstSequence
                )
                return false
            }
            guard let found else { continue }
            var corrected = found.batch
            corrected.batch = BatchMerge.corrected(found.batch.batch, by: correction)
            let payload = Self.stored(corrected.batch.payload)
            let before = Self.stored(found.batch.batch.payload).count
            try write(synced: false) { () throws(SQLiteError) -> Connection.Verdict<Void> in
                try replaceRow(
                    id,
                    by: SpoolRow.Content(corrected, firstSequence: found.firstSequence),
                    payload: payload
                )
                return .commit(())
            }
            try rowsMerged(
                found.batch.lane,
                found.batch.stream,
                removedCount: 0,
                byteCountChange: payload.count - before
            )
        }
    }

    // MARK: What was sent

    /// Notes, inside a transaction, that batches of the stream up to `sequence` may have been sent.
    func noteSent(_ lane: Lane, _ stream: StreamID, through sequence: Int64) throws(SQLiteError) {
        try connection.run(
            """
            INSERT INTO spool_sent (lane, stream, through) VALUES (?1, ?2, ?3)
            ON CONFLICT (lane, stream) DO UPDATE SET through = max(through, excluded.through)
            """
        ) { statement in
            statement.bind(1, lane.rawValue)
            statement.bind(2, stream.signed)
            statement.bind(3, sequence)
        }
    }

    /// Marks the batches about to be sent, and some behind them, so that they keep their bounds from now on: synced, as a power
    /// cut may bring back rows that the sink has, and whoever merged one of those with a later one could neither send nor
    /// drop the result.
    ///
    /// Should the note fail (a full disk must not stop draining) the mark holds for this process only.
    func markSent(_ lane: Lane, _ stream: StreamID, through sequence: Int64) {
        guard sequence > sentThrough(lane, stream) else { return }
        var through = sequence
        let ahead =
            "SELECT max(sequence) FROM (SELECT sequence FROM spool WHERE lane = ?1 AND stream = ?2 AND sequence > ?3 "
            + "ORDER BY sequence LIMIT \(SpoolLimits.sentAheadCount))"
        try? connection.query(ahead) { statement in
            statement.bind(1, lane.rawValue)
            statement.bind(2, stream.signed)
            statement.bind(3, sequence)
        } row: { row in
            through = max(sequence, row.integer(0))
            return false
        }
        try? write(synced: !isMemoryOnly) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try noteSent(lane, stream, through: through)
            return .commit(())
        }
        sentThrough(lane, stream, through)
    }

    /// The mark goes with the stream's last batch.
    func forgetSentIfEmpty(_ lane: Lane, _ stream: StreamID) throws(SQLiteError) {
        guard sentThrough(lane, stream) > 0 else { return }
        try forgetSent(lane, stream)
    }

    /// The same, whatever is known of the mark.
    func forgetSent(_ lane: Lane, _ stream: StreamID) throws(SQLiteError) {
        try connection.run(
            """
            DELETE FROM spool_sent WHERE lane = ?1 AND stream = ?2
                AND NOT EXISTS (SELECT 1 FROM spool WHERE lane = ?1 AND stream = ?2)
            """
        ) { statement in
            statement.bind(1, lane.rawValue)
            statement.bind(2, stream.signed)
        }
    }
}
