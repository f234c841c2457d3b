import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import PostgresSink
import Testing

/// What goes wrong between us and the server, each with a real one.
@Suite(.timeLimit(.minutes(10)))
struct FaultTests {
    /// Sends a span as a lane would: again until the sink has it. The failure classes met on the way.
    private func deliver(_ sink: PostgresSink, _ sequence: Int64, _ batch: Batch) async -> [FailureClass] {
        var failures: [FailureClass] = []
        for _ in 0..<6 {
            switch await sink.apply(sequence - 1, sequence, [batch]) {
            case .success(.applied): return failures
            case .success(.alreadyApplied(let through)):
                #expect(through == sequence)
                return failures
            case .failure(let failureClass, _, _): failures.append(failureClass)
            }
        }
        Issue.record("span \(sequence) was not delivered: \(failures)")
        return failures
    }

    /// Ends every session of the database but the one that does it.
    private func endSessions(_ warehouse: Warehouse) throws {
        try warehouse.query(
            """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        )
    }

    @Test(arguments: [true, false], [true, false])
    func `a connection cut after any byte costs no count and doubles none`(fromClient: Bool, warm: Bool) async throws {
        let warehouse = try Warehouse()
        let proxy = try FaultProxy(to: warehouse.cluster.port)
        let settings = warehouse.tcpSettings(port: proxy.port)
        var sink = PostgresSink(settings)
        let batch = makeBatch([Series(id: 1, count: 3), Series(id: 2, count: 4)])
        var sequence: Int64 = 1
        #expect(await deliver(sink, sequence, batch) == [])

        func byteCount() -> Int { fromClient ? proxy.clientByteCount : proxy.serverByteCount }
        func begin() async {
            // Cold: the cut falls into login, look at the schema and preparing as well.
            guard !warm else { return }
            await sink.close()
            // Or the cut would hit the old session's farewell.
            #expect(await waitUntil { proxy.openConnectionCount == 0 })
            sink = PostgresSink(settings)
        }
        await begin()
        let before = byteCount()
        sequence += 1
        #expect(await deliver(sink, sequence, batch) == [])
        let whole = byteCount() - before
        #expect(whole > 50)

        let step = warm ? (fromClient ? 5 : 1) : 41
        var met: Set<FailureClass> = []
        var alreadyThere = 0
        for limit in Array(stride(from: 0, through: whole, by: step)) + [whole - 1] {
            await begin()
            if fromClient { proxy.cutAfter(clientBytes: limit) } else { proxy.cutAfter(serverBytes: limit) }
            sequence += 1
            let failures = await deliver(sink, sequence, batch)
            met.formUnion(failures)
            if limit < whole { #expect(failures.count == 1, "cut after \(limit) of \(whole)") }
            if failures.contains(.ambiguous) { alreadyThere += 1 }
            proxy.restore()
        }
        #expect(try warehouse.count() == Int(sequence) * 7)
        // On a warm session the one statement is its own transaction, so every cut leaves it undecided.
        #expect(met.isSubset(of: [.transient, .ambiguous]) && met.contains(warm ? .ambiguous : .transient))
        if !fromClient { #expect(alreadyThere > 0, "no cut fell between COMMIT and its answer") }
        await sink.close()
    }

    @Test func `a black hole ends within the time allowed and the span is delivered afterwards`() async throws {
        let warehouse = try Warehouse()
        let proxy = try FaultProxy(to: warehouse.cluster.port)
        var settings = warehouse.tcpSettings(port: proxy.port)
        settings.answerTimeout = .milliseconds(300)
        settings.connectTimeout = .milliseconds(300)
        let sink = PostgresSink(settings)
        let batch = makeBatch([Series(count: 2)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        proxy.blackHole()
        let swallowed = await sink.timedApply(1, 2, [batch])
        #expect(swallowed.outcome.failureClass == .ambiguous && swallowed.outcome.code == "TIMEOUT")
        let unreachable = await sink.timedApply(1, 2, [batch])
        #expect(unreachable.outcome.failureClass == .transient && unreachable.outcome.code == "CONNECT")
        #expect(swallowed.duration + unreachable.duration < .seconds(2))
        #expect(await !sink.isReachable())
        proxy.restore()
        #expect(await sink.apply(1, 2, [batch]) == .success(.applied))
        #expect(try warehouse.count() == 4)
        await sink.close()
    }

    @Test func `a large batch to a peer that stops reading ends within the time allowed`() async throws {
        let warehouse = try Warehouse()
        let proxy = try FaultProxy(to: warehouse.cluster.port)
        var settings = warehouse.tcpSettings(port: proxy.port)
        settings.answerTimeout = .milliseconds(500)
        let sink = PostgresSink(settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series()])]) == .success(.applied))
        // A minute before each piece: the buffers between us fill up, and sending itself must not block.
        proxy.setDelay(.seconds(60))
        let samples = (0..<100).map { _ in String(repeating: "x", count: 64 * 1024) }
        let result = await sink.timedApply(1, 2, [makeBatch([Series(samples: samples)])])
        #expect(result.outcome.code == "TIMEOUT" && result.outcome.failureClass == .transient)
        #expect(result.duration < .seconds(3))
        await sink.close()
    }

    @Test func `a session ended by an administrator in the middle of a transaction costs no count`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(count: 3)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        // The upsert itself ends its session: nothing is more in the middle than that.
        try warehouse.query(
            """
            CREATE SEQUENCE calls;
            CREATE FUNCTION end_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('calls') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;
            CREATE TRIGGER end_once BEFORE INSERT ON aggregated_logs FOR EACH ROW EXECUTE FUNCTION end_once()
            """
        )
        let result = await sink.apply(1, 2, [batch])
        #expect(result.failureClass == .ambiguous && result.code == "57P01")
        #expect(await sink.apply(1, 2, [batch]) == .success(.applied))
        #expect(try warehouse.count() == 6)
        await sink.close()
    }

    @Test func `an idle session ended behind our back costs one attempt at most`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(count: 3)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try endSessions(warehouse)
        let failures = await deliver(sink, 2, batch)
        #expect(failures.count <= 1 && failures.allSatisfy { $0 == .transient || $0 == .ambiguous })
        #expect(try warehouse.count() == 6)
        await sink.close()
    }

    @Test func `errors of the server keep their class, live`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(count: 1)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query(
            """
            CREATE TABLE faults (state text);
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE s text; BEGIN
                SELECT state INTO s FROM faults; IF s IS NOT NULL THEN RAISE EXCEPTION USING ERRCODE = s; END IF; RETURN NEW; END $$;
            CREATE TRIGGER fail BEFORE INSERT ON aggregated_logs FOR EACH ROW EXECUTE FUNCTION fail()
            """
        )
        let expected: [(String, FailureClass)] = [
            ("23505", .poison), ("23514", .poison), ("22P02", .poison), ("40001", .transient), ("40P01", .transient),
            ("53100", .transient), ("53200", .transient), ("55P03", .transient), ("57014", .transient),
            ("42501", .permanent), ("0A000", .permanent), ("XX000", .transient), ("54000", .poison), ("P0001", .poison),
            ("25006", .transient),
        ]
        for (state, failureClass) in expected {
            try warehouse.query("TRUNCATE faults; INSERT INTO faults VALUES ('\(state)')")
            let result = await sink.apply(1, 2, [batch])
            #expect(result.failureClass == failureClass && result.code == state, "\(state)")
        }
        try warehouse.query("TRUNCATE faults")
        #expect(await sink.apply(1, 2, [batch]) == .success(.applied))
        #expect(try warehouse.count() == 2)
        await sink.close()
    }

    @Test func `a claim waits for the half-dead session that holds the stream`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(count: 1)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        // An older session applied span 2 and commits only when somebody waits for it.
        Thread.detachNewThread {
            _ = try? warehouse.query(
                """
                BEGIN;
                UPDATE delivery_progress SET applied = 2;
                SELECT pg_advisory_xact_lock(1);
                DO $$ BEGIN
                    FOR attempt IN 1..1000 LOOP
                        IF EXISTS (
                            SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid
                        ) THEN
                            CREATE TABLE somebody_waited ();
                            EXIT;
                        END IF;
                        PERFORM pg_sleep(0.01);
                    END LOOP;
                END $$;
                COMMIT
                """
            )
        }
        // Taken after the row: the lock of the table is there before it.
        let held = """
            SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database AND datname = current_database()
            WHERE locktype = 'advisory' AND objid = 1
            """
        #expect(try await waitUntil { try warehouse.value(held) != "0" })
        #expect(await sink.apply(1, 2, [batch]) == .success(.alreadyApplied(through: 2)))
        #expect(try warehouse.value("SELECT to_regclass('somebody_waited')") == "somebody_waited")
        #expect(try warehouse.count() == 1)
        await sink.close()
    }

    @Test func `a server that crashes and comes back has every batch once`() async throws {
        let cluster = try PostgresCluster.start()
        let warehouse = try Warehouse(cluster)
        let sink = PostgresSink(warehouse.tcpSettings(port: cluster.port))
        let batch = makeBatch([Series(count: 3)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        #expect(await sink.isReachable())
        try cluster.stop(mode: .immediate)
        #expect(await !sink.isReachable())
        let first = await sink.apply(1, 2, [batch])
        #expect(first.failureClass == .transient || first.failureClass == .ambiguous)
        let away = await sink.apply(1, 2, [batch])
        #expect(away.failureClass == .transient && away.code == "CONNECT")
        try cluster.start()
        #expect(await deliver(sink, 2, batch).isEmpty)
        #expect(try warehouse.count() == 6)
        await sink.close()
    }

    @Test func `a server away at the start is met when it comes`() async throws {
        let cluster = try PostgresCluster.start()
        let warehouse = try Warehouse(cluster)
        try cluster.stop(mode: .fast)
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(count: 3)])
        #expect(await sink.apply(0, 1, [batch]).failureClass == .transient)
        try cluster.start()
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        await sink.close()
    }

    @Test func `a wrong password is permanent, is never printed, and works once corrected`() async throws {
        let warehouse = try Warehouse()
        let secrets = PasswordFile()
        let settings = PostgresSettings(
            host: "127.0.0.1",
            port: warehouse.cluster.port,
            database: warehouse.database,
            user: PostgresCluster.guardedUser,
            password: { secrets.password },
            sslMode: "disable"
        )
        let sink = PostgresSink(settings)
        let batch = makeBatch([Series()])
        for wrong in ["hunter2-wrong", nil] {
            secrets.password = wrong
            let refused = await sink.apply(0, 1, [batch])
            #expect(refused.failureClass == .permanent, "\(refused)")
            #expect(!refused.message.contains("hunter2"))
        }
        secrets.password = PostgresCluster.guardedPassword
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        await sink.close()
    }

    @Test func `a database that is missing is permanent until somebody makes it`() async throws {
        let warehouse = try Warehouse()
        var settings = warehouse.settings
        settings.database = "\(warehouse.database)_later"
        let sink = PostgresSink(settings)
        let batch = makeBatch([Series()])
        let refused = await sink.apply(0, 1, [batch])
        #expect(refused.failureClass == .permanent && refused.code == "3D000")
        try warehouse.query("CREATE DATABASE \(settings.database)")
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        await sink.close()
    }

    @Test func `a server set to read only is waited for`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series()])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query("ALTER DATABASE \(warehouse.database) SET default_transaction_read_only = on")
        try endSessions(warehouse)
        _ = await sink.apply(1, 2, [batch])
        let refused = await sink.apply(1, 2, [batch])
        #expect(refused.failureClass == .transient && refused.code == "25006")
        try warehouse.query(
            """
            SET transaction_read_only = off;
            ALTER DATABASE \(warehouse.database) RESET default_transaction_read_only
            """
        )
        #expect(await sink.apply(1, 2, [batch]) == .success(.applied))
        await sink.close()
    }

    @Test func `a host that has no address is transient`() async throws {
        let warehouse = try Warehouse()
        var settings = warehouse.settings
        settings.host = "no-such-host.invalid"
        let sink = PostgresSink(settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series()])]).failureClass == .transient)
        await sink.close()
    }
}
