internal import Delivery
internal import LogModel
internal import Ports
internal import SQLiteClient

// The spool's rows: append, head, remove.
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
        var added: [(batch: SpooledBatch, id: Int64, byteCount: Int, clockIsKnown: Bool)] = []
        let payloads = batches.map { Self.stored($0.batch.batch.payload) }
        makeRoom(for: payloads.reduce(0) { $0 + $1.count + SpoolLimits.rowOverheadByteCount })
        var byteCount = spooledByteCount
        let synced = batches.contains { $0.isDurable } && !isMemoryOnly
        let isDiskLow = lookAtDisk()?.isLow ?? false
        try write(synced: synced) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            for ((batch, isDurable), payload) in zip(batches, payloads) {
                if isDurable && isMemoryOnly {
                    // A receipt that a power cut, or a mere restart, would make a lie.
                    answers.append(.failure(Self.refusal("SPOOL_MEMORY_ONLY", "append to the spool: there is no disk")))
                    continue
                }
                let cost = payload.count + SpoolLimits.rowOverheadByteCount
                let contained = try contains(batch)
                if !contained, byteCount + cost > configuration.spoolByteCountMax {
                    answers.append(
                        .failure(Self.refusal(Self.spoolFullCode, "append to the spool: its limit is reached"))
                    )
                    continue
                }
                if !contained, isDiskLow {
                    answers.append(.failure(Self.diskLow))
                    continue
                }
                if !contained {
                    let content = SpoolRow.Content(batch)
                    try insert(content, payload: payload)
                    if let position = batch.batch.position { try keep(position, lane: batch.lane.rawValue) }
                    if batch.wasSent { try noteSent(batch.lane, batch.stream, through: batch.sequence) }
                    added.append((batch, connection.lastInsertRowID, payload.count, content.clockIsKnown))
                    byteCount += cost
                }
                answers.append(.success(()))
            }
            return .commit(())
        }
        for row in added {
            rowAdded(row.batch, id: row.id, byteCount: row.byteCount)
            if !row.clockIsKnown { guessedRows.append(row.id) }
            if row.batch.wasSent { sentThrough(row.batch.lane, row.batch.stream, row.batch.sequence) }
        }
        guessedRows.removeFirst(max(0, guessedRows.count - SpoolLimits.guessedRowCountMax))
        return answers
    }

    /// The bytes that stand for a payload in its row.
    static func stored(_ payload: [UInt8]) -> [UInt8] {
        payload.withUnsafeBufferPointer { SpoolPayload.packed($0) } ?? payload
    }

    static func refusal(_ code: String, _ sentence: String) -> SinkError {
        SinkError(.transient, code: code, sentence)
    }

    /// Whether a batch of this name is there, by itself or in one that took it in: what is inside never changes under a
    /// name, so nothing is left to do.
    private func contains(_ batch: SpooledBatch) throws(SQLiteError) -> Bool {
        var isThere = false
        try connection.query(
            "SELECT first_sequence FROM spool WHERE lane = ?1 AND stream = ?2 AND sequence >= ?3 ORDER BY sequence LIMIT 1"
        ) { statement in
            statement.bind(1, batch.lane.rawValue)
            statement.bind(2, batch.stream.signed)
            statement.bind(3, batch.sequence)
        } row: { row in
            isThere = row.integer(0) <= batch.sequence
            return false
        }
        return isThere
    }

    /// Puts other content in the place of a row, inside a transaction.
    func replaceRow(_ id: Int64, by content: SpoolRow.Content, payload: [UInt8]) throws(SQLiteError) {
        try connection.run("DELETE FROM spool WHERE id = ?1") { $0.bind(1, id) }
        try insert(content, payload: payload, id: id)
    }

    /// Writes a row; with an `id`, in the place that one had in the order of draining.
    func insert(_ content: SpoolRow.Content, payload: [UInt8], id: Int64? = nil) throws(SQLiteError) {
        try payload.withUnsafeBufferPointer { payload throws(SQLiteError) in
            var lane = content.lane.rawValue
            let checksum = lane.withUTF8 { lane in
                SpoolRow.checksum(
                    lane: lane,
                    stream: content.stream,
                    firstSequence: content.firstSequence,
                    sequence: content.sequence,
                    recordCount: Int64(content.recordCount),
                    seriesCount: Int64(content.seriesCount),
                    payload: payload
                )
            }
            try connection.run(
                """
                INSERT INTO spool (lane, stream, first_sequence, sequence, record_count, series_count, byte_count,
                    window_start, window_end, checksum, payload, id)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
                """
            ) { statement in
                statement.bind(1, content.lane.rawValue)
                statement.bind(2, content.stream.signed)
                statement.bind(3, content.firstSequence)
                statement.bind(4, content.sequence)
                statement.bind(5, content.recordCount)
                statement.bind(6, content.seriesCount)
                statement.bind(7, payload.count)
                statement.bind(8, content.windowStart)
                statement.bind(9, content.windowEnd)
                statement.bind(10, Int64(bitPattern: checksum))
                statement.bind(11, blob: payload)
                if let id { statement.bind(12, id) }
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
                guard row.isSound, let batch = row.batch else {
                    damagedIDs.append(row.id)
                    return damagedIDs.count < 64
                }
                // How large it is unpacked shows only now; the next head begins with it.
                guard batches.isEmpty || byteCount + batch.payload.count <= byteCountMax else { return false }
                if batches.isEmpty { firstSequence = row.firstSequence }
                byteCount += batch.payload.count
                batches.append(
                    SpooledBatch(lane: lane, stream: stream, sequence: row.sequence, batch: batch, wasSent: true)
                )
                return byteCount < byteCountMax
            }
            for id in damagedIDs { try deadLetterRow(id, reason: "checksum does not match: damaged on disk") }
            if !damagedIDs.isEmpty { try load() }
            if let last = batches.last {
                markSent(lane, stream, through: last.sequence)
                return SpoolHead(stream: stream, previous: firstSequence - 1, batches: batches)
            }
            // Each round took at least one row away, or the counters were wrong and are counted anew.
            if damagedIDs.isEmpty { try load() }
            if damagedIDs.isEmpty, firstStream(of: lane) == stream {
                throw SQLiteError(attempt: "read the head of the spool", code: .corrupt)
            }
        }
        return nil
    }

    func remove(lane: Lane, stream: StreamID, through sequence: Int64) throws(SQLiteError) {
        if try putOffRemoval(Removal(lane: lane, stream: stream, through: sequence)) {
            restartCompactionIfEmptied()
            return
        }
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
            try forgetSentIfEmpty(lane, stream)
            return .commit(())
        }
        try rowsRemoved(
            lane: lane,
            stream: stream,
            batchCount: batchCount,
            recordCount: recordCount,
            byteCount: byteCount
        )
        restartCompactionIfEmptied()
    }

    /// A count read back from disk, kept from overflowing a sum should it be damaged.
    static func bounded(_ value: Int64) -> Int { Int(min(max(0, value), 1 << 42)) }
}
