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
        try daemon.waitUntilDelivered()
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
        // Durable may mean the spool, on a slow machine.
        try first.waitUntilDelivered()
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

    @Test func `poison in a backlog costs itself only, and the backlog drains`() throws {
        let cluster = try PostgresCluster.start()
        let database = try TestDatabase(cluster)
        let daemon = try DaemonProcess(database.settings())
        try daemon.postRecords(1, source: "first")
        try daemon.flush()
        try daemon.waitUntilDelivered()
        try cluster.query(database.name, Self.rule)
        try cluster.stop(mode: .immediate)
        do {
            defer { try? cluster.start() }
            for batch in 0..<40 {
                let source = batch % 4 == 1 ? "seven" : "good"
                try daemon.postRecords(2, message: "batch of a backlog", source: source)
                try daemon.postRecords(1, message: "beside it", source: "beside")
                try daemon.flush()
            }
            let stats = try expectConservation(daemon)
            #expect((stats.integer("lanes.store.spooled_batches") ?? 0) >= 40, "\(stats.text)")
        }
        let stats = try daemon.waitForStats("the backlog to drain", .seconds(30)) { stats in
            stats.integer("records.spooled") == 0 && stats.string("lanes.store.state") == "up"
        }
        #expect(stats.integer("records.dead_lettered") == 20)
        #expect(try database.totals() == ["first": 1, "good": 60, "beside": 40])
        #expect(try letterIDs(daemon).count == 10)
        try cluster.query(database.name, "ALTER TABLE aggregated_logs DROP CONSTRAINT no_sevens")
        #expect(try logboom(daemon, "replay", "--all").end == .exited(0))
        try daemon.waitUntilDelivered()
        #expect(try database.total() == 121)
        try expectOrderlyEnd(daemon)
    }

    @Test func `kill -9 while poison comes in and goes out again loses and repeats no acknowledged record`() throws {
        let database = try TestDatabase(.shared())
        let settings = database.settings().merging(["DURABLE_LEVEL": "trace"]) { $1 }
        let state = try TemporaryDirectory()
        var good = Load.Outcome()
        var bad = Load.Outcome()
        for round in 1...4 {
            let daemon = try DaemonProcess(settings, state: state)
            if round == 1 {
                try daemon.postRecords(1, source: "first")
                try database.cluster.query(
                    database.name,
                    "ALTER TABLE aggregated_logs ADD CONSTRAINT no_sevens CHECK (source NOT LIKE 'seven%')"
                )
            }
            let goodLoad = Load(daemon.port, prefix: "good\(round)-")
            let badLoad = Load(daemon.port, prefix: "seven\(round)-")
            try goodLoad.waitForAcknowledged(10)
            try badLoad.waitForAcknowledged(5 + round * 3)
            daemon.kill9()
            for (load, isGood) in [(goodLoad, true), (badLoad, false)] {
                let part = try load.stop()
                #expect(part.strange.isEmpty)
                if isGood {
                    good.acknowledged += part.acknowledged
                    good.undecided += part.undecided
                } else {
                    bad.acknowledged += part.acknowledged
                    bad.undecided += part.undecided
                }
            }
        }
        // What is refused is set aside, all else is there.
        let refused = try DaemonProcess(settings, state: state)
        try refused.waitForStats("the spool to be empty") { $0.integer("records.spooled") == 0 }
        var totals = try database.totals()
        #expect(totals.removeValue(forKey: "first") == 1)
        expectCountedOnce(good, totals)
        #expect(try letterIDs(refused).count > 4)
        refused.kill9()

        // Mended, sent again, and killed in the middle of that.
        try database.cluster.query(database.name, "ALTER TABLE aggregated_logs DROP CONSTRAINT no_sevens")
        for _ in 0..<3 {
            let daemon = try DaemonProcess(settings, state: state)
            let ids = try letterIDs(daemon)
            for id in ids.prefix(ids.count / 3) {
                #expect(try daemon.post("/v1/dead-letters/\(id)/replay").status == 200)
            }
            daemon.kill9()
        }
        let last = try DaemonProcess(settings, state: state)
        for id in try letterIDs(last) { #expect(try last.post("/v1/dead-letters/\(id)/replay").status == 200) }
        try last.waitUntilDelivered()
        totals = try database.totals()
        #expect(totals.removeValue(forKey: "first") == 1)
        expectCountedOnce(bad, totals.filter { $0.key.hasPrefix("seven") })
        expectCountedOnce(good, totals.filter { !$0.key.hasPrefix("seven") })
        try expectOrderlyEnd(last)
    }

    private func letterIDs(_ daemon: DaemonProcess) throws -> [Int] {
        let answer = try daemon.get("/v1/dead-letters?limit=1000")
        return (answer["dead_letters"] as? [[String: Any]] ?? []).compactMap { $0["id"] as? Int }
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
