internal import JSONBytes
internal import LogModel
internal import Ports
internal import PostgresClient

/// How long a row of `aggregated_logs` counts for. Ten minutes say well enough when something happened, and a pattern that
/// never stops makes at most 144 rows a day.
package let bucketDuration: Duration = .seconds(600)

/// Turns series of batches into columns and stores them with one upsert for each portion.
///
/// Bounds: at most ``seriesCountMax`` series and about ``byteCountMax`` bytes are held at a time; libpq holds them once more
/// while it sends.
struct PatternWriter {
    /// Past this a larger statement is no faster (4.5 ms for 100 series, 296 ms for 5,000), it only takes more memory at both ends.
    static let seriesCountMax = 2000
    static let byteCountMax = 256 * 1024
    /// For source, host, tenant and dashboard each. They stand in one index, whose rows PostgreSQL limits to 2704 bytes
    /// (BTMaxItemSize); a longer one is cut, so that no sender can make a batch that cannot be stored.
    static let identityByteCountMax = 512

    static let statementName = "upsert_patterns"
    static let claimingStatementName = "claim_and_upsert_patterns"
    static let briefStatementName = "claim_and_count_patterns"
    static let mergeStatementName = "merge_patterns"

    /// $1 is merged into $2, whose template is $3. What had been merged into $1 follows; the survivor is merged into nothing.
    static let mergeStatement = """
        WITH followed AS (
            UPDATE pattern_merges SET to_id = $2::bigint, message_pattern = $3::text, merged_at = now()
            WHERE to_id = $1::bigint AND from_id <> $2::bigint
        ), freed AS (
            DELETE FROM pattern_merges WHERE from_id = $2::bigint
        )
        INSERT INTO pattern_merges AS stored (from_id, to_id, message_pattern)
        VALUES ($1::bigint, $2::bigint, $3::text)
        ON CONFLICT (from_id) DO UPDATE SET
            to_id = EXCLUDED.to_id, message_pattern = EXCLUDED.message_pattern, merged_at = now()
        """

    /// The upsert alone, for a span that takes several.
    static let statement = upsert(condition: "")

    /// Claim and upsert in one statement, which is a transaction of its own: one way to the server and back where four
    /// would be needed. Nothing is upserted unless the claim got the row; the answer says whether it did.
    ///
    /// $22 is the stream, $23 what must not have been passed, $24 what is applied then, $25 how far the journal is counted.
    static let claimingStatement = claiming(
        stream: 22,
        upsert(condition: "WHERE EXISTS (SELECT FROM claim)")
    )

    /// The same for series of which the server has all but the counts and dates, each once: no sums, no documents, half the
    /// server's time. A row that is gone is made again.
    static let briefStatement = claiming(
        stream: 14,
        """
        INSERT INTO aggregated_logs AS stored (
            pattern_id, bucket, level, source, host, tenant, dashboard, node_id,
            message_pattern, count, first_seen, last_seen, clock_guessed)
        SELECT
            d.pattern_id, d.bucket, d.level, d.source, d.host, d.tenant, d.dashboard, $1::uuid,
            d.message_pattern, d.count, d.first_seen, d.last_seen, d.clock_guessed
        FROM unnest(
            $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::bigint[], $11::timestamptz[], $12::timestamptz[], $13::bool[]
        ) AS d (
            pattern_id, bucket, level, source, host, tenant, dashboard, message_pattern,
            count, first_seen, last_seen, clock_guessed)
        WHERE EXISTS (SELECT FROM claim)
        ON CONFLICT (pattern_id, bucket, level, source, host, tenant, dashboard, node_id) DO UPDATE SET
            count = coalesce(stored.count, 0) + EXCLUDED.count,
            first_seen = least(stored.first_seen, EXCLUDED.first_seen),
            last_seen = greatest(stored.last_seen, EXCLUDED.last_seen),
            clock_guessed = stored.clock_guessed OR EXCLUDED.clock_guessed
        """
    )

