import Delivery
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Synchronization
import Testing

@testable import SQLiteSpool

/// Free space as a test says it is.
private final class Disk: Sendable {
    private let space: Mutex<DiskSpace>
    init(free: Int, total: Int) { space = Mutex(DiskSpace(freeByteCount: free, totalByteCount: total)) }
    func set(free: Int) { space.withLock { $0.freeByteCount = free } }
    var now: DiskSpace { space.withLock { $0 } }
}

/// A floor of free space: the spool must not take what the rest of the system needs.
@Suite struct DiskSpaceTests {
    private func open(_ folder: TemporaryDirectory, _ disk: Disk) -> SpoolDatabase {
        var configuration = SpoolConfiguration(
            directory: folder.path,
            spoolByteCountMax: 64 << 20,
            now: { testTime }
        )
        configuration.diskSpace = { _ in disk.now }
        return SpoolDatabase(configuration)
    }

    /// Total and floor in KiB.
    @Test(arguments: [(5120, 256), (1_048_576, 52_428), (1_310_720, 65_536), (33_554_432, 65_536)])
    func `64 MiB are left to others, on a small file system a twentieth`(totalSize: Int, floorSize: Int) {
        let total = totalSize * 1024
        let floor = DiskSpace(freeByteCount: 0, totalByteCount: total).floorByteCount
        #expect(floor / 1024 == floorSize)
        #expect(DiskSpace(freeByteCount: floor - 1, totalByteCount: total).isLow)
        #expect(!DiskSpace(freeByteCount: floor, totalByteCount: total).isLow)
        #expect(DiskSpace(freeByteCount: floor / 2 - 1, totalByteCount: total).isVeryLow)
        #expect(!DiskSpace(freeByteCount: floor / 2, totalByteCount: total).isVeryLow)
    }

    @Test func `the real file system is asked, and a directory that is not there is no answer`() throws {
        let space = try #require(DiskSpace.of("/"))
        #expect(space.totalByteCount > 0 && space.freeByteCount <= space.totalByteCount)
        #expect(DiskSpace.of("/not/there") == nil)
    }

    @Test func `below the floor the spool refuses what is new, and goes on when there is room`() async throws {
        let folder = try TemporaryDirectory()
        let disk = Disk(free: 64 << 20, total: 32 << 30)
        let spool = open(folder, disk)
        try await spool.append(spooled(1), durable: true).get()
        disk.set(free: (64 << 20) - 1)
        for isDurable in [false, true] {
            let failure = try #require(await spool.append(spooled(2), durable: isDurable).failure)
            #expect(failure.code == "DISK_LOW")
            #expect(failure.failureClass == .transient)
        }
        #expect(spool.status.diskRefusalCount == 2)
        #expect(spool.status.lastFailure?.contains("free space") == true)
        #expect(spool.status.diskSpace?.isLow == true)
        // What it has already costs nothing, and draining makes room.
        try await spool.append(spooled(1), durable: true).get()
        #expect(try await spool.head()?.batches.count == 1)
        disk.set(free: 64 << 20)
        try await spool.append(spooled(2), durable: true).get()
        #expect(spool.status.lastFailure == nil)
        #expect(try await spool.drain().count == 2)
        await spool.close()
    }

    @Test func `below the floor the spool is drained as ever`() async throws {
        let folder = try TemporaryDirectory()
        let disk = Disk(free: 1 << 30, total: 32 << 30)
        let spool = open(folder, disk)
        for sequence: Int64 in 1...20 { try await spool.append(spooled(sequence), durable: true).get() }
        disk.set(free: 0)
        #expect(try await spool.drain().count == 20)
        try await spool.deadLetter(spooled(30), reason: "test")
        #expect(spool.status.diskRefusalCount == 0)
        await spool.close()
    }

    @Test func `the embedded store goes on to half the floor`() async throws {
        let folder = try TemporaryDirectory()
        let disk = Disk(free: 32 << 20, total: 32 << 30)
        let spool = open(folder, disk)
        let sink = EmbeddedSink(spool)
        #expect(try await sink.apply(1, 0, 1, [makeBatch()]).get() == .applied)
        disk.set(free: (32 << 20) - 1)
        #expect(await sink.apply(1, 1, 2, [makeBatch()]).failure?.code == "DISK_LOW")
        #expect(spool.status.diskRefusalCount == 1)
        disk.set(free: 32 << 20)
        #expect(try await sink.apply(1, 1, 2, [makeBatch()]).get() == .applied)
        #expect(try inspect(folder.database, "SELECT sum(count) FROM aggregated_logs") == [["2"]])
        await spool.close()
    }

