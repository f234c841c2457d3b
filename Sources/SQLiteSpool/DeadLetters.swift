internal import Delivery
internal import LogModel
internal import Ports
internal import SQLiteClient

// The dead letters: batches, and parts of batches, that no sink takes.
extension SpoolStore {
    /// Keeps what was refused, and puts what is left of each batch in its place where the spool holds it. One transaction,
    /// synced: it may be the only copy.
    func setAside(_ batches: [SetAsideBatch]) throws(SQLiteError) {
        var added: [(id: Int64, batch: Batch)] = []
        var changes: [RowChange] = []
        try write(synced: !isMemoryOnly) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            for refused in batches {
                for part in refused.parts where try !containsDeadLetter(part, of: refused.batch) {
                    try insertDeadLetter(part, of: refused.batch)
                    added.append((connection.lastInsertRowID, part.batch))
                }
                if let change = try replaceRow(of: refused.batch, by: refused.rest) { changes.append(change) }
                if refused.rest == nil, let position = refused.batch.batch.position {
                    try keep(position, lane: refused.batch.lane.rawValue)
                }
            }
            return .commit(())
        }
        for (id, batch) in added {
            deadLetterAdded(recordCount: batch.recordCount, byteCount: batch.payload.count)
            countedDeadLetters.insert(id)
        }
        for change in changes {
            try rowsRemoved(
                lane: change.lane,
                stream: change.stream,
                batchCount: change.isGone ? 1 : 0,
                recordCount: change.recordCount,
                byteCount: change.byteCount
            )
        }
        try dropOldDeadLetters()
    }

    /// The next number: above all there are and all that were removed, so that none means another letter later.
    private static let nextID = """
        max(coalesce((SELECT max(id) FROM dead_letters), 0),
            coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'dead_letter_id'), 0)) + 1
        """

    /// What a row of the spool lost.
    private struct RowChange {
        var lane: Lane
        var stream: StreamID
        var isGone: Bool
        var recordCount: Int
        var byteCount: Int
    }

    /// Whether this very part was set aside before: asked again after an answer that got lost, it is kept once. Compares
    /// the payload last, and only of what has the same name and length.
    private func containsDeadLetter(_ part: RefusedPart, of batch: SpooledBatch) throws(SQLiteError) -> Bool {
        var isThere = false
        try part.batch.payload.withUnsafeBufferPointer { payload throws(SQLiteError) in
            try connection.query(
                """
                SELECT 1 FROM dead_letters
                WHERE lane = ?1 AND stream = ?2 AND sequence = ?3 AND byte_count = ?4 AND payload = ?5
                """
            ) { statement in
                statement.bind(1, batch.lane.rawValue)
                statement.bind(2, batch.stream.signed)
                statement.bind(3, batch.sequence)
                statement.bind(4, payload.count)
                statement.bind(5, blob: payload)
            } row: { _ in
                isThere = true
                return false
            }
        }
        return isThere
    }

    private func insertDeadLetter(_ part: RefusedPart, of batch: SpooledBatch) throws(SQLiteError) {
        try part.batch.payload.withUnsafeBufferPointer { payload throws(SQLiteError) -> Void in
            try connection.run(
                """
                INSERT INTO dead_letters (id, lane, stream, sequence, record_count, byte_count, reason, time, payload)
                VALUES (\(Self.nextID), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                """
            ) { statement in
                statement.bind(1, batch.lane.rawValue)
                statement.bind(2, batch.stream.signed)
                statement.bind(3, batch.sequence)
                statement.bind(4, part.batch.recordCount)
                statement.bind(5, payload.count)
                statement.bind(6, part.reason)
                statement.bind(7, configuration.now().microseconds)
                statement.bind(8, blob: payload)
            }
        }
    }

    /// Gives the row of this name what is left, or removes it; `nil` when there is none, for the batch is in memory only.
    private func replaceRow(of batch: SpooledBatch, by rest: Batch?) throws(SQLiteError) -> RowChange? {
        var row: (id: Int64, firstSequence: Int64, recordCount: Int, byteCount: Int)?
        try connection.query(
            """
            SELECT id, first_sequence, record_count, byte_count FROM spool
            WHERE lane = ?1 AND stream = ?2 AND sequence = ?3
            """
        ) { statement in
            statement.bind(1, batch.lane.rawValue)
            statement.bind(2, batch.stream.signed)
            statement.bind(3, batch.sequence)
        } row: { found in
            row = (found.integer(0), found.integer(1), Self.bounded(found.integer(2)), Self.bounded(found.integer(3)))
            return false
        }
        guard let row else { return nil }
        var change = RowChange(
            lane: batch.lane,
            stream: batch.stream,
            isGone: rest == nil,
            recordCount: row.recordCount,
            byteCount: row.byteCount
        )
        guard let rest else {
            try connection.run("DELETE FROM spool WHERE id = ?1") { $0.bind(1, row.id) }
            try forgetSentIfEmpty(batch.lane, batch.stream)
            return change
        }
        let stored = Self.stored(rest.payload)
        var left = batch
        left.batch = rest
        try replaceRow(row.id, by: SpoolRow.Content(left, firstSequence: row.firstSequence), payload: stored)
        change.recordCount -= rest.recordCount
        change.byteCount -= stored.count
        return change
    }

    /// Moves a row, whatever its columns have become: a flipped bit may have changed a type, which the strict table would
    /// refuse for ever. Synced: the sink goes on behind the hole, and a row that a power cut brought back, readable this time,
    /// would be taken for applied. The caller counts anew.
    func deadLetterRow(_ id: Int64, reason: String) throws(SQLiteError) {
        try write(synced: !isMemoryOnly) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try connection.run(
                """
                INSERT INTO dead_letters (id, lane, stream, sequence, record_count, byte_count, reason, time, payload)
                SELECT \(Self.nextID), coalesce(CAST(lane AS TEXT), ''), coalesce(CAST(stream AS INTEGER), 0),
                    coalesce(CAST(sequence AS INTEGER), 0),
                    coalesce(max(0, min(CAST(record_count AS INTEGER), 1 << 42)), 0),
                    coalesce(length(CAST(payload AS BLOB)), 0), ?2, ?3, coalesce(CAST(payload AS BLOB), x'')
                FROM spool WHERE id = ?1
                """
            ) { statement in
                statement.bind(1, id)
                statement.bind(2, reason)
                statement.bind(3, configuration.now().microseconds)
            }
            try connection.run("DELETE FROM spool WHERE id = ?1") { $0.bind(1, id) }
            return .commit(())
        }
    }

    // MARK: For a person

    private static let columns = "id, lane, stream, sequence, record_count, byte_count, reason, time"

    private static func letter(_ row: Statement) -> DeadLetter {
        DeadLetter(
            id: row.integer(0),
            lane: row.text(1),
            stream: StreamID(rawValue: UInt64(bitPattern: row.integer(2))),
            sequence: row.integer(3),
            recordCount: bounded(row.integer(4)),
            byteCount: bounded(row.integer(5)),
            reason: row.text(6),
            time: Timestamp(stored: row.integer(7))
        )
    }

    /// Those after `id`, oldest first, without payloads.
    func deadLetters(after id: Int64, limit: Int) throws(SQLiteError) -> [DeadLetter] {
        var letters: [DeadLetter] = []
        try connection.query("SELECT \(Self.columns) FROM dead_letters WHERE id > ?1 ORDER BY id LIMIT ?2") {
            statement in
            statement.bind(1, id)
            statement.bind(2, limit)
        } row: { row in
            letters.append(Self.letter(row))
            return true
        }
        return letters
    }

    /// With its payload.
    func deadLetter(_ id: Int64) throws(SQLiteError) -> DeadLetter? {
        var letter: DeadLetter?
        try connection.query("SELECT \(Self.columns), payload FROM dead_letters WHERE id = ?1") { statement in
            statement.bind(1, id)
        } row: { row in
            letter = Self.letter(row)
            // A row that was set aside as it stood may hold it compressed.
            letter?.payload = SpoolPayload.unpacked(row.bytes(8)) ?? Array(row.bytes(8))
            return false
        }
        return letter
    }

    func dropDeadLetter(_ id: Int64) throws(SQLiteError) -> DeadLetter? {
        guard let letter = try deadLetter(id) else { return nil }
        try write(synced: !isMemoryOnly) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try removeDeadLetter(id)
            return .commit(())
        }
        deadLetterRemoved(id, recordCount: letter.recordCount, byteCount: letter.byteCount)
        return letter
    }

    /// Moves it back into the spool, under a name that no sink has seen: it was never applied under its old one.
    func replay(
        deadLetter id: Int64,
        of lane: Lane,
        as name: (stream: StreamID, sequence: Int64)
    ) throws(SQLiteError) -> Result<Replay, SinkError> {
        guard let letter = try deadLetter(id), letter.lane == lane.rawValue else { return .success(.unknown) }
        guard let batch = Self.batch(of: letter) else { return .success(.unreadable) }
        let payload = Self.stored(batch.payload)
        let cost = payload.count + SpoolLimits.rowOverheadByteCount
        guard spooledByteCount + cost <= configuration.spoolByteCountMax else {
            return .failure(Self.refusal("SPOOL_FULL", "send a dead letter again: the spool's limit is reached"))
        }
        let spooled = SpooledBatch(lane: lane, stream: name.stream, sequence: name.sequence, batch: batch)
        var rowID: Int64 = 0
        try write(synced: !isMemoryOnly) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try insert(SpoolRow.Content(spooled), payload: payload)
            rowID = connection.lastInsertRowID
            try removeDeadLetter(id)
            return .commit(())
        }
        rowAdded(spooled, id: rowID, byteCount: payload.count)
        let wasCounted = countedDeadLetters.contains(id)
        deadLetterRemoved(id, recordCount: letter.recordCount, byteCount: letter.byteCount)
        return .success(.done(recordCount: batch.recordCount, wasCounted: wasCounted))
    }

    private func removeDeadLetter(_ id: Int64) throws(SQLiteError) {
        try connection.run("DELETE FROM dead_letters WHERE id = ?1") { $0.bind(1, id) }
        // Its number is never given again, also when it was the last.
        try connection.run(
            """
            INSERT INTO meta (key, value) VALUES ('dead_letter_id', ?1)
            ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), excluded.value)
            """
        ) { $0.bind(1, id) }
    }

    /// The batch, if every byte of it can be read and it says what its row says.
    private static func batch(of letter: DeadLetter) -> Batch? {
        var batch = Batch(payload: letter.payload, recordCount: letter.recordCount, seriesCount: 0)
        var seriesCount = 0
        do throws(BatchFormatError) {
            _ = try BatchReader.merges(in: batch)
            try BatchReader.forEachSeries(in: batch) { _, _ in seriesCount += 1 }
        } catch {
            return nil
        }
        let recordCount = batch.payload.withUnsafeBufferPointer { try? BatchReader($0) }?.recordCount
        guard recordCount == letter.recordCount else { return nil }
        batch = Batch(payload: letter.payload, recordCount: letter.recordCount, seriesCount: seriesCount)
        return batch
    }

    private func dropOldDeadLetters() throws(SQLiteError) {
        var count = 0
        while status.deadLetterByteCount > SpoolLimits.deadLetterByteCountMax, status.deadLetterCount > 1 {
            let deleted = try write(synced: false) { () throws(SQLiteError) -> Connection.Verdict<Int> in
                .commit(
                    try connection.run(
                        "DELETE FROM dead_letters WHERE id = (SELECT id FROM dead_letters ORDER BY id LIMIT 1)"
                    )
                )
            }
            guard deleted > 0 else { break }
            count += deleted
            try deadLettersDropped(deleted)
        }
        guard count > 0 else { return }
        let oldest = try connection.integer("SELECT coalesce(min(id), 0) FROM dead_letters")
        countedDeadLetters = countedDeadLetters.filter { $0 >= oldest }
    }
}
