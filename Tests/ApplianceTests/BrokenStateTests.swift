import Foundation
import PipelineTesting
import Testing

/// The daemon on a state directory that is broken in some way: it starts, says so in `/health` and in its log, sets aside
/// what it could not use, and counts as ever.
@Suite struct BrokenStateTests {
    /// The patterns of a daemon that was stopped in order.
    private func makeState() throws -> TemporaryDirectory {
        let state = try TemporaryDirectory(mode: 0o755)
        let daemon = try DaemonProcess(["REDACTION": "hash"], state: state)
        try daemon.postRecords(3, message: "before the damage")
        try expectOrderlyEnd(daemon)
        return state
    }

    private func start(
        _ state: TemporaryDirectory,
        launcher: [String] = [],
        _ settings: [String: String] = ["REDACTION": "hash"]
    ) throws -> DaemonProcess {
        let begin = ContinuousClock.now
        let daemon = try DaemonProcess(settings, launcher: launcher, state: state)
        // The promise is two seconds; a loaded test machine with a debug build gets three more.
        #expect(ContinuousClock.now - begin < .seconds(5))
        return daemon
    }

    /// What must be so after a start on something broken.
    private func expectComplaint(
        _ daemon: DaemonProcess,
        _ text: String,
        isDurable: Bool = true,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let health = try daemon.get("/health")
        #expect(health.status == 200, sourceLocation: sourceLocation)
        #expect(health.string("status") == "degraded", "\(health.text)", sourceLocation: sourceLocation)
        let checks = health["checks"] as? [[String: Any]] ?? []
        let state = checks.filter { $0["name"] as? String == "state" }.compactMap { $0["detail"] as? String }
        #expect(state.contains { $0.contains(text) }, "\(health.text)", sourceLocation: sourceLocation)
        #expect(daemon.log.contains(text), "\(daemon.log)", sourceLocation: sourceLocation)
        try daemon.postRecords(2, message: "after the damage", level: "ERROR")
        let patterns = try daemon.storedPatterns(isDurable: isDurable)
        #expect(
            patterns.contains { $0.pattern == "after the damage" && $0.count == 2 },
            "\(patterns)",
            sourceLocation: sourceLocation
        )
    }

    private func names(_ state: TemporaryDirectory) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: state.path).sorted()
    }

    @Test(arguments: ["garbage", "flipped", "newer version", "pipe", "loop", "cut"])
    func `a broken state file is set aside under a dated name`(damage: String) throws {
        let state = try makeState()
        let file = state.file("logboom.db")
        var bytes = try #require(FileManager.default.contents(atPath: file))
        switch damage {
        case "garbage": bytes = Data((0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        case "flipped":
            // The header of every page but the first three: the schema is read, the rows are not.
            for page in stride(from: 3 * 4096, to: bytes.count, by: 4096) { bytes[page] ^= 0xFF }
        // user_version, big-endian at offset 60 (sqlite.org/fileformat2.html).
        case "newer version": bytes[60] = 1
        case "cut": bytes = bytes.prefix(bytes.count - 5000)
        default: break
        }
        try FileManager.default.removeItem(atPath: file)
        switch damage {
        case "pipe": #expect(mkfifo(file, 0o600) == 0)
        case "loop": #expect(symlink(file, file) == 0)
        default: try bytes.write(to: URL(fileURLWithPath: file))
        }
        let daemon = try start(state)
        try expectComplaint(daemon, "the state was damaged")
        let aside = try names(state).filter { $0.hasPrefix("logboom.db.damaged-") }
        #expect(aside.count == 1, "\(aside)")
        #expect(try daemon.get("/health").text.contains(aside.first ?? "?"))
        if damage == "newer version" {
            #expect(try daemon.storedPatterns().contains { $0.pattern == "before the damage" && $0.count == 3 })
        }
        try expectOrderlyEnd(daemon)
        // Said once: the next start finds a sound file.
        let next = try start(state)
        #expect(try next.get("/health").string("status") == "healthy")
        try expectOrderlyEnd(next)
    }

    @Test func `an empty file is a new file`() throws {
        let state = try TemporaryDirectory()
        #expect(FileManager.default.createFile(atPath: state.file("logboom.db"), contents: Data()))
        let daemon = try start(state)
        #expect(try daemon.get("/health").string("status") == "healthy")
        try expectOrderlyEnd(daemon)
    }

    @Test(arguments: [("node-id", "the node's id"), ("redaction-key", "the key of redaction marks")])
    func `a broken small file is set aside and said`(name: String, text: String) throws {
        let state = try makeState()
        try "neither".write(toFile: state.file(name), atomically: false, encoding: .utf8)
        let daemon = try start(state)
        try expectComplaint(daemon, text)
        let aside = try names(state).filter { $0.hasPrefix("\(name).damaged-") }
        #expect(aside.count == 1)
        try expectOrderlyEnd(daemon)
        let next = try start(state)
        #expect(try next.get("/health").string("status") == "healthy")
        try expectOrderlyEnd(next)
    }

    // MARK: Rights

    /// Starts programs as `nobody`, who cannot do what root can; `nil`, said in the log, when this is not possible here.
    private static let asNobody: [String]? = {
        guard getuid() == 0, let setpriv = Programs.installed("setpriv") else {
            print("skipped: only root can start the daemon as somebody else, with setpriv(1)")
            return nil
        }
        return [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
    }()

    @Test func `in a directory that it may not write to it goes on in memory, says so, and comes back`() throws {
        guard let launcher = Self.asNobody else { return }
        let state = try makeState()
        let settings = ["LISTEN": "127.0.0.1:0"]
        let daemon = try start(state, launcher: launcher, settings)
        try expectComplaint(daemon, "nothing can be kept in", isDurable: false)
        #expect(try daemon.get("/metrics").text.contains("logboom_state_memory_only 1"))
        #expect(try names(state).filter { $0.contains("damaged") }.isEmpty)
        // Somebody mends the rights: what memory held joins what the file held.
        for name in try names(state) { #expect(chown(state.file(name), 65534, 65534) == 0) }
        #expect(chown(state.path, 65534, 65534) == 0)
        try daemon.waitForLog("the state file can be used again", .seconds(20))
        #expect(try daemon.get("/health").string("status") == "healthy")
        let patterns = try daemon.storedPatterns().map { "\($0.pattern): \($0.count)" }
        #expect(patterns.sorted() == ["after the damage: 2", "before the damage: 3"])
        try expectOrderlyEnd(daemon)
    }

    @Test func `files of somebody else in a directory of its own are set aside`() throws {
        guard let launcher = Self.asNobody else { return }
        let state = try makeState()
        for name in try names(state) { #expect(chmod(state.file(name), 0o600) == 0) }
        #expect(chown(state.path, 65534, 65534) == 0)
        let daemon = try start(state, launcher: launcher, ["LISTEN": "127.0.0.1:0", "REDACTION": "hash"])
        try expectComplaint(daemon, "the state was damaged")
        let aside = try names(state).filter { $0.contains(".damaged-") }.map { $0.prefix { $0 != "." } }
        #expect(aside == ["logboom", "node-id", "redaction-key"])
        try expectOrderlyEnd(daemon)
    }

    @Test func `a directory that is not there is made`() throws {
        let state = try TemporaryDirectory()
        let daemon = try start(state, ["STATE_DIRECTORY": state.file("a/b")])
        #expect(try daemon.get("/health").string("status") == "healthy")
        try expectOrderlyEnd(daemon)
    }
}
