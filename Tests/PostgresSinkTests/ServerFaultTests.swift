import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import PostgresSink
import Testing

/// What can be the matter with a server that runs, each provoked on a real one: the sink says what it is, waits for nothing
/// longer than it promises, and every count is stored once when it is over.
@Suite(.timeLimit(.minutes(10)))
struct ServerFaultTests {
    private let batch = makeBatch([Series(id: 1, count: 3), Series(id: 2, count: 4)])

    /// Holds a transaction of another session open, on a thread of its own, until the sink was met.
    private func session(_ warehouse: Warehouse, _ sql: String) {
        Thread.detachNewThread { _ = try? warehouse.query(sql) }
    }

    @Test func `a server out of connections is waited for`() async throws {
        let warehouse = try Warehouse()
        let role = "limited_\(warehouse.database)"
        try warehouse.query(
            """
            CREATE ROLE \(role) LOGIN CONNECTION LIMIT 0;
            ALTER DATABASE \(warehouse.database) OWNER TO \(role)
            """
        )
        var settings = warehouse.settings
        settings.user = role
        let sink = PostgresSink(settings)
        let refused = await sink.apply(0, 1, [batch])
        #expect(refused.failureClass == .transient && refused.code == "53300", "\(refused)")
        try warehouse.query("ALTER ROLE \(role) CONNECTION LIMIT 1")
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        #expect(try warehouse.count() == 7)
        await sink.close()
    }

    @Test func `a server out of disk is waited for, and has nothing half`() async throws {
        let folder = try TemporaryDirectory(mode: 0o755)
        guard geteuid() == 0,
            try ChildProcess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=12m,mode=777", "tmpfs", folder.path]).end
                == .exited(0)
        else {
            print("skipped: mounting a small file system takes root")
            return
        }
        defer { _ = try? ChildProcess.run(["/bin/umount", "-l", folder.path]) }
        // A server of its own: what is left of the tablespace must not trouble other tests.
        let cluster = try PostgresCluster.start()
        defer { try? cluster.stop(mode: .immediate) }
        let warehouse = try Warehouse(cluster)
        let place = folder.file("space")
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        #expect(try ChildProcess.run(["/bin/chown", PostgresCluster.user, place]).end == .exited(0))
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query("CREATE TABLESPACE space LOCATION '\(place)'")
        try warehouse.query("ALTER TABLE aggregated_logs SET TABLESPACE space")
        var sequence: Int64 = 1
        var records = 7
        var last = Outcome.success(.applied)
        var refused: Batch?
        while case .success = last, sequence < 500 {
            let samples = [String(repeating: "x", count: 200)]
            let large = makeBatch(
                (0..<1000).map {
                    Series(
                        id: UInt64(sequence) << 32 | $0,
                        template: UUID().uuidString + UUID().uuidString,
                        samples: samples
                    )
                }
            )
            last = await sink.apply(sequence, sequence + 1, [large])
            if last == .success(.applied) {
                sequence += 1
                records += 1000
            } else {
                refused = large
            }
        }
        #expect(last.failureClass == .transient && last.code == "53100", "\(last)")
        let again = try #require(refused)
        #expect(await sink.apply(sequence, sequence + 1, [again]).code == "53100")
        #expect(try warehouse.count() == records)
        let resized = try ChildProcess.run(["/bin/mount", "-o", "remount,size=200m", folder.path])
        #expect(resized.end == .exited(0))
        #expect(await sink.apply(sequence, sequence + 1, [again]) == .success(.applied))
        #expect(try warehouse.count() == records + 1000)
        await sink.close()
    }

    @Test func `a server that is too slow ends the statement in time, and nothing of it is stored`() async throws {
        let warehouse = try Warehouse()
        var settings = warehouse.settings
        settings.statementTimeout = .milliseconds(300)
        let sink = PostgresSink(settings)
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query(
            """
            CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                PERFORM pg_sleep(30); RETURN NEW; END $$;
            CREATE TRIGGER dawdle BEFORE INSERT ON aggregated_logs FOR EACH ROW EXECUTE FUNCTION dawdle()
            """
        )
        let slow = await sink.timedApply(1, 2, [batch])
        #expect(slow.outcome.failureClass == .transient && slow.outcome.code == "57014")
        #expect(slow.duration < .seconds(10))
        #expect(try warehouse.count() == 7)
        try warehouse.query("DROP TRIGGER dawdle ON aggregated_logs")
        #expect(await sink.apply(1, 2, [batch]) == .success(.applied))
        #expect(try warehouse.count() == 14)
        await sink.close()
    }

    @Test func `a table that somebody holds locked is given up in time`() async throws {
        let warehouse = try Warehouse()
        var settings = warehouse.settings
        settings.lockTimeout = .milliseconds(300)
        let sink = PostgresSink(settings)
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query("CREATE TABLE release (now bool)")
        session(
            warehouse,
            """
            BEGIN;
            LOCK TABLE aggregated_logs IN ACCESS EXCLUSIVE MODE;
            DO $$ BEGIN
                FOR attempt IN 1..3000 LOOP
                    EXIT WHEN EXISTS (SELECT FROM release);
                    PERFORM pg_sleep(0.01);
                END LOOP;
            END $$;
            COMMIT
            """
        )
        let held = """
            SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database AND datname = current_database()
            WHERE mode = 'AccessExclusiveLock' AND relation = 'aggregated_logs'::regclass
            """
        #expect(try await waitUntil { try warehouse.value(held) != "0" })
        let refused = await sink.timedApply(1, 2, [batch])
        #expect(refused.outcome.failureClass == .transient && refused.outcome.code == "55P03", "\(refused)")
        #expect(refused.duration < .seconds(10))
        try warehouse.query("INSERT INTO release VALUES (true)")
        #expect(try await waitUntil { try warehouse.value(held) == "0" })
        #expect(await sink.apply(1, 2, [batch]) == .success(.applied))
        #expect(try warehouse.count() == 14)
        await sink.close()
    }

