internal import BlockingExecutor
internal import Delivery
internal import LogModel
package import Ports
internal import PostgresClient

/// Answers questions about what PostgreSQL holds, on a session and a thread ("postgres-read") of its own, so that a long
/// question never holds up writing.
///
/// The session is opened by the first question. With `poolMax` of two or more it is kept for the next one, and renewed when
/// it was idle for a minute; below that it is closed after each answer. A kept session that turns out to be over says nothing
/// of the server as it is now: the question is asked once more, on a new one. Puts no schema in place: the sink does.
package final class PostgresReader: PatternReader {
    private let thread = BlockingThread(name: "postgres-read")
    private let session: ReadSession
    private let lifeline = Lifeline()

    package init(_ settings: PostgresSettings) {
        session = ReadSession(settings, lifeline)
    }

    package func patterns(
        _ query: PatternQuery,
        completion: @escaping @Sendable (Result<[PatternRow], SinkError>) -> Void
    ) {
        thread.perform { [session] in
            completion(Result { () throws(SinkError) in try session.patterns(query) })
        }
    }

    package func status(completion: @escaping @Sendable (Result<StoreStatus, SinkError>) -> Void) {
        thread.perform { [session] in
            completion(Result { () throws(SinkError) in try session.status() })
        }
    }

    /// Closes the session if no question came for a minute; for a periodic task of the daemon.
    package func closeWhenIdle() {
        thread.perform { [session] in session.closeWhenIdle() }
    }

    /// Nothing is answered after this; `completion` of a later call is never called.
    package func close(completion: @escaping @Sendable () -> Void) {
        thread.perform { [session] in
            session.disconnect()
            completion()
        }
        thread.close()
    }
}

extension PostgresReader: Pingable {
    package var threadName: String { "postgres-read" }
    package var silenceMax: Duration { lifeline.silenceMax }
    package var signOfLifeCount: Int { lifeline.signCount }

    package func ping(_ answer: @escaping @Sendable () -> Void) {
        thread.perform(answer)
    }
}

/// `@unchecked Sendable`: after `init` it is touched by the thread "postgres-read" alone.
private final class ReadSession: @unchecked Sendable {
    private static let idleTimeMax: Duration = .seconds(60)

    private let settings: PostgresSettings
    private let lifeline: Lifeline
    private var connection: Connection?
    private var lastUse = ContinuousClock.now

    init(_ settings: PostgresSettings, _ lifeline: Lifeline) {
        self.settings = settings
        self.lifeline = lifeline
    }

    func patterns(_ query: PatternQuery) throws(SinkError) -> [PatternRow] {
        let statement = Self.statement(query)
        return try ask { connection throws(PostgresError) in
            let result = try connection.execute(statement.text, statement.parameters, action: "read patterns")
            var rows: [PatternRow] = []
            for row in 0..<result.rowCount {
                rows.append(
                    PatternRow(
                        patternID: result.integer(row, 0) ?? 0,
                        pattern: result.text(row, 1) ?? "",
                        level: result.text(row, 2) ?? "",
                        source: result.text(row, 3) ?? "",
                        count: Int(result.integer(row, 4) ?? 0),
                        firstSeen: Self.stamp(result.integer(row, 5)),
                        lastSeen: Self.stamp(result.integer(row, 6)),
                        samples: result.text(row, 7) ?? "[]"
                    )
                )
            }
            return rows
        }
    }

    func status() throws(SinkError) -> StoreStatus {
        try ask { connection throws(PostgresError) in
            let start = ContinuousClock.now
            _ = try connection.run("SELECT 1", action: "ask for a sign of life")
            let version = connection.serverVersion.prefix { $0 != " " }
            return StoreStatus(serverVersion: String(version), latency: ContinuousClock.now - start)
        }
    }

    /// Asks on the kept session, or on a new one when there is none or it ended meanwhile.
    private func ask<Answer>(
        _ question: (Connection) throws(PostgresError) -> Answer
    ) throws(SinkError) -> Answer {
        closeWhenIdle()
        lastUse = ContinuousClock.now
        defer { settle() }
        do throws(PostgresError) {
            if let kept = connection, kept.isUsable {
                do throws(PostgresError) {
                    return try question(kept)
                } catch {
                    // No second time for one that waited in vain: its patience is spent.
                    guard error.endsConnection, error.kind != .timeout else { throw error }
                }
            }
            connection = nil
            let fresh = try Connection(settings.connectionParameters(lifeline))
            _ = try fresh.run("SET default_transaction_read_only = on", action: "begin a read-only session")
            connection = fresh
            return try question(fresh)
        } catch {
            throw SinkError(error, .preparing)
        }
    }

    func closeWhenIdle() {
        if ContinuousClock.now - lastUse >= Self.idleTimeMax { disconnect() }
    }

    func disconnect() {
        connection = nil
    }

