internal import BlockingExecutor
internal import LogModel
package import Ports
internal import SQLiteClient
internal import Synchronization

/// Answers questions about the embedded store on a connection and a thread (`store-read`) of its own, opened at the first
/// question: a WAL lets it read while batches are written. With no file, the writer's thread answers.
package final class EmbeddedReader: PatternReader {
    private struct Opened {
        var connection: Connection
        /// The file was replaced since when this differs from the database's.
        var recovery: SpoolRecovery
        var damageCount: Int
    }

    /// Gives blocks access to the connection, which is not Sendable.
    private final class Confined: @unchecked Sendable {
        // @unchecked: touched only by blocks on the reader's one thread.
        var opened: Opened?
    }

    private let database: SpoolDatabase
    private let confined = Confined()
    private let thread = BlockingThread(name: "store-read")

    package init(_ database: SpoolDatabase) {
        self.database = database
    }

    deinit {
        thread.close()
    }

    package func patterns(
        _ query: PatternQuery,
        completion: @escaping @Sendable (Result<[PatternRow], SinkError>) -> Void
    ) {
        read(completion) { connection throws(SQLiteError) in try PatternSelection(query).rows(connection) }
    }

    package func status(completion: @escaping @Sendable (Result<StoreStatus, SinkError>) -> Void) {
        let start = ContinuousClock.now
        read(completion) { connection throws(SQLiteError) in
            _ = try connection.integer("SELECT count(*) FROM delivery_progress")
            return StoreStatus(
                serverVersion: "SQLite \(Connection.libraryVersion)",
                latency: start.duration(to: .now)
            )
        }
    }

    /// Closes the connection and ends the thread; `completion` when done. Questions asked afterwards are never answered.
    package func close(completion: @escaping @Sendable () -> Void) {
        thread.perform { [confined] in
            confined.opened = nil
            completion()
        }
        thread.close()
    }

    func read<Value: Sendable>(
        _ completion: @escaping @Sendable (Result<Value, SinkError>) -> Void,
        _ body: @escaping @Sendable (Connection) throws(SQLiteError) -> Value
    ) {
        let status = database.status
        if case .memoryOnly = status.recovery {
            database.read(completion, body)
            return
        }
        thread.perform { [self] in
            do throws(SQLiteError) {
                let connection = try connection(for: status)
                let value = try connection.withDeadline(after: SpoolLimits.readDuration) { () throws(SQLiteError) in
                    try body(connection)
                }
                completion(.success(value))
            } catch {
                confined.opened = nil
                completion(.failure(SinkError(error)))
            }
        }
    }

    private func connection(for status: SpoolStatus) throws(SQLiteError) -> Connection {
        if let opened = confined.opened, opened.recovery == status.recovery, opened.damageCount == status.damageCount {
            return opened.connection
        }
        confined.opened = nil
        let connection = try Connection(path: database.path, access: .readWrite)
        try connection.execute("PRAGMA query_only=ON")
        confined.opened = Opened(connection: connection, recovery: status.recovery, damageCount: status.damageCount)
        return connection
    }
}

/// One question as SQL: fixed fragments, with every value a parameter.
private struct PatternSelection {
    private let query: PatternQuery
    private let sql: String

    init(_ query: PatternQuery) {
        self.query = query
        var conditions: [String] = []
        if query.since != nil { conditions.append("last_seen >= ?1") }
        if let minimum = query.minimumSeverity {
            // Names from our own enumeration, not the caller's text.
            let names = Severity.allCases.filter { $0 >= minimum }.map { "'\($0.name)'" }
            conditions.append("level IN (\(names.joined(separator: ", ")))")
        }
        if query.source != nil { conditions.append("source = ?2") }
        // lower() folds ASCII only, and instr() knows no wildcards that would have to be escaped.
        if query.search != nil { conditions.append("instr(lower(message_pattern), lower(?3)) > 0") }
        let filter = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        let order =
            switch query.order {
            case .count: "total DESC, last DESC"
            case .lastSeen: "last DESC"
            case .firstSeen: "first DESC"
            }
        // The samples of the newest five rows of a pattern come in order from the unique index, which begins with
        // (pattern_id, bucket): no sort, and nothing is read of the older ones.
        sql = """
            SELECT pattern_id, message_pattern, level, source, total, first, last,
                (SELECT json_group_array(value) FROM (SELECT sample.value
                    FROM (SELECT sample_messages AS samples FROM aggregated_logs AS row
                        WHERE row.pattern_id IN (SELECT found.pattern_id
                                UNION ALL SELECT from_id FROM pattern_merges WHERE to_id = found.pattern_id)
                            AND row.level = found.level AND row.source = found.source
                            AND json_valid(row.sample_messages)
                        ORDER BY row.bucket DESC LIMIT \(SpoolStore.sampleCountMax)) AS newest, json_each(samples) AS sample
                    LIMIT \(SpoolStore.sampleCountMax)))
            FROM (SELECT pattern_id, message_pattern, level, source, sum(count) AS total, min(first_seen) AS first,
                    max(last_seen) AS last
                FROM (SELECT coalesce(m.to_id, a.pattern_id) AS pattern_id,
                        coalesce(m.message_pattern, a.message_pattern) AS message_pattern,
                        a.level AS level, a.source AS source, a.count AS count, a.first_seen AS first_seen,
                        a.last_seen AS last_seen
                    FROM aggregated_logs AS a LEFT JOIN pattern_merges AS m ON m.from_id = a.pattern_id) \(filter)
                GROUP BY pattern_id, message_pattern, level, source
                ORDER BY \(order), pattern_id LIMIT ?4) AS found
            ORDER BY \(order), pattern_id
            """
    }

    func rows(_ connection: Connection) throws(SQLiteError) -> [PatternRow] {
        var rows: [PatternRow] = []
        try connection.query(sql) { statement in
            if let since = query.since { statement.bind(1, since.microseconds) }
            if let source = query.source { statement.bind(2, source) }
            if let search = query.search { statement.bind(3, search) }
            statement.bind(4, min(max(1, query.limit), 1000))
        } row: { row in
            rows.append(
                PatternRow(
                    patternID: row.integer(0),
                    pattern: row.text(1),
                    level: row.text(2),
                    source: row.text(3),
                    count: Int(row.integer(4)),
                    firstSeen: Timestamp(stored: row.integer(5)),
                    lastSeen: Timestamp(stored: row.integer(6)),
                    samples: row.text(7)
                )
            )
            return true
        }
        return rows
    }

}

extension Timestamp {
    /// From a column of the file. Saturates: a stamp damaged on disk must not trap.
    init(stored microseconds: Int64) {
        let (nanoseconds, overflow) = microseconds.multipliedReportingOverflow(by: 1000)
        self.init(nanoseconds: overflow ? (microseconds < 0 ? .min : .max) : nanoseconds)
    }
}
