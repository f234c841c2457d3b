import Delivery
import LogModel
import PipelineTesting
import Ports
import PostgresSink
import Testing

/// What PostgreSQL will never take costs itself only.
@Suite(.timeLimit(.minutes(10)))
struct PoisonTests {
    /// Delivers a span as a lane and its spool would: what is refused is put aside, the rest sent again under the same name.
    /// What was refused, by reason, and the passes that it took.
    private func deliver(
        _ sink: PostgresSink,
        _ previous: Int64,
        _ batches: [Batch]
    ) async throws -> (refused: [(reason: String, batch: Batch)], passCount: Int) {
        var batches: [Batch?] = batches
        var refused: [(reason: String, batch: Batch)] = []
        let span = BatchSpan(stream: stream, previous: previous, last: previous + Int64(batches.count))
        for pass in 0..<200 {
            let places = batches.indices.filter { batches[$0] != nil }
            let sent = batches.compactMap { $0 }
            guard !sent.isEmpty else { return (refused, pass) }
            let result = await withCheckedContinuation { continuation in
                sink.apply(span, sent, from: node) { continuation.resume(returning: $0) }
            }
            switch result {
            case .success(let answer):
                #expect(answer == .applied)
                return (refused, pass)
            case .failure(let error):
                try #require(error.failureClass == .poison && !error.refused.isEmpty, "\(error)")
                for one in error.refused {
                    refused += one.parts.map { ($0.reason, $0.batch) }
                    batches[places[one.index]] = one.rest
                }
            }
        }
        throw TestingError("deliver a span with poison: no end after 200 passes")
    }

    private func identities(_ batches: [Batch]) throws -> Set<UInt64> {
        var found: Set<UInt64> = []
        for batch in batches {
            try BatchReader.forEachSeries(in: batch) { _, series in
                #expect(found.insert(series.templateID).inserted, "series \(series.templateID) twice")
            }
        }
        return found
    }

    private func stored(_ warehouse: Warehouse) throws -> [UInt64: Int] {
        let rows = try warehouse.query("SELECT pattern_id, sum(count) FROM aggregated_logs GROUP BY pattern_id")
        return Dictionary(
            uniqueKeysWithValues: rows.map { (UInt64($0[0] ?? "") ?? 0, Int($0[1] ?? "") ?? -1) }
        )
    }

