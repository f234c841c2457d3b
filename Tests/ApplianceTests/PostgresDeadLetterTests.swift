import Foundation
import PipelineTesting
import Testing

/// What PostgreSQL will never take, and what a person does about it: `logboom dead-letters` against a daemon.
@Suite struct PostgresDeadLetterTests {
    private func logboom(_ daemon: DaemonProcess, _ arguments: String...) throws -> (
        end: ChildProcess.End, output: String, errors: String
    ) {
        let place = ["--url", "http://127.0.0.1:\(daemon.port)"]
        return try ChildProcess.run([try Programs.path("logboom"), "dead-letters"] + arguments + place)
    }

    /// Four records: one whose source a rule of the database refuses, three beside it.
    private func postFour(_ daemon: DaemonProcess) throws {
        let answer = try daemon.post(
            "/ingest",
            """
            [{"message":"seven \\u001b[2Jcame in","source":"seven","level":"ERROR"},
             {"message":"disk is warm","source":"disk","level":"ERROR"},
             {"message":"disk is warm","source":"disk","level":"ERROR"},
             {"message":"fan is loud","source":"fan","level":"INFO"}]
            """
        )
        #expect([200, 202].contains(answer.status), "\(answer.text)")
        try daemon.flush()
    }

    private static let rule = "ALTER TABLE aggregated_logs ADD CONSTRAINT no_sevens CHECK (source <> 'seven')"

    @Test func `a refused record costs itself only, is shown, and counts once when it is sent again`() throws {
        let database = try TestDatabase(.shared())
        let daemon = try DaemonProcess(database.settings())
        try daemon.postRecords(1)
        try daemon.flush()
        #expect(try logboom(daemon).output == "No dead letters: everything was taken.\n")
        try database.cluster.query(database.name, Self.rule)
        try postFour(daemon)
        let stats = try daemon.waitForStats("the refused record to be set aside") { stats in
            stats.integer("records.delivered") == 4 && stats.integer("records.dead_lettered") == 1
        }
        #expect(stats.integer("records.accepted") == 5)
        #expect(try database.totals() == ["test": 1, "disk": 2, "fan": 1])
        #expect(try daemon.get("/health").string("status") == "degraded")

        let list = try logboom(daemon, "list")
        #expect(list.end == .exited(0) && list.output.contains("23514") && list.output.contains("no_sevens"))
        let json = try JSONSerialization.jsonObject(with: Data(try logboom(daemon, "list", "--json").output.utf8))
        let id = try #require(((json as? [String: Any])?["dead_letters"] as? [[String: Any]])?.first?["id"] as? Int)
        let show = try logboom(daemon, "show", String(id))
        #expect(show.end == .exited(0) && show.output.contains("seven"), "\(show.output)")
        #expect(!show.output.contains("\u{1B}") && !show.output.contains("disk"))
        #expect(try logboom(daemon, "show", "99").end == .exited(1))
        #expect(try logboom(daemon, "replay").end == .exited(64))
        #expect(try logboom(daemon, "drop", "--all", String(id)).end == .exited(64))

        // Still refused: set aside again, under another id; nothing is counted.
        #expect(try logboom(daemon, "replay", String(id)).end == .exited(0))
        try daemon.waitForStats("it to be refused again") { stats in
            stats.integer("spool.dead_letters") == 1 && stats.integer("records.dead_lettered") == 1
                && stats.integer("records.spooled") == 0
        }
        try expectConservation(daemon)
        #expect(try logboom(daemon, "replay", String(id)).end == .exited(1), "that one is gone")

        try database.cluster.query(database.name, "ALTER TABLE aggregated_logs DROP CONSTRAINT no_sevens")
        let replay = try logboom(daemon, "replay", "--all")
        #expect(replay.end == .exited(0) && replay.output == "1 dead letters, 1 records: sent again.\n")
        try daemon.waitUntilDelivered()
        #expect(try database.totals() == ["test": 1, "disk": 2, "fan": 1, "seven": 1])
        #expect(try daemon.get("/health").string("status") == "healthy")
        let metrics = try daemon.get("/metrics").text
        #expect(metrics.contains(#"logboom_records_replayed_total{lane="store"} 2"#), "\(metrics)")
        #expect(metrics.contains(#"logboom_records_dead_lettered_total{lane="store"} 2"#))
        try expectOrderlyEnd(daemon)
    }

    @Test func `dead letters outlive the daemon, and are sent again or removed by the next one`() throws {
        let database = try TestDatabase(.shared())
        let first = try DaemonProcess(database.settings())
        try first.postRecords(1)
        try first.flush()
        try database.cluster.query(database.name, Self.rule)
        try postFour(first)
        try postFour(first)
        try first.waitForStats("both to be set aside") { $0.integer("records.dead_lettered") == 2 }
        first.kill9()
        let daemon = try DaemonProcess(database.settings(), state: first.state)
        #expect(try daemon.get("/stats").integer("spool.dead_letters") == 2)
        try database.cluster.query(database.name, "ALTER TABLE aggregated_logs DROP CONSTRAINT no_sevens")
        #expect(try logboom(daemon, "drop", "1").output == "1 dead letters, 1 records: removed.\n")
        #expect(try logboom(daemon, "drop", "1").end == .exited(1))
        #expect(try logboom(daemon, "replay", "2").end == .exited(0))
        try daemon.waitForStats("it to be delivered") { $0.integer("records.delivered") == 1 }
        #expect(try database.totals() == ["test": 1, "disk": 4, "fan": 2, "seven": 1])
        try expectOrderlyEnd(daemon)
    }

    @Test func `dead letters have their routes, and refuse what makes no sense`() throws {
        try withDaemon { (daemon: DaemonProcess) throws in
            #expect(try daemon.get("/v1/dead-letters").text.hasPrefix(#"{"total":0,"dead_letters":[]}"#))
            for path in ["/v1/dead-letters?limit=0", "/v1/dead-letters?after=x", "/v1/dead-letters?all=1"] {
                #expect(try daemon.get(path).status == 400, "\(path)")
            }
            for path in ["/v1/dead-letters/1", "/v1/dead-letters/0", "/v1/dead-letters/", "/v1/dead-letters/x"] {
                #expect(try daemon.get(path).status == 404, "\(path)")
            }
            #expect(try daemon.request("DELETE", "/v1/dead-letters/1").status == 404)
            #expect(try daemon.post("/v1/dead-letters/1/replay").status == 404)
            #expect(try daemon.get("/v1/dead-letters/1/replay").status == 405)
            #expect(try daemon.request("DELETE", "/v1/dead-letters").status == 405)
        }
    }

    @Test func `a LATIN1 database keeps what it can and sets the rest aside`() throws {
        let database = try TestDatabase(.shared(), encoding: "LATIN1")
        let daemon = try DaemonProcess(database.settings())
        try daemon.postRecords(3, message: "Grüße vom Müllplatz", level: "ERROR", source: "umlaut")
        try daemon.postRecords(2, message: "\u{1F525} disk is on fire", source: "emoji")
        try daemon.postRecords(4, message: "all is well", source: "plain")
        try daemon.flush()
        try daemon.waitForStats("all to be decided") { stats in
            stats.integer("records.delivered") == 7 && stats.integer("records.dead_lettered") == 2
        }
        #expect(try database.totals() == ["umlaut": 3, "plain": 4])
        let show = try logboom(daemon, "show", "1")
        #expect(show.output.contains("22P05") && show.output.contains("disk is on fire"))
        try expectOrderlyEnd(daemon)
    }
}