    /// `upsert` behind the claim of the span whose four parameters begin with `stream`.
    private static func claiming(stream: Int, _ upsert: String) -> String {
        """
        WITH claim AS (
            INSERT INTO delivery_progress (node_id, stream, applied, positions)
            VALUES ($1::uuid, $\(stream)::bigint, $\(stream + 2)::bigint, $\(stream + 3)::text::jsonb)
            ON CONFLICT (node_id, stream) DO UPDATE
            SET applied = EXCLUDED.applied, positions = EXCLUDED.positions, updated_at = now()
            WHERE delivery_progress.applied <= $\(stream + 1)::bigint
            RETURNING 1
        ), upserted AS (
        \(upsert)
            RETURNING 1
        )
        SELECT count(*) FROM claim
        """
    }

    /// $1 is the node, the others are arrays of one length. Sorted, so that two writers lock rows in one order and cannot
    /// deadlock. Series of one key are summed first, as a statement may touch a row only once.
    private static func upsert(condition: String) -> String {
        """
        INSERT INTO aggregated_logs AS stored (
            pattern_id, bucket, level, source, host, tenant, dashboard, node_id,
            message_pattern, count, first_seen, last_seen, metadata, sample_messages,
            latency_count, latency_sum, latency_min, latency_max, category, tags, clock_guessed)
        SELECT
            d.pattern_id, d.bucket, d.level, d.source, d.host, d.tenant, d.dashboard, $1::uuid,
            min(d.message_pattern), sum(d.count)::bigint, min(d.first_seen), max(d.last_seen),
            ((array_agg(d.metadata ORDER BY d.position DESC) FILTER (WHERE d.metadata IS NOT NULL))[1])::jsonb,
            ((array_agg(d.samples ORDER BY d.position) FILTER (WHERE d.samples IS NOT NULL))[1])::jsonb,
            sum(d.latency_count)::bigint, sum(d.latency_sum), min(d.latency_min), max(d.latency_max),
            min(d.category), min(d.tags)::text[],
            bool_or(d.clock_guessed)
        FROM unnest(
            $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::bigint[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::text[],
            $15::bigint[], $16::float8[], $17::float8[], $18::float8[], $19::text[], $20::text[], $21::bool[]
        ) WITH ORDINALITY AS d (
            pattern_id, bucket, level, source, host, tenant, dashboard, message_pattern,
            count, first_seen, last_seen, metadata, samples,
            latency_count, latency_sum, latency_min, latency_max, category, tags, clock_guessed, position)
        \(condition)
        GROUP BY d.pattern_id, d.bucket, d.level, d.source, d.host, d.tenant, d.dashboard
        ORDER BY d.pattern_id, d.bucket, d.level, d.source, d.host, d.tenant, d.dashboard
        ON CONFLICT (pattern_id, bucket, level, source, host, tenant, dashboard, node_id) DO UPDATE SET
            count = coalesce(stored.count, 0) + EXCLUDED.count,
            first_seen = least(stored.first_seen, EXCLUDED.first_seen),
            last_seen = greatest(stored.last_seen, EXCLUDED.last_seen),
            metadata = CASE
                WHEN EXCLUDED.metadata IS NULL THEN stored.metadata
                WHEN jsonb_typeof(stored.metadata) IS DISTINCT FROM 'object' THEN EXCLUDED.metadata
                WHEN pg_column_size(stored.metadata) < 4096 THEN stored.metadata || EXCLUDED.metadata
                ELSE stored.metadata
            END,
            sample_messages = CASE
                WHEN EXCLUDED.sample_messages IS NULL THEN stored.sample_messages
                WHEN jsonb_typeof(stored.sample_messages) IS DISTINCT FROM 'array' THEN EXCLUDED.sample_messages
                WHEN jsonb_array_length(stored.sample_messages) >= 5 THEN stored.sample_messages
                ELSE (
                    SELECT jsonb_agg(s.message ORDER BY s.position)
                    FROM jsonb_array_elements(stored.sample_messages || EXCLUDED.sample_messages)
                        WITH ORDINALITY AS s (message, position)
                    WHERE s.position <= 5)
            END,
            latency_count = coalesce(stored.latency_count + EXCLUDED.latency_count,
                stored.latency_count, EXCLUDED.latency_count),
            latency_sum = coalesce(stored.latency_sum + EXCLUDED.latency_sum, stored.latency_sum, EXCLUDED.latency_sum),
            latency_min = least(stored.latency_min, EXCLUDED.latency_min),
            latency_max = greatest(stored.latency_max, EXCLUDED.latency_max),
            category = coalesce(stored.category, EXCLUDED.category),
            tags = coalesce(stored.tags, EXCLUDED.tags),
            clock_guessed = stored.clock_guessed OR EXCLUDED.clock_guessed
        """
    }

