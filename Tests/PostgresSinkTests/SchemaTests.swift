import Delivery
import Foundation
import LogModel
import Migrations
import PipelineTesting
import Ports
import Testing

@testable import PostgresSink

@Suite(.timeLimit(.minutes(10)))
struct SchemaTests {
    /// The table as users of the first log aggregator made it, by the statements printed in its README.
    static let legacyStatements = """
        CREATE TABLE aggregated_logs (
            id SERIAL PRIMARY KEY,
            message_pattern TEXT NOT NULL,
            count INTEGER DEFAULT 1,
            level VARCHAR(10),
            source VARCHAR(100),
            first_seen TIMESTAMP DEFAULT NOW(),
            last_seen TIMESTAMP DEFAULT NOW(),
            metadata JSONB,
            sample_messages JSONB
        );

        -- Index for efficient queries
        CREATE INDEX idx_aggregated_logs_source ON aggregated_logs(source);
        CREATE INDEX idx_aggregated_logs_level ON aggregated_logs(level);
        CREATE INDEX idx_aggregated_logs_last_seen ON aggregated_logs(last_seen);
        """

    static let shape = """
        SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
        WHERE attrelid = 'aggregated_logs'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname
        """
    static let indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = 'aggregated_logs' ORDER BY indexname"

    private func delivered(_ warehouse: Warehouse, _ previous: Int64 = 0) async {
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(previous, previous + 1, [makeBatch([Series()])]) == .success(.applied))
        await sink.close()
    }

    @Test func `an old table is upgraded in place and keeps its rows`() async throws {
        let old = try Warehouse()
        try old.query(Self.legacyStatements)
        try old.query("ALTER DATABASE \(old.database) SET TimeZone = 'Europe/Berlin'")
        try old.query(
            """
            INSERT INTO aggregated_logs (message_pattern, count, level, source, first_seen, last_seen, metadata, sample_messages)
            VALUES ('User {ID} logged in', 5, 'INFO', 'auth', '2026-01-15 12:00', '2026-01-15 13:00', '{"a": 1}', '["x"]');
            INSERT INTO aggregated_logs (message_pattern) VALUES ('twice'), ('twice')
            """
        )
        await delivered(old)
        let rows = try old.query(
            """
            SELECT id, message_pattern, count, level, source, first_seen AT TIME ZONE 'UTC', metadata, sample_messages,
                pattern_id, host, node_id FROM aggregated_logs WHERE pattern_id IS NULL ORDER BY id LIMIT 1
            """
        )
        #expect(
            rows == [
                [
                    "1", "User {ID} logged in", "5", "INFO", "auth", "2026-01-15 11:00:00", "{\"a\": 1}", "[\"x\"]",
                    nil, "", nil,
                ]
            ]
        )
        #expect(try old.value("SELECT count(*) FROM aggregated_logs") == "4")

        let new = try Warehouse()
        await delivered(new)
        #expect(try old.query(Self.shape) == new.query(Self.shape))
        // The old index on last_seen is its owner's to drop; a new table has none (warehouse_0001_create.sql says why).
        let added = "WHERE tablename = 'aggregated_logs' AND indexname <> 'idx_aggregated_logs_last_seen'"
        let indexes = Self.indexes.replacing("WHERE tablename = 'aggregated_logs'", with: added)
        #expect(try old.query(indexes) == new.query(indexes))
        #expect(try old.query(Self.indexes).count == old.query(indexes).count + 1)
        // More than SERIAL could count.
        for warehouse in [old, new] {
            let id = try warehouse.value(
                """
                SELECT setval(pg_get_serial_sequence('aggregated_logs', 'id'), 3000000000);
                INSERT INTO aggregated_logs (message_pattern, count, level, source)
                VALUES ('big', 5000000000, 'a level longer than ten', 'x') RETURNING id
                """
            )
            #expect(id == "3000000001")
        }
    }

    @Test func `the types are those promised`() async throws {
        let warehouse = try Warehouse()
        await delivered(warehouse)
        let types = Dictionary(
            uniqueKeysWithValues: try warehouse.query(Self.shape).map { ($0[0] ?? "", $0[1] ?? "") }
        )
        let stamp = "timestamp with time zone"
        #expect(
            types == [
                "id": "bigint", "message_pattern": "text", "count": "bigint", "level": "text", "source": "text",
                "first_seen": stamp, "last_seen": stamp, "metadata": "jsonb", "sample_messages": "jsonb",
                "pattern_id": "bigint", "host": "text", "tenant": "text", "dashboard": "text", "node_id": "uuid",
                "bucket": stamp, "latency_count": "bigint", "latency_sum": "double precision",
                "latency_min": "double precision", "latency_max": "double precision", "clock_guessed": "boolean",
                "category": "text", "tags": "text[]",
            ]
        )
        #expect(try warehouse.value("SELECT count(*) FROM v_patterns") == "1")
        #expect(try warehouse.value("SELECT obj_description('aggregated_logs'::regclass) IS NOT NULL") == "t")
    }

    @Test func `the statements printed in the old README are those we test`() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../shared/seeds/001_12abe327c93b6422.txt").standardized.path
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            return print("skipped: ../shared/seeds is not beside this checkout")
        }
        #expect(text.contains(Self.legacyStatements))
    }

    @Test func `migrating twice changes nothing`() async throws {
        let warehouse = try Warehouse()
        await delivered(warehouse)
        let shape = try warehouse.query(Self.shape)
        let applied = try warehouse.query("SELECT * FROM logboom_migrations")
        #expect(applied.count == 3)
        await delivered(warehouse, 1)
        for step in Migrations.warehouse { try warehouse.query(step.sql) }
        #expect(try warehouse.query(Self.shape) == shape)
        #expect(try warehouse.query("SELECT * FROM logboom_migrations") == applied)
        #expect(try warehouse.count() == 2)
    }

    @Test func `two programs that migrate at once do it once`() async throws {
        let warehouse = try Warehouse()
        try warehouse.query(Self.legacyStatements)
        let sinks = (0..<6).map { _ in PostgresSink(warehouse.settings) }
        await withTaskGroup(of: Void.self) { group in
            for (index, sink) in sinks.enumerated() {
                group.addTask {
                    let own = StreamID(rawValue: UInt64(index + 1))
                    #expect(await sink.apply(0, 1, [makeBatch([Series()])], stream: own) == .success(.applied))
                    await sink.close()
                }
            }
        }
        #expect(try warehouse.value("SELECT count(*) FROM logboom_migrations") == "3")
        #expect(try warehouse.count() == 6)
    }

    @Test func `a step run with another content is refused in words`() async throws {
        let warehouse = try Warehouse()
        await delivered(warehouse)
        try warehouse.query("UPDATE logboom_migrations SET checksum = checksum + 1")
        let sink = PostgresSink(warehouse.settings)
        let result = await sink.apply(1, 2, [makeBatch([Series()])])
        #expect(result.failureClass == .permanent && result.code == "SCHEMA_CHANGED")
        #expect(result.message.contains("checksum"))
        await sink.close()
    }

    @Test func `a step changed before its first release is taken for the same, and its text is plain ASCII`()
        async throws
    {
        let warehouse = try Warehouse()
        await delivered(warehouse)
        let former = try #require(Migrations.warehouse[1].formerChecksums.first)
        try warehouse.query("UPDATE logboom_migrations SET checksum = \(Int64(bitPattern: former)) WHERE version = 2")
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(1, 2, [makeBatch([Series()])]) == .success(.applied))
        await sink.close()
        // Any encoding of a database has these characters.
        for step in Migrations.warehouse { #expect(step.sql.utf8.allSatisfy { $0 < 0x80 }, "\(step.name)") }
    }

    @Test func `a database newer than the program is refused in words`() async throws {
        let warehouse = try Warehouse()
        await delivered(warehouse)
        try warehouse.query("INSERT INTO logboom_migrations (version, name, checksum) VALUES (4, 'later', 1)")
        let sink = PostgresSink(warehouse.settings)
        let result = await sink.apply(1, 2, [makeBatch([Series()])])
        #expect(result.failureClass == .permanent && result.code == "SCHEMA_NEWER")
        await sink.close()
    }

    @Test func `a step that fails leaves nothing behind`() async throws {
        let warehouse = try Warehouse()
        let steps =
            Migrations.warehouse
            + [Migration(version: 4, name: "broken", sql: "CREATE TABLE half (a int); SELECT 1 / 0", checksum: 2)]
        let sink = PostgresSink(warehouse.settings, migrations: steps)
        let result = await sink.apply(0, 1, [makeBatch([Series()])])
        #expect(result.failureClass == .permanent && result.code == "22012" && result.message.contains("broken"))
        #expect(try warehouse.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0")
        await sink.close()
        await delivered(warehouse)
        let later = PostgresSink(
            warehouse.settings,
            migrations: Migrations.warehouse
                + [Migration(version: 4, name: "mended", sql: "CREATE TABLE whole (a int)", checksum: 3)]
        )
        #expect(await later.apply(1, 2, [makeBatch([Series()])]) == .success(.applied))
        #expect(
            try warehouse.query("SELECT version, name FROM logboom_migrations ORDER BY 1") == [
                ["1", "create"], ["2", "merges"], ["3", "positions"], ["4", "mended"],
            ]
        )
        await later.close()
    }

    @Test func `a table dropped by hand is made again`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series()])]) == .success(.applied))
        try warehouse.query("DROP TABLE aggregated_logs CASCADE")
        let missing = await sink.apply(1, 2, [makeBatch([Series()])])
        #expect(missing.failureClass == .permanent && missing.code == "42P01")
        #expect(await sink.apply(1, 2, [makeBatch([Series()])]) == .success(.applied))
        try warehouse.query("DROP TABLE delivery_progress")
        await sink.close()
        await delivered(warehouse, 2)
        #expect(try warehouse.count() == 2)
    }

    @Test func `a role that may only write works once somebody else has migrated`() async throws {
        let warehouse = try Warehouse()
        await delivered(warehouse)
        let role = "writer_\(warehouse.database)"
        try warehouse.query(
            """
            CREATE ROLE \(role) LOGIN;
            GRANT SELECT, INSERT, UPDATE, DELETE ON aggregated_logs, delivery_progress, pattern_merges TO \(role);
            GRANT SELECT ON logboom_migrations TO \(role);
            GRANT USAGE ON SEQUENCE aggregated_logs_id_seq TO \(role)
            """
        )
        var settings = warehouse.settings
        settings.user = role
        let sink = PostgresSink(settings)
        let merge = TemplateMerge(from: 5, to: 1, template: Array("one".utf8))
        #expect(await sink.apply(1, 2, [makeBatch([Series()], merges: [merge])]) == .success(.applied))
        try warehouse.query("REVOKE INSERT ON aggregated_logs FROM \(role)")
        let refused = await sink.apply(2, 3, [makeBatch([Series()])])
        #expect(refused.failureClass == .permanent && refused.code == "42501")
        await sink.close()
    }
}
