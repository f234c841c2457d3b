import Foundation
import PipelineTesting
import Testing

/// Where a daemon of a test keeps its patterns.
enum Store: String, CaseIterable, CustomTestStringConvertible {
    case embedded
    case postgres

    var testDescription: String { rawValue }
}

/// A database of a test's own, and how a daemon finds it.
struct TestDatabase {
    let cluster: PostgresCluster
    let name: String

    init(_ cluster: PostgresCluster, encoding: String = "UTF8") throws {
        self.cluster = cluster
        name = try cluster.createDatabase(encoding: encoding)
    }

    /// - Parameter port: of a proxy; the cluster's own when there is none.
    func settings(port: Int? = nil, user: String = PostgresCluster.user) -> [String: String] {
        [
            "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": String(port ?? cluster.port), "POSTGRES_DB": name,
            "POSTGRES_USER": user,
        ]
    }

    /// Records counted, over all rows; 0 when the table is not there yet.
    func total() throws -> Int {
        let exists = try cluster.query(name, "SELECT to_regclass('aggregated_logs') IS NOT NULL")[0][0]
        guard exists == "t" else { return 0 }
        return try integer("SELECT coalesce(sum(count), 0) FROM aggregated_logs")
    }

    /// The first column of the first row.
    func integer(_ sql: String) throws -> Int {
        Int(try cluster.query(name, sql).first?.first.flatMap { $0 } ?? "") ?? -1
    }

    /// Records counted by source.
    func totals(bySource prefix: String = "") throws -> [String: Int] {
        let rows = try cluster.query(
            name,
            "SELECT source, sum(count) FROM aggregated_logs WHERE source LIKE '\(prefix)%' GROUP BY source"
        )
        return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] ?? "", Int($0[1] ?? "") ?? 0) })
    }
}

/// Starts a daemon on either kind of store, runs the test, and then checks what must be so after every test: `/stats` adds
/// up, and SIGTERM ends the daemon with 0.
func withDaemon(
    on store: Store = .embedded,
    _ settings: [String: String] = [:],
    sourceLocation: SourceLocation = #_sourceLocation,
    _ test: (DaemonProcess) throws -> Void
) throws {
    var settings = settings
    if store == .postgres {
        settings.merge(try TestDatabase(.shared()).settings()) { given, _ in given }
    }
    let daemon = try DaemonProcess(settings)
    try test(daemon)
    try expectOrderlyEnd(daemon, sourceLocation: sourceLocation)
}

/// `/stats` adds up, and SIGTERM ends the daemon with 0.
func expectOrderlyEnd(_ daemon: DaemonProcess, sourceLocation: SourceLocation = #_sourceLocation) throws {
    try expectConservation(daemon, sourceLocation: sourceLocation)
    let end = try daemon.terminate()
    #expect(end == .exited(0), "\(daemon.log)", sourceLocation: sourceLocation)
}

/// accepted = delivered + spooled + dead-lettered + dropped + in flight, at this moment.
@discardableResult
func expectConservation(
    _ daemon: DaemonProcess,
    sourceLocation: SourceLocation = #_sourceLocation
) throws -> HTTPTestAnswer {
    let stats = try daemon.get("/stats")
    let parts = ["delivered", "spooled", "dead_lettered", "dropped", "in_flight"].map { stats.integer("records.\($0)") }
    #expect(!parts.contains(nil), "\(stats.text)", sourceLocation: sourceLocation)
    #expect(parts.allSatisfy { ($0 ?? 0) >= 0 }, "\(stats.text)", sourceLocation: sourceLocation)
    let sum = parts.reduce(0) { $0 + ($1 ?? 0) }
    #expect(stats.integer("records.accepted") == sum, "\(stats.text)", sourceLocation: sourceLocation)
    return stats
}

/// A row of `/v1/patterns`.
struct StoredPattern: Equatable {
    var pattern: String
    var level: String
    var source: String
    var count: Int
}

extension DaemonProcess {
    /// Makes everything durable; the answer of `/flush`.
    @discardableResult
    func flush() throws -> HTTPTestAnswer {
        try post("/flush")
    }

    /// What the store holds, most frequent first, after a flush; which is durable unless the daemon has no file.
    func storedPatterns(isDurable: Bool = true) throws -> [StoredPattern] {
        let flushed = try flush()
        guard flushed.status == 200, flushed.flag("durable") == isDurable else {
            throw TestingError("flush: \(flushed.text)")
        }
        // A server that was slow to take its first batch: what the spool holds, the store will hold in a moment.
        if flushed.string("where") == "spool" || flushed.integer("delivered") == 0 { try waitUntilDelivered() }
        let answer = try get("/v1/patterns?limit=1000")
        guard let rows = answer["patterns"] as? [[String: Any]] else {
            throw TestingError("read patterns: \(answer.text)")
        }
        return rows.map { row in
            StoredPattern(
                pattern: row["pattern"] as? String ?? "",
                level: row["level"] as? String ?? "",
                source: row["source"] as? String ?? "",
                count: row["count"] as? Int ?? -1
            )
        }
    }

    /// Waits until everything accepted is at the store.
    @discardableResult
    func waitUntilDelivered(_ limit: Duration = .seconds(60)) throws -> HTTPTestAnswer {
        try waitForStats("everything to be delivered", limit) { stats in
            stats.integer("records.accepted") == stats.integer("records.delivered")
        }
    }

    /// Posts `count` records one pattern and one source as an array; 200 or 202 is expected.
    func postRecords(
        _ count: Int,
        message: String = "disk is warm",
        level: String = "INFO",
        source: String = "test"
    ) throws {
        let record = #"{"message":"\#(message)","level":"\#(level)","source":"\#(source)"}"#
        let answer = try post("/ingest", "[" + Array(repeating: record, count: count).joined(separator: ",") + "]")
        guard [200, 202].contains(answer.status), answer.integer("accepted") == count else {
            throw TestingError("post \(count) records: \(answer.status) \(answer.text)")
        }
    }
}
