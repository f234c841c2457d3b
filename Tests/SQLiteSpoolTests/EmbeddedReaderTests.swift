import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Testing

@testable import SQLiteSpool

@Suite struct EmbeddedReaderTests {
    /// Three patterns over two hosts and two windows.
    private func filled() async throws -> (folder: TemporaryDirectory, database: SpoolDatabase, reader: EmbeddedReader)
    {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let sink = EmbeddedSink(database)
        let early = makeBatch([
            Delta(id: 1, template: "User <ID> logged in", host: "pi1", count: 10, samples: ["a1", "a2"]),
            Delta(id: 1, template: "User <ID> logged in", host: "pi2", count: 5, samples: ["b1"]),
            Delta(id: 2, template: "Disk 100% full_", severity: .error, source: "kernel", count: 3, last: 20),
        ])
        let late = makeBatch(
            [
                Delta(id: 1, template: "User <ID> logged in", host: "pi1", count: 1, samples: ["c1", "c2", "c3"]),
                Delta(id: 3, template: "ÄRGER in café", severity: .warn, count: 7, last: 3),
            ],
            start: testTime.adding(seconds: 1200)
        )
        _ = try await sink.apply(1, 0, 2, [early, late]).get()
        return (folder, database, EmbeddedReader(database))
    }

    @Test func `patterns are summed over windows and hosts, the newest samples first`() async throws {
        let (folder, database, reader) = try await filled()
        defer { withExtendedLifetime(folder) {} }
        let rows = try await reader.patterns()
        #expect(rows.map(\.count) == [16, 7, 3])
        #expect(rows[0].patternID == 1)
        #expect(rows[0].pattern == "User <ID> logged in")
        #expect(rows[0].level == "INFO")
        #expect(rows[0].source == "app")
        #expect(rows[0].firstSeen == testTime)
        #expect(rows[0].lastSeen == testTime.adding(seconds: 1200))
        let samples = try JSONDecoder().decode([String].self, from: Data(rows[0].samples.utf8))
        #expect(samples.count == 5)
        #expect(Array(samples[..<3]) == ["c1", "c2", "c3"])
        #expect(rows[2].samples == "[]")
        await database.close()
    }

    @Test func `patterns that turned out to be one are read as one, with the samples of both`() async throws {
        let (folder, database, reader) = try await filled()
        defer { withExtendedLifetime(folder) {} }
        func merge(_ from: UInt64, _ to: UInt64) -> TemplateMerge {
            TemplateMerge(from: from, to: to, template: Array("User <*> number \(to)".utf8))
        }
        let final = Delta(id: 9, template: "User <*> number 9", count: 4, last: 30, samples: ["d1"])
        let sink = EmbeddedSink(database)
        let batch = makeBatch([final], merges: [merge(1, 5), merge(5, 9), merge(9, 9)])
        _ = try await sink.apply(1, 2, 3, [batch]).get()
        let rows = try await reader.patterns()
        #expect(rows.map(\.count) == [20, 7, 3])
        #expect(rows[0].patternID == 9 && rows[0].pattern == "User <*> number 9")
        #expect(rows[0].samples.contains("d1") && rows[0].samples.contains("c1"))
        // The survivor is merged once more; sent again after a lost answer, it changes nothing.
        let again = makeBatch([final], merges: [merge(9, 11)])
        for _ in 0..<2 { _ = try await sink.apply(1, 3, 4, [again]).get() }
        #expect(try await reader.patterns().map(\.patternID) == [11, 3, 2])
        #expect(try await reader.patterns().map(\.count) == [24, 7, 3])
        await database.close()
    }

