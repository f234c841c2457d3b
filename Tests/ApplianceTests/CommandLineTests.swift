import Foundation
import PipelineTesting
import Testing

/// `logboom` against a daemon.
@Suite struct CommandLineTests {
    private func logboom(
        _ arguments: [String],
        at url: String? = nil,
        environment: [String: String] = [:]
    ) throws -> (end: ChildProcess.End, output: String, errors: String) {
        let place = url.map { ["--url", $0] } ?? []
        return try ChildProcess.run([try Programs.path("logboom")] + arguments + place, environment: environment)
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    private func urls(_ daemon: DaemonProcess) -> [String] {
        ["http://127.0.0.1:\(daemon.port)", "unix:\(daemon.socketPath)"]
    }

    @Test func `flush, top and status answer over the port and the unix socket`() throws {
        try withDaemon { daemon in
            for url in urls(daemon) {
                try daemon.postRecords(2, message: "User 123 logged in", source: "auth")
                let flush = try logboom(["flush"], at: url)
                #expect(flush.end == .exited(0), "\(flush.errors)")
                #expect(flush.output == "2 records are in the embedded store.\n")
                let top = try logboom(["top"], at: url)
                #expect(top.end == .exited(0), "\(top.errors)")
                #expect(top.output.contains("User <ID> logged in"))
                #expect(!top.output.contains("\u{1B}"), "no colours in a pipe")
                let rows = try object(try logboom(["top", "--json"], at: url).output)["patterns"] as? [[String: Any]]
                #expect(rows?.count == 1)
                let status = try logboom(["status"], at: url)
                #expect(status.end == .exited(0), "\(status.errors)")
                #expect(status.output.contains("is healthy"))
                let both = try object(try logboom(["status", "--json"], at: url).output)
                #expect(both["health"] is [String: Any])
                #expect(both["stats"] is [String: Any])
            }
            let environment = ["LOGBOOM_URL": urls(daemon)[0]]
            let nothing = try logboom(["flush"], environment: environment)
            #expect(nothing.output == "Nothing was waiting.\n")
            #expect(
                try logboom(["top", "--search", "nowhere"], environment: environment).output.hasPrefix("No patterns")
            )
        }
    }

    @Test func `top chooses by level, source and text`() throws {
        try withDaemon(on: .postgres) { daemon in
            try daemon.postRecords(3, message: "cache is cold", level: "WARN", source: "cache")
            try daemon.postRecords(1, message: "disk is on fire", level: "ERROR", source: "disk")
            try daemon.postRecords(5, message: "all is well", level: "INFO", source: "disk")
            try daemon.flush()
            func patterns(_ arguments: String...) throws -> [String] {
                let answer = try logboom(["top", "--json"] + arguments, at: urls(daemon)[0])
                #expect(answer.end == .exited(0), "\(answer.errors)")
                let rows = try object(answer.output)["patterns"] as? [[String: Any]] ?? []
                return rows.map { $0["pattern"] as? String ?? "" }
            }
            #expect(try patterns() == ["all is well", "cache is cold", "disk is on fire"])
            #expect(try patterns("--level", "warn") == ["cache is cold", "disk is on fire"])
            #expect(try patterns("--source", "disk") == ["all is well", "disk is on fire"])
            #expect(try patterns("--search", "FIRE") == ["disk is on fire"])
            #expect(try patterns("--limit", "1") == ["all is well"])
            #expect(try patterns("--since", "-1h").count == 3)
        }
    }

    @Test func `tail shows records as they come, filtered, until the daemon stops`() throws {
        let daemon = try DaemonProcess()
        let program = try Programs.path("logboom")
        let all = try ChildProcess([program, "tail", "--url", urls(daemon)[0]])
        let errors = try ChildProcess([program, "tail", "--level", "error", "--json", "--url", urls(daemon)[1]])
        // Posted until both see something: a client that connects late has missed nothing it was promised.
        try Wait.until("both tails to show a record", .seconds(20)) {
            try daemon.postRecords(1, message: "all is well")
            try daemon.postRecords(1, message: "disk is on fire", level: "ERROR")
            return all.output.contains("all is well") && errors.output.contains("disk is on fire") ? () : nil
        }
        try expectOrderlyEnd(daemon)
        #expect(try all.waitForEnd() == .exited(69))
        #expect(try errors.waitForEnd() == .exited(69))
        #expect(all.errors.contains("ended the stream"))
        let lines = errors.output.split(separator: "\n")
        #expect(try lines.allSatisfy { try object(String($0))["message"] as? String == "disk is on fire" })
    }

    @Test func `when nobody is there it says so and ends with 69`() throws {
        let folder = try TemporaryDirectory()
        for command in ["top", "status", "flush", "tail"] {
            for url in ["http://127.0.0.1:1", "unix:\(folder.file("none.sock"))"] {
                let result = try logboom([command], at: url)
                #expect(result.end == .exited(69), "\(command): \(result.errors)")
                #expect(result.errors.contains("logboomd does not answer at \(url)"), "\(result.errors)")
                #expect(result.output.isEmpty)
            }
        }
        #expect(try logboom(["top"], at: "gopher://x").end == .exited(64))
    }

