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
    static func copyReadable(from path: String, into target: Connection, vfs: String?) throws(SQLiteError) -> Int {
        var information = stat()
        // Not from a folder, a pipe or a device.
        guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return 0 }
        let source: Connection
        do throws(SQLiteError) {
            source = try Connection(path: path, access: .damaged, vfs: vfs)
        } catch {
            // Cannot be opened at all: nothing is readable.
            return 0
        }
        defer { source.close() }
        return try source.withDeadline(after: SpoolLimits.salvageDuration) { () throws(SQLiteError) in
            try target.transaction { () throws(SQLiteError) -> Connection.Verdict<Int> in
                try copy(.progress, from: source, into: target)
                let batchCount = try copy(.spool, from: source, into: target) { row in
                    SpoolRow(row).isSound
                }
                // Which of them were sent is not asked of a damaged file: taken as sent, they only are not merged.
                try target.execute(
                    "INSERT INTO spool_sent SELECT lane, stream, max(sequence) FROM spool GROUP BY lane, stream"
                )
                try copy(.deadLetters, from: source, into: target)
                try copy(.merges, from: source, into: target)
                try copy(.patterns, from: source, into: target)
                return .commit(batchCount)
            }
        }
    }

    /// Reads from one end until it breaks, then from the other; what lies between is lost with the damaged pages.
    @discardableResult
    private static func copy(
        _ table: SpoolTable,
        from source: Connection,
        into target: Connection,
        where isSound: (Statement) -> Bool = { _ in true }
    ) throws(SQLiteError) -> Int {
        let key = table.columns.prefix { $0 != "," }
        let parameters = (1...table.columnCount).map { "?\($0)" }.joined(separator: ", ")
        let insert = "INSERT OR IGNORE INTO \(table.name) (\(table.columns)) VALUES (\(parameters))"
        var count = 0
        var reached: Int64?
        var failure: SQLiteError?

        func take(_ row: Statement) -> Bool {
            reached = row.integer(0)
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
                    "SELECT \(table.columns) FROM \(table.name) \(limit) ORDER BY \(key) \(order)",
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
}
