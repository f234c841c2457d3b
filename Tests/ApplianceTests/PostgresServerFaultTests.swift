import Foundation
import PipelineTesting
import Testing

/// A PostgreSQL that runs and does not do what it should, under a daemon that takes logs all the while.
@Suite struct PostgresServerFaultTests {
    /// What is done to the database, how it is undone, and how the metrics call it.
    struct Trouble: Sendable, CustomTestStringConvertible {
        var fault: String
        var failureClass = "transient"
        var begin: String
        var end: String

        var testDescription: String { fault }

        /// The next rows of patterns are refused by the server's own word for it.
        static func raised(_ fault: String, _ state: String, _ failureClass: String = "transient") -> Trouble {
            Trouble(
                fault: fault,
                failureClass: failureClass,
                begin: """
                    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        RAISE EXCEPTION USING ERRCODE = '\(state)'; END $$;
                    CREATE TRIGGER fail BEFORE INSERT ON aggregated_logs FOR EACH ROW EXECUTE FUNCTION fail()
                    """,
                end: "DROP FUNCTION fail CASCADE"
            )
        }
    }

    private static let endSessions = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        """

    static let troubles: [Trouble] = [
        .raised("disk_full", "53100"),
        .raised("resources", "53200"),
        .raised("conflict", "40001"),
        .raised("cancelled", "57014"),
        .raised("locked", "55P03"),
        .raised("rights", "42501", "permanent"),
        Trouble(
            fault: "read_only",
            begin: """
                DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
                END $$; \(endSessions)
                """,
            end: """
                SET transaction_read_only = off;
                DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database());
                END $$; \(endSessions)
                """
        ),
        Trouble(
            fault: "schema",
            failureClass: "permanent",
            begin: "ALTER TABLE delivery_progress RENAME TO kept; CREATE VIEW delivery_progress AS SELECT 1 AS nothing",
            end: "DROP VIEW delivery_progress; ALTER TABLE kept RENAME TO delivery_progress"
        ),
    ]

    @Test(arguments: troubles)
    func `trouble at the server is waited out, shown in the metrics, and counts everything once`(
        trouble: Trouble
    ) throws {
        let database = try TestDatabase(.shared())
        let daemon = try DaemonProcess(database.settings().merging(["BATCH_SIZE": "100"]) { $1 })
        let load = Load(daemon.port)
        try load.waitForAcknowledged(20)
        try daemon.waitForStats("the first delivery") { ($0.integer("records.delivered") ?? 0) > 0 }
        try database.cluster.query(database.name, trouble.begin)
        try daemon.waitForStats("the lane to notice") { $0.string("lanes.store.state") == "away" }
        try load.waitForAcknowledged(50)
        try expectConservation(daemon)
        #expect(try daemon.get("/health").string("status") == "degraded")
        let sample = #"logboom_sink_faults_total{lane="store",fault="\#(trouble.fault)"} "#
        try Wait.until("the fault in the metrics", .seconds(20)) {
            let page = try daemon.get("/metrics").text
            return page.contains(sample) && !page.contains(sample + "0\n") ? () : nil
        }
        let page = try daemon.get("/metrics").text
        let failures = #"logboom_sink_failures_total{lane="store",class="\#(trouble.failureClass)"} "#
        #expect(page.contains(failures) && !page.contains(failures + "0\n"), "\(page)")
        #expect(page.contains(#"class="poison"} 0"#))
        try database.cluster.query(database.name, trouble.end)
        // What only a person can mend is tried at least every quarter of a minute; a reload says that now is the time.
        daemon.hangUp()
        let outcome = try load.stop()
        try daemon.flush()
        let stats = try daemon.waitUntilDelivered()
        #expect(outcome.undecided.isEmpty)
        #expect(try database.total() == stats.integer("records.accepted"))
        #expect(try database.total() == outcome.acknowledged.count * Load.recordsPerRequest)
        #expect(stats.integer("records.dead_lettered") == 0)
        try expectOrderlyEnd(daemon)
    }

    @Test func `poison in a stream of logs is set aside while everything else goes on being stored`() throws {
        let database = try TestDatabase(.shared())
        let daemon = try DaemonProcess(database.settings().merging(["BATCH_SIZE": "100"]) { $1 })
        let load = Load(daemon.port)
        try load.waitForAcknowledged(20)
        try daemon.waitForStats("the first delivery") { ($0.integer("records.delivered") ?? 0) > 0 }
        try database.cluster.query(
            database.name,
            "ALTER TABLE aggregated_logs ADD CONSTRAINT no_sevens CHECK (source <> 'seven')"
        )
        let poison = 15
        for _ in 0..<poison {
            try daemon.postRecords(2, message: "seven came in", source: "seven")
            try load.waitForAcknowledged(5)
        }
        try expectConservation(daemon)
        let outcome = try load.stop()
        try daemon.flush()
        let stats = try daemon.waitForStats("all to be decided") { stats in
            let decided = (stats.integer("records.delivered") ?? 0) + (stats.integer("records.dead_lettered") ?? 0)
            return decided == stats.integer("records.accepted")
        }
        #expect(stats.integer("records.dead_lettered") == poison * 2)
        #expect(stats.string("lanes.store.state") == "up", "poison is no outage")
        #expect(try database.total() == outcome.acknowledged.count * Load.recordsPerRequest)
        let page = try daemon.get("/metrics").text
        #expect(page.contains(#"logboom_sink_faults_total{lane="store",fault="rule"}"#))
        #expect(page.contains(#"logboom_records_dead_lettered_total{lane="store"} \#(poison * 2)"#))
        try expectOrderlyEnd(daemon)
    }
}