    @Test func `the templates known are kept for the next process`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        #expect(await kept(database) == nil)
        let catalogue = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
        await keep([1, 2, 3], database)
        await keep(catalogue, database)
        #expect(await kept(database) == catalogue)
        await database.close()
        let next = openDatabase(folder.path)
        #expect(await kept(next) == catalogue)
        await next.close()
    }

    private func kept(_ database: SpoolDatabase) async -> [UInt8]? {
        await withCheckedContinuation { answer in
            database.catalogue { result in answer.resume(returning: (try? result.get()) ?? nil) }
        }
    }

    private func keep(_ catalogue: [UInt8], _ database: SpoolDatabase) async {
        await withCheckedContinuation { answer in
            database.keep(catalogue: catalogue) { result in
                #expect((try? result.get()) != nil)
                answer.resume()
            }
        }
    }

    @Test func `orders, limits and filters are kept`() async throws {
        let (folder, database, reader) = try await filled()
        defer { withExtendedLifetime(folder) {} }
        func ids(_ change: (inout PatternQuery) -> Void) async throws -> [Int64] {
            var query = PatternQuery()
            change(&query)
            return try await reader.patterns(query).map(\.patternID)
        }
        #expect(try await ids { $0.order = .lastSeen } == [3, 1, 2])
        #expect(try await ids { $0.order = .firstSeen } == [3, 1, 2])
        #expect(try await ids { $0.limit = 2 } == [1, 3])
        #expect(try await ids { $0.limit = 0 } == [1], "bounded to 1...1000")
        #expect(try await ids { $0.minimumSeverity = .warn } == [3, 2])
        #expect(try await ids { $0.minimumSeverity = .fatal } == [])
        #expect(try await ids { $0.source = "kernel" } == [2])
        #expect(try await ids { $0.source = "KERNEL" } == [])
        #expect(try await ids { $0.search = "USER <id>" } == [1])
        #expect(try await ids { $0.search = "0% full_" } == [2])
        #expect(try await ids { $0.search = "0_ full%" } == [], "no wildcards")
        #expect(try await ids { $0.search = "' OR 1=1 --" } == [])
        #expect(try await ids { $0.search = "CAFé" } == [3])
        #expect(try await ids { $0.search = "" } == [1, 3, 2])
        #expect(try await ids { $0.since = testTime.adding(seconds: 20) } == [3, 2, 1])
        #expect(try await ids { $0.since = testTime.adding(seconds: 21) } == [3, 1])
        #expect(try await ids { $0.since = testTime.adding(seconds: 1203) } == [3])
        #expect(try await ids { $0.since = testTime.adding(seconds: 1204) } == [])
        await database.close()
    }

    @Test func `reading goes on while batches are written, and the other way round`() async throws {
        let (folder, database, reader) = try await filled()
        // A snapshot held open: writers go on beside it.
        let holder = try Connection(path: folder.database, access: .readWrite)
        try holder.execute("BEGIN; SELECT count(*) FROM aggregated_logs")
        let sink = EmbeddedSink(database)
        for sequence in Int64(2)..<50 {
            _ = try await sink.apply(1, sequence, sequence + 1, [makeBatch([Delta(id: 1, count: 1)])]).get()
        }
        #expect(try await reader.patterns()[0].count == 16 + 48)
        // The write lock held: readers go on beside it.
        try holder.execute("COMMIT; BEGIN IMMEDIATE")
        #expect(try await reader.patterns()[0].count == 64)
        holder.close()
        await database.close()
    }

    @Test func `the reader can not write`() async throws {
        let (folder, database, reader) = try await filled()
        defer { withExtendedLifetime(folder) {} }
        let result = await withCheckedContinuation { (waiting: CheckedContinuation<Result<Void, SinkError>, Never>) in
            reader.read({ waiting.resume(returning: $0) }) { connection throws(SQLiteError) in
                try connection.execute("DELETE FROM aggregated_logs")
            }
        }
        #expect(result.failure?.code == "SQLITE_READONLY")
        #expect(try await reader.patterns().count == 3)
        await database.close()
    }

    @Test func `the status names SQLite's version and the time it took`() async throws {
        let (folder, database, reader) = try await filled()
        defer { withExtendedLifetime(folder) {} }
        let status = try await reader.status()
        #expect(status.serverVersion.hasPrefix("SQLite 3."))
        #expect(status.latency > .zero)
        await withCheckedContinuation { waiting in reader.close { waiting.resume() } }
        await database.close()
    }

    @Test func `samples damaged on disk are left out of the answer`() async throws {
        let (folder, database, reader) = try await filled()
        try tamper(folder.database, "UPDATE aggregated_logs SET sample_messages = '[\"x' WHERE host = 'pi1'")
        #expect(try await reader.patterns()[0].samples == #"["b1"]"#)
        await database.close()
    }
}
