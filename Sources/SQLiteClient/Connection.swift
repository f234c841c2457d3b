internal import CSQLite
internal import Glibc

/// One SQLite handle with its prepared statements. Used by one thread at a time: it holds no lock of its own, and is opened
/// without SQLite's.
///
/// Memory: a page cache of 256 KiB at most, nothing memory-mapped but the WAL index (32 KiB a 4,000 pages).
@safe package final class Connection {
    package enum Access: Sendable {
        /// Reads and writes; the file is made when it is missing.
        case readWriteCreate
        /// Reads and writes an existing file.
        case readWrite
        /// Reads what can be read of a damaged file: a size that does not fit its header and an unreadable schema entry are
        /// put up with (`writable_schema`), and nothing is written.
        case damaged
        /// Not a file: gone with the connection.
        case memory
    }

    /// How long a statement waits for another connection's lock. Two seconds are far more than any transaction of ours takes.
    package static let busyTimeoutMilliseconds: Int32 = 2000
    /// Larger values are refused with `SQLITE_TOOBIG`; damaged bytes cannot make SQLite ask for more memory than this.
    package static let valueByteCountMax: Int32 = 64 << 20
    /// Statements kept prepared; a fixed set of texts is used, so reaching it means that somebody builds SQL in a loop.
    package static let statementCountMax = 64

    private var handle: OpaquePointer?
    private var statements: [String: Statement] = [:]
    /// Where the progress handler reads the time at which a statement ends with `SQLITE_INTERRUPT`; 0 for never. On the heap
    /// because SQLite keeps its address.
    private let deadline = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)

    /// Opens the database and sets what every connection has: busy timeout, small cache, no mapped file, strict cell checks.
    ///
    /// - Parameter vfs: the name of a registered VFS through which files are reached, for tests; `nil` for SQLite's own.
    package init(path: String, access: Access, vfs: String? = nil) throws(SQLiteError) {
        unsafe deadline.initialize(to: 0)
        let flags =
            switch access {
            case .readWriteCreate: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            case .readWrite, .damaged: SQLITE_OPEN_READWRITE
            case .memory: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY
            }
        let name = access == .memory ? ":memory:" : path
        let code = unsafe sqlite3_open_v2(name, &handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs)
        guard code == SQLITE_OK else {
            close()
            throw SQLiteError(attempt: "open database \(name)", code: ResultCode(extended: code))
        }
        unsafe sqlite3_busy_timeout(handle, Self.busyTimeoutMilliseconds)
        _ = unsafe sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, Self.valueByteCountMax)
        do {
            // First, as the others read the schema already.
            if access == .damaged { try execute("PRAGMA writable_schema=ON; PRAGMA query_only=ON") }
            // cell_size_check and trusted_schema: sqlite.org/security.html, "untrusted database files".
            try execute(
                """
                PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;
                PRAGMA cache_size=-256; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;
                """
            )
        } catch {
            close()
            throw error
        }
    }

    deinit {
        close()
        unsafe deadline.deallocate()
    }

    /// Finalizes every statement and closes the handle. Any later use throws `SQLITE_MISUSE`.
    package func close() {
        statements = [:]
        // close_v2 cannot fail: what is still in use is closed when its user lets go of it.
        _ = unsafe sqlite3_close_v2(handle)
        unsafe handle = nil
    }

    /// Runs statements separated by semicolons and ignores their rows. For schema steps and pragmas; it prepares anew each
    /// time.
    package func execute(_ sql: String) throws(SQLiteError) {
        guard unsafe handle != nil else { throw Self.closed(sql) }
        let code = unsafe sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else {
            throw SQLiteError(attempt: Self.summary(of: sql), code: ResultCode(extended: code))
        }
    }

    /// The prepared statement for `sql`, from the cache when it was used before.
    package func statement(_ sql: String) throws(SQLiteError) -> Statement {
        if let statement = statements[sql] { return statement }
        guard unsafe handle != nil else { throw Self.closed(sql) }
        var pointer: OpaquePointer?
        let code = unsafe sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil)
        guard code == SQLITE_OK, let pointer = unsafe pointer else {
            throw SQLiteError(
                attempt: "prepare \(Self.summary(of: sql))",
                code: ResultCode(extended: code == SQLITE_OK ? SQLITE_MISUSE : code)
            )
        }
        let statement = unsafe Statement(handle: pointer, attempt: Self.summary(of: sql))
        if statements.count >= Self.statementCountMax { statements = [:] }
        statements[sql] = statement
        return statement
    }

    /// Runs a statement that returns no rows worth having. Gives the number of rows it changed.
    @discardableResult
    package func run(_ sql: String, _ bind: (Statement) -> Void = { _ in }) throws(SQLiteError) -> Int {
        let statement = try statement(sql)
        defer { statement.reset() }
        bind(statement)
        while try statement.step() {}
        return changes
    }

    /// Runs a statement and hands each row to `row`, until that says false.
    package func query(
        _ sql: String,
        _ bind: (Statement) -> Void = { _ in },
        row: (Statement) -> Bool
    ) throws(SQLiteError) {
        let statement = try statement(sql)
        defer { statement.reset() }
        bind(statement)
        while try statement.step() {
            guard row(statement) else { return }
        }
    }

    /// The first column of the first row as a number; 0 when there is no row.
    package func integer(_ sql: String) throws(SQLiteError) -> Int64 {
        var value: Int64 = 0
        try query(sql) { row in
            value = row.integer(0)
            return false
        }
        return value
    }

    /// The first column of the first row as text; empty when there is no row.
    package func text(_ sql: String) throws(SQLiteError) -> String {
        var value = ""
        try query(sql) { row in
            value = row.text(0)
            return false
        }
        return value
    }

    /// What a transaction's body decided.
    package enum Verdict<Value> {
        case commit(Value)
        case rollback(Value)
    }

    /// Runs `body` between BEGIN IMMEDIATE and COMMIT, so that the write lock is had before anything is read. Rolls back
    /// when `body` throws or says so, and when COMMIT fails.
    package func transaction<Value>(
        _ body: () throws(SQLiteError) -> Verdict<Value>
    ) throws(SQLiteError) -> Value {
        try run("BEGIN IMMEDIATE")
        do throws(SQLiteError) {
            switch try body() {
            case .commit(let value):
                try run("COMMIT")
                return value
            case .rollback(let value):
                try run("ROLLBACK")
                return value
            }
        } catch {
            // SQLITE_FULL, IOERR and others may have rolled back already; then there is nothing to do and this says so.
            if isInTransaction { _ = try? run("ROLLBACK") }
            throw error
        }
    }

    /// Whether a transaction is open: false again after an error that made SQLite roll back by itself.
    package var isInTransaction: Bool {
        unsafe handle != nil && sqlite3_get_autocommit(handle) == 0
    }

    /// Whether writing is refused from the outset: by the file's rights, or by a version in its header that SQLite only reads.
    /// Known once something was read.
    package var isReadOnly: Bool {
        unsafe handle != nil && sqlite3_db_readonly(handle, "main") == 1
    }

    /// Rows changed by the last INSERT, UPDATE or DELETE.
    package var changes: Int {
        unsafe handle == nil ? 0 : Int(sqlite3_changes64(handle))
    }

    /// Rows changed since the connection was opened, by every statement.
    package var changesTotal: Int64 {
        unsafe handle == nil ? 0 : sqlite3_total_changes64(handle)
    }

    package var lastInsertRowID: Int64 {
        unsafe handle == nil ? 0 : sqlite3_last_insert_rowid(handle)
    }

    /// Pages written to the WAL (or file) since the connection was opened (`SQLITE_DBSTATUS_CACHE_WRITE`).
    package var pagesWritten: Int {
        var current: Int32 = 0
        var highest: Int32 = 0
        guard unsafe handle != nil,
            unsafe sqlite3_db_status(handle, SQLITE_DBSTATUS_CACHE_WRITE, &current, &highest, 0) == SQLITE_OK
        else { return 0 }
        return Int(current)
    }

    /// Copies what it can from the WAL into the file without waiting for readers, or, with `truncating`, waits for them (at
    /// most the busy timeout) and gives the WAL's space back. Syncs both files. Returns the pages copied.
    @discardableResult
    package func checkpoint(truncating: Bool) throws(SQLiteError) -> Int {
        guard unsafe handle != nil else { throw Self.closed("checkpoint") }
        var frameCount: Int32 = 0
        var copiedCount: Int32 = 0
        let mode = truncating ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE
        let code = unsafe sqlite3_wal_checkpoint_v2(handle, nil, mode, &frameCount, &copiedCount)
        guard code == SQLITE_OK else {
            throw SQLiteError(attempt: "checkpoint the WAL", code: ResultCode(extended: code))
        }
        return Int(max(0, copiedCount))
    }

    /// Runs `body` with a bound on its time: a statement still running then ends with `SQLITE_INTERRUPT`. Looked at every
    /// 1,000 steps of SQLite's machine, some ten microseconds of work.
    package func withDeadline<Value>(
        after duration: Duration,
        _ body: () throws(SQLiteError) -> Value
    ) throws(SQLiteError) -> Value {
        unsafe deadline.pointee = Self.monotonicNanoseconds() &+ UInt64(max(.zero, duration) / .nanoseconds(1))
        unsafe sqlite3_progress_handler(
            handle,
            1000,
            { context in
                guard let context = unsafe context else { return 0 }
                let deadline = unsafe context.assumingMemoryBound(to: UInt64.self).pointee
                return Connection.monotonicNanoseconds() > deadline ? 1 : 0
            },
            deadline
        )
        defer { unsafe sqlite3_progress_handler(handle, 0, nil, nil) }
        return try body()
    }

    /// SQLite's own version, e.g. `3.40.1`.
    package static var libraryVersion: String {
        unsafe String(cString: sqlite3_libversion())
    }

    private static func monotonicNanoseconds() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    private static func closed(_ sql: String) -> SQLiteError {
        SQLiteError(attempt: summary(of: sql), code: ResultCode(extended: SQLITE_MISUSE))
    }

    /// The statement's first 48 characters on one line; our SQL holds parameters, never values.
    private static func summary(of sql: String) -> String {
        let words = sql.prefix(48).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return sql.count > 48 ? "run \(words)…" : "run \(words)"
    }
}
