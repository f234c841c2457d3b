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
    /// - Parameter damage: set when the file is known to be broken already: it is replaced unseen.
    static func open(
        _ configuration: SpoolConfiguration,
        damage: String? = nil
    ) -> (connection: Connection, recovery: SpoolRecovery) {
        do throws(Unusable) {
            return try openFile(configuration, damage: damage)
        } catch {
            return memory(error.reason)
        }
    }

    /// Why there is no file to work with at the moment.
    struct Unusable: Error {
        var reason: String
    }

    /// As ``open(_:damage:)``, without going on in memory. Nothing that was in the file is out of reach when this throws: a
    /// file that cannot be replaced stays where it is.
    static func openFile(
        _ configuration: SpoolConfiguration,
        damage: String? = nil
    ) throws(Unusable) -> (connection: Connection, recovery: SpoolRecovery) {
        let directory = configuration.directory
        if let code = makeDirectory(directory) {
            throw Unusable(reason: "make directory \(directory): \(errorText(code))")
        }
        let path = path(in: directory)
        finishReplacement(path)
        var reason = damage ?? ""
        if damage == nil {
            do throws(SQLiteError) {
                return (try openSoundTwice(path, vfs: configuration.vfsName), .clean)
            } catch {
                guard isBroken(error, path: path) else { throw Unusable(reason: error.description) }
                reason = error.description
            }
        }
        return try replace(path, reason: reason, configuration)
    }

    /// One failed read may be a cable or a voltage: only a file that cannot be read twice is replaced.
    private static func openSoundTwice(_ path: String, vfs: String?) throws(SQLiteError) -> Connection {
        do throws(SQLiteError) {
            return try openSound(path, vfs: vfs)
        } catch {
            // What quick_check found is there to stay, and looking again would cost the start another 0.7 s.
            guard error.code.matches(.inputOutput) || error.code.matches(.notADatabase) else { throw error }
            return try openSound(path, vfs: vfs)
        }
    }

    /// Builds a new file beside the broken one, copies into it what can be read, and only then puts it in its place: whatever
    /// ends the process or the power in between, one of the two holds what was there.
    private static func replace(
        _ path: String,
        reason: String,
        _ configuration: SpoolConfiguration
    ) throws(Unusable) -> (connection: Connection, recovery: SpoolRecovery) {
        let fresh = path + freshSuffix
        DamagedFiles.remove(fresh)
        var salvagedCount = 0
        do throws(SQLiteError) {
            let connection = try openSound(fresh, vfs: configuration.vfsName)
            defer { connection.close() }
            salvagedCount = try SpoolSalvage.copyReadable(from: path, into: connection, configuration)
            // So that the file is whole without its WAL when it gets its name.
            try connection.checkpoint(truncating: true)
        } catch {
            DamagedFiles.remove(fresh)
            throw Unusable(reason: "\(error), in place of the old file, which could not be used: \(reason)")
        }
        guard let aside = DamagedFiles.moveAside(path, now: configuration.now()) else {
            let code = errno
            DamagedFiles.remove(fresh)
            throw Unusable(reason: "move \(path) aside: \(errorText(code)); it could not be used: \(reason)")
        }
        finishReplacement(path)
        do throws(SQLiteError) {
            let connection = try openSound(path, vfs: configuration.vfsName)
            return (connection, .recovered(movedTo: aside, salvagedBatches: salvagedCount, reason: reason))
        } catch {
            throw Unusable(reason: "\(error); the old file is \(aside)")
        }
    }

    private static let freshSuffix = ".new"

    /// A replacement that was ready gets its name, also when the process ended just before: the old file was moved aside only
    /// after the new one was whole. One that was not ready, the old file still being there, is removed when it is made again.
    private static func finishReplacement(_ path: String) {
        var information = stat()
        guard lstat(path, &information) != 0, errno == ENOENT else { return }
        guard rename(path + freshSuffix, path) == 0, let slash = path.lastIndex(of: "/") else { return }
        syncDirectory(String(path[...slash]))
    }

    /// Best effort: where it fails, the first synced commit tries again, as SQLite syncs the directory it makes the WAL in.
    static func syncDirectory(_ directory: String) {
        let folder = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        _ = fsync(folder)
        _ = Glibc.close(folder)
    }

    /// Opens, brings the schema up to date and checks as much as the limits allow.
    private static func openSound(_ path: String, vfs: String?) throws(SQLiteError) -> Connection {
        let connection = try Connection(path: path, access: .readWriteCreate, vfs: vfs)
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
            guard verdict != "ok" else { return }
            // A page that could not be read is reported as text, its code an IOERR (10 in the low byte): no damage yet.
            let code = verdict.split(separator: "=").last.flatMap { Int32($0) }
            let isUnread = code.map { ResultCode(extended: $0).matches(.inputOutput) } ?? false
            throw SQLiteError(attempt: "check \(name)", code: isUnread ? .inputOutputRead : .corrupt)
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
            // READ, SHORT_READ, SEEK, DATA, CORRUPTFS (sqlite.org/rescode.html): the bytes are out of reach. The others
            // (writing, syncing, locking, mapping the WAL's index) need space and rights, not another file.
            return [1, 2, 22, 32, 33].contains(code.extended >> 8)
        }
        guard ["SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"].contains(code.name) else { return false }
        return ["", "-wal", "-shm"].contains { suffix in
            var information = stat()
            guard lstat(path + suffix, &information) == 0 else { return false }
            // A link that leads to a file is as good as the file; one that leads nowhere, or in a circle, is not.
            guard stat(path + suffix, &information) == 0 else { return true }
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
        guard mkdir(directory, 0o750) == 0 else { return errno == EEXIST ? nil : errno }
        // A receipt for what is in a directory that a power cut takes would be a lie.
        if let slash = directory.lastIndex(of: "/") { syncDirectory(String(directory[...slash])) }
        return nil
    }

    static func errorText(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
