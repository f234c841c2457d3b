import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Testing

@testable import SQLiteSpool

/// Removals that wait for the next transaction: Sources/SQLiteSpool/SpoolRemovals.swift.
@Suite struct SpoolRemovalTests {
    private static let sequences = "SELECT sequence FROM spool ORDER BY id"

    private func walByteCount(_ folder: TemporaryDirectory) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: folder.database + "-wal")
        return (attributes[.size] as? NSNumber)?.intValue ?? 0
    }

    /// What kill -9 leaves.
    private func copy(_ folder: TemporaryDirectory) throws -> TemporaryDirectory {
        let copy = try TemporaryDirectory()
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: folder.database + suffix, toPath: copy.database + suffix)
        }
        return copy
    }

    @Test func `the removal of the last batch writes nothing, and is done by the next append`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1, wasSent: true), durable: true).get()
        let size = try walByteCount(folder)
        try await spool.remove(through: 1)
        #expect(try walByteCount(folder) == size)
        #expect(spool.status.usage[.store]?.batchCount == 0)
        #expect(spool.status.usage[.store]?.byteCount == 0)
        #expect(spool.status.usage[.store]?.streams == [])
        let written = spool.status.bytesWritten
        try await spool.append(spooled(2, wasSent: true), durable: true).get()
        // Row, its place in the index, its stream's mark: each page once for both.
        #expect(spool.status.bytesWritten - written <= 3 * 4120)
        #expect(try inspect(folder.database, Self.sequences) == [["2"]])
        #expect(spool.status.usage[.store]?.batchCount == 1)
        #expect(try await spool.head()?.previous == 1)
        await spool.close()
    }

    @Test func `whoever looks at rows does not see what is gone`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1), durable: true).get()
        try await spool.remove(through: 1)
        #expect(try await spool.head() == nil)
        #expect(try inspect(folder.database, Self.sequences) == [])
        try await spool.append(spooled(2), durable: true).get()
        try await spool.remove(through: 2)
        #expect(try await spool.syncedUsage()[.store]?.batchCount == 0)
        #expect(try inspect(folder.database, Self.sequences) == [])
        #expect(try inspect(folder.database, "SELECT count(*) FROM spool_sent") == [["0"]])
        await spool.close()
    }

    @Test func `a batch under the name of one that is gone is another`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1, makeBatch(count: 5)), durable: true).get()
        try await spool.remove(through: 1)
        try await spool.append(spooled(1, makeBatch(count: 7)), durable: true).get()
        #expect(try await spool.head()?.batches.map(\.batch.recordCount) == [7])
        #expect(spool.status.usage[.store]?.recordCount == 7)
        await spool.close()
    }

    @Test func `what a dead process did not remove is sent once more under its name, and can be removed then`()
        async throws
    {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(4, wasSent: true), durable: true).get()
        try await spool.remove(through: 4)
        let left = try copy(folder)
        let reopened = openDatabase(left.path)
        let head = try #require(try await reopened.head())
        #expect(head.previous == 3 && head.stream.rawValue == 7)
        #expect(head.batches.map(\.sequence) == [4])
        try await reopened.remove(through: 4)
        #expect(try await reopened.head() == nil)
        await reopened.close()
        await spool.close()
        // An orderly end leaves nothing behind.
        let again = openDatabase(folder.path)
        #expect(again.status.usage[.store]?.batchCount == 0)
        await again.close()
    }

    @Test func `an orderly end removes what an earlier process wrote`() async throws {
        let folder = try TemporaryDirectory()
        let first = openDatabase(folder.path)
        try await first.append(spooled(1), durable: true).get()
        await first.close()
        let second = openDatabase(folder.path)
        try await second.remove(through: 1)
        #expect(try inspect(folder.database, Self.sequences) == [["1"]])
        await second.close()
        #expect(try inspect(folder.database, Self.sequences) == [])
    }

    @Test func `with anything else in the spool, or much of it, a removal is made at once`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        // Another lane, another stream, the same stream.
        for (lane, stream, last) in [(Lane.forward, 7, 1), (.store, 8, 1), (.store, 7, 2)] as [(Lane, UInt64, Int64)] {
            try await spool.append(spooled(1), durable: true).get()
            try await spool.append(spooled(last, stream: stream, lane: lane), durable: true).get()
            try await spool.remove(.store, through: 1)
            #expect(try inspect(folder.database, "SELECT count(*) FROM spool") == [["1"]], "\(lane) \(stream) \(last)")
            try await spool.remove(lane, stream: stream, through: last)
            #expect(try await spool.head(lane) == nil)
        }
        try await spool.append(spooled(9, makeBatch(byteCount: SpoolLimits.removalByteCountMax)), durable: true).get()
        try await spool.remove(through: 9)
        #expect(try inspect(folder.database, "SELECT count(*) FROM spool") == [["0"]])
        await spool.close()
    }

    @Test func `one that no transaction comes for is made after an hour of looks`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1), durable: true).get()
        try await spool.remove(through: 1)
        for _ in 1..<SpoolLimits.removalLookCountMax { _ = await spool.look() }
        #expect(try inspect(folder.database, Self.sequences) == [["1"]])
        _ = await spool.look()
        #expect(try inspect(folder.database, Self.sequences) == [])
        await spool.close()
    }

    @Test func `a damaged file that is replaced brings nothing back that is gone`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1), durable: true).get()
        try await spool.syncedUsage()
        try await spool.remove(through: 1)
        let reported = await withCheckedContinuation { waiting in
            spool.perform(settling: false, { waiting.resume(returning: $0) }) {
                (store: SpoolStore) throws(SQLiteError) -> Result<Bool, SinkError> in
                store.replaceDamaged(SQLiteError(attempt: "read a page", code: .corrupt))
                return .success(true)
            }
        }
        #expect(try reported.get())
        #expect(spool.status.damageCount == 1)
        #expect(spool.status.usage[.store]?.batchCount == 0)
        #expect(try await spool.head() == nil)
        await spool.close()
    }

    @Test func `an append that is refused leaves the removal for the next`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 2000)
        try await spool.append(spooled(1), durable: true).get()
        try await spool.remove(through: 1)
        #expect(await spool.append(spooled(2, makeBatch(byteCount: 4000))).failure?.code == "SPOOL_FULL")
        try await spool.append(spooled(3), durable: true).get()
        #expect(try inspect(folder.database, Self.sequences) == [["3"]])
        await spool.close()
    }
}