    @Test func `with room on the disk and none in the file the refusal is counted too`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1), durable: true).get()
        try await spool.limitFile(pageCount: 1)
        let failure = try #require(await spool.append(spooled(2, makeBatch(byteCount: 1 << 20)), durable: true).failure)
        #expect(failure.code == "SQLITE_FULL")
        #expect(spool.status.diskRefusalCount == 1)
        try await spool.limitFile(pageCount: 100_000)
        try await spool.append(spooled(2, makeBatch(byteCount: 1 << 20)), durable: true).get()
        #expect(spool.status.lastFailure == nil)
        await spool.close()
    }

    @Test func `what a batch or the spool's bound is to blame for says nothing against the file`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 1000)
        let failure = try #require(await spool.append(spooled(1, makeBatch(byteCount: 4000)), durable: true).failure)
        #expect(failure.code == "SPOOL_FULL")
        #expect(spool.status.lastFailure == nil)
        #expect(spool.status.diskRefusalCount == 0)
        await spool.close()
    }

    // MARK: Back from memory

    @Test func `what memory took moves into the file once it can be used, and adds up with what is there`() async throws
    {
        let folder = try TemporaryDirectory()
        let before = openDatabase(folder.path)
        try await before.append(spooled(1, stream: 3), durable: true).get()
        _ = try await EmbeddedSink(before).apply(8, 0, 1, [makeBatch([Delta(id: 1, count: 5)])]).get()
        await before.close()
        // A lock held by somebody else is a file that cannot be used now.
        let other = try Connection(path: folder.database, access: .readWrite)
        try other.execute("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE")
        let spool = openDatabase(folder.path)
        #expect(spool.status.recovery.isMemoryOnly)
        #expect(await spool.append(spooled(1, stream: 4), durable: true).failure?.code == "SPOOL_MEMORY_ONLY")
        try await spool.append(spooled(1, stream: 4)).get()
        try await spool.deadLetter(spooled(9, stream: 4), reason: "test")
        _ = try await EmbeddedSink(spool).apply(9, 0, 1, [makeBatch([Delta(id: 1, count: 7), Delta(id: 2, count: 2)])])
            .get()
        #expect(await spool.look() == nil)
        #expect(spool.status.recovery.isMemoryOnly)
        other.close()
        let difference = try #require(await spool.look())
        // What the lanes do not know of yet: the batch of the last process.
        #expect(difference[.store]?.batchCount == 1)
        #expect(difference[.store]?.recordCount == 1)
        #expect(spool.status.recovery == .clean)
        #expect(await spool.look() == nil)
        try await spool.append(spooled(2, stream: 4), durable: true).get()
        #expect(try await EmbeddedSink(spool).apply(9, 0, 1, [makeBatch()]).get() == .alreadyApplied(through: 1))
        let sums = try await EmbeddedReader(spool).patterns().map { "\($0.patternID): \($0.count)" }
        #expect(sums.sorted() == ["1: 12", "2: 2"])
        #expect(spool.status.deadLetterCount == 1)
        let drained = try await spool.drain().map { "\($0.stream)/\($0.sequence)" }
        #expect(drained == ["3/1", "4/1", "4/2"])
        await spool.close()
    }

    @Test func `a file that broke in use and cannot be replaced is not taken for empty`() async throws {
        let folder = try TemporaryDirectory()
        let disk = try FaultDisk()
        let spool = openDatabase(folder.path, disk)
        for sequence: Int64 in 1...40 {
            try await spool.append(spooled(sequence, makeBatch(byteCount: 8000)), durable: true).get()
        }
        try await spool.syncedUsage()
        // Every write fails from now on, and a page in the middle turns out broken: no new file can be made.
        disk.fail(.write, first: 1, forGood: true)
        try damagePages(of: folder.database, from: 0.4, through: 0.6)
        await #expect(throws: SinkError.self) { _ = try await spool.head(byteCountMax: 1 << 20) }
        #expect(spool.status.recovery.isMemoryOnly, "\(spool.status.recovery)")
        await #expect(throws: SinkError.self) { _ = try await spool.head() }
        #expect(await spool.look() == nil)
        disk.mend()
        let difference = try #require(await spool.look())
        let lost = -(difference[.store]?.batchCount ?? 0)
        #expect((1..<40).contains(lost), "\(lost)")
        #expect(folder.names.contains { $0.contains("damaged") }, "\(folder.names)")
        #expect(try await spool.drain().count == 40 - lost)
        await spool.close()
    }
}
