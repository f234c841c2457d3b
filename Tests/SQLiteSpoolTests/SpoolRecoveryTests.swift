import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Testing

@testable import SQLiteSpool

/// Promise 7: it always starts.
@Suite struct SpoolRecoveryTests {
    /// A closed file with twelve batches, a dead letter and patterns.
    private func makeFile() async throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        for sequence in 1...12 {
            try await database.append(spooled(Int64(sequence), makeBatch(count: 2, byteCount: 3000))).get()
        }
        try await database.deadLetter(spooled(1, makeBatch(count: 2, byteCount: 3000)), reason: "test")
        let deltas = (0..<100).map { Delta(id: UInt64($0), count: 3) }
        _ = try await EmbeddedSink(database).apply(5, 0, 1, [makeBatch(deltas)]).get()
        await database.close()
        return folder
    }

    /// That everything works after opening, whatever was found.
    private func use(_ database: SpoolDatabase) async throws {
        let isDurable = if case .memoryOnly = database.status.recovery { false } else { true }
        try await database.append(spooled(1, stream: 99, lane: .forward), durable: isDurable).get()
        #expect(try await database.head(.forward) != nil)
        _ = try await EmbeddedSink(database).apply(98, 0, 1, [makeBatch([Delta(id: 1 << 40, count: 5)])]).get()
        #expect(try await EmbeddedReader(database).patterns().contains { $0.patternID == 1 << 40 })
        await database.close()
    }

    private func salvage(_ database: SpoolDatabase) -> (movedTo: String, batches: Int, reason: String)? {
        guard case .recovered(let movedTo, let batches, let reason) = database.status.recovery else { return nil }
        return (movedTo, batches, reason)
    }

    @Test func `the redaction key is made once, read back, and nobody else may read it`() throws {
        let folder = try TemporaryDirectory()
        func load(_ random: Range<UInt8>, _ directory: String) -> RedactionKey {
            RedactionKey.load(directory: directory, random: Array(random), now: testTime)
        }
        let first = load(0..<16, folder.path)
        let second = load(100..<116, folder.path)
        #expect(first.bytes == Array(0..<16) && second.bytes == first.bytes)
        #expect(first.movedTo == nil && second.movedTo == nil)
        let path = folder.path + "/redaction-key"
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        // One that cannot be read is set aside; a folder that is not there costs nothing but the next run's agreement.
        try Data("not a key".utf8).write(to: URL(fileURLWithPath: path))
        let third = load(100..<116, folder.path)
        #expect(third.bytes == Array(100..<116))
        #expect(third.movedTo == path + ".damaged-20250115T103000Z")
        #expect(try String(contentsOfFile: #require(third.movedTo), encoding: .utf8) == "not a key")
        #expect(load(0..<16, folder.path).bytes == third.bytes)
        #expect(load(0..<16, folder.path + "/none").bytes == Array(0..<16))
    }

    @Test func `a sound file is taken as it is`() async throws {
        let folder = try await makeFile()
        let database = openDatabase(folder.path)
        #expect(database.status.recovery == .clean)
        #expect(database.status.usage[.store]?.batchCount == 11)
        #expect(database.status.deadLetterCount == 1)
        try await use(database)
        #expect(folder.names.filter { $0.contains("damaged") }.isEmpty)
    }

    @Test func `a file of no length is a new file`() async throws {
        let folder = try TemporaryDirectory()
        #expect(FileManager.default.createFile(atPath: folder.database, contents: Data()))
        let database = openDatabase(folder.path)
        #expect(database.status.recovery == .clean)
        try await use(database)
    }

    @Test func `garbage is set aside under a dated name, whole`() async throws {
        let folder = try TemporaryDirectory()
        let garbage = Data((0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        try garbage.write(to: URL(fileURLWithPath: folder.database))
        try garbage.write(to: URL(fileURLWithPath: folder.database + "-wal"))
        let database = openDatabase(folder.path)
        let found = try #require(salvage(database))
        #expect(found.movedTo == folder.database + ".damaged-20250115T103000Z")
        #expect(found.batches == 0)
        #expect(found.reason.contains("SQLITE_NOTADB"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: found.movedTo)) == garbage)
        try await use(database)
        #expect(openDatabase(folder.path).status.recovery == .clean)
    }

    @Test func `readable batches of a truncated file are salvaged`() async throws {
        let folder = try await makeFile()
        let good = try Data(contentsOf: URL(fileURLWithPath: folder.database))
        // The schema's own pages come first, then the batches, then the patterns.
        try good.prefix(good.count * 5 / 8).write(to: URL(fileURLWithPath: folder.database))
        let database = openDatabase(folder.path)
        let found = try #require(salvage(database))
        #expect((1...11).contains(found.batches), "\(found.batches) batches")
        #expect(database.status.usage[.store]?.batchCount == found.batches)
        let drained = try await database.drain()
        #expect(drained.count == found.batches)
        try await use(database)
    }

    @Test func `a damaged page in the middle costs its rows, not those on either side`() async throws {
        let folder = try TemporaryDirectory()
        let before = openDatabase(folder.path)
        for sequence in 1...200 { try await before.append(spooled(Int64(sequence), makeBatch(byteCount: 1000))).get() }
        await before.close()
        // A leaf of the table in the middle of the file: its first bytes are its header.
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder.database))
        let page = bytes.count / 4096 / 2
        bytes.replaceSubrange(page * 4096..<page * 4096 + 200, with: Data(repeating: 0xFF, count: 200))
        try bytes.write(to: URL(fileURLWithPath: folder.database))
        let database = openDatabase(folder.path)
        let found = try #require(salvage(database))
        #expect((150..<200).contains(found.batches), "\(found.batches) batches")
        let sequences = try await database.drain().map(\.sequence)
        #expect(sequences.first == 1)
        #expect(sequences.last == 200)
        try await use(database)
    }

    @Test func `a replacement cut short between its two renames is finished at the next start`() async throws {
        let folder = try await makeFile()
        // The broken file was moved aside already, the new one has no name yet.
        try FileManager.default.moveItem(atPath: folder.database, toPath: folder.database + ".new")
        try Data("broken".utf8).write(to: URL(fileURLWithPath: folder.database + ".damaged-20250115T103000Z"))
        let database = openDatabase(folder.path)
        #expect(database.status.recovery == .clean)
        #expect(database.status.usage[.store]?.batchCount == 11)
        #expect(!folder.names.contains("logboom.db.new"))
        try await use(database)
    }

    @Test func `a replacement cut short before it was ready is made again from the broken file`() async throws {
        let folder = try await makeFile()
        try tamper(folder.database, "PRAGMA user_version=99")
        for suffix in ["", "-wal", "-shm"] {
            try Data("half".utf8).write(to: URL(fileURLWithPath: folder.database + ".new" + suffix))
        }
        let database = openDatabase(folder.path)
        #expect(salvage(database)?.batches == 11)
        #expect(folder.names.filter { $0.contains(".new") }.isEmpty, "\(folder.names)")
        try await use(database)
    }

    @Test func `progress and patterns are salvaged too, so nothing is counted again`() async throws {
        let folder = try await makeFile()
        try tamper(folder.database, "PRAGMA user_version=99")
        let database = openDatabase(folder.path)
        let found = try #require(salvage(database))
        #expect(found.reason.contains("version 99"))
        #expect(found.batches == 11)
        #expect(database.status.deadLetterCount == 1)
        let deltas = (0..<100).map { Delta(id: UInt64($0), count: 3) }
        let answer = try await EmbeddedSink(database).apply(5, 0, 1, [makeBatch(deltas)]).get()
        #expect(answer == .alreadyApplied(through: 1))
        #expect(try inspect(folder.database, "SELECT sum(count) FROM aggregated_logs") == [["300"]])
        try await use(database)
    }

    @Test(arguments: ["spool", "meta", "aggregated_logs", "delivery_progress", "dead_letters"])
    func `a file without one of its tables is replaced`(table: String) async throws {
        let folder = try await makeFile()
        try tamper(folder.database, "DROP TABLE \(table)")
        let database = openDatabase(folder.path)
        #expect(salvage(database) != nil)
        try await use(database)
    }

    @Test func `a header that forbids writing is found at the start, not at the first append`() async throws {
        let folder = try await makeFile()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: folder.database))
        // The file format's write version (sqlite.org/fileformat2.html, offset 18): SQLite reads a 3 and writes nothing.
        bytes[18] = 3
        try bytes.write(to: URL(fileURLWithPath: folder.database))
        let database = openDatabase(folder.path)
        let found = try #require(salvage(database))
        #expect(found.batches == 11)
        #expect(found.reason.contains("for writing"))
        try await use(database)
    }

    @Test func `a missing state directory is made`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path + "/a/b/c")
        #expect(database.status.recovery == .clean)
        try await use(database)
    }

    @Test func `with no directory it goes on in memory, and takes no durable append`() async throws {
        let folder = try TemporaryDirectory()
        let file = folder.path + "/file"
        #expect(FileManager.default.createFile(atPath: file, contents: Data("x".utf8)))
        let database = openDatabase(file + "/state")
        guard case .memoryOnly(let reason) = database.status.recovery else {
            Issue.record("\(database.status.recovery)")
            return
        }
        #expect(reason.contains("Not a directory"))
        let failure = try #require(await database.append(spooled(1), durable: true).failure)
        #expect(failure.code == "SPOOL_MEMORY_ONLY")
        #expect(failure.failureClass == .transient)
        // Bounded: a flood ends in refusals, not in all of the memory.
        var refused = 0
        for sequence in 1...30 {
            let answer = await database.append(spooled(Int64(sequence), stream: 3, makeBatch(byteCount: 1 << 20)))
            if answer.failure != nil { refused += 1 }
        }
        #expect(refused >= 14)
        _ = try await database.drain()
        try await use(database)
    }

    @Test func `a directory that cannot be written leaves memory`() async throws {
        guard getuid() != 0 else {
            print("skipped: root writes into read-only directories")
            return
        }
        let folder = try TemporaryDirectory(mode: 0o500)
        let database = openDatabase(folder.path)
        guard case .memoryOnly = database.status.recovery else {
            Issue.record("\(database.status.recovery)")
            return
        }
        try await use(database)
    }

    @Test func `a file locked by somebody else is left alone`() async throws {
        let folder = try await makeFile()
        let other = try Connection(path: folder.database, access: .readWrite)
        try other.execute("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE")
        let database = openDatabase(folder.path)
        guard case .memoryOnly(let reason) = database.status.recovery else {
            Issue.record("\(database.status.recovery)")
            return
        }
        #expect(reason.contains("SQLITE_BUSY"))
        #expect(folder.names.filter { $0.contains("damaged") }.isEmpty)
        other.close()
        try await use(database)
        #expect(openDatabase(folder.path).status.usage[.store]?.batchCount == 11)
    }

    @Test func `only the newest damaged files are kept`() async throws {
        let folder = try TemporaryDirectory()
        for _ in 0..<6 {
            try Data(repeating: 0x41, count: 9000).write(to: URL(fileURLWithPath: folder.database))
            for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: folder.database + suffix) }
            await openDatabase(folder.path).close()
        }
        let kept = folder.names.filter { $0.contains("damaged") }
        #expect(kept.count == SpoolLimits.damagedFileCountMax, "\(kept)")
        #expect(kept.last == "logboom.db.damaged-20250115T103000Z-006")
    }

    @Test func `damage found in use replaces the file and goes on`() async throws {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        for sequence in 1...300 {
            try await database.append(spooled(Int64(sequence), makeBatch(byteCount: 3000))).get()
        }
        try await database.syncedUsage()
        // Leaves of the table overwritten below the running daemon, beyond what its cache holds.
        try damagePages(of: folder.database, from: 0.33, through: 0.5)
        var failures = 0
        var drained: [Int64] = []
        for _ in 0..<20 {
            do {
                let batch = try await database.drain(byteCountMax: 20_000).map(\.sequence)
                drained += batch
                if batch.isEmpty { break }
            } catch {
                failures += 1
            }
        }
        #expect(failures > 0)
        #expect(database.status.damageCount > 0)
        #expect(salvage(database) != nil)
        #expect(database.status.usage[.store]?.batchCount == 0)
        try await use(database)
    }

    @Test func `the file is checked in time whatever its size`() async throws {
        let folder = try TemporaryDirectory()
        let before = openDatabase(folder.path, limit: 1 << 30)
        for sequence in 1...100 {
            try await before.append(spooled(Int64(sequence), makeBatch(byteCount: 1 << 20))).get()
        }
        try await before.syncedUsage()
        // Not closed in order: a copy of the running file.
        let copy = try TemporaryDirectory()
        try FileManager.default.copyItem(atPath: folder.database, toPath: copy.database)
        let start = ContinuousClock.now
        let database = openDatabase(copy.path, limit: 1 << 30)
        let duration = start.duration(to: .now)
        print("opening \(database.status.fileByteCount >> 20) MiB not closed in order: \(duration)")
        #expect(database.status.recovery == .clean)
        #expect(database.status.usage[.store]?.batchCount == 100)
        #expect(duration < .seconds(2))
        await database.close()
        await before.close()
    }

    // MARK: Node id

    private func loadNode(_ directory: String, _ byte: UInt8) -> NodeIdentity {
        NodeIdentity.load(directory: directory, random: Array(repeating: byte, count: 16), now: testTime)
    }

    @Test func `the node id is kept, and made anew only when it cannot be read`() throws {
        let folder = try TemporaryDirectory()
        let first = loadNode(folder.path, 1)
        #expect(first.isNew && first.isPersistent && first.movedTo == nil)
        #expect(loadNode(folder.path, 9) == NodeIdentity(id: first.id, isNew: false, isPersistent: true))
        #expect(try String(contentsOfFile: folder.file("node-id"), encoding: .utf8) == first.id.text + "\n")
        for broken in ["", "x", first.id.text.dropLast() + "", first.id.text + "0", String(repeating: "-", count: 36)] {
            try broken.write(toFile: folder.file("node-id"), atomically: false, encoding: .utf8)
            let new = loadNode(folder.path, 7)
            #expect(new.isNew && new.isPersistent, "\(broken)")
            #expect(try String(contentsOfFile: #require(new.movedTo), encoding: .utf8) == broken)
            #expect(loadNode(folder.path, 8).id == new.id)
        }
        // The newest of those set aside, and the one in use.
        #expect(folder.names.count == 1 + SpoolLimits.damagedFileCountMax, "\(folder.names)")
    }

    @Test(arguments: ["folder", "pipe", "loop"])
    func `whatever stands in the place of the node id is set aside`(kind: String) throws {
        let folder = try TemporaryDirectory()
        let path = folder.file("node-id")
        switch kind {
        case "folder": #expect(mkdir(path, 0o700) == 0)
        case "pipe": #expect(mkfifo(path, 0o600) == 0)
        default: #expect(symlink(path, path) == 0)
        }
        let identity = loadNode(folder.path, 3)
        #expect(identity.isNew && identity.isPersistent && identity.movedTo != nil)
        #expect(loadNode(folder.path, 4).id == identity.id)
    }

    @Test func `a node id that cannot be written serves this run`() throws {
        let identity = loadNode("/dev/null/nowhere", 5)
        #expect(identity.isNew)
        #expect(!identity.isPersistent)
    }
}