    private var patternID = ArrayColumn(.int8)
    private var bucket = ArrayColumn(.timestamptz)
    private var level = ArrayColumn(.text)
    private var source = ArrayColumn(.text)
    private var host = ArrayColumn(.text)
    private var tenant = ArrayColumn(.text)
    private var dashboard = ArrayColumn(.text)
    private var pattern = ArrayColumn(.text)
    private var count = ArrayColumn(.int8)
    private var firstSeen = ArrayColumn(.timestamptz)
    private var lastSeen = ArrayColumn(.timestamptz)
    private var metadata = ArrayColumn(.text)
    private var samples = ArrayColumn(.text)
    private var latencyCount = ArrayColumn(.int8)
    private var latencySum = ArrayColumn(.float8)
    private var latencyMinimum = ArrayColumn(.float8)
    private var latencyMaximum = ArrayColumn(.float8)
    private var category = ArrayColumn(.text)
    private var tags = ArrayColumn(.text)
    private var clockGuessed = ArrayColumn(.bool)
    private var parameters = QueryParameters()
    private var json = JSONWriter()
    private var known = KnownSeries()

    /// Whether the portion should be stored before another series is added.
    private var isFull: Bool {
        patternID.count >= Self.seriesCountMax
            || samples.byteCount + metadata.byteCount + pattern.byteCount >= Self.byteCountMax
    }

    /// Why a batch was not stored.
    enum Failure: Error {
        case server(PostgresError)
        case format(BatchFormatError)
    }

    /// Stores all series and merges of `batches` within the transaction that `connection` is in.
    mutating func write(_ batches: [Batch], of node: NodeID, _ connection: Connection) throws(Failure) {
        try write(0..<Int.max, of: batches, node, connection)
        for batch in batches {
            let merges: [TemplateMerge]
            do throws(BatchFormatError) {
                merges = try BatchReader.merges(in: batch)
            } catch {
                throw .format(error)
            }
            for merge in merges { try write(merge, connection) }
        }
    }

    /// Stores the series whose places, counted over all `batches`, are in `places`.
    mutating func write(
        _ places: Range<Int>,
        of batches: [Batch],
        _ node: NodeID,
        _ connection: Connection
    ) throws(Failure) {
        removeAll()
        var place = 0
        for batch in batches {
            var failure: PostgresError?
            do throws(BatchFormatError) {
                try BatchReader.forEachSeries(in: batch) { header, series in
                    defer { place += 1 }
                    guard failure == nil, places.contains(place) else { return }
                    add(series, header)
                    guard isFull else { return }
                    do throws(PostgresError) {
                        try flush(node, connection)
                    } catch {
                        failure = error
                    }
                }
            } catch {
                throw .format(error)
            }
            if let failure { throw .server(failure) }
        }
        do throws(PostgresError) {
            if patternID.count > 0 { try flush(node, connection) }
        } catch {
            throw .server(error)
        }
    }