    @Test func `the victim of a deadlock is sent again and counted once`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        // The other session holds the row that our statement comes to last, and wants the one it begins with; it waits
        // longer before it looks for a deadlock, so the victim is always us.
        session(
            warehouse,
            """
            SET deadlock_timeout = '60s';
            BEGIN;
            UPDATE aggregated_logs SET level = level WHERE pattern_id = 2;
            SELECT pg_advisory_xact_lock(1);
            DO $$ BEGIN
                FOR attempt IN 1..3000 LOOP
                    EXIT WHEN EXISTS (
                        SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid
                    );
                    PERFORM pg_sleep(0.01);
                END LOOP;
            END $$;
            UPDATE delivery_progress SET updated_at = now();
            COMMIT
            """
        )
        // Taken after the row: the lock of the table is there before it.
        let held = """
            SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database AND datname = current_database()
            WHERE locktype = 'advisory' AND objid = 1
            """
        #expect(try await waitUntil { try warehouse.value(held) != "0" })
        let victim = await sink.apply(1, 2, [batch])
        #expect(victim.failureClass == .transient && victim.code == "40P01", "\(victim)")
        // Sent again at once, it may come before the other has taken its row, and be the victim once more.
        var again = victim
        for _ in 0..<20 where again.code == "40P01" { again = await sink.apply(1, 2, [batch]) }
        #expect(again == .success(.applied), "\(again)")
        #expect(try warehouse.count() == 14)
        await sink.close()
    }

    @Test func `tables dropped under a session that goes on are made again`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query("DROP TABLE aggregated_logs, delivery_progress CASCADE")
        var failures: [Outcome] = []
        for _ in 0..<3 {
            let outcome = await sink.apply(1, 2, [batch])
            if outcome == .success(.applied) { break }
            failures.append(outcome)
        }
        #expect(failures.count <= 2 && failures.allSatisfy { $0.code == "42P01" }, "\(failures)")
        #expect(try warehouse.count() == 7)
        await sink.close()
    }

    @Test func `a session ended between the statements of a large batch costs no count`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let large = makeBatch((0..<4500).map { Series(id: $0) })
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query(
            """
            CREATE SEQUENCE statements;
            CREATE FUNCTION end_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('statements') = 2 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                RETURN NULL; END $$;
            CREATE TRIGGER end_once AFTER INSERT ON aggregated_logs FOR EACH STATEMENT EXECUTE FUNCTION end_once()
            """
        )
        let ended = await sink.apply(1, 2, [large])
        #expect(ended.failureClass == .transient && ended.code == "57P01")
        #expect(try warehouse.count() == 7)
        #expect(await sink.apply(1, 2, [large]) == .success(.applied))
        #expect(try warehouse.count() == 4507)
        await sink.close()
    }

    /// A batch with a merge takes several statements, of few bytes; a refused series makes it a search.
    @Test(arguments: [false, true])
    func `a transaction of several statements cut after any byte of the server's costs no count`(
        isSearch: Bool
    ) async throws {
        let warehouse = try Warehouse()
        let proxy = try FaultProxy(to: warehouse.cluster.port)
        let sink = PostgresSink(warehouse.tcpSettings(port: proxy.port))
        let merge = TemplateMerge(from: 1, to: 2, template: Array("two".utf8))
        let bad = Series(id: 7, source: "seven", count: 5)
        let good = [Series(id: 1, count: 3), Series(id: 2, count: 4)]
        let whole = makeBatch(isSearch ? [good[0], bad, good[1]] : good, merges: [merge])
        let rest = makeBatch(good, merges: [merge])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query("ALTER TABLE aggregated_logs ADD CONSTRAINT no_sevens CHECK (source <> 'seven')")

        var sequence: Int64 = 1
        var classes: Set<FailureClass> = []
        /// Until it is applied, as a lane does it; the refused part taken out once it is known.
        func deliver() async throws {
            sequence += 1
            var content = whole
            for _ in 0..<6 {
                switch await sink.apply(sequence - 1, sequence, [content]) {
                case .success: return
                case .failure(.poison, _, _): content = rest
                case .failure(let failureClass, _, _): classes.insert(failureClass)
                }
            }
            Issue.record("span \(sequence) was not delivered")
        }
        let before = proxy.serverByteCount
        try await deliver()
        let byteCount = proxy.serverByteCount - before
        #expect(byteCount > 100)
        for limit in stride(from: 0, through: byteCount, by: isSearch ? 9 : 3) {
            proxy.cutAfter(serverBytes: limit)
            try await deliver()
            proxy.restore()
        }
        #expect(try warehouse.count() == Int(sequence) * 7)
        #expect(classes == [.transient, .ambiguous])
        await sink.close()
    }
}