    @Test func `what hostile records hold comes out harmless`() throws {
        try withDaemon { daemon in
            let hostile = #"owned \u001b]0;title\u0007 \u001b[2J\u001b[31mred \u009b1A \u202e reversed"#
            let record = #"{"message":"\#(hostile)","level":"ERROR","source":"\u001b[5mblink"}"#
            #expect(try daemon.post("/ingest", record).status == 200)
            for arguments in [["top"], ["top", "--json"], ["top", "--color", "never"]] {
                let result = try logboom(arguments, at: urls(daemon)[0])
                #expect(result.end == .exited(0), "\(result.errors)")
                #expect(result.output.contains("owned"))
                let scalars = result.output.unicodeScalars
                let dangerous = scalars.filter { scalar in
                    scalar != "\n" && scalar.properties.generalCategory == .control
                        || scalar.properties.generalCategory == .format
                }
                #expect(dangerous.isEmpty, "\(arguments): \(dangerous.map { String($0.value, radix: 16) })")
            }
        }
    }

    @Test func `status ends with 1 while PostgreSQL is away, and says where the records are`() throws {
        let proxy = try FaultProxy(to: PostgresCluster.shared().port)
        proxy.close()
        try withDaemon(["POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": String(proxy.port)]) { daemon in
            try daemon.postRecords(4)
            let flush = try logboom(["flush"], at: urls(daemon)[0])
            #expect(flush.end == .exited(0), "\(flush.errors)")
            #expect(flush.output.contains("4 records are safe in the spool"), "\(flush.output)")
            let status = try logboom(["status"], at: urls(daemon)[0])
            #expect(status.end == .exited(1))
            #expect(status.output.contains("is degraded"))
            #expect(status.output.contains("4 records waiting"), "\(status.output)")
            #expect(try logboom(["top"], at: urls(daemon)[0]).end == .exited(1))
        }
    }

    @Test func `config shows every value and where it came from, and never a secret`() throws {
        let folder = try TemporaryDirectory()
        let file = folder.file("logboom.conf")
        try "BATCH_SIZE=250\nPOSTGRES_HOST=db\n".write(toFile: file, atomically: true, encoding: .utf8)
        let result = try logboom(
            ["config", "--config", file, "--json"],
            environment: ["POSTGRES_PASSWORD": "open-sesame", "LOG_LEVEL": "debug"]
        )
        #expect(result.end == .exited(0), "\(result.errors)")
        let settings = try #require(try object(result.output)["settings"] as? [[String: Any]])
        func setting(_ key: String) -> [String: Any] { settings.first { $0["key"] as? String == key } ?? [:] }
        #expect(setting("BATCH_SIZE")["value"] as? String == "250")
        #expect((setting("BATCH_SIZE")["origin"] as? String)?.contains(file) == true)
        #expect(setting("LOG_LEVEL")["value"] as? String == "debug")
        #expect(setting("AGGREGATION_WINDOW")["value"] as? String == "30")
        #expect(setting("POSTGRES_PASSWORD")["value"] as? String == "(set)")
        #expect(!(result.output + result.errors).contains("open-sesame"))
        #expect(try logboom(["config", "--set", "BATCH_SIZ=1"]).end == .exited(78))
    }

    @Test func `version and help need no daemon`() throws {
        let version = try logboom(["version"])
        #expect(version.end == .exited(0))
        #expect(version.output.hasPrefix("logboom "))
        let daemon = try ChildProcess.run([try Programs.path("logboomd"), "--version"])
        #expect(daemon.output.split(separator: " ").last == version.output.split(separator: " ").last)
        for command in ["top", "status", "flush", "tail", "config"] {
            #expect(try logboom(["help", command]).output.contains("USAGE: logboom \(command)"))
        }
    }
}

@Suite struct DoctorProgramTests {
    @Test func `doctor and wear look at a daemon, within seconds`() throws {
        try withDaemon { daemon in
            try daemon.postRecords(3)
            let url = "http://127.0.0.1:\(daemon.port)"
            let program = try Programs.path("logboom")
            let doctor = try ChildProcess.run([program, "doctor", "--json", "--url", url])
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(doctor.output.utf8)) as? [String: Any]
            )
            let findings = try #require(report["findings"] as? [[String: Any]])
            let checks = findings.compactMap { $0["check"] as? String }
            for check in ["configuration", "daemon", "database", "disk", "wear", "clock", "pages", "journal"] {
                #expect(checks.contains(check), "\(checks)")
            }
            #expect(findings.first { $0["check"] as? String == "daemon" }?["status"] as? String == "ok")
            let wear = try ChildProcess.run([program, "wear", "--json", "--url", url])
            #expect(wear.end == .exited(0), "\(wear.errors)")
            let figures = try JSONSerialization.jsonObject(with: Data(wear.output.utf8)) as? [String: Any]
            #expect(figures?["written_bytes"] is Int, "\(wear.output)")
            #expect(figures?["year_bytes"] is NSNull, "\(wear.output)")
        }
    }

    @Test func `doctor without a daemon ends soon, with 2 and what to do`() throws {
        let program = try Programs.path("logboom")
        // Nobody listens on port 1, and a socket that swallows everything is waited for no longer.
        let refused = try ChildProcess.run([program, "doctor", "--url", "http://127.0.0.1:1"])
        #expect(refused.end == .exited(2), "\(refused.output)")
        #expect(refused.output.contains("systemctl start logboomd"), "\(refused.output)")
        let proxy = try FaultProxy(to: 1)
        proxy.blackHole()
        let silent = try ChildProcess.run([program, "doctor", "--url", "http://127.0.0.1:\(proxy.port)"])
        #expect(silent.end == .exited(2), "\(silent.output)")
    }
}
