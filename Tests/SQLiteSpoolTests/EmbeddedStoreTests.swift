import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Testing

@testable import SQLiteSpool

@Suite struct EmbeddedStoreTests {
    private func storedCount(_ folder: TemporaryDirectory) throws -> String {
        try inspect(folder.database, "SELECT coalesce(sum(count), 0) FROM aggregated_logs")[0][0]
    }

    @Test func `counts add up, times widen, buckets are ten minutes`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        let first = makeBatch([
            Delta(
                id: 5,
                count: 3,
                first: 2,
                last: 9,
                latency: LatencySummary(count: 2, sum: 30, minimum: 10, maximum: 20)
            )
        ])
        let second = makeBatch([
            Delta(id: 5, count: 4, first: 1, last: 8, latency: LatencySummary(count: 1, sum: 5, minimum: 5, maximum: 5))
        ])
        let later = makeBatch([Delta(id: 5, count: 1)], start: testTime.adding(seconds: 600))
        #expect(try await sink.apply(1, 0, 1, [first]).get() == .applied)
        #expect(try await sink.apply(1, 1, 3, [second, later]).get() == .applied)
        let start = testTime.microseconds
        #expect(
            try inspect(
                folder.database,
                """
                SELECT count, first_seen, last_seen, bucket, level, source, host, latency_count, latency_sum, latency_min, latency_max
                FROM aggregated_logs ORDER BY bucket
                """
            ) == [
                [
                    "7", "\(start + 1_000_000)", "\(start + 9_000_000)", "\(start)", "INFO", "app", "pi", "3", "35.0",
                    "5.0", "20.0",
                ],
                [
                    "1", "\(start + 600_000_000)", "\(start + 600_000_000)", "\(start + 600_000_000)", "INFO", "app",
                    "pi", "0", "", "", "",
                ],
            ]
        )
        #expect(database.status.syncCount == 2, "each commit is a receipt")
        await database.close()
    }

    @Test func `the same span sent twice counts once`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        #expect(try await sink.apply(1, 0, 1, [makeBatch(count: 5)]).get() == .applied)
        #expect(try await sink.apply(1, 0, 1, [makeBatch(count: 5)]).get() == .alreadyApplied(through: 1))
        #expect(try storedCount(folder) == "5")
        await database.close()
    }

    @Test func `a span composed anew after a lost answer is answered with what was applied`() async throws {
        let folder = try TemporaryDirectory()
        let sink = EmbeddedSink(openDatabase(folder.path))
        let batches = (1...5).map { makeBatch(count: $0) }
        #expect(try await sink.apply(1, 0, 3, Array(batches[..<3])).get() == .applied)
        #expect(try await sink.apply(1, 0, 5, batches).get() == .alreadyApplied(through: 3))
        #expect(try await sink.apply(1, 3, 5, Array(batches[3...])).get() == .applied)
        #expect(try storedCount(folder) == "15")
    }

    @Test func `a stream may begin anywhere, and streams do not disturb each other`() async throws {
        let folder = try TemporaryDirectory()
        let sink = EmbeddedSink(openDatabase(folder.path))
        #expect(try await sink.apply(.max, 41, 42, [makeBatch()]).get() == .applied)
        #expect(try await sink.apply(1 << 63, 0, 1, [makeBatch()]).get() == .applied)
        #expect(try await sink.apply(.max, 42, 43, [makeBatch()]).get() == .applied)
        #expect(try storedCount(folder) == "3")
    }

    @Test func `sums equal what was sent, whatever is sent again and however it is cut`() async throws {
        var random = SeededGenerator(of: "embedded sums")
        let folder = try TemporaryDirectory()
        var database = openDatabase(folder.path)
        var sink = EmbeddedSink(database)
        var expected: [UInt64: Int] = [:]
        for stream in UInt64(1)...6 {
            let batches = (0..<Int.random(in: 1...30, using: &random)).map { _ in
                (0..<Int.random(in: 1...8, using: &random)).map { _ in
                    Delta(
                        id: UInt64.random(in: 1...5, using: &random),
                        severity: Severity.allCases.randomElement(using: &random) ?? .info,
                        count: Int.random(in: 1...1000, using: &random)
                    )
                }
            }
            for delta in batches.joined() { expected[delta.id, default: 0] += delta.count }
            var applied = 0
            while applied < batches.count {
                // As after lost answers: from a point at or before what was applied, in portions of any size.
                let previous = Int.random(in: max(0, applied - 2)...applied, using: &random)
                let last = Int.random(in: (previous + 1)...batches.count, using: &random)
                let start = testTime.adding(seconds: Int64.random(in: 0...4000, using: &random))
                let answer = try await sink.apply(
                    stream,
                    Int64(previous),
                    Int64(last),
                    batches[previous..<last].map { makeBatch($0, start: start) }
                ).get()
                switch answer {
                case .applied:
                    #expect(previous == applied)
                    applied = last
                case .alreadyApplied(let through):
                    #expect(previous < applied)
                    #expect(through == Int64(applied))
                }
                if Int.random(in: 0..<10, using: &random) == 0 {
                    await database.close()
                    database = openDatabase(folder.path)
                    sink = EmbeddedSink(database)
                }
            }
        }
        let rows = try inspect(folder.database, "SELECT pattern_id, sum(count) FROM aggregated_logs GROUP BY 1")
        #expect(Dictionary(uniqueKeysWithValues: rows.map { (UInt64($0[0]) ?? 0, Int($0[1]) ?? 0) }) == expected)
        await database.close()
    }

    @Test func `five samples are kept, the oldest first`() async throws {
        let folder = try TemporaryDirectory()
        let sink = EmbeddedSink(openDatabase(folder.path))
        for (index, samples) in [["a", "b"], [], ["c", "d", "e", "f"], ["g"]].enumerated() {
            _ = try await sink.apply(1, Int64(index), Int64(index + 1), [makeBatch([Delta(samples: samples)])]).get()
        }
        #expect(
            try inspect(folder.database, "SELECT sample_messages FROM aggregated_logs") == [[#"["a","b","c","d","e"]"#]]
        )
    }

    @Test func `attribute summaries are merged by key, the newer one staying`() async throws {
        let folder = try TemporaryDirectory()
        let sink = EmbeddedSink(openDatabase(folder.path))
        let first = Delta(attributes: [("user", [("alice", 2)], 0), ("zone", [("a\"b", 1)], 3)])
        let second = Delta(attributes: [("user", [("bob", 1)], 4), ("é<", [("x", 1)], 0)])
        _ = try await sink.apply(1, 0, 1, [makeBatch([first])]).get()
        _ = try await sink.apply(1, 1, 2, [makeBatch([second])]).get()
        let text = try inspect(folder.database, "SELECT metadata FROM aggregated_logs")[0][0]
        let json = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary)
        let expected: NSDictionary = [
            "zone": ["values": ["a\"b": 1], "other": 3, "distinct": 4],
            "user": ["values": ["bob": 1], "other": 4, "distinct": 5],
            "é<": ["values": ["x": 1], "other": 0, "distinct": 1],
        ]
        #expect(json == expected)
    }

    @Test func `attribute summaries stay below their bound`() async throws {
        let folder = try TemporaryDirectory()
        let sink = EmbeddedSink(openDatabase(folder.path))
        for index in 0..<60 {
            let long = Delta(attributes: [("key\(index)", [(String(repeating: "v", count: 300), 1)], 0)])
            _ = try await sink.apply(1, Int64(index), Int64(index + 1), [makeBatch([long])]).get()
        }
        let huge = Delta(id: 2, attributes: (0..<30).map { ("k\($0)", [(String(repeating: "w", count: 1000), 1)], 0) })
        _ = try await sink.apply(1, 60, 61, [makeBatch([huge])]).get()
        let lengths = try inspect(folder.database, "SELECT length(metadata) FROM aggregated_logs").map {
            Int($0[0]) ?? 0
        }
        #expect(lengths.allSatisfy { (1000..<SpoolStore.metadataByteCountMax).contains($0) }, "\(lengths)")
    }

    @Test func `hostile text is stored as it is`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let texts = [
            "'; DROP TABLE aggregated_logs; --", "back\\slash \"quote\" 'single'", "emoji 👩‍👩‍👧 and \u{202E}override",
            "tab\tline\nreturn\r escape\u{1B}[31m", "%_?1 ?2 :name @at $x", String(repeating: "ä", count: 32_768), "",
        ]
        let sink = EmbeddedSink(database)
        let deltas = texts.enumerated().map {
            Delta(
                id: UInt64($0),
                template: $1,
                source: $1,
                host: $1,
                samples: [$1],
                attributes: [(String($1.prefix(100)), [($1, 1)], 0)]
            )
        }
        _ = try await sink.apply(1, 0, 1, [makeBatch(deltas)]).get()
        _ = try await sink.apply(1, 1, 2, [makeBatch(deltas)]).get()
        let rows = try inspect(
            folder.database,
            "SELECT message_pattern, source, host, count FROM aggregated_logs ORDER BY pattern_id"
        )
        #expect(rows == texts.map { [$0, $0, $0, "2"] })
        let samples = try inspect(folder.database, "SELECT sample_messages FROM aggregated_logs ORDER BY pattern_id")
        for (row, text) in zip(samples, texts) {
            #expect(try JSONDecoder().decode([String].self, from: Data(row[0].utf8)) == [text, text])
        }
        await database.close()
    }

    @Test func `a batch that cannot be decoded is poison and leaves nothing behind`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        let good = makeBatch(count: 5, byteCount: 200)
        for cut in [0, 3, 20, good.payload.count - 1] {
            let broken = Batch(payload: Array(good.payload[..<cut]), recordCount: 5, seriesCount: 1)
            let failure = try #require(await sink.apply(1, 0, 2, [good, broken]).failure)
            #expect(failure.failureClass == .poison)
            #expect(failure.code == "BATCH_FORMAT")
        }
        #expect(try storedCount(folder) == "0")
        #expect(try await sink.apply(1, 0, 1, [good]).get() == .applied)
        await database.close()
    }

    @Test func `a full disk is transient, applies nothing, and passes`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        _ = try await sink.apply(1, 0, 1, [makeBatch(count: 1)]).get()
        try await database.limitFile(pageCount: 30)
        let large = makeBatch((0..<500).map { Delta(id: UInt64($0), samples: [String(repeating: "x", count: 500)]) })
        let failure = try #require(await sink.apply(1, 1, 2, [large]).failure)
        #expect(failure.failureClass == .transient)
        #expect(failure.code == "SQLITE_FULL")
        #expect(try storedCount(folder) == "1")
        try await database.limitFile(pageCount: 100_000)
        #expect(try await sink.apply(1, 1, 2, [large]).get() == .applied)
        #expect(try storedCount(folder) == "501")
        await database.close()
    }

    @Test func `summaries damaged on disk do not stop delivery`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        let delta = Delta(samples: ["a"], attributes: [("k", [("v", 1)], 0)])
        _ = try await sink.apply(1, 0, 1, [makeBatch([delta])]).get()
        try tamper(folder.database, "UPDATE aggregated_logs SET metadata = '{\"k', sample_messages = '['")
        #expect(try await sink.apply(1, 1, 2, [makeBatch([delta])]).get() == .applied)
        let row = try inspect(folder.database, "SELECT count, sample_messages FROM aggregated_logs")
        #expect(row == [["2", #"["a"]"#]])
        await database.close()
    }

    @Test func `progress of streams that stood still for a day is forgotten, unless they can be sent again`()
        async throws
    {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        for stream in [UInt64(1), 2, .max] { _ = try await sink.apply(stream, 0, 1, [makeBatch()]).get() }
        try tamper(
            folder.database,
            "UPDATE delivery_progress SET updated_at = updated_at - 86400000001 WHERE stream <> 2"
        )
        sink.forgetStreams(except: [StreamID(rawValue: .max)], of: NodeID(random: Array(repeating: 1, count: 16)))
        #expect(try await sink.apply(.max, 0, 1, [makeBatch()]).get() == .alreadyApplied(through: 1))
        #expect(
            try inspect(folder.database, "SELECT stream FROM delivery_progress ORDER BY stream") == [["-1"], ["2"]]
        )
        await database.close()
    }

    @Test func `stamps guessed before the clock was known are marked`() async throws {
        let folder = try TemporaryDirectory()
        let sink = EmbeddedSink(openDatabase(folder.path))
        _ = try await sink.apply(1, 0, 1, [makeBatch([Delta()], clockIsKnown: false)]).get()
        _ = try await sink.apply(1, 1, 2, [makeBatch([Delta(id: 2)])]).get()
        #expect(
            try inspect(folder.database, "SELECT clock_guessed FROM aggregated_logs ORDER BY pattern_id") == [
                ["1"], ["0"],
            ]
        )
    }

    @Test(arguments: [(0, 0), (1, 0), (599, 0), (600, 600), (-1, -600), (-600, -600), (-601, -1200)])
    func `a bucket holds the ten minutes from its start`(seconds: Int64, expected: Int64) {
        let bucket = SpoolStore.bucket(of: Timestamp(nanoseconds: seconds * 1_000_000_000))
        #expect(bucket == expected * 1_000_000)
    }

    // MARK: Retention

    @Test func `retention deletes what was last seen before its age, and says how much`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        for day in 0..<10 {
            let batch = makeBatch(
                (0..<300).map { Delta(id: UInt64($0)) },
                start: testTime.adding(seconds: Int64(day) * 86_400)
            )
            _ = try await sink.apply(1, Int64(day), Int64(day + 1), [batch]).get()
        }
        let now = testTime.adding(seconds: 9 * 86_400)
        // Rows of days 0 to 5 are older than 3.5 days; a row exactly as old as the age stays.
        #expect(try await database.retention(age: .seconds(86_400 * 7 / 2), now: now) == 1800)
        #expect(try await database.retention(age: .seconds(86_400 * 3), now: now) == 0)
        #expect(try storedCount(folder) == "1200")
        #expect(database.status.retentionRowCount == 1800)
        await database.close()
    }

    @Test func `retention by size deletes the oldest and gives the space back`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        for part in 0..<40 {
            let batch = makeBatch(
                (0..<500).map { Delta(id: UInt64($0), samples: [String(repeating: "x", count: 300)]) },
                start: testTime.adding(seconds: Int64(part) * 600)
            )
            _ = try await sink.apply(1, Int64(part), Int64(part + 1), [batch]).get()
        }
        try await database.syncedUsage()
        let before = database.status.fileByteCount
        #expect(before > 8 << 20)
        let count = try await database.retention(age: .seconds(86_400 * 365), byteCountMax: 4 << 20, now: testTime)
        #expect(count > 5000 && count < 19_000)
        for _ in 0..<30 where database.status.fileByteCount > 5 << 20 { try await database.syncedUsage() }
        #expect(database.status.fileByteCount < 5 << 20)
        let oldest = try inspect(folder.database, "SELECT min(last_seen) FROM aggregated_logs")[0][0]
        #expect((Int64(oldest) ?? 0) > testTime.microseconds)
        await database.close()
    }
}
