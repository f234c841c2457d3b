internal import SQLiteClient

/// A table of the file with the columns that this program uses: what salvage copies, and what a sound file must have.
struct SpoolTable {
    var name: String
    /// The primary key stands first, and decides the order.
    var columns: String
    var columnCount: Int32
    /// Copied from its newest rows on, when there may not be time for all.
    var isNewestFirst = false

    /// `?1, ?2, …`, one a column.
    var parameters: String { (1...columnCount).map { "?\($0)" }.joined(separator: ", ") }

    /// The same without its first column, for rows that get a new key.
    var withoutKey: SpoolTable {
        SpoolTable(name: name, columns: String(columns.drop { $0 != " " }.dropFirst()), columnCount: columnCount - 1)
    }

    static let progress = SpoolTable(name: "delivery_progress", columns: "stream, applied, updated_at", columnCount: 3)
    static let spool = SpoolTable(name: "spool", columns: SpoolRow.columns, columnCount: SpoolRow.columnCount)
    static let deadLetters = SpoolTable(
        name: "dead_letters",
        columns: "id, lane, stream, sequence, record_count, byte_count, reason, time, payload",
        columnCount: 9
    )
    static let patterns = SpoolTable(
        name: "aggregated_logs",
        columns: """
            id, message_pattern, count, level, source, first_seen, last_seen, pattern_id, host, tenant, dashboard, bucket, \
            latency_count, latency_sum, latency_min, latency_max, clock_guessed, metadata, sample_messages, category, tags
            """,
        columnCount: 21,
        isNewestFirst: true
    )

    static let sent = SpoolTable(name: "spool_sent", columns: "lane, stream, through", columnCount: 3)
    static let positions = SpoolTable(name: "source_positions", columns: "id, lane, seal, position", columnCount: 4)
    static let merges = SpoolTable(name: "pattern_merges", columns: "from_id, to_id, message_pattern", columnCount: 3)

    /// Throws when a table, a column, or the unique index that the upsert needs is not there: user_version may say one thing
    /// and a damaged schema another. Prepares only, reads no row.
    static func checkSchema(_ connection: Connection) throws(SQLiteError) {
        for table in [progress, spool, sent, deadLetters, patterns, merges, positions] {
            _ = try connection.statement("SELECT \(table.columns) FROM \(table.name) LIMIT 0")
        }
        _ = try connection.statement(SeriesWriter.sql)
    }
}
