import Foundation
import PipelineTesting
import Testing

/// The password is nowhere to be seen, also when it is the trouble.
@Suite struct SecretTests {
    private static let password = "hunter2-Zq9"

    @Test(arguments: ["environment", "file", "configuration"])
    func `a refused password is in no log, no page and no process list`(_ way: String) throws {
        let database = try TestDatabase(.shared())
        let state = try TemporaryDirectory()
        var settings = database.settings(user: PostgresCluster.guardedUser)
        settings["LOG_LEVEL"] = "trace"
        var arguments: [String] = []
        switch way {
        case "environment": settings["POSTGRES_PASSWORD"] = Self.password
        case "file":
            let file = state.file("password")
            try Self.password.write(toFile: file, atomically: true, encoding: .utf8)
            settings["POSTGRES_PASSWORD_FILE"] = file
        default:
            let file = state.file("logboom.conf")
            try "POSTGRES_PASSWORD=\(Self.password)\n".write(toFile: file, atomically: true, encoding: .utf8)
            arguments = ["--config", file]
        }
        let daemon = try DaemonProcess(settings, arguments: arguments, state: state)
        try daemon.postRecords(2, level: "ERROR")
        try daemon.waitForStats("the refusal") { $0.string("lanes.store.last_error")?.isEmpty == false }
        daemon.hangUp()
        try daemon.waitForLog("configuration read again")
        for path in ["/health", "/health/db", "/stats", "/metrics", "/v1/patterns", "/readyz"] {
            #expect(!(try daemon.get(path).text.contains(Self.password)), "\(path)")
        }
        let process = "/proc/\(daemon.child.processID)"
        let line = FileManager.default.contents(atPath: "\(process)/cmdline") ?? Data()
        #expect(!String(decoding: line, as: UTF8.self).contains(Self.password))
        try expectOrderlyEnd(daemon)
        #expect(daemon.log.contains("postgres"), "the outage was logged: \(daemon.log)")
        #expect(!daemon.log.contains(Self.password))
        #expect(!daemon.child.output.contains(Self.password))
    }

    @Test func `what records say is in no log`() throws {
        let daemon = try DaemonProcess(["LOG_LEVEL": "trace"])
        let word = "xyzzy-plugh"
        try daemon.postRecords(1, message: "a \(word) b", level: "ERROR", source: word)
        _ = try daemon.post("/ingest", #"{"message":"\#(word)"#)
        _ = try daemon.post("/ingest", #"[{"\#(word)":1}]"#)
        _ = try daemon.get("/\(word)")
        try expectOrderlyEnd(daemon)
        #expect(!daemon.log.contains(word), "\(daemon.log)")
    }
}