    private func settle() {
        if settings.poolMax < 2 || connection?.isUsable != true { disconnect() }
    }

    /// Microseconds since 1970 as PostgreSQL gave them, moved into what ``Timestamp`` can hold (years 1678 to 2262).
    private static func stamp(_ unixMicroseconds: Int64?) -> Timestamp {
        let limit = Int64.max / 1000
        return Timestamp(nanoseconds: min(max(unixMicroseconds ?? 0, -limit), limit) * 1000)
    }

    /// Levels at or above a severity, as our rows and those of other writers spell them, in upper case.
    static func levelNames(atOrAbove minimum: Severity) -> [String] {
        Severity.allCases.filter { $0 >= minimum }.flatMap { severity in
            switch severity {
            case .trace, .debug, .info, .notice: ["\(severity.name)"]
            case .warn: ["WARN", "WARNING"]
            case .error: ["ERROR", "ERR"]
            case .fatal: ["FATAL", "CRITICAL", "CRIT", "ALERT", "EMERG", "PANIC"]
            }
        }
    }

    /// The first four parameters are always there, NULL when nothing is asked of them: one text for every question.
    private static func statement(_ query: PatternQuery) -> (text: String, parameters: QueryParameters) {
        var parameters = QueryParameters()
        if let since = query.since {
            parameters.append(unixMicroseconds: since.microseconds)
        } else {
            parameters.appendNull(.timestamptz)
        }
        if let minimum = query.minimumSeverity {
            var names = ArrayColumn(.text)
            for name in levelNames(atOrAbove: minimum) { names.append(text: name.utf8) }
            parameters.append(names)
        } else {
            parameters.appendNull(.text)
        }
        for text in [query.source, query.search] {
            // A NUL cannot stand in a parameter, and no stored text holds one.
            if let text, !text.utf8.contains(0) { parameters.append(text) } else { parameters.appendNull(.text) }
        }
        parameters.append(Int64(min(max(query.limit, 1), 1000)))
        let order =
            switch query.order {
            case .count: "count DESC, last_seen DESC"
            case .lastSeen: "last_seen DESC, count DESC"
            case .firstSeen: "first_seen DESC, count DESC"
            }
        // `position` and not LIKE: what is searched for is text, so % and _ mean themselves. lower() in "C" folds ASCII only.
        let text = """
            WITH top AS (
                SELECT pattern_id, message_pattern, level, source, sum(count) AS count,
                    min(first_seen) AS first_seen, max(last_seen) AS last_seen
                FROM (
                    SELECT coalesce(m.to_id, a.pattern_id) AS pattern_id,
                        coalesce(m.message_pattern, a.message_pattern) AS message_pattern,
                        a.level, a.source, a.count, a.first_seen, a.last_seen
                    FROM aggregated_logs AS a LEFT JOIN pattern_merges AS m ON m.from_id = a.pattern_id
                ) AS stored
                WHERE ($1::timestamptz IS NULL OR last_seen >= $1::timestamptz)
                    AND ($2::text[] IS NULL OR upper(level) = ANY ($2::text[]))
                    AND ($3::text IS NULL OR source = $3::text)
                    AND ($4::text IS NULL
                        OR position(lower($4::text COLLATE "C") IN lower(message_pattern COLLATE "C")) > 0)
                GROUP BY pattern_id, message_pattern, level, source
                ORDER BY \(order), message_pattern
                LIMIT $5::bigint
            )
            SELECT coalesce(top.pattern_id, 0), top.message_pattern, top.level, top.source,
                least(top.count, 9223372036854775807)::bigint,
                floor(extract(epoch FROM top.first_seen) * 1000000)::bigint,
                floor(extract(epoch FROM top.last_seen) * 1000000)::bigint,
                (
                    SELECT jsonb_agg(s.message)
                    FROM (
                        SELECT e.message
                        FROM aggregated_logs AS a
                        CROSS JOIN LATERAL jsonb_array_elements(
                            CASE WHEN jsonb_typeof(a.sample_messages) = 'array' THEN a.sample_messages ELSE '[]' END
                        ) WITH ORDINALITY AS e (message, position)
                        WHERE (
                                a.pattern_id = top.pattern_id AND a.message_pattern = top.message_pattern
                                OR a.pattern_id IN (SELECT from_id FROM pattern_merges WHERE to_id = top.pattern_id)
                                OR top.pattern_id IS NULL AND a.pattern_id IS NULL
                                    AND a.message_pattern = top.message_pattern
                            )
                            AND a.level IS NOT DISTINCT FROM top.level
                            AND a.source IS NOT DISTINCT FROM top.source
                        ORDER BY a.last_seen DESC, a.id DESC, e.position
                        LIMIT 5
                    ) AS s
                )
            FROM top
            ORDER BY \(order.split(separator: ", ").map { "top.\($0)" }.joined(separator: ", ")), top.message_pattern
            """
        return (text, parameters)
    }
}
