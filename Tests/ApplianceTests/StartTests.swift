import Foundation
import PipelineTesting
import Testing

/// What a start is refused for, and what SIGHUP changes.
@Suite struct StartTests {
    private func failedStart(
        _ settings: [String: String],
        arguments: [String] = []
    ) throws -> (end: ChildProcess.End, errors: String) {
        let child = try DaemonProcess.launch(settings, arguments: arguments, state: TemporaryDirectory())
        let end = try child.waitForEnd()
        return (end, child.errors)
    }

    @Test func `a typo in the file ends the start with 78, and names file, line and what was meant`() throws {
        let folder = try TemporaryDirectory()
        let file = folder.file("logboom.conf")
        try "# comment\nBATCH_SIZE=10\nAGREGATION_WINDOW=30\nLOG_LEVEL=lous\n"
            .write(toFile: file, atomically: true, encoding: .utf8)
        let (end, errors) = try failedStart([:], arguments: ["--config", file])
        #expect(end == .exited(78))
        #expect(errors.contains("\(file):3"), "\(errors)")
        #expect(errors.contains("did you mean AGGREGATION_WINDOW?"), "\(errors)")
        #expect(errors.contains("LOG_LEVEL"), "all errors at once: \(errors)")
    }

    @Test(arguments: [
        (["BATCH_SIZE": "many"], "BATCH_SIZE"), (["POSTGRES_HOST": "db", "POSTGRES_PORT": "99999"], "POSTGRES_PORT"),
        (["ANALYTICS_NODE_URL": "ftp://a"], "ANALYTICS_NODE_URL"), (["LISTEN": "8004"], "LISTEN"),
        (["STATE_DIRECTORY": "relative"], "STATE_DIRECTORY"),
    ])
    func `a value that cannot be right ends the start with 78 and its key`(
        _ settings: [String: String],
        _ key: String
    ) throws {
        let (end, errors) = try failedStart(settings)
        #expect(end == .exited(78))
        #expect(errors.contains(key), "\(errors)")
        #expect(errors.contains("allowed:"), "\(errors)")
    }

    @Test(arguments: ["0.0.0.0:0", "[::]:0", "192.0.2.1:8004"])
    func `an address other machines can reach is refused unless it is allowed in writing`(_ address: String) throws {
        let (end, errors) = try failedStart(["LISTEN": address])
        #expect(end == .exited(78))
        #expect(errors.contains("LISTEN"), "\(errors)")
        #expect(errors.contains("ALLOW_INSECURE"), "\(errors)")
    }

    @Test func `a port in use is said in a sentence`() throws {
        try withDaemon { daemon in
            let (end, errors) = try failedStart(["LISTEN": "127.0.0.1:\(daemon.port)"])
            #expect(end == .exited(69))
            #expect(errors.contains("127.0.0.1:\(daemon.port)"), "\(errors)")
            #expect(errors.contains("is logboomd running already?"), "\(errors)")
        }
    }

    @Test func `a misspelt option ends with 64, --check with what it found, --version with the version`() throws {
        let daemon = try Programs.path("logboomd")
        let misspelt = try ChildProcess.run([daemon, "--confg", "x"])
        #expect(misspelt.end == .exited(64))
        #expect(misspelt.errors.contains("--help"))
        let good = try ChildProcess.run([daemon, "--check", "--set", "BATCH_SIZE=10"])
        #expect(good.end == .exited(0), "\(good.errors)")
        let bad = try ChildProcess.run([daemon, "--check", "--set", "BATCH_SIZE=0"])
        #expect(bad.end == .exited(78))
        let version = try ChildProcess.run([daemon, "--version"])
        #expect(version.output.hasPrefix("logboomd "))
        #expect(try ChildProcess.run([daemon, "--help"]).output.contains("--config"))
    }

    @Test func `SIGHUP with a good file takes effect, with a bad one keeps the old values and says so`() throws {
        let folder = try TemporaryDirectory()
        let file = folder.file("logboom.conf")
        func write(_ text: String) throws { try text.write(toFile: file, atomically: true, encoding: .utf8) }
        let state = try TemporaryDirectory()
        let listen = "LISTEN=127.0.0.1:0\nSTATE_DIRECTORY=\(state.path)\nLOG_FORMAT=text\n"
        try write(listen + "LOG_LEVEL=info\nAGGREGATION_WINDOW=3600\n")
        let daemon = try DaemonProcess(fromFile: file, state: state)
        #expect(try daemon.get("/stats").integer("aggregation_window_s") == 3600)
        try daemon.postRecords(3)

        try write(listen + "LOG_LEVEL=info\nAGGREGATION_WINDOW=1\nBATCH_SIZE=77\nDURABLE_LEVEL=off\n")
        daemon.hangUp()
        try daemon.waitForStats("the new window") { $0.integer("aggregation_window_s") == 1 }
        let stats = try daemon.get("/stats")
        #expect(stats.integer("optimal_batch_size") == 77)
        #expect(stats.string("durable_level") == "off")
        #expect(daemon.log.contains("configuration read again"))

        try write(listen + "AGREGATION_WINDOW=2\n")
        daemon.hangUp()
        try daemon.waitForLog("the old one stays")
        #expect(daemon.log.contains("did you mean AGGREGATION_WINDOW?"), "\(daemon.log)")
        #expect(try daemon.get("/stats").integer("aggregation_window_s") == 1)

        try write(listen + "LOG_LEVEL=error\nAGGREGATION_WINDOW=5\n")
        daemon.hangUp()
        try daemon.waitForStats("the third window") { $0.integer("aggregation_window_s") == 5 }
        try expectOrderlyEnd(daemon)
        #expect(!daemon.log.contains("stopping"), "LOG_LEVEL=error silences notices: \(daemon.log)")
    }

    @Test func `a shorter window after SIGHUP holds for the batch that is open`() throws {
        let state = try TemporaryDirectory()
        let file = state.file("logboom.conf")
        let listen = "LISTEN=127.0.0.1:0\nSTATE_DIRECTORY=\(state.path)\nLOG_FORMAT=text\n"
        try (listen + "AGGREGATION_WINDOW=3600\n").write(toFile: file, atomically: true, encoding: .utf8)
        let daemon = try DaemonProcess(fromFile: file, state: state)
        try daemon.postRecords(3)
        try (listen + "AGGREGATION_WINDOW=1\n").write(toFile: file, atomically: true, encoding: .utf8)
        daemon.hangUp()
        try daemon.waitForStats("the open batch to be sealed", .seconds(5)) { $0.integer("records.delivered") == 3 }
        try expectOrderlyEnd(daemon)
    }

    /// As the service does. A socket option that only root may set once closed every connection of anybody else's daemon.
    @Test func `a daemon without any privilege answers over TCP and over the unix socket`() throws {
        guard getuid() == 0, let setpriv = Programs.installed("setpriv") else {
            print(
                "skipped: only root can give privileges up, with setpriv(1); run by another user every test is this one"
            )
            return
        }
        let state = try TemporaryDirectory()
        try #require(chown(state.path, 65534, 65534) == 0)
        let launcher = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
        let daemon = try DaemonProcess(launcher: launcher, state: state)
        #expect(try daemon.get("/livez").status == 200)
        #expect(try HTTPTestConnection(.unix(path: daemon.socketPath)).send("GET", "/livez").status == 200)
        try expectOrderlyEnd(daemon)
    }
}
