internal import Delivery
internal import JSONBytes
internal import LogModel
internal import Ports
internal import SQLiteClient

// The embedded store: what PostgreSQL does for a batch, in the table of the same name.
extension SpoolStore {
    /// Rows are kept a ten-minute bucket each: enough to see when, and at most 144 rows a day for one pattern.
    private static let bucketMicroseconds: Int64 = 600_000_000
    /// Attribute summaries stop growing at this size, as in PostgreSQL.
    static let metadataByteCountMax = 4096
    static let sampleCountMax = 5

    /// Applies the span if nothing after `previous` was applied, in one synced transaction: its commit is a receipt.
    func apply(_ span: BatchSpan, _ batches: [Batch]) throws(SQLiteError) -> Result<SinkAnswer, SinkError> {
        typealias Answer = Result<SinkAnswer, SinkError>
        return try write(synced: !isMemoryOnly) { () throws(SQLiteError) -> Connection.Verdict<Answer> in
            let changed = try connection.run(
                """
                INSERT INTO delivery_progress (stream, applied, updated_at) VALUES (?1, ?2, ?4)
                ON CONFLICT (stream) DO UPDATE SET applied = excluded.applied, updated_at = excluded.updated_at
                WHERE delivery_progress.applied <= ?3
                """
            ) { statement in
                statement.bind(1, span.stream.signed)
                statement.bind(2, span.last)
                statement.bind(3, span.previous)
                statement.bind(4, configuration.now().microseconds)
            }
            guard changed == 1 else {
                return .rollback(.success(.alreadyApplied(through: try applied(span.stream))))
            }
            let writer = SeriesWriter(try connection.statement(SeriesWriter.sql))
            for batch in batches {
                let merges: [TemplateMerge]
                do throws(BatchFormatError) {
                    merges = try BatchReader.merges(in: batch)
                    try BatchReader.forEachSeries(in: batch) { header, series in writer.upsert(header, series) }
                } catch {
                    let sentence = "apply a batch to the embedded store: it cannot be decoded (\(error))"
                    return .rollback(.failure(SinkError(.poison, code: "BATCH_FORMAT", sentence)))
                }
                if let failure = writer.failure { throw failure }
                try store(merges)
                if let position = batch.position { try keep(position, lane: Lane.store.rawValue) }
            }
            return .commit(.success(.applied))
        }
    }

    /// Rows counted under `from` belong to `to` from now on, and so does whatever was merged into `from` before.
    private func store(_ merges: [TemplateMerge]) throws(SQLiteError) {
        for merge in merges where merge.from != merge.to {
            for sql in [
                "UPDATE pattern_merges SET to_id = ?2, message_pattern = ?3 WHERE to_id = ?1",
                "INSERT INTO pattern_merges (from_id, to_id, message_pattern) VALUES (?1, ?2, ?3) "
                    + "ON CONFLICT (from_id) DO UPDATE SET to_id = excluded.to_id, message_pattern = excluded.message_pattern",
                // The survivor is merged into nothing.
                "DELETE FROM pattern_merges WHERE from_id = ?2",
            ] {
                try connection.run(sql) { statement in
                    merge.template.withUnsafeBufferPointer { text in
                        if sql.contains("?1") { statement.bind(1, Int64(bitPattern: merge.from)) }
                        statement.bind(2, Int64(bitPattern: merge.to))
                        if sql.contains("?3") { statement.bind(3, text: text) }
                    }
                }
            }
        }
    }

    private func applied(_ stream: StreamID) throws(SQLiteError) -> Int64 {
        var applied: Int64 = 0
        try connection.query("SELECT applied FROM delivery_progress WHERE stream = ?1") { statement in
            statement.bind(1, stream.signed)
        } row: { row in
            applied = row.integer(0)
            return false
        }
        return applied
    }

