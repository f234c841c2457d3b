import JSONBytes
import Testing

@testable import LogboomCommand

struct StatusReportTests {
    private static func report(_ health: String, _ stats: String) throws -> StatusReport {
        StatusReport(health: try JSONValue.parse(Array(health.utf8)), stats: try JSONValue.parse(Array(stats.utf8)))
    }

    private static let stats = """
        {"version":"0.1.0","uptime_s":11523,"records":{"accepted":12052,"recovered":2,"delivered":11000,"spooled":1000,
        "dead_lettered":1,"dropped":0,"in_flight":53},"refused":4,"failed":3,"templates_loaded":3,"aggregation_ratio":4017.3,
        "lanes":{"store":{"sink":"postgres","state":"blocked","delivered":11000,"next_retry_s":4.2},
        "forward":{"sink":"forward","state":"direct","delivered":11000,"last_error":null}},
        "spool":{"batches":2,"records":1000,"bytes":81920},
        "memory":{"rss_bytes":14890000,"budget_bytes":33554432,"used_bytes":1200000},"new_member":[1]}
        """

    @Test func `a degraded daemon is described so that a person knows what is going on`() throws {
        let health = """
            {"status":"degraded","version":"0.1.0","uptime_s":11523,"database":{"kind":"postgres","state":"blocked",
            "last_error":"connect to 127.0.0.1:5432: ECONNREFUSED"},
            "checks":[{"name":"spool","status":"ok"},{"name":"database","status":"degraded","detail":"away for 12 s"}]}
            """
        #expect(
            try Self.report(health, Self.stats).lines() == [
                "logboomd 0.1.0 is degraded, up 3 h 12 min",
                "  records   12,052 accepted, 2 recovered from the last run, 11,000 delivered, 1,000 spooled, "
                    + "1 dead-lettered, 53 in flight",
                "  not taken 4 refused for want of room, 3 not readable",
                "  patterns  3 known, 4,017.3 records a pattern",
                "  database  PostgreSQL, blocked (last error: connect to 127.0.0.1:5432: ECONNREFUSED), next attempt in 4 s",
                "  forward   11,000 delivered, direct",
                "  spool     2 batches with 1,000 records waiting, 80 KiB on disk",
                "  memory    14.2 MiB resident, 1.1 MiB of the budget of 32 MiB used",
                "  check     database is degraded: away for 12 s",
            ]
        )
    }

    @Test func `a daemon that says little is described by what it says`() throws {
        #expect(
            try Self.report(#"{"status":"healthy"}"#, "{}").lines() == [
                "logboomd is healthy", "  forward   not configured",
            ]
        )
        let embedded = try Self.report(
            #"{"status":"healthy","database":{"kind":"embedded","state":"direct","last_error":null}}"#,
            #"{"spool":{"batches":0},"lanes":{"forward":null},"records":{"accepted":0,"delivered":0}}"#
        )
        #expect(
            embedded.lines() == [
                "logboomd is healthy", "  records   0 accepted, 0 delivered", "  database  embedded store, direct",
                "  forward   not configured", "  spool     empty",
            ]
        )
    }

    @Test(arguments: [
        (#"{"status":"healthy"}"#, Health.healthy), (#"{"status":"degraded"}"#, .degraded),
        (#"{"status":"unhealthy"}"#, .unhealthy), (#"{"status":"excellent"}"#, .unhealthy), (#"{}"#, .unhealthy),
    ])
    func `an unknown condition is taken for the worst`(pair: (json: String, health: Health)) throws {
        #expect(StatusReport.health(try JSONValue.parse(Array(pair.json.utf8))) == pair.health)
    }

    @Test func `members of the wrong kind and hostile texts do no harm`() throws {
        let evil = #""\u001b[2J\u202e\n""#
        let health =
            #"{"status":"degraded","version":\#(evil),"uptime_s":-1,"database":{"kind":\#(evil),"state":\#(evil),"last_error":\#(evil)},"checks":[{"name":\#(evil),"status":\#(evil)},7,{}]}"#
        let stats =
            #"{"records":7,"lanes":[],"spool":"x","memory":{"rss_bytes":9223372036854775807},"aggregation_ratio":1e300}"#
        let lines = try Self.report(health, stats).lines()
        #expect(lines.joined().unicodeScalars.allSatisfy { $0.properties.generalCategory != .control })
        #expect(lines.count < 12)
    }

    @Test(arguments: [
        (0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (-1234, "-1,234"),
        (Int.min, "-9,223,372,036,854,775,808"),
    ])
    func `numbers are grouped`(pair: (number: Int, text: String)) {
        #expect(StatusReport.grouped(pair.number) == pair.text)
    }

    @Test(arguments: [
        (0.0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min 59 s"), (3600, "1 h"), (86_399, "23 h 59 min"),
        (86_400, "1 d"), (1e9, "11574 d 1 h"), (-1, "?"), (.nan, "?"), (.infinity, "?"),
    ])
    func `spans of time have two units`(pair: (seconds: Double, text: String)) {
        #expect(StatusReport.span(pair.seconds) == pair.text)
    }

    @Test(arguments: [
        (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (32 << 20, "32 MiB"), (5 << 30, "5 GiB"),
    ])
    func `bytes have the unit that fits`(pair: (count: Int, text: String)) {
        #expect(StatusReport.byteText(pair.count) == pair.text)
    }

    @Test(arguments: [
        (#"{"flushed":0,"durable":true,"where":"embedded"}"#, "Nothing was waiting.", true),
        (#"{"flushed":1,"durable":true,"where":"embedded"}"#, "1 record is in the embedded store.", true),
        (#"{"flushed":5200,"durable":true,"where":"postgres"}"#, "5,200 records are in PostgreSQL.", true),
        (
            #"{"flushed":2,"durable":true,"where":"spool"}"#,
            "2 records are safe in the spool, and go on when PostgreSQL is back.", true
        ),
        (#"{"flushed":2,"durable":true}"#, "2 records are safe.", true),
        (#"{"flushed":2,"durable":false}"#, "The records are still in memory only.", false),
        (#"{}"#, "The records are still in memory only.", false),
    ])
    func `a flush says where the records are`(row: (json: String, sentence: String, isDurable: Bool)) throws {
        let summary = Flush.summary(try JSONValue.parse(Array(row.json.utf8)))
        #expect(summary.sentence == row.sentence)
        #expect(summary.isDurable == row.isDurable)
    }
}
