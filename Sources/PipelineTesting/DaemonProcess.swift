internal import Foundation

/// A real `logboomd`, started with nothing but environment variables, on a port and in a folder of its own.
package final class DaemonProcess: Sendable {
    package let child: ChildProcess
    /// On 127.0.0.1.
    package let port: Int
    /// Also listened on.
    package var socketPath: String { state.file("logboom.sock") }
    /// `STATE_DIRECTORY`: outlives the process, for a restart in the same folder.
    package let state: TemporaryDirectory

    /// Starts the daemon and returns when it takes connections.
    ///
    /// - Parameters:
    ///   - settings: over these: a free port and a unix socket, `STATE_DIRECTORY` in `state`, a window of an hour, no journal.
    ///   - arguments: after the program's name.
    ///   - launcher: a program with its arguments that becomes the daemon by exec(3), such as setpriv(1) or unshare(1).
    ///   - sockets: handed over as systemd hands over those of a socket unit (sd_listen_fds(3)).
    package convenience init(
        _ settings: [String: String] = [:],
        arguments: [String] = [],
        launcher: [String] = [],
        state: TemporaryDirectory? = nil,
        sockets: [Int32] = []
    ) throws {
        let state = try state ?? TemporaryDirectory()
        let child = try Self.launch(settings, arguments: arguments, launcher: launcher, state: state, sockets: sockets)
        try self.init(child, state: state)
    }

    /// Starts the daemon on a configuration file alone, which must have it listen on 127.0.0.1 and log as text.
    package convenience init(fromFile path: String, state: TemporaryDirectory, sockets: [Int32] = []) throws {
        let command = Self.activated(sockets) + [try Programs.path("logboomd"), "--config", path]
        try self.init(try ChildProcess(command, descriptors: sockets), state: state)
    }

    private init(_ child: ChildProcess, state: TemporaryDirectory) throws {
        self.child = child
        self.state = state
        port = try Wait.until("logboomd to listen; it says: \(child.errors)", .seconds(20)) {
            if let end = child.ended { throw TestingError("logboomd did not start, \(end): \(child.errors)") }
            return Self.port(in: child.errors)
        }
    }

    /// Starts `logboomd` without waiting for anything: for tests of what stops a start.
    package static func launch(
        _ settings: [String: String] = [:],
        arguments: [String] = [],
        launcher: [String] = [],
        state: TemporaryDirectory,
        sockets: [Int32] = []
    ) throws -> ChildProcess {
        var environment = settings
        let standard = [
            "LISTEN": "127.0.0.1:0,unix:\(state.file("logboom.sock"))", "STATE_DIRECTORY": state.path,
            "LOG_FORMAT": "text", "AGGREGATION_WINDOW": "3600", "JOURNAL": "off",
        ]
        environment.merge(standard) { given, _ in given }
        return try ChildProcess(
            activated(sockets) + launcher + [try Programs.path("logboomd")] + arguments,
            environment: environment,
            descriptors: sockets
        )
    }

    /// What starts a program with sockets; only the process itself knows its number before it runs.
    private static func activated(_ sockets: [Int32]) -> [String] {
        guard !sockets.isEmpty else { return [] }
        return ["/bin/sh", "-c", #"LISTEN_FDS="# + String(sockets.count) + #" LISTEN_PID=$$ exec "$@""#, "sh"]
    }

    /// The port in "listens on 127.0.0.1:PORT".
    private static func port(in log: String) -> Int? {
        guard let start = log.range(of: "listens on 127.0.0.1:")?.upperBound else { return nil }
        let digits = log[start...].prefix { $0.isNumber }
        // The line is written by one write(2), but only a character after the number says that it is whole.
        return log[start...].count > digits.count ? Int(digits) : nil
    }

    /// What it logged so far.
    package var log: String { child.errors }

    package var address: HTTPTestAddress { .port(port) }

    /// One request on a connection of its own. Throws when openapi.json does not know of such an answer.
    package func request(
        _ method: String,
        _ path: String,
        _ body: [UInt8]? = nil,
        headers: [String: String] = [:]
    ) throws -> HTTPTestAnswer {
        let answer = try HTTPTestConnection(address).send(method, path, body, headers: headers)
        if let complaint = APIDocument.complaint(method, path, answer.status) { throw TestingError(complaint) }
        return answer
    }

    package func get(_ path: String) throws -> HTTPTestAnswer {
        try request("GET", path)
    }

    package func post(
        _ path: String,
        _ body: String = "",
        type: String = "application/json"
    ) throws -> HTTPTestAnswer {
        try request("POST", path, Array(body.utf8), headers: ["Content-Type": type])
    }

    /// Waits for a line of the log that contains `text`.
    package func waitForLog(_ text: String, _ limit: Duration = .seconds(10)) throws {
        try Wait.until("\"\(text)\" in the log, which is: \(self.log)", limit, holds: { self.log.contains(text) })
    }

    /// Waits until `/stats` is as wanted, and returns it.
    @discardableResult
    package func waitForStats(
        _ what: String,
        _ limit: Duration = .seconds(20),
        _ condition: (HTTPTestAnswer) -> Bool
    ) throws -> HTTPTestAnswer {
        var last: HTTPTestAnswer?
        return try Wait.until("\(what) in \(last?.text ?? "")\nlog: \(self.log)", limit) {
            let stats = try self.get("/stats")
            last = stats
            return condition(stats) ? stats : nil
        }
    }

    /// SIGTERM, and how it ended.
    package func terminate(_ limit: Duration = .seconds(10)) throws -> ChildProcess.End {
        child.signal(SIGTERM)
        return try child.waitForEnd(limit)
    }

    /// SIGKILL: what a power cut or the kernel's memory guard does to a process.
    package func kill9() {
        child.kill()
    }

    /// SIGHUP: read the configuration again.
    package func hangUp() {
        child.signal(SIGHUP)
    }
}

/// Where the programs under test are: beside the test bundle.
package enum Programs {
    /// The absolute path of one of this package's programs: what was built beside the tests, or for `logboomd` what
    /// `LOGBOOM_TEST_DAEMON` names, such as a build with a sanitizer.
    package static func path(_ name: String) throws -> String {
        if name == "logboomd", let other = ProcessInfo.processInfo.environment["LOGBOOM_TEST_DAEMON"] {
            guard FileManager.default.isExecutableFile(atPath: other) else {
                throw TestingError("run \(name): LOGBOOM_TEST_DAEMON is \(other), which is no program")
            }
            return other
        }
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw TestingError("run \(name): \(path) is not there; build with swift build --build-tests")
        }
        return path
    }

    /// The path of an installed program, looked for in `PATH`; `nil` when it is not there.
    package static func installed(_ name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}
