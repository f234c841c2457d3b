import Foundation
import PipelineTesting
import Testing

/// What stands in `STATE_DIRECTORY` when the daemon starts.
@Suite struct StateTests {
    @Test func `patterns of the embedded store survive restarts and go on being counted`() throws {
        let state = try TemporaryDirectory()
        for round in 1...3 {
            let daemon = try DaemonProcess(state: state)
            try daemon.postRecords(4, message: "User 123 logged in")
            #expect(try daemon.storedPatterns().reduce(0) { $0 + $1.count } == 4 * round)
            try expectOrderlyEnd(daemon)
        }
    }

    @Test func `the node keeps its identity over restarts`() throws {
        let state = try TemporaryDirectory()
        var nodes: Set<String?> = []
        for _ in 1...2 {
            let daemon = try DaemonProcess(state: state)
            nodes.insert(try daemon.get("/stats").string("node"))
            try expectOrderlyEnd(daemon)
        }
        #expect(nodes.count == 1)
        #expect(nodes.first??.count == 36)
    }

    @Test(arguments: ["garbage", "empty", "truncated", "folder"])
    func `damaged state does not stop the start, is kept, and is complained of`(_ damage: String) throws {
        let state = try TemporaryDirectory()
        let first = try DaemonProcess(state: state)
        try first.postRecords(3)
        try expectOrderlyEnd(first)
        let file = state.file("logboom.db")
        let sound = try #require(FileManager.default.contents(atPath: file))
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file + suffix) }
        switch damage {
        case "garbage": try Data(repeating: 0x2A, count: 9000).write(to: URL(fileURLWithPath: file))
        case "empty": try Data().write(to: URL(fileURLWithPath: file))
        case "truncated": try sound.prefix(sound.count / 2 + 100).write(to: URL(fileURLWithPath: file))
        default:
            try FileManager.default.removeItem(atPath: file)
            try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
        }
        let daemon = try DaemonProcess(state: state)
        let health = try daemon.get("/health")
        #expect(health.status == 200)
        // An empty file is a new database to SQLite: nothing in it is damaged.
        if damage != "empty" {
            #expect(health.string("status") == "degraded", "\(health.text)")
            #expect(health.text.contains("damaged"), "\(health.text)")
            #expect(daemon.log.contains("damaged"), "\(daemon.log)")
            let names = try FileManager.default.contentsOfDirectory(atPath: state.path)
            #expect(names.contains { $0.hasPrefix("logboom.db.damaged-") }, "\(names)")
        }
        try daemon.postRecords(2, message: "after the damage")
        #expect(try daemon.storedPatterns().contains { $0.pattern == "after the damage" && $0.count == 2 })
        try expectOrderlyEnd(daemon)
    }

    @Test func `without a usable folder it runs in memory and says so`() throws {
        let state = try TemporaryDirectory()
        try "a file".write(toFile: state.file("occupied"), atomically: true, encoding: .utf8)
        try withDaemon(["STATE_DIRECTORY": state.file("occupied")]) { daemon in
            let health = try daemon.get("/health")
            #expect(health.status == 200)
            #expect(health.string("status") == "degraded")
            try daemon.postRecords(5)
            #expect(try daemon.storedPatterns(isDurable: false).map(\.count) == [5])
            // What ends with the process is no receipt.
            let answer = try daemon.post("/ingest", #"{"message":"disk is on fire","level":"error"}"#)
            #expect(answer.status == 202 && answer.integer("durable") == 0)
        }
    }
}