    /// Rows counted under `from` belong to `to` from now on, and so does whatever was merged into `from` before.
    func write(_ merge: TemplateMerge, _ connection: Connection) throws(Failure) {
        guard merge.from != merge.to else { return }
        var parameters = QueryParameters()
        parameters.append(Int64(bitPattern: merge.from))
        parameters.append(Int64(bitPattern: merge.to))
        parameters.append(String(decoding: merge.template, as: UTF8.self))
        do throws(PostgresError) {
            _ = try connection.execute(prepared: Self.mergeStatementName, parameters, action: "record a merge")
        } catch {
            throw .server(error)
        }
    }

    /// Whether the batches are sure to fit one statement. Names and samples are bounded by the payload they come from.
    static func fitsOneStatement(_ batches: [Batch]) -> Bool {
        batches.reduce(0) { $0 + $1.seriesCount } < seriesCountMax
            && batches.reduce(0) { $0 + $1.payload.count } < byteCountMax && !batches.contains(where: hasMerges)
    }

    /// How far replayable sources are counted with these batches, of which one at most says so: JSON, or NULL.
    static func appendPositions(of batches: [Batch], to parameters: inout QueryParameters) {
        if let position = batches.last(where: { $0.position != nil })?.position {
            parameters.append(String(decoding: position.text, as: UTF8.self))
        } else {
            parameters.appendNull(.text)
        }
    }

    /// Merges take statements of their own. A batch that cannot be read has none: it fails later, as poison.
    private static func hasMerges(_ batch: Batch) -> Bool {
        batch.payload.withUnsafeBufferPointer { bytes in (try? BatchReader(bytes))?.mergeCount ?? 0 > 0 }
    }

    /// Claims the span and stores all series of `batches`, in one statement; false when the span was claimed before and
    /// nothing was done. The statement is its own transaction: a lost connection leaves it undecided.
    mutating func claimAndWrite(
        _ batches: [Batch],
        of node: NodeID,
        _ span: BatchSpan,
        _ connection: Connection
    ) throws(Failure) -> Bool {
        removeAll()
        known.begin()
        for batch in batches {
            do throws(BatchFormatError) {
                try BatchReader.forEachSeries(in: batch) { header, series in
                    let isComplete = known.isComplete(series, bucket: Self.bucketStart(header.windowStart))
                    add(series, header, isBrief: isComplete)
                }
            } catch {
                throw .format(error)
            }
        }
        let isBrief = known.isBrief
        appendParameters(node, isBrief: isBrief)
        parameters.append(span.stream.signed)
        parameters.append(span.previous)
        parameters.append(span.last)
        Self.appendPositions(of: batches, to: &parameters)
        defer { parameters.removeAll() }
        do throws(PostgresError) {
            let result = try connection.execute(
                prepared: isBrief ? Self.briefStatementName : Self.claimingStatementName,
                parameters,
                action: "claim the span and upsert patterns"
            )
            known.committed()
            return result.integer(0, 0) == 1
        } catch {
            throw .server(error)
        }
    }

    /// Nothing that was learned of another session holds.
    mutating func sessionBegan() {
        known.forget()
    }

    /// `isBrief`: the server has the samples, and there are no attributes.
    private mutating func add(_ series: SeriesView, _ header: BatchReader, isBrief: Bool = false) {
        patternID.append(Int64(bitPattern: series.templateID))
        bucket.append(unixMicroseconds: Self.bucketStart(header.windowStart))
        let name = series.severity.name
        level.append(text: ByteView(start: name.utf8Start, count: name.utf8CodeUnitCount))
        source.append(text: Self.identity(series.source))
        host.append(text: Self.identity(series.host))
        tenant.append(text: Self.identity(series.tenant))
        dashboard.append(text: Self.identity(series.dashboard))
        pattern.append(text: series.template)
        count.append(Int64(series.count))
        firstSeen.append(unixMicroseconds: series.firstSeen.microseconds)
        lastSeen.append(unixMicroseconds: series.lastSeen.microseconds)
        appendMetadata(isBrief ? [] : series.attributes)
        appendSamples(isBrief ? [] : series.samples)
        if let latency = series.latency {
            latencyCount.append(Int64(latency.count))
            latencySum.append(latency.sum)
            latencyMinimum.append(latency.minimum)
            latencyMaximum.append(latency.maximum)
        } else {
            latencyCount.appendNull()
            latencySum.appendNull()
            latencyMinimum.appendNull()
            latencyMaximum.appendNull()
        }
        append(series.classification)
        clockGuessed.append(!header.clockIsKnown)
    }

