import Delivery
import LogModel
import PipelineTesting
import Ports
import PostgresSink
import Testing

extension PostgresReader {
    func patterns(_ query: PatternQuery) async -> Result<[PatternRow], SinkError> {
        await withCheckedContinuation { continuation in patterns(query) { continuation.resume(returning: $0) } }
    }

    func status() async throws -> StoreStatus {
        try await withCheckedContinuation { continuation in status { continuation.resume(returning: $0) } }.get()
    }

    func close() async {
        await withCheckedContinuation { continuation in close { continuation.resume() } }
    }
}

@Suite(.timeLimit(.minutes(10)))
struct ReaderTests {
    static let start: Int64 = 1_767_225_600_000_000_000

    private func filled() async throws -> Warehouse {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        func at(_ seconds: Int64) -> Timestamp { Timestamp(nanoseconds: Self.start + seconds * 1_000_000_000) }
        let batches = [
            makeBatch([
                Series(id: 1, count: 5, firstSeen: at(0), lastSeen: at(10), samples: ["old 1", "old 2"]),
                Series(
                    id: 2,
                    severity: .error,
                    template: "100% of disk_1 full",
                    source: "kernel",
                    count: 2,
                    firstSeen: at(1),
                    lastSeen: at(20)
                ),
            ]),
            makeBatch(
                [
                    Series(id: 1, host: "other", count: 4, firstSeen: at(700), lastSeen: at(710), samples: ["new 1"]),
                    Series(
                        id: 3,
                        severity: .warn,
                        template: "Ünder <NUM> volts",
                        source: "kernel",
                        count: 1,
                        firstSeen: at(2),
                        lastSeen: at(705)
                    ),
                ],
                windowStart: at(700)
            ),
        ]
        #expect(await sink.apply(0, 2, batches) == .success(.applied))
        await sink.close()
        try warehouse.query(
            "INSERT INTO aggregated_logs (message_pattern, count, level, source, first_seen, last_seen) VALUES ('legacy', 3, 'critical', NULL, '2020-01-01', '2020-01-02')"
        )
        return warehouse
    }

    @Test func `patterns are summed over windows and hosts with the newest samples first`() async throws {
        let reader = PostgresReader(try await filled().settings)
        let rows = try await reader.patterns(PatternQuery()).get()
        #expect(rows.map(\.count) == [9, 3, 2, 1])
        #expect(rows[0].samples == "[\"new 1\", \"old 1\", \"old 2\"]")
        #expect(
            rows[0].firstSeen.nanoseconds == Self.start && rows[0].lastSeen.nanoseconds == Self.start + 710_000_000_000
        )
        #expect(rows[0].patternID == 1 && rows[0].level == "INFO" && rows[0].source == "auth")
        #expect(
            rows[1].patternID == 0 && rows[1].pattern == "legacy" && rows[1].source == "" && rows[1].samples == "[]"
        )
        await reader.close()
    }

    @Test func `filters, orders and limits do what they say`() async throws {
        let reader = PostgresReader(try await filled().settings)
        func patterns(_ change: (inout PatternQuery) -> Void) async throws -> [String] {
            var query = PatternQuery()
            change(&query)
            return try await reader.patterns(query).get().map(\.pattern)
        }
        let (user, disk, volts) = ("User <ID> logged in", "100% of disk_1 full", "Ünder <NUM> volts")
        #expect(
            try await patterns { $0.since = Timestamp(nanoseconds: Self.start + 15_000_000_000) } == [
                user, disk, volts,
            ]
        )
        #expect(try await patterns { $0.since = Timestamp(nanoseconds: Self.start + 706_000_000_000) } == [user])
        #expect(try await patterns { $0.minimumSeverity = .warn } == ["legacy", disk, volts])
        #expect(try await patterns { $0.minimumSeverity = .fatal } == ["legacy"])
        #expect(try await patterns { $0.source = "kernel" } == [disk, volts])
        #expect(try await patterns { $0.search = "LOGGED" } == [user])
        #expect(try await patterns { $0.search = "100%" } == [disk])
        #expect(try await patterns { $0.search = "disk_" } == [disk])
        #expect(try await patterns { $0.search = "d%k" } == [])
        #expect(try await patterns { $0.search = "'; DROP TABLE aggregated_logs; --" } == [])
        #expect(try await patterns { $0.order = .lastSeen } == [user, volts, disk, "legacy"])
        #expect(try await patterns { $0.order = .firstSeen } == [volts, disk, user, "legacy"])
        #expect(try await patterns { $0.limit = 2 } == [user, "legacy"])
        #expect(try await patterns { $0.limit = 0 } == [user])
        await reader.close()
    }

    @Test func `the status names the version, and says why when the server is away`() async throws {
        let warehouse = try Warehouse()
        let reader = PostgresReader(warehouse.settings)
        let status = try await reader.status()
        #expect(status.latency > .zero)
        #expect(try warehouse.value("SHOW server_version")?.hasPrefix(status.serverVersion) == true)
        await reader.close()
        var wrong = warehouse.settings
        wrong.port = 1
        let lost = PostgresReader(wrong)
        let away = await #expect(throws: SinkError.self) { try await lost.status() }
        #expect(
            away?.code == "CONNECT" && away?.description.contains("No such file") == true,
            "\(String(describing: away))"
        )
        let answer = await lost.patterns(PatternQuery())
        #expect(throws: SinkError.self) { try answer.get() }
        await lost.close()
    }

    @Test func `a kept session that ended meanwhile is not the server being away`() async throws {
        let warehouse = try await filled()
        let reader = PostgresReader(warehouse.settings)
        let sessions = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        for _ in 0..<2 {
            _ = try await reader.patterns(PatternQuery()).get()
            try warehouse.query("SELECT pg_terminate_backend(pid, 5000) \(sessions)")
            #expect(try await reader.status().latency > .zero)
            try warehouse.query("SELECT pg_terminate_backend(pid, 5000) \(sessions)")
            #expect(try await reader.patterns(PatternQuery()).get().count == 4)
        }
        #expect(try warehouse.value("SELECT count(*) \(sessions)") == "1")
        await reader.close()
    }

    @Test(arguments: [1, 2]) func `a reader keeps its session only when the pool allows two`(poolMax: Int) async throws
    {
        let warehouse = try await filled()
        var settings = warehouse.settings
        settings.poolMax = poolMax
        let reader = PostgresReader(settings)
        _ = try await reader.patterns(PatternQuery()).get()
        // The reader's, told from the sessions that ask here by the last statement.
        let kept = """
            SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'WITH top%'
            """
        #expect(try await waitUntil { try warehouse.value(kept) == String(poolMax - 1) })
        await reader.close()
    }
}