    /// Forgets streams that stood still for a day: a request with a key is remembered as long (`RequestKeys`).
    func forgetStreams(except live: [StreamID]) throws(SQLiteError) {
        let dayAgo = configuration.now().microseconds - 86_400_000_000
        try write(synced: false) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            var dead: [Int64] = []
            try connection.query("SELECT stream FROM delivery_progress WHERE updated_at < ?1") {
                $0.bind(1, dayAgo)
            } row: { row in
                let stream = StreamID(rawValue: UInt64(bitPattern: row.integer(0)))
                if !live.contains(stream) { dead.append(stream.signed) }
                return true
            }
            for stream in dead {
                try connection.run("DELETE FROM delivery_progress WHERE stream = ?1") { $0.bind(1, stream) }
            }
            return .commit(())
        }
    }

    // MARK: Retention

    /// One portion: deletes the oldest rows past the age, else the oldest if the store is too large. Returns how many; 0
    /// when there is nothing left to do.
    func deleteOldPatterns(age: Duration, byteCountMax: Int, now: Timestamp) throws(SQLiteError) -> Int {
        let cutoff = now.microseconds - Int64(clamping: Int(age / .microseconds(1)))
        var count = try deletePatterns(where: "last_seen < \(cutoff)")
        if count == 0, try storeByteCount() > (isMemoryOnly ? min(byteCountMax, Self.memoryStoreMax) : byteCountMax) {
            count = try deletePatterns(where: "1")
        }
        retentionDeleted(count)
        return count
    }

    private static let memoryStoreMax = SpoolLimits.memoryByteCountMax / 2

    private func deletePatterns(where condition: String) throws(SQLiteError) -> Int {
        try write(synced: false) { () throws(SQLiteError) -> Connection.Verdict<Int> in
            .commit(
                try connection.run(
                    """
                    DELETE FROM aggregated_logs WHERE id IN (SELECT id FROM aggregated_logs WHERE \(condition)
                    ORDER BY last_seen LIMIT \(SpoolLimits.retentionRowCount))
                    """
                )
            )
        }
    }

    /// Bytes of used pages less what the spool and the dead letters hold: an estimate, right to some percent.
    private func storeByteCount() throws(SQLiteError) -> Int {
        let pages = try connection.integer("PRAGMA page_count") - connection.integer("PRAGMA freelist_count")
        let bytes = try Int(pages * connection.integer("PRAGMA page_size"))
        return bytes - spooledByteCount - status.deadLetterByteCount
    }

    /// Gives some free pages back when the file has many that nothing is about to reuse. Whether there is more to do.
    ///
    /// While batches are still spooled their pages are kept: giving them back would move others, which is writing.
    func vacuumStep() throws(SQLiteError) -> Bool {
        guard !isMemoryOnly, spooledByteCount == 0 else { return false }
        let free = Int(try connection.integer("PRAGMA freelist_count"))
        guard free > SpoolLimits.freePageCountKept else { return false }
        let step = min(free - SpoolLimits.freePageCountKept / 2, SpoolLimits.vacuumPageCount)
        try connection.execute("PRAGMA incremental_vacuum(\(step))")
        let left = Int(try connection.integer("PRAGMA freelist_count"))
        guard left > SpoolLimits.freePageCountKept, left < free else {
            // The file itself shrinks when the WAL is copied into it.
            checkpointAll()
            return false
        }
        return true
    }
}

/// Writes series with one prepared statement and one pair of reused buffers.
final class SeriesWriter {
    private let statement: Statement
    private var metadata = JSONWriter(byteCountEstimate: 4096)
    private var samples = JSONWriter(byteCountEstimate: 4096)
    private var tags = JSONWriter(byteCountEstimate: 256)
    /// The first failure; nothing is written after it.
    private(set) var failure: SQLiteError?

    init(_ statement: Statement) {
        self.statement = statement
    }

    /// Adds counts, widens times, keeps the first five samples, and lets a newer attribute summary replace the older one
    /// of the same key while the whole is small: what `||` on jsonb does in PostgreSQL. json_valid guards against text
    /// damaged on disk, which must not stop delivery.
    static let sql = """
        INSERT INTO aggregated_logs (message_pattern, count, level, source, first_seen, last_seen, pattern_id, host, tenant,
            dashboard, bucket, latency_count, latency_sum, latency_min, latency_max, clock_guessed, metadata,
            sample_messages, category, tags)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
        ON CONFLICT (pattern_id, bucket, level, source, host, tenant, dashboard) DO UPDATE SET
            count = count + excluded.count,
            first_seen = min(first_seen, excluded.first_seen),
            last_seen = max(last_seen, excluded.last_seen),
            latency_count = latency_count + excluded.latency_count,
            latency_sum = CASE WHEN excluded.latency_count = 0 THEN latency_sum
                ELSE coalesce(latency_sum, 0) + excluded.latency_sum END,
            latency_min = CASE WHEN excluded.latency_min IS NULL OR latency_min <= excluded.latency_min
                THEN latency_min ELSE excluded.latency_min END,
            latency_max = CASE WHEN excluded.latency_max IS NULL OR latency_max >= excluded.latency_max
                THEN latency_max ELSE excluded.latency_max END,
            clock_guessed = max(clock_guessed, excluded.clock_guessed),
            metadata = CASE
                WHEN excluded.metadata = '{}' THEN metadata
                WHEN metadata = '{}' OR NOT json_valid(metadata) THEN excluded.metadata
                WHEN metadata = excluded.metadata THEN metadata
                ELSE (SELECT CASE WHEN length(CAST(merged AS BLOB)) < \(SpoolStore.metadataByteCountMax)
                        THEN merged ELSE aggregated_logs.metadata END
                    FROM (SELECT json_group_object(key, json(value)) AS merged FROM (
                        SELECT key, value FROM json_each(aggregated_logs.metadata)
                            WHERE key NOT IN (SELECT key FROM json_each(excluded.metadata))
                        UNION ALL SELECT key, value FROM json_each(excluded.metadata)))) END,
            sample_messages = CASE
                WHEN excluded.sample_messages = '[]' THEN sample_messages
                WHEN NOT json_valid(sample_messages) THEN excluded.sample_messages
                WHEN json_array_length(sample_messages) >= \(SpoolStore.sampleCountMax) THEN sample_messages
                ELSE (SELECT json_group_array(value) FROM (
                    SELECT value FROM json_each(aggregated_logs.sample_messages)
                    UNION ALL SELECT value FROM json_each(excluded.sample_messages)
                    LIMIT \(SpoolStore.sampleCountMax))) END
        """