    /// The names are ours and hold nothing that an array's text would have to quote.
    private mutating func append(_ classification: Classification) {
        let name = classification.category.name
        category.append(text: ByteView(start: name.utf8Start, count: name.utf8CodeUnitCount))
        if classification.tags.isEmpty { return tags.appendNull() }
        tags.append(text: Array("{\(classification.tags.wordList.map { "\($0)" }.joined(separator: ","))}".utf8))
    }

    private mutating func appendMetadata(_ attributes: [AttributeSummaryView]) {
        if attributes.isEmpty { return metadata.appendNull() }
        json.reset()
        json.beginObject()
        for attribute in attributes {
            json.member(attribute)
        }
        json.endObject()
        metadata.append(text: json.bytes)
    }

    private mutating func appendSamples(_ messages: [ByteView]) {
        if messages.isEmpty { return samples.appendNull() }
        json.reset()
        json.beginArray()
        for message in messages { json.string(bytes: message) }
        json.endArray()
        samples.append(text: json.bytes)
    }

    private mutating func flush(_ node: NodeID, _ connection: Connection) throws(PostgresError) {
        appendParameters(node)
        _ = try connection.execute(prepared: Self.statementName, parameters, action: "upsert patterns")
        parameters.removeAll()
    }

    /// Moves the columns into `parameters`, the node before them.
    private mutating func appendParameters(_ node: NodeID, isBrief: Bool = false) {
        parameters.removeAll()
        parameters.append(uuid: node.bytes)
        for column in [
            patternID, bucket, level, source, host, tenant, dashboard, pattern, count, firstSeen, lastSeen,
        ] {
            parameters.append(column)
        }
        if !isBrief {
            for column in [metadata, samples, latencyCount, latencySum, latencyMinimum, latencyMaximum, category, tags]
            {
                parameters.append(column)
            }
        }
        parameters.append(clockGuessed)
        removeAll()
    }

    private mutating func removeAll() {
        patternID.removeAll()
        bucket.removeAll()
        level.removeAll()
        source.removeAll()
        host.removeAll()
        tenant.removeAll()
        dashboard.removeAll()
        pattern.removeAll()
        count.removeAll()
        firstSeen.removeAll()
        lastSeen.removeAll()
        metadata.removeAll()
        samples.removeAll()
        latencyCount.removeAll()
        latencySum.removeAll()
        latencyMinimum.removeAll()
        latencyMaximum.removeAll()
        category.removeAll()
        tags.removeAll()
        clockGuessed.removeAll()
    }

    /// The start of the ten minutes that a window began in, in microseconds since 1970; rounds down before 1970 as well.
    static func bucketStart(_ windowStart: Timestamp) -> Int64 {
        let length = bucketDuration.components.seconds * 1_000_000
        let micros = windowStart.microseconds
        let remainder = micros % length
        return micros - (remainder < 0 ? remainder + length : remainder)
    }

    /// The text, cut at a scalar's edge when it is too long for the index.
    static func identity(_ text: ByteView) -> ByteView {
        guard text.count > identityByteCountMax else { return text }
        var end = identityByteCountMax
        while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
        return ByteView(rebasing: text[..<end])
    }
}
