internal import Foundation
internal import PostgresClient
internal import Synchronization

/// A private PostgreSQL server in a temporary folder: a real one, with fsync on, reached through a unix socket or through
/// 127.0.0.1. It ends with the process, also when that is killed.
///
/// Users: `postgres` needs no password anywhere; `guarded` needs the password `right-password` over TCP (SCRAM).
package final class PostgresCluster: Sendable {
    package enum StopMode: String, Sendable {
        /// Ends sessions and writes a checkpoint.
        case fast
        /// Like a crash: recovers from the write-ahead log at the next start.
        case immediate
    }

    package static let user = "postgres"
    package static let guardedUser = "guarded"
    package static let guardedPassword = "right-password"

    /// On 127.0.0.1; stays the same over ``stop(mode:)`` and ``start()-swift.method``.
    package let port: Int
    /// Folder of the unix socket; libpq takes it as a host.
    package var socketDirectory: String { directory.path }

    private let directory: TemporaryDirectory
    private let binaries: String
    private let databaseCount = Atomic<Int>(0)

    private static let sharedResult = Result { try PostgresCluster.start() }

    /// The server of this test process, started by the first call (about 1.5 s). Never stop it: other tests use it too.
    package static func shared() throws -> PostgresCluster {
        try sharedResult.get()
    }

    /// A server of the caller's own, which it may stop and start again.
    package static func start() throws -> PostgresCluster {
        try PostgresCluster()
    }

    private init() throws {
        binaries = try Self.findBinaries()
        directory = try TemporaryDirectory(mode: 0o755)
        port = try Self.freePort()
        if geteuid() == 0 {
            // initdb and postgres refuse to run as root.
            guard let entry = getpwnam(Self.user) else {
                throw TestingError("start PostgreSQL as root: there is no user postgres (apt-get install postgresql)")
            }
            chown(directory.path, entry.pointee.pw_uid, entry.pointee.pw_gid)
        }
        try Self.command([
            "\(binaries)/initdb", "-D", dataDirectory, "-U", Self.user, "--auth=trust", "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ])
        try """
        local all all trust
        host all \(Self.guardedUser) 127.0.0.1/32 scram-sha-256
        host all all 127.0.0.1/32 trust
        """.write(toFile: "\(dataDirectory)/pg_hba.conf", atomically: false, encoding: .utf8)
        try """
        listen_addresses = '127.0.0.1'
        port = \(port)
        unix_socket_directories = '\(directory.path)'
        max_connections = 200
        shared_buffers = 32MB
        fsync = on
        lc_messages = 'C'
        """.write(toFile: "\(dataDirectory)/postgresql.auto.conf", atomically: false, encoding: .utf8)
        try start()
        try guardAgainstOrphans()
        _ = try query(
            "postgres",
            "CREATE ROLE \(Self.guardedUser) LOGIN SUPERUSER PASSWORD '\(Self.guardedPassword)'"
        )
    }

    deinit {
        try? stop(mode: .immediate)
    }

    /// Starts the server again after ``stop(mode:)``; returns when it takes connections.
    package func start() throws {
        try Self.command([
            "\(binaries)/pg_ctl", "-D", dataDirectory, "-l", "\(directory.path)/log", "-w", "-t", "30", "start",
        ])
    }

    /// Returns when the server has ended.
    package func stop(mode: StopMode) throws {
        try Self.command(["\(binaries)/pg_ctl", "-D", dataDirectory, "-m", mode.rawValue, "-w", "-t", "30", "stop"])
    }

    /// A new, empty database; its name.
    ///
    /// - Parameter encoding: `UTF8`, or another one that the server knows, such as `LATIN1`.
    package func createDatabase(encoding: String = "UTF8") throws -> String {
        let number = databaseCount.wrappingAdd(1, ordering: .relaxed).newValue
        let name = "test_\(number)"
        _ = try query("postgres", "CREATE DATABASE \(name) TEMPLATE template0 ENCODING '\(encoding)'")
        return name
    }

    /// Runs SQL on a connection of its own; the rows of the last statement, `nil` for NULL.
    @discardableResult
    package func query(_ database: String, _ sql: String) throws -> [[String?]] {
        let parameters = ConnectionParameters(
            host: socketDirectory,
            port: port,
            database: database,
            user: Self.user,
            password: nil,
            sslMode: "disable"
        )
        let connection = try Connection(parameters)
        let result = try connection.run(sql, action: "query for a test")
        var rows: [[String?]] = []
        for row in 0..<result.rowCount {
            rows.append((0..<result.columnCount).map { result.text(row, $0) })
        }
        return rows
    }

    /// The server's own log, for a failed test's message.
    package var log: String {
        (try? String(contentsOfFile: "\(directory.path)/log", encoding: .utf8)) ?? ""
    }

    private var dataDirectory: String { "\(directory.path)/data" }
}

// MARK: The machine

extension PostgresCluster {
    private static func findBinaries() throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
        for version in versions.sorted(by: >) {
            let path = "\(root)/\(version)/bin"
            if FileManager.default.isExecutableFile(atPath: "\(path)/initdb") { return path }
        }
        throw TestingError("find a PostgreSQL server in \(root)/*/bin: none is there (apt-get install postgresql)")
    }

    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, size) == 0 ? getsockname(descriptor, generic, &size) : -1
            }
        }
        guard code == 0 else { throw TestingError("find a free port on 127.0.0.1: errno \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// Runs a program of PostgreSQL's, as the user `postgres` when we are root, and waits for its end.
    private static func command(_ arguments: [String]) throws {
        var arguments = arguments
        if geteuid() == 0 {
            let drop = ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--init-groups", "--"]
            arguments.insert(contentsOf: drop, at: 0)
        }
        try waitForSuccess(arguments)
    }

    private static func waitForSuccess(_ arguments: [String]) throws {
        let output = try TemporaryDirectory()
        let path = output.file("output")
        var status: Int32 = 0
        let child = try spawn(arguments, outputPath: path)
        while waitpid(child, &status, 0) < 0 && errno == EINTR {}
        guard status == 0 else {
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            throw TestingError("run \(arguments.joined(separator: " ")): wait status \(status)\n\(text)")
        }
    }

    /// Starts a program with its output in a file, not in a pipe that the server would keep open; its process id.
    ///
    /// Not Foundation's `Process`: that one learns of the end by a socket which the server inherits from pg_ctl, and so waits
    /// for the server.
    private static func spawn(_ arguments: [String], outputPath: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Whatever else is open here must not live on in the server and its guard: the build's lock file, or the socket by
        // which Foundation's Process learns of another test's child. Closing a number that is not open is no error.
        for descriptor in 3..<Int32(2048) { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var environment = ProcessInfo.processInfo.environment
        for name in environment.keys where name.hasPrefix("PG") || name.hasPrefix("LC_") { environment[name] = nil }
        let argv = arguments.map { strdup($0) } + [nil]
        let envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, arguments[0], &actions, nil, argv, envp)
        guard code == 0 else { throw TestingError("run \(arguments[0]): errno \(code)") }
        return child
    }

    /// Leaves a shell behind that waits for this process's end, however it comes, then stops the server and removes its
    /// folder. `atexit` would miss a crash and a kill.
    private func guardAgainstOrphans() throws {
        // In the background of a shell that ends at once and is waited for: an own child left as a zombie would keep Swift
        // Testing's exit tests from ever seeing theirs.
        let script = """
            (while kill -0 "$1" 2>/dev/null; do sleep 1; [ -d "$2" ] || exit 0; done
            read -r server < "$2/data/postmaster.pid" && kill -QUIT "$server"
            while kill -0 "$server" 2>/dev/null; do sleep 0.1; done
            rm -rf "$2") &
            """
        let pid = String(ProcessInfo.processInfo.processIdentifier)
        // The outer shell leaves at once, so that the guard is init's child: as ours, ended and not waited for, it would keep
        // the exit-test monitor of Swift Testing spinning.
        try Self.waitForSuccess(
            ["/bin/sh", "-c", "/bin/sh -c \"$0\" postgres-guard \"$1\" \"$2\" &", script, pid, directory.path])
    }
}
