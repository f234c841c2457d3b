import Delivery
import LogModel
import PipelineTesting
import Ports
import PostgresSink
import Testing

@Suite(.timeLimit(.minutes(10)))
struct ApplyTests {
    @Test func `a batch is stored with everything it says`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        var series = Series(
            severity: .error,
            tenant: "acme",
            dashboard: "main",
            count: 7,
            samples: ["User 1 logged in"]
        )
        series.latency = LatencySummary(count: 2, sum: 30, minimum: 10, maximum: 20)
        series.attributes = [("ip", [("10.0.0.1", 3)], 4)]
        #expect(await sink.apply(0, 1, [makeBatch([series])]) == .success(.applied))
        let row = try warehouse.query(
            """
            SELECT message_pattern, count, level, source, host, tenant, dashboard, pattern_id, bucket AT TIME ZONE 'UTC',
                first_seen AT TIME ZONE 'UTC', last_seen AT TIME ZONE 'UTC', metadata, sample_messages, node_id,
                latency_count, latency_sum, latency_min, latency_max, clock_guessed FROM aggregated_logs
            """
        )
        #expect(
            row == [
                [
                    "User <ID> logged in", "7", "ERROR", "auth", "pi", "acme", "main", "1", "2026-01-01 00:00:00",
                    "2026-01-01 00:00:00", "2026-01-01 00:00:01",
                    "{\"ip\": {\"other\": 4, \"values\": {\"10.0.0.1\": 3}, \"distinct\": 5}}",
                    "[\"User 1 logged in\"]", "01020304-0506-4708-890a-0b0c0d0e0f10", "2", "30", "10", "20", "f",
                ]
            ]
        )
        await sink.close()
    }

    @Test func `the same span sent twice is counted once`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(count: 5)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        #expect(await sink.apply(0, 1, [batch]) == .success(.alreadyApplied(through: 1)))
        #expect(try warehouse.count() == 5)
        await sink.close()
    }

    @Test func `a span recomposed after a lost answer says how far the first one came`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batches = (1...5).map { _ in makeBatch([Series(count: 1)]) }
        #expect(await sink.apply(0, 3, Array(batches[..<3])) == .success(.applied))
        #expect(await sink.apply(0, 5, batches) == .success(.alreadyApplied(through: 3)))
        #expect(try warehouse.count() == 3)
        #expect(await sink.apply(3, 5, Array(batches[3...])) == .success(.applied))
        #expect(try warehouse.count() == 5)
        await sink.close()
    }

    @Test func `a stream the server has forgotten goes on where it was`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(await sink.apply(41, 42, [makeBatch([Series()])]) == .success(.applied))
        #expect(try warehouse.value("SELECT applied FROM delivery_progress") == "42")
        await sink.close()
    }

    @Test func `streams of one node go on side by side and are forgotten by name`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let other = StreamID(rawValue: 7)
        #expect(await sink.apply(0, 1, [makeBatch([Series()])]) == .success(.applied))
        #expect(await sink.apply(0, 9, [makeBatch([Series()])], stream: other) == .success(.applied))
        try warehouse.query("UPDATE delivery_progress SET updated_at = now() - interval '25 hours'")
        sink.forgetStreams(except: [other], of: node)
        #expect(await sink.isReachable())
        #expect(try warehouse.query("SELECT stream, applied FROM delivery_progress") == [["7", "9"]])
        sink.forgetStreams(except: [], of: node)
        #expect(await sink.isReachable())
        #expect(try warehouse.value("SELECT count(*) FROM delivery_progress") == "0")
        await sink.close()
    }

    @Test func `a span that a killed process sent, and that arrives after a restart, is not counted again`()
        async throws
    {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series()])
        // The span was in the spool too, the next process sent it, and the one after that knows nothing of its stream.
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        sink.forgetStreams(except: [], of: node)
        #expect(await sink.isReachable())
        #expect(await sink.apply(0, 1, [batch]) == .success(.alreadyApplied(through: 1)))
        await sink.close()
    }

    @Test func `counts add up over random batches`() async throws {
        var numbers = SeededGenerator(of: "additions")
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        var sequence: Int64 = 0
        var records = 0
        var perKey: [String: Int] = [:]
        for _ in 0..<60 {
            var batches: [Batch] = []
            for _ in 0..<Int.random(in: 1...4, using: &numbers) {
                let start = Timestamp(
                    nanoseconds: 1_767_225_600_000_000_000 + Int64.random(in: -9_000...9_000, using: &numbers)
                        * 1_000_000_000
                )
                let series = (0..<Int.random(in: 1...30, using: &numbers)).map { _ in
                    Series(
                        id: UInt64.random(in: 1...6, using: &numbers) &- 3,
                        severity: Severity.allCases.randomElement(using: &numbers) ?? .info,
                        source: ["", "a", "b"].randomElement(using: &numbers) ?? "",
                        host: ["", "pi"].randomElement(using: &numbers) ?? "",
                        count: Int.random(in: 1...1000, using: &numbers),
                        latency: Bool.random(using: &numbers) ? LatencySummary(first: 1) : nil,
                        samples: (0..<Int.random(in: 0...3, using: &numbers)).map { "sample \($0)" }
                    )
                }
                for one in series {
                    perKey["\(Int64(bitPattern: one.id)) \(one.severity.name) \(one.source)", default: 0] += one.count
                }
                batches.append(makeBatch(series, windowStart: start))
                records += batches.last?.recordCount ?? 0
            }
            let last = sequence + Int64(batches.count)
            #expect(await sink.apply(sequence, last, batches) == .success(.applied))
            sequence = last
        }
        #expect(try warehouse.count() == records)
        let rows = try warehouse.query(
            "SELECT pattern_id || ' ' || level || ' ' || source, sum(count) FROM aggregated_logs GROUP BY 1"
        )
        #expect(Dictionary(uniqueKeysWithValues: rows.map { ($0[0] ?? "", Int($0[1] ?? "") ?? 0) }) == perKey)
        #expect(try warehouse.value("SELECT max(jsonb_array_length(sample_messages)) FROM aggregated_logs") == "5")
        #expect(try warehouse.value("SELECT count(*) FROM aggregated_logs WHERE first_seen > last_seen") == "0")
        await sink.close()
    }

    @Test func `more series than one statement takes are one transaction`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let series = (1...4500).map { Series(id: UInt64($0), count: 2, samples: [String(repeating: "x", count: 50)]) }
        #expect(await sink.apply(0, 1, [makeBatch(series)]) == .success(.applied))
        #expect(try warehouse.count() == 9000)
        #expect(try warehouse.value("SELECT count(DISTINCT xmin::text) FROM aggregated_logs") == "1")
        await sink.close()
    }

    @Test(arguments: [
        "it's \"quoted\" \\ and $1 %s %% ; DROP TABLE aggregated_logs; --", "\u{1F980} crab \u{202E} ü \u{FFFD}",
        "line\nbreak\ttab \u{1} \u{7F}", "{\"json\": [1, null]}", "{a,b,NULL}", "",
        String(repeating: "0123456789abcdéf", count: 4096),
    ])
    func `hostile text is stored as it is`(text: String) async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let short = String(text.prefix(100))
        let series = Series(
            template: text,
            source: short,
            host: short,
            tenant: short,
            dashboard: short,
            samples: [text],
            attributes: [(short, [(text, 1)], 0)]
        )
        #expect(await sink.apply(0, 1, [makeBatch([series])]) == .success(.applied))
        let rows = try warehouse.query(
            """
            SELECT message_pattern, source, host, tenant, dashboard, sample_messages ->> 0,
                (SELECT k FROM jsonb_object_keys(metadata) AS k),
                (SELECT v FROM jsonb_object_keys(metadata -> source -> 'values') AS v) FROM aggregated_logs
            """
        )
        #expect(rows == [[text, short, short, short, short, text, short, text]])
        await sink.close()
    }

    @Test func `names too long for the index are cut and still counted`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        var numbers = SeededGenerator(of: "long text")
        let long = (0..<2000).map { _ in ["é", "x", "\u{1F980}", "9"].randomElement(using: &numbers) ?? "" }.joined()
        let series = Series(source: long, host: long, tenant: long, dashboard: long, count: 3)
        #expect(await sink.apply(0, 1, [makeBatch([series, series])]) == .success(.applied))
        #expect(try warehouse.count() == 6)
        let stored = try warehouse.value("SELECT source FROM aggregated_logs") ?? ""
        #expect(long.hasPrefix(stored) && (509...512).contains(stored.utf8.count))
        await sink.close()
    }

    @Test func `old samples stay and new ones fill up to five`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        for (index, samples) in [["a", "b"], [], ["c", "d"], ["e", "f"], ["g"]].enumerated() {
            let batch = makeBatch([Series(samples: samples)])
            #expect(await sink.apply(Int64(index), Int64(index + 1), [batch]) == .success(.applied))
        }
        #expect(
            try warehouse.value("SELECT sample_messages FROM aggregated_logs") == "[\"a\", \"b\", \"c\", \"d\", \"e\"]"
        )
        await sink.close()
    }

    @Test func `a row the server has complete is counted on briefly, and says the same`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        var known = Series(count: 2, samples: ["a", "b", "c"])
        // Two batches fill the samples; of the third only counts and dates are sent.
        for index in 0..<3 {
            known.lastSeen = Timestamp(nanoseconds: known.lastSeen.nanoseconds + 1_000_000_000)
            #expect(await sink.apply(Int64(index), Int64(index + 1), [makeBatch([known])]) == .success(.applied))
        }
        #expect(await sink.apply(2, 3, [makeBatch([known])]) == .success(.alreadyApplied(through: 3)))
        // A series that is new, one with a latency, one with attributes: each takes the long way, and so does what comes twice.
        var slow = known
        slow.latency = LatencySummary(first: 5)
        var tagged = known
        tagged.attributes = [("topic", [("a/b", 2)], 0)]
        for (index, batch) in [[known, Series(id: 2)], [slow], [tagged], [known, known], [known]].enumerated() {
            let last = Int64(index + 4)
            #expect(await sink.apply(last - 1, last, [makeBatch(batch)]) == .success(.applied))
        }
        let rows = try warehouse.query(
            """
            SELECT count, jsonb_array_length(sample_messages), latency_count, metadata ? 'topic',
                last_seen = '2026-01-01T00:00:04Z' FROM aggregated_logs WHERE pattern_id = 1
            """
        )
        #expect(rows == [["18", "5", "1", "t", "t"]])
        await sink.close()
    }

    @Test func `a row deleted by hand is made again by the next count`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let series = Series(samples: ["a", "b", "c", "d", "e"])
        for index in 0..<2 {
            #expect(await sink.apply(Int64(index), Int64(index + 1), [makeBatch([series])]) == .success(.applied))
        }
        _ = try warehouse.query("DELETE FROM aggregated_logs")
        #expect(await sink.apply(2, 3, [makeBatch([series])]) == .success(.applied))
        #expect(try warehouse.count() == 1)
        await sink.close()
    }

    @Test func `patterns that turned out to be one are read as one, however they were merged`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        func merge(_ from: UInt64, _ to: UInt64) -> TemplateMerge {
            TemplateMerge(from: from, to: to, template: Array("user <*> number \(to)".utf8))
        }
        let series = (1...4).map { Series(id: $0, template: "user a number \($0)", count: 1) }
        let final = Series(id: 9, template: "user <*> number 9", count: 5)
        let batches = [
            makeBatch(series),
            // 1 and 2 into 5, 5 into 9; then 3 into 9 by itself, told twice.
            makeBatch([final], merges: [merge(1, 5), merge(2, 5), merge(5, 9)]),
            makeBatch([final], merges: [merge(3, 9)]),
            makeBatch([final], merges: [merge(3, 9), merge(9, 9)]),
        ]
        for (index, batch) in batches.enumerated() {
            #expect(await sink.apply(Int64(index), Int64(index + 1), [batch]) == .success(.applied))
        }
        let merged = try warehouse.query("SELECT from_id, to_id, message_pattern FROM pattern_merges ORDER BY 1")
        #expect(merged == [1, 2, 3, 5].map { ["\($0)", "9", "user <*> number 9"] })
        let rows = try warehouse.query("SELECT pattern_id, message_pattern, count FROM v_patterns ORDER BY 1")
        #expect(rows == [["4", "user a number 4", "1"], ["9", "user <*> number 9", "18"]])
        #expect(try warehouse.count() == 19)
        // The same span again, after a lost answer: nothing moves.
        #expect(await sink.apply(3, 4, [batches[3]]) == .success(.alreadyApplied(through: 4)))
        let reader = PostgresReader(warehouse.settings)
        let found = try await reader.patterns(PatternQuery()).get()
        #expect(found.map(\.pattern) == ["user <*> number 9", "user a number 4"] && found.map(\.count) == [18, 1])
        await sink.close()
    }

    @Test func `category and tags stand beside the pattern`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let power = Classification(category: .power, tags: [.underVoltage, .throttled])
        let batch = makeBatch([Series(id: 1, classification: power), Series(id: 2)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        let rows = try warehouse.query(
            "SELECT category, array_to_string(tags, '+') FROM aggregated_logs ORDER BY pattern_id"
        )
        #expect(rows == [["power", "under-voltage+throttled"], ["application", nil]])
        await sink.close()
    }

    @Test func `metadata is merged by key and stops growing at its bound`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        var numbers = SeededGenerator(of: "large rows")
        for index in 0..<40 {
            let noise = (0..<300).map { _ in String(UInt64.random(in: 0...35, using: &numbers), radix: 36) }.joined()
            let batch = makeBatch([Series(attributes: [("key\(index)", [(noise, 1)], 0)])])
            #expect(await sink.apply(Int64(index), Int64(index + 1), [batch]) == .success(.applied))
        }
        let rows = try warehouse.query(
            "SELECT pg_column_size(metadata), metadata ? 'key0', metadata ? 'key1', metadata ? 'key39' FROM aggregated_logs"
        )
        #expect(Int(rows[0][0] ?? "") ?? 0 < 4096 + 512)
        #expect(rows[0][1...] == ["t", "t", "f"])
        await sink.close()
    }

    @Test func `dates beyond what PostgreSQL knows do not cost the batch`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let series = Series(
            firstSeen: Timestamp(nanoseconds: .min + 1),
            lastSeen: Timestamp(nanoseconds: .max),
            latency: LatencySummary(count: 1, sum: .infinity, minimum: .nan, maximum: -.infinity)
        )
        #expect(
            await sink.apply(0, 1, [makeBatch([series], windowStart: Timestamp(nanoseconds: -1))]) == .success(.applied)
        )
        #expect(try warehouse.value("SELECT bucket AT TIME ZONE 'UTC' FROM aggregated_logs") == "1969-12-31 23:50:00")
        await sink.close()
    }

    @Test func `a damaged batch is poison and leaves no trace`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let good = makeBatch([Series()])
        for cut in [0, 3, 12, good.payload.count - 1] {
            let bad = Batch(payload: Array(good.payload[..<cut]), recordCount: 1, seriesCount: 1)
            let result = await sink.apply(0, 2, [good, bad])
            #expect(result.failureClass == .poison)
        }
        #expect(try warehouse.count() == 0)
        #expect(await sink.apply(0, 1, [good]) == .success(.applied))
        #expect(try warehouse.value("SELECT count(*) FROM delivery_progress WHERE applied = 1") == "1")
        await sink.close()
    }

    @Test func `a count past the column's range is poison and its message holds no values`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        let batch = makeBatch([Series(template: "secret words", count: 1)])
        #expect(await sink.apply(0, 1, [batch]) == .success(.applied))
        _ = try warehouse.value("UPDATE aggregated_logs SET count = 9223372036854775807 RETURNING count")
        let result = await sink.apply(1, 2, [makeBatch([Series(template: "secret words", count: 1)])])
        #expect(result.failureClass == .poison)
        #expect(result.code == "22003")
        #expect(!result.message.contains("secret"))
        #expect(try warehouse.value("SELECT applied FROM delivery_progress") == "1")
        await sink.close()
    }
}
