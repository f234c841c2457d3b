internal import Delivery
internal import LogModel
internal import Ports
internal import SQLiteClient

// The spool's rows: append, head, remove, dead letters.
extension SpoolStore {
    /// Appends several batches in one transaction, synced if any of them asks for it. The answers stand in the order of the
    /// batches; one that does not fit costs its neighbours nothing.
    func append(_ batches: [(batch: SpooledBatch, isDurable: Bool)]) -> [Result<Void, SinkError>] {
        do throws(SQLiteError) {
            return try appendTogether(batches)
        } catch {
            guard batches.count > 1, !error.isDamage else {
                if error.isDamage { replaceDamaged(error) }
                return batches.map { _ in .failure(SinkError(error)) }
            }
            // What was too much together (disk full) may fit one by one.
            return batches.flatMap { append([$0]) }
        }
    }

    private func appendTogether(
        _ batches: [(batch: SpooledBatch, isDurable: Bool)]
    ) throws(SQLiteError) -> [Result<Void, SinkError>] {
        var answers: [Result<Void, SinkError>] = []
        var added: [(batch: SpooledBatch, id: Int64)] = []
        var byteCount = spooledByteCount
        let synced = batches.contains { $0.isDurable } && !isMemoryOnly
        try write(synced: synced) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            for (batch, isDurable) in batches {
                if isDurable && isMemoryOnly {
                    // A receipt that a power cut, or a mere restart, would make a lie.
                    answers.append(.failure(Self.refusal("SPOOL_MEMORY_ONLY", "append to the spool: there is no disk")))
                    continue
                }
                let cost = batch.batch.payload.count + SpoolLimits.rowOverheadByteCount
                let contained = try contains(batch)
                if !contained, byteCount + cost > configuration.spoolByteCountMax {
                    answers.append(.failure(Self.refusal("SPOOL_FULL", "append to the spool: its limit is reached")))
                    continue
                }
                if !contained {
                    try insert(batch)
                    added.append((batch, connection.lastInsertRowID))
                    byteCount += cost
                }
                answers.append(.success(()))
            }
            return .commit(())
        }
        for row in added { rowAdded(row.batch, id: row.id) }
        return answers
    }

    private static func refusal(_ code: String, _ sentence: String) -> SinkError {
        SinkError(.transient, code: code, sentence)
    }

    /// Whether a batch of this name is there: what is inside never changes under a name, so nothing is left to do.
    private func contains(_ batch: SpooledBatch) throws(SQLiteError) -> Bool {
        var isThere = false
        try connection.query("SELECT 1 FROM spool WHERE lane = ?1 AND stream = ?2 AND sequence = ?3") { statement in
            statement.bind(1, batch.lane.rawValue)
            statement.bind(2, batch.stream.signed)
            statement.bind(3, batch.sequence)
        } row: { _ in
            isThere = true
            return false
        }
        return isThere
    }

    private func insert(_ batch: SpooledBatch) throws(SQLiteError) {
        let recordCount = Int64(batch.batch.recordCount)
        let seriesCount = Int64(batch.batch.seriesCount)
        try batch.batch.payload.withUnsafeBufferPointer { payload throws(SQLiteError) in
            // The spool keeps what it is given; a payload that no reader takes is for the sink to call poison.
            let header = try? BatchReader(payload)
            var lane = batch.lane.rawValue
            let checksum = lane.withUTF8 { lane in
                SpoolRow.checksum(
                    lane: lane,
                    stream: batch.stream,
                    firstSequence: batch.sequence,
                    sequence: batch.sequence,
                    recordCount: recordCount,
                    seriesCount: seriesCount,
                    payload: payload
                )
            }
            try connection.run(
                """
                INSERT INTO spool (lane, stream, first_sequence, sequence, record_count, series_count, byte_count,
                    window_start, window_end, checksum, payload)
                VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                """
            ) { statement in
                statement.bind(1, batch.lane.rawValue)
                statement.bind(2, batch.stream.signed)
                statement.bind(3, batch.sequence)
                statement.bind(4, recordCount)
                statement.bind(5, seriesCount)
                statement.bind(6, payload.count)
                statement.bind(7, header?.windowStart.microseconds ?? 0)
                statement.bind(8, header?.windowEnd.microseconds ?? 0)
                statement.bind(9, Int64(bitPattern: checksum))
                statement.bind(10, blob: payload)
            }
        }
    }

    /// The next batches of the stream whose head is oldest, as far as they follow each other without a hole. After a hole
    /// a new span begins: its `previous` is one less than the first sequence of its first row, which is right as
    /// sequences of a stream are consecutive and a merged row carries the lowest that it took in. Lower ones that are
    /// gone were applied, or are dead letters: the sink asks only whether it applied anything *after* `previous`.
    func head(of lane: Lane, byteCountMax: Int) throws(SQLiteError) -> SpoolHead? {
        while let stream = firstStream(of: lane) {
            var batches: [SpooledBatch] = []
            var firstSequence: Int64 = 0
            var byteCount = 0
            var damagedIDs: [Int64] = []
            try connection.query(
                "SELECT \(SpoolRow.columns) FROM spool WHERE lane = ?1 AND stream = ?2 ORDER BY sequence"
            ) { statement in
                statement.bind(1, lane.rawValue)
                statement.bind(2, stream.signed)
            } row: { statement in
                if let last = batches.last {
                    // Looked at before the payload is read: the row's own word is enough to stop.
                    let follows = statement.integer(3) == last.sequence + 1
                    guard follows, byteCount + Int(clamping: statement.integer(7)) <= byteCountMax else { return false }
                }
                let row = SpoolRow(statement)
                guard row.isSound else {
                    damagedIDs.append(row.id)
                    return damagedIDs.count < 64
                }
                if batches.isEmpty { firstSequence = row.firstSequence }
                byteCount += row.payload.count
                batches.append(
                    SpooledBatch(
                        lane: lane,
                        stream: stream,
                        sequence: row.sequence,
                        batch: Batch(
                            payload: Array(row.payload),
                            recordCount: Int(row.recordCount),
                            seriesCount: Int(row.seriesCount)
                        )
                    )
                )
                return byteCount < byteCountMax
            }
            for id in damagedIDs { try deadLetterRow(id, reason: "checksum does not match: damaged on disk") }
            if !damagedIDs.isEmpty { try load() }
            if !batches.isEmpty { return SpoolHead(stream: stream, previous: firstSequence - 1, batches: batches) }
            // Each round took at least one row away, or the counters were wrong and are counted anew.
            if damagedIDs.isEmpty { try load() }
            if damagedIDs.isEmpty, firstStream(of: lane) == stream {
                throw SQLiteError(attempt: "read the head of the spool", code: .corrupt)
            }
        }
        return nil
    }

    func remove(lane: Lane, stream: StreamID, through sequence: Int64) throws(SQLiteError) {
        var batchCount = 0
        var recordCount = 0
        var byteCount = 0
        try write(synced: false) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try connection.query(
                """
                DELETE FROM spool WHERE lane = ?1 AND stream = ?2 AND sequence <= ?3
                RETURNING record_count, byte_count
                """
            ) { statement in
                statement.bind(1, lane.rawValue)
                statement.bind(2, stream.signed)
                statement.bind(3, sequence)
            } row: { row in
                batchCount += 1
                recordCount += Self.bounded(row.integer(0))
                byteCount += Self.bounded(row.integer(1))
                return true
            }
            return .commit(())
        }
        try rowsRemoved(
            lane: lane,
            stream: stream,
            batchCount: batchCount,
            recordCount: recordCount,
            byteCount: byteCount
        )
    }

    /// A count read back from disk, kept from overflowing a sum should it be damaged.
    private static func bounded(_ value: Int64) -> Int { Int(min(max(0, value), 1 << 42)) }

    // MARK: Dead letters

    /// Keeps a batch that its sink will never take, and removes it from the spool if it is there. Synced: it may be the only
    /// copy.
    func deadLetter(_ batch: SpooledBatch, reason: String) throws(SQLiteError) {
        var removed: (recordCount: Int, byteCount: Int)?
        try write(synced: !isMemoryOnly) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try batch.batch.payload.withUnsafeBufferPointer { payload throws(SQLiteError) -> Void in
                try connection.run(
                    """
                    INSERT INTO dead_letters (lane, stream, sequence, record_count, byte_count, reason, time, payload)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                    """
                ) { statement in
                    statement.bind(1, batch.lane.rawValue)
                    statement.bind(2, batch.stream.signed)
                    statement.bind(3, batch.sequence)
                    statement.bind(4, batch.batch.recordCount)
                    statement.bind(5, payload.count)
                    statement.bind(6, reason)
                    statement.bind(7, configuration.now().microseconds)
                    statement.bind(8, blob: payload)
                }
            }
            try connection.query(
                """
                DELETE FROM spool WHERE lane = ?1 AND stream = ?2 AND sequence = ?3 RETURNING record_count, byte_count
                """
            ) { statement in
                statement.bind(1, batch.lane.rawValue)
                statement.bind(2, batch.stream.signed)
                statement.bind(3, batch.sequence)
            } row: { row in
                removed = (Self.bounded(row.integer(0)), Self.bounded(row.integer(1)))
                return true
            }
            return .commit(())
        }
        deadLetterAdded(recordCount: batch.batch.recordCount, byteCount: batch.batch.payload.count)
        if let removed {
            try rowsRemoved(
                lane: batch.lane,
                stream: batch.stream,
                batchCount: 1,
                recordCount: removed.recordCount,
                byteCount: removed.byteCount
            )
        }
        try dropOldDeadLetters()
    }

    /// Moves a row, whatever its columns have become: a flipped bit may have changed a type, which the strict table would
    /// refuse for ever. Synced: the sink goes on behind the hole, and a row that a power cut brought back, readable this time,
    /// would be taken for applied. The caller counts anew.
    private func deadLetterRow(_ id: Int64, reason: String) throws(SQLiteError) {
        try write(synced: !isMemoryOnly) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try connection.run(
                """
                INSERT INTO dead_letters (lane, stream, sequence, record_count, byte_count, reason, time, payload)
                SELECT coalesce(CAST(lane AS TEXT), ''), coalesce(CAST(stream AS INTEGER), 0),
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
    }
}