    func upsert(_ header: BatchReader, _ series: SeriesView) {
        guard failure == nil else { return }
        writeSamples(series.samples)
        writeMetadata(series.attributes)
        writeTags(series.classification.tags)
        let category = series.classification.category.name
        let level = series.severity.name
        samples.bytes.withUnsafeBufferPointer { samples in
            metadata.bytes.withUnsafeBufferPointer { metadata in
                statement.bind(1, text: series.template)
                statement.bind(2, series.count)
                statement.bind(3, text: ByteView(start: level.utf8Start, count: level.utf8CodeUnitCount))
                statement.bind(4, text: series.source)
                statement.bind(5, series.firstSeen.microseconds)
                statement.bind(6, series.lastSeen.microseconds)
                statement.bind(7, Int64(bitPattern: series.templateID))
                statement.bind(8, text: series.host)
                statement.bind(9, text: series.tenant)
                statement.bind(10, text: series.dashboard)
                statement.bind(11, SpoolStore.bucket(of: header.windowStart))
                statement.bind(12, series.latency?.count ?? 0)
                if let latency = series.latency {
                    statement.bind(13, latency.sum)
                    statement.bind(14, latency.minimum)
                    statement.bind(15, latency.maximum)
                }
                statement.bind(16, header.clockIsKnown ? 0 : 1)
                statement.bind(17, text: metadata)
                statement.bind(18, text: samples)
                statement.bind(19, text: ByteView(start: category.utf8Start, count: category.utf8CodeUnitCount))
                tags.bytes.withUnsafeBufferPointer { statement.bind(20, text: $0) }
                do throws(SQLiteError) {
                    while try statement.step() {}
                } catch {
                    failure = error
                }
                statement.reset()
            }
        }
    }

    private func writeTags(_ set: Classification.Tags) {
        tags.reset()
        tags.beginArray()
        for name in set.wordList { tags.string(static: name) }
        tags.endArray()
    }

    private func writeSamples(_ views: [ByteView]) {
        samples.reset()
        samples.beginArray()
        for view in views.prefix(SpoolStore.sampleCountMax) { samples.string(bytes: view) }
        samples.endArray()
    }

    /// Keys that would go past the size are left out: a summary is a help, never a reason to fail.
    private func writeMetadata(_ attributes: [AttributeSummaryView]) {
        metadata.reset()
        metadata.beginObject()
        var byteCount = 2
        for attribute in attributes {
            // 112 bytes for the names, brackets and figures of a key, 24 for those around a value and its count.
            let cost = attribute.values.reduce(attribute.key.count + 112) { $0 + $1.value.count + 24 }
            guard byteCount + cost < SpoolStore.metadataByteCountMax else { continue }
            byteCount += cost
            metadata.member(attribute)
        }
        metadata.endObject()
    }
}

extension SpoolStore {
    /// The start of the ten minutes that hold `time`, in microseconds; rounds down before 1970 too.
    static func bucket(of time: Timestamp) -> Int64 {
        let microseconds = time.microseconds
        let rest = microseconds % bucketMicroseconds
        return microseconds - (rest < 0 ? rest + bucketMicroseconds : rest)
    }
}
