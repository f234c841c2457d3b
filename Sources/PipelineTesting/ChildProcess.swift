internal import Foundation
internal import Synchronization

/// A program a test started: its output goes to files, its end is waited for with a limit, and it is killed when the
/// object goes or when the test process ends, however that ends.
package final class ChildProcess: Sendable {
    /// How a program ended.
    package enum End: Sendable, Equatable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    package let processID: Int32

    private let folder: TemporaryDirectory
    private let end = Mutex<End?>(nil)

    /// - Parameters:
    ///   - arguments: the program's absolute path, then its arguments.
    ///   - environment: all of it; nothing is inherited but `PATH`, `HOME` and `TMPDIR`.
    ///   - input: what the program reads; `nil` for nothing.
    ///   - descriptors: handed over as 3, 4 and so on, as systemd does it; they stay open here.
    package init(
        _ arguments: [String],
        environment: [String: String] = [:],
        input: String? = nil,
        descriptors: [Int32] = []
    ) throws {
        folder = try TemporaryDirectory()
        let inputPath = folder.file("stdin")
        try (input ?? "").write(toFile: inputPath, atomically: false, encoding: .utf8)
        var variables = environment
        for name in ["PATH", "HOME", "TMPDIR"] where variables[name] == nil {
            variables[name] = ProcessInfo.processInfo.environment[name]
        }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, folder.file("stdout"), O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, folder.file("stderr"), O_WRONLY | O_CREAT | O_APPEND, 0o600)
        // First out of the way of the numbers that they are to have.
        let passed = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 200) }
        defer { for descriptor in passed { close(descriptor) } }
        closeInherited(&actions, but: passed)
        for (index, descriptor) in passed.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, 3 + Int32(index))
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        // A group of its own, so that a shell is ended with what it started.
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        let argv = arguments.map { strdup($0) } + [nil]
        let envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, arguments[0], &actions, &attributes, argv, envp)
        guard code == 0 else { throw TestingError("run \(arguments[0]): errno \(code)") }
        processID = child
        OrphanGuard.shared.tell("+ \(child)")
    }

    deinit {
        kill()
    }

    /// Runs a program to its end, at most `limit`.
    package static func run(
        _ arguments: [String],
        environment: [String: String] = [:],
        input: String? = nil,
        limit: Duration = .seconds(20)
    ) throws -> (end: End, output: String, errors: String) {
        let child = try ChildProcess(arguments, environment: environment, input: input)
        let end = try child.waitForEnd(limit)
        return (end, child.output, child.errors)
    }

    /// Everything written to standard output so far.
    package var output: String { text("stdout") }
    /// Everything written to standard error so far.
    package var errors: String { text("stderr") }

    /// How it ended; `nil` while it runs.
    package var ended: End? {
        end.withLock { end in
            if let end { return end }
            var status: Int32 = 0
            let code = waitpid(processID, &status, WNOHANG)
            guard code == processID else { return nil }
            // As WIFEXITED and its like read a wait status (wait(2)).
            end = status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .killed(signal: status & 0x7F)
            OrphanGuard.shared.tell("- \(processID)")
            return end
        }
    }

    /// Waits for the end.
    @discardableResult
    package func waitForEnd(_ limit: Duration = .seconds(10)) throws -> End {
        try Wait.until("the end of process \(processID)", limit) { self.ended }
    }

    /// Sends a signal to the program; nothing when it has ended.
    package func signal(_ number: Int32) {
        // Until it is waited for, its number cannot belong to another process.
        end.withLock { end in
            if end == nil { _ = Foundation.kill(processID, number) }
        }
    }

    /// Kills the program with all of its group, and waits for its end.
    package func kill() {
        end.withLock { end in
            if end == nil { _ = Foundation.kill(-processID, SIGKILL) }
        }
        _ = try? waitForEnd()
    }

    private func text(_ name: String) -> String {
        String(decoding: FileManager.default.contents(atPath: folder.file(name)) ?? Data(), as: UTF8.self)
    }
}

/// Waiting for a condition, with a limit.
package enum Wait {
    /// Asks every few milliseconds until there is an answer.
    package static func until<Value>(
        _ what: @autoclosure () -> String,
        _ limit: Duration = .seconds(10),
        _ condition: () throws -> Value?
    ) throws -> Value {
        let deadline = ContinuousClock.now + limit
        while true {
            if let value = try condition() { return value }
            guard ContinuousClock.now < deadline else { throw TestingError("waited \(limit) for \(what())") }
            _ = poll(nil, 0, 5)
        }
    }

    /// Asks every few milliseconds until it is so.
    package static func until(
        _ what: @autoclosure () -> String,
        _ limit: Duration = .seconds(10),
        holds condition: () throws -> Bool
    ) throws {
        try until(what(), limit) { try condition() ? () : nil }
    }
}

/// Sockets of other tests must not stay open because a program inherited them. A descriptor that is closed meanwhile is no
/// error for posix_spawn(3).
private func closeInherited(_ actions: inout posix_spawn_file_actions_t, but kept: [Int32] = []) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
        if let descriptor = Int32(name), descriptor > 2, !kept.contains(descriptor) {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
    }
}

/// A shell that kills what this process started when this process ends without having done so: at a crash, at a kill.
private final class OrphanGuard: Sendable {
    static let shared = OrphanGuard()

    private let descriptor: Int32

    private init() {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else {
            descriptor = -1
            return
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        descriptor = ends[1]
        // Numbers still listed when the pipe breaks are children that nobody waited for, so no other process has them.
        let script = """
            all=" "
            while read -r sign number; do
                case $sign in
                    +) all="$all$number " ;;
                    -) all="${all%% $number *} ${all#* $number }" ;;
                esac
            done
            for number in $all; do kill -KILL "-$number" 2>/dev/null; done
            """
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        closeInherited(&actions)
        // A group of its own: Ctrl-C ends the tests, and this is needed after that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        let arguments: [String] = ["/bin/sh", "-c", script]
        let argv = arguments.map { strdup($0) } + [nil]
        var child: pid_t = 0
        _ = posix_spawn(&child, "/bin/sh", &actions, &attributes, argv, environ)
        for pointer in argv { free(pointer) }
        posix_spawnattr_destroy(&attributes)
        posix_spawn_file_actions_destroy(&actions)
        close(ends[0])
    }

    func tell(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(descriptor, bytes, bytes.count)
    }
}