    @Test func `an emoji in a LATIN1 database costs its own series only`() async throws {
        let warehouse = try Warehouse(encoding: "LATIN1")
        let sink = PostgresSink(warehouse.settings)
        var series = (1...100).map { Series(id: $0, template: "Grüße an User \($0)", count: 3) }
        series[41].samples = ["all good \u{1F980}"]
        let outcome = try await deliver(sink, 0, [makeBatch(series)])
        #expect(try identities(outcome.refused.map(\.batch)) == [42] && outcome.passCount == 1)
        let reason = try #require(outcome.refused.first?.reason)
        #expect(reason.contains("22P05") && reason.contains("encoding") && !reason.contains("good"), "\(reason)")
        #expect(
            try stored(warehouse) == Dictionary(uniqueKeysWithValues: (1...100).filter { $0 != 42 }.map { ($0, 3) })
        )
        #expect(
            try warehouse.value("SELECT message_pattern FROM aggregated_logs WHERE pattern_id = 1") == "Grüße an User 1"
        )
        await sink.close()
    }

    @Test func `a SQL_ASCII database takes every byte`() async throws {
        let warehouse = try Warehouse(encoding: "SQL_ASCII")
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(template: "crab \u{1F980}", count: 2, samples: ["\u{1F980}"])])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        #expect(try warehouse.count() == 2)
        await sink.close()
    }

    private static let rules: [(String, String)] = [
        ("23514", "ALTER TABLE aggregated_logs ADD CONSTRAINT no_sevens CHECK (source <> 'seven')"),
        (
            "P0001",
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.source = 'seven' THEN RAISE EXCEPTION 'no % here', NEW.message_pattern; END IF; RETURN NEW; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON aggregated_logs FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        ),
        (
            "23514",
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.source = 'seven' THEN RAISE EXCEPTION USING ERRCODE = '23514'; END IF; RETURN NULL; END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON aggregated_logs DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        ),
    ]

    /// The last rule speaks at COMMIT only, and about everything at once.
    @Test(arguments: 0..<3)
    func `a rule somebody added costs what breaks it`(index: Int) async throws {
        let (code, rule) = Self.rules[index]
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series(id: 1000)])]) == .success(.applied))
        try warehouse.query(rule)
        let series = (1...300).map { id in
            Series(id: id, template: "secret words", source: id % 100 == 7 ? "seven" : "auth", count: Int(id))
        }
        let outcome = try await deliver(sink, 1, [makeBatch(Array(series[..<150])), makeBatch(Array(series[150...]))])
        #expect(try identities(outcome.refused.map(\.batch)) == [7, 107, 207])
        #expect(outcome.refused.allSatisfy { $0.reason.contains(code) && !$0.reason.contains("secret") })
        var expected = Dictionary(uniqueKeysWithValues: series.map { ($0.id, $0.count) })
        for id in [7, 107, 207] as [UInt64] { expected[id] = nil }
        expected[1000] = 1
        #expect(try stored(warehouse) == expected)
        #expect(try warehouse.value("SELECT applied FROM delivery_progress") == "3")
        await sink.close()
    }

    @Test func `a text too long for an index somebody made costs itself only`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series(id: 1000)])]) == .success(.applied))
        try warehouse.query("CREATE INDEX ON aggregated_logs (message_pattern)")
        var numbers = SeededGenerator(of: "poison")
        let noise = (0..<9000).map { _ in String(UInt64.random(in: 0...35, using: &numbers), radix: 36) }.joined()
        var series = (1...20).map { Series(id: $0) }
        series[10].template = noise
        let outcome = try await deliver(sink, 1, [makeBatch(series)])
        #expect(try identities(outcome.refused.map(\.batch)) == [11])
        #expect(outcome.refused.first?.reason.contains("54000") == true)
        #expect(try warehouse.count() == 20)
        await sink.close()
    }

    /// Statements that reach the table, counted by one that no rollback undoes.
    private func countStatements(_ warehouse: Warehouse) throws {
        try warehouse.query(
            """
            CREATE SEQUENCE statements;
            CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                PERFORM nextval('statements'); RETURN NULL; END $$;
            CREATE TRIGGER note BEFORE INSERT ON aggregated_logs FOR EACH STATEMENT EXECUTE FUNCTION note();
            ALTER TABLE aggregated_logs ADD CONSTRAINT no_sevens CHECK (source <> 'seven')
            """
        )
    }

    @Test(arguments: [1, 2, 3, 64, 1000, 1999, 6000], [0.0, 0.3, 1.0])
    func `one bad series is found in a logarithm of statements`(count: Int, position: Double) async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series(id: 1 << 40)])]) == .success(.applied))
        try countStatements(warehouse)
        let bad = Int(Double(count - 1) * position)
        let series = (0..<count).map { Series(id: UInt64($0), source: $0 == bad ? "seven" : "auth", count: 2) }
        let outcome = try await deliver(sink, 1, [makeBatch(series)])
        #expect(try identities(outcome.refused.map(\.batch)) == [UInt64(bad)])
        #expect(try warehouse.count() == (count - 1) * 2 + 1)
        let used = try Int(warehouse.value("SELECT last_value FROM statements") ?? "") ?? 0
        var depth = 0
        while 1 << depth < count { depth += 1 }
        // The first attempt and the one after the search; past 2,000 series a try takes as many statements as it must.
        let portions = (count + 1999) / 2000
        #expect(used <= 2 * depth + 2 + 4 * portions, "\(used) statements for one of \(count) series")
        await sink.close()
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 6, fresh: 2))
    func `any share of bad series is set aside once and all neighbours are counted once`(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series(id: 1 << 40)])]) == .success(.applied))
        try warehouse.query("ALTER TABLE aggregated_logs ADD CONSTRAINT no_sevens CHECK (source <> 'seven')")
        let share: Double = [0.01, 0.1, 0.5, 1.0].randomElement(using: &generator) ?? 1.0
        var bad: Set<UInt64> = []
        var good: [UInt64: Int] = [1 << 40: 1]
        var next: UInt64 = 1
        var batches: [Batch] = []
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
            var series: [Series] = []
            for _ in 0..<Int.random(in: 1...90, using: &generator) {
                let isBad = Double.random(in: 0..<1, using: &generator) < share
                if isBad { bad.insert(next) } else { good[next] = 3 }
                series.append(Series(id: next, source: isBad ? "seven" : "auth", count: 3))
                next += 1
            }
            batches.append(makeBatch(series))
        }
        let outcome = try await deliver(sink, 1, batches)
        #expect(try identities(outcome.refused.map(\.batch)) == bad, "LOGBOOM_TEST_SEED=\(seed)")
        #expect(outcome.refused.reduce(0) { $0 + $1.batch.recordCount } == bad.count * 3)
        #expect(try stored(warehouse) == good, "LOGBOOM_TEST_SEED=\(seed)")
        // A pass finds up to 64; the last one stores.
        #expect(outcome.passCount <= bad.count / 64 + 2)
        await sink.close()
    }

    @Test func `a merge that is refused is set aside without a count, and its batch is stored`() async throws {
        let warehouse = try Warehouse(encoding: "LATIN1")
        let sink = PostgresSink(warehouse.settings)
        let merges = ["plain", "crab \u{1F980}", "other"].enumerated().map { index, text in
            TemplateMerge(from: UInt64(index + 1), to: 9, template: Array(text.utf8))
        }
        let outcome = try await deliver(sink, 0, [makeBatch([Series(id: 9, count: 4)], merges: merges)])
        #expect(outcome.refused.map(\.batch.recordCount) == [0])
        #expect(try outcome.refused.map { try BatchReader.merges(in: $0.batch).map(\.from) } == [[2]])
        #expect(try warehouse.query("SELECT from_id FROM pattern_merges ORDER BY 1") == [["1"], ["3"]])
        #expect(try warehouse.count() == 4)
        await sink.close()
    }

    @Test func `a failure of another kind during the search leaves no trace, and the search begins anew`() async throws
    {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series(id: 1000)])]) == .success(.applied))
        try warehouse.query(
            """
            CREATE SEQUENCE calls;
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('calls') = 40 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF;
                IF NEW.source = 'seven' THEN RAISE EXCEPTION USING ERRCODE = '23514'; END IF; RETURN NEW; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON aggregated_logs FOR EACH ROW EXECUTE FUNCTION refuse()
            """
        )
        let batch = makeBatch((1...30).map { Series(id: $0, source: $0 == 29 ? "seven" : "auth") })
        let first = await sink.apply(1, 2, [batch])
        #expect(first.failureClass == .transient && first.code == "40001")
        #expect(try warehouse.count() == 1)
        let outcome = try await deliver(sink, 1, [batch])
        #expect(try identities(outcome.refused.map(\.batch)) == [29])
        #expect(try warehouse.count() == 30)
        await sink.close()
    }

    @Test func `a rule on our own progress is nothing that a batch could be blamed for`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(0, 1, [makeBatch([Series()])]) == .success(.applied))
        try warehouse.query("ALTER TABLE delivery_progress ADD CONSTRAINT stop_here CHECK (applied < 2)")
        let refused = await sink.apply(1, 2, [makeBatch([Series()])])
        #expect(refused.failureClass == .permanent && refused.code == "23514")
        try warehouse.query("ALTER TABLE delivery_progress DROP CONSTRAINT stop_here")
        #expect(await sink.apply(1, 2, [makeBatch([Series()])]) == .success(.applied))
        await sink.close()
    }

    @Test func `a batch applied before is not searched`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(id: 1, source: "seven", count: 2)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        try warehouse.query(
            """
            ALTER TABLE aggregated_logs ADD CONSTRAINT no_sevens CHECK (source <> 'seven') NOT VALID;
            ALTER TABLE delivery_progress ADD CONSTRAINT untouched CHECK (true)
            """
        )
        #expect(await sink.apply(0, 1, [batch]) == .success(.alreadyApplied(through: 1)))
        await sink.close()
    }
}
