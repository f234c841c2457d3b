internal import Delivery
internal import Glibc
internal import LogModel
internal import Ports
internal import SQLiteClient

/// Copies what can still be read from a damaged file. Best effort, bounded in time; the damaged file is only read.
///
/// Progress goes first: batches salvaged without it would be counted again by the embedded store. Patterns go last and
/// newest first, as they can be many.
enum SpoolSalvage {
    /// Returns the number of spooled batches copied, each with a right checksum. Throws when the new file is the trouble (a
    /// full disk): nothing half is in it then, and it must not take the old one's place.
    static func copyReadable(
        from path: String,
        into target: Connection,
        _ configuration: SpoolConfiguration
    ) throws(SQLiteError) -> Int {
        var information = stat()
        // Not from a folder, a pipe or a device.
        guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return 0 }
        let source: Connection
        do throws(SQLiteError) {
            source = try Connection(path: path, access: .damaged, vfs: configuration.vfsName)
        } catch {
            // Cannot be opened at all: nothing is readable.
            return 0
        }
        defer { source.close() }
        return try source.withDeadline(after: SpoolLimits.salvageDuration) { () throws(SQLiteError) in
            try target.transaction { () throws(SQLiteError) -> Connection.Verdict<Int> in
                try copy(.progress, from: source, into: target)
                try copy(.positions, from: source, into: target)
                var failure: SQLiteError?
                let batchCount = try copy(.spool, from: source, into: target) { row in
                    if SpoolRow(row).isSound { return true }
                    do throws(SQLiteError) {
                        try setAside(row, in: target, now: configuration.now())
                    } catch {
                        failure = error
                    }
                    return false
                }
                if let failure { throw failure }
                // Which of them were sent is not asked of a damaged file: taken as sent, they only are not merged.
                try target.execute(
                    "INSERT INTO spool_sent SELECT lane, stream, max(sequence) FROM spool GROUP BY lane, stream"
                )
                // Behind the rows just set aside, whose keys are theirs by chance.
                try copy(.deadLetters.withoutKey, orderedBy: "id", from: source, into: target)
                try copy(.merges, from: source, into: target)
                try copy(.patterns, from: source, into: target)
                return .commit(batchCount)
            }
        }
    }

    /// Keeps a batch whose checksum does not match for a person, whatever its columns have become.
    private static func setAside(_ row: Statement, in target: Connection, now: Timestamp) throws(SQLiteError) {
        let dead = SpoolTable.deadLetters.withoutKey
        try target.run("INSERT INTO dead_letters (\(dead.columns)) VALUES (\(dead.parameters))") { statement in
            let payload = row.bytes(11)
            statement.bind(1, row.text(1))
            statement.bind(2, row.integer(2))
            statement.bind(3, row.integer(4))
            statement.bind(4, max(0, min(row.integer(5), 1 << 42)))
            statement.bind(5, payload.count)
            statement.bind(6, "checksum does not match: damaged on disk")
            statement.bind(7, now.microseconds)
            statement.bind(8, blob: payload)
        }
    }

    /// Reads from one end until it breaks, then from the other; what lies between is lost with the damaged pages.
    @discardableResult
    private static func copy(
        _ table: SpoolTable,
        orderedBy givenKey: String? = nil,
        from source: Connection,
        into target: Connection,
        where isSound: (Statement) -> Bool = { _ in true }
    ) throws(SQLiteError) -> Int {
        let key = givenKey ?? String(table.columns.prefix { $0 != "," })
        let insert = "INSERT OR IGNORE INTO \(table.name) (\(table.columns)) VALUES (\(table.parameters))"
        var count = 0
        var reached: Int64?
        var failure: SQLiteError?

        func take(_ row: Statement) -> Bool {
            reached = row.integer(table.columnCount)
            guard isSound(row) else { return true }
            do throws(SQLiteError) {
                count += try target.run(insert) { statement in
                    for column in 0..<table.columnCount { statement.bind(column + 1, column: column, of: row) }
                }
            } catch {
                // A row that the schema refuses is damaged; anything else is trouble with the new file.
                if error.failureClass != .poison { failure = error }
            }
            return failure == nil
        }

        let orders = table.isNewestFirst ? ["DESC", "ASC"] : ["ASC", "DESC"]
        for order in orders {
            let limit = reached.map { "WHERE \(key) \(order == "DESC" ? ">" : "<") \($0)" } ?? ""
            do throws(SQLiteError) {
                try source.query(
                    "SELECT \(table.columns), \(key) FROM \(table.name) \(limit) ORDER BY \(key) \(order)",
                    row: take
                )
                break
            } catch {
                // Damage, or the time is up: the other end is tried, which ends at once in the second case.
                continue
            }
        }
        if let failure { throw failure }
        return count
    }

    // MARK: From memory

    /// Adds what the database in memory holds to a file: progress the higher one, patterns summed, batches and dead letters
    /// behind those that are there. Within the caller's transaction.
    static func add(_ memory: Connection, to target: Connection) throws(SQLiteError) {
        let spool = SpoolTable.spool.withoutKey
        let deadLetters = SpoolTable.deadLetters.withoutKey
        let patterns = SpoolTable.patterns.withoutKey
        let merges = SpoolTable.merges
        let steps: [(select: String, columnCount: Int32, insert: String)] = [
            (
                "SELECT stream, applied FROM delivery_progress", 2,
                "INSERT INTO delivery_progress (stream, applied) VALUES (?1, ?2) "
                    + "ON CONFLICT (stream) DO UPDATE SET applied = max(applied, excluded.applied)"
            ),
            (
                "SELECT \(spool.columns) FROM spool ORDER BY id", spool.columnCount,
                "INSERT OR IGNORE INTO spool (\(spool.columns)) VALUES (\(spool.parameters))"
            ),
            (
                "SELECT lane, seal, position FROM source_positions", 3,
                "INSERT OR REPLACE INTO source_positions (lane, seal, position) VALUES (?1, ?2, ?3)"
            ),
            (
                "SELECT lane, stream, through FROM spool_sent", 3,
                "INSERT INTO spool_sent (lane, stream, through) VALUES (?1, ?2, ?3) "
                    + "ON CONFLICT (lane, stream) DO UPDATE SET through = max(through, excluded.through)"
            ),
            (
                "SELECT \(deadLetters.columns) FROM dead_letters ORDER BY id", deadLetters.columnCount,
                "INSERT INTO dead_letters (\(deadLetters.columns)) VALUES (\(deadLetters.parameters))"
            ),
            (
                "SELECT \(merges.columns) FROM pattern_merges", merges.columnCount,
                "INSERT OR REPLACE INTO pattern_merges (\(merges.columns)) VALUES (\(merges.parameters))"
            ),
            // The columns stand in the order of the writer's parameters.
            ("SELECT \(patterns.columns) FROM aggregated_logs ORDER BY id", patterns.columnCount, SeriesWriter.sql),
            (
                "SELECT key, value FROM meta WHERE key = 'catalogue'", 2,
                "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)"
            ),
        ]
        for (select, columnCount, sql) in steps {
            var failure: SQLiteError?
            try memory.query(select) { row in
                do throws(SQLiteError) {
                    try target.run(sql) { statement in
                        for column in 0..<columnCount { statement.bind(column + 1, column: column, of: row) }
                    }
                } catch {
                    failure = error
                }
                return failure == nil
            }
            if let failure { throw failure }
        }
    }
}
