internal import Glibc
internal import LogModel
internal import Migrations
internal import SQLiteClient

/// Opening `logboom.db`: always ends with a connection whose schema is complete, whatever stands in the directory.
///
/// docs/formats/spool-file.md describes the file and the order of these steps.
enum SpoolFile {
    static let name = "logboom.db"

    static func path(in directory: String) -> String { directory + "/" + name }

    /// Opens the file; a broken one is moved aside and what is readable in it copied into a new one; with no usable
    /// directory, memory is used. Blocks for at most about two seconds.
    ///
    /// - Parameter damage: set when the file is known to be broken already: it is moved aside unseen.
    static func open(
        directory: String,
        now: Timestamp,
        damage: String? = nil
    ) -> (connection: Connection, recovery: SpoolRecovery) {
        if let code = makeDirectory(directory) {
            return memory("make directory \(directory): \(errorText(code))")
        }
        let path = path(in: directory)
        var reason = damage ?? ""
        if damage == nil {
            do throws(SQLiteError) {
                return (try openSound(path), .clean)
            } catch {
                guard isBroken(error, path: path) else { return memory(error.description) }
                reason = error.description
            }
        }
        guard let aside = DamagedFiles.moveAside(path, now: now) else {
            return memory("move \(path) aside: \(errorText(errno)); it could not be used: \(reason)")
        }
        do throws(SQLiteError) {
            let connection = try openSound(path)
            let count = SpoolSalvage.copyReadable(from: aside, into: connection)
            return (connection, .recovered(movedTo: aside, salvagedBatches: count, reason: reason))
        } catch {
            return memory("\(error); the old file is \(aside)")
        }
    }

    /// Opens, brings the schema up to date and checks as much as the limits allow.
    private static func openSound(_ path: String) throws(SQLiteError) -> Connection {
        let connection = try Connection(path: path, access: .readWriteCreate)
        do throws(SQLiteError) {
            if try connection.integer("PRAGMA page_count") == 0 {
                // Counts only while the file is empty, and would be written again at every start.
                try connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            }
            try connection.execute("PRAGMA journal_mode=WAL")
            // Checkpoints are ours: after the answer was given, not before (SpoolStore.housekeep).
            try connection.execute("PRAGMA wal_autocheckpoint=0")
            try connection.execute("PRAGMA journal_size_limit=\(SpoolLimits.walByteCountMax)")
            try migrate(connection)
            try SpoolTable.checkSchema(connection)
            guard !connection.isReadOnly else {
                // One flipped bit in the header's write version is enough, and every read would still succeed.
                throw SQLiteError(attempt: "open \(name) for writing", code: .notADatabase)
            }
            try check(connection)
            return connection
        } catch {
            connection.close()
            throw error
        }
    }

    private static func migrate(_ connection: Connection) throws(SQLiteError) {
        let version = Int(try connection.integer("PRAGMA user_version"))
        let latest = Migrations.spool.last?.version ?? 0
        guard (0...latest).contains(version) else {
            throw SQLiteError(
                attempt: "read \(name), which has version \(version) where this program knows \(latest)",
                code: .notADatabase
            )
        }
        for step in Migrations.spool where step.version > version {
            _ = try connection.transaction { () throws(SQLiteError) -> Connection.Verdict<Void> in
                try connection.execute(step.sql)
                try connection.execute("PRAGMA user_version=\(step.version)")
                return .commit(())
            }
        }
    }

    /// quick_check reads every page: some 150 MB/s from the cache of a Pi, less from a cold card. So a large file is checked
    /// only after a crash, and never for longer than its time; what it did not see is found when it is used.
    private static func check(_ connection: Connection) throws(SQLiteError) {
        let byteCount = try connection.integer("PRAGMA page_count") * connection.integer("PRAGMA page_size")
        let isClean = try connection.integer("SELECT value FROM meta WHERE key='clean'") == 1
        guard !isClean || byteCount <= SpoolLimits.alwaysCheckedByteCountMax else { return }
        do throws(SQLiteError) {
            let verdict = try connection.withDeadline(after: SpoolLimits.checkDuration) { () throws(SQLiteError) in
                try connection.text("PRAGMA quick_check(1)")
            }
            guard verdict == "ok" else { throw SQLiteError(attempt: "check \(name)", code: .corrupt) }
        } catch {
            guard error.code.matches(.interrupted) else { throw error }
        }
    }

    /// Whether the file (or what lies in its place) is the trouble, so that moving it away helps; as opposed to a full disk,
    /// a lock held by another process, or a lack of memory or descriptors.
    private static func isBroken(_ error: SQLiteError, path: String) -> Bool {
        let code = error.code
        if error.isDamage || code.matches(.error) || code.matches(.constraint) { return true }
        if code.name == "SQLITE_IOERR" {
            // Making or mapping the WAL index needs space and rights, not a sound file: SHMOPEN, SHMSIZE, SHMLOCK, SHMMAP
            // (sqlite.org/rescode.html).
            return ![18, 19, 20, 21].contains(code.extended >> 8)
        }
        guard ["SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"].contains(code.name) else { return false }
        return ["", "-wal", "-shm"].contains { suffix in
            var information = stat()
            guard lstat(path + suffix, &information) == 0 else { return false }
            return information.st_mode & S_IFMT != S_IFREG || access(path + suffix, R_OK | W_OK) != 0
        }
    }

    private static func memory(_ reason: String) -> (Connection, SpoolRecovery) {
        do throws(SQLiteError) {
            let connection = try Connection(path: "", access: .memory)
            try migrate(connection)
            let pageByteCount = try connection.integer("PRAGMA page_size")
            try connection.execute("PRAGMA max_page_count=\(Int64(SpoolLimits.memoryByteCountMax) / pageByteCount)")
            return (connection, .memoryOnly(reason: reason))
        } catch {
            // Only a lack of memory, or a migration that is wrong, comes here; neither leaves anything to go on with.
            preconditionFailure("open a database in memory: \(error)")
        }
    }

    /// Makes the directory and its parents; the errno that stopped it, or `nil`.
    private static func makeDirectory(_ directory: String) -> Int32? {
        var information = stat()
        if stat(directory, &information) == 0 {
            return information.st_mode & S_IFMT == S_IFDIR ? nil : ENOTDIR
        }
        if let slash = directory.lastIndex(of: "/"), slash > directory.startIndex {
            if let code = makeDirectory(String(directory[..<slash])) { return code }
        }
        return mkdir(directory, 0o750) == 0 || errno == EEXIST ? nil : errno
    }

    static func errorText(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
