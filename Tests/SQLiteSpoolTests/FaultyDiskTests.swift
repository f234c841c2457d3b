import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Testing

@testable import SQLiteSpool

/// The n-th call to the disk fails, once or from then on, for n = 1, 2, 3 … until nothing fails any more.
@Suite struct FaultyDiskTests {
    /// What a run was told, to be held against what is there in the end.
    private struct Told {
        /// Sequences of stream 7, appended durably.
        var kept: Set<Int64> = []
        var removedThrough: Int64 = 0
        var applied = false
        var deadLettered = false
        /// Calls that failed, with their codes.
        var failures: [String] = []
    }

    private static let spanBatches = [
        makeBatch([Delta(id: 5, count: 3), Delta(id: 6, count: 4)]), makeBatch([Delta(id: 5, count: 10)]),
    ]

    /// A closed file with twelve batches that somebody has a receipt for.
    private static func makeFile() async throws -> TemporaryDirectory {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        for sequence in 1...12 { try await database.append(batch(Int64(sequence)), durable: true).get() }
        let old = makeBatch([Delta(id: 9999, count: 7)], start: testTime.adding(seconds: -366 * 86_400))
        _ = try await EmbeddedSink(database).apply(4, 0, 1, [old]).get()
        await database.close()
        return folder
    }

    private static func batch(_ sequence: Int64) -> SpooledBatch {
        spooled(sequence, makeBatch(count: Int(sequence), byteCount: 2000))
    }

    @Test(arguments: [
        ("open", FaultDisk.Calls.open), ("read", .read), ("short read", .shortRead), ("write", .write),
        ("full", .full), ("sync", .sync), ("truncate", .truncate), ("delete", .delete),
        ("shared memory", .sharedMemory),
    ])
    func `whichever call fails, nothing acknowledged is lost and all goes on when the disk works again`(
        name: String,
        calls: FaultDisk.Calls
    ) async throws {
        let file = try await Self.makeFile()
        for (original, forGood) in [(file, false), (file, true), (nil, false), (nil, true)] {
            var number = 0
            var memoryCount = 0
            var replacedCount = 0
            while true {
                // Making the file takes many calls of the same kind: every third will do.
                number += original == nil && number > 20 ? 3 : 1
                let place =
                    "\(name) \(number)\(forGood ? " and all after it" : "")\(original == nil ? ", new file" : "")"
                let folder = try TemporaryDirectory()
                if let original { try FileManager.default.copyItem(atPath: original.database, toPath: folder.database) }
                let disk = try FaultDisk()
                disk.fail(calls, first: number, forGood: forGood)
                var told = Told()
                let spool = openDatabase(folder.path, disk)
                await Self.use(spool, &told)
                let failureCount = disk.failureCount
                if spool.status.recovery.isMemoryOnly { memoryCount += 1 }
                if folder.names.contains(where: { $0.contains("damaged") }) { replacedCount += 1 }
                // The disk works again: what failed is asked for again, as a lane would.
                disk.mend()
                _ = await spool.look()
                #expect(!spool.status.recovery.isMemoryOnly, "\(place): \(spool.status.recovery)")
                await Self.use(spool, &told)
                #expect(told.kept == [13, 14, 15] && told.applied && told.deadLettered, "\(place): \(told)")
                _ = await spool.look()
                #expect(spool.status.lastFailure == nil, "\(place)")
                await spool.close()
                try await Self.check(folder, told, of: original == nil ? 13...15 : 2...15, place)
                if failureCount == 0 || number > 2000 { break }
            }
            #expect(number < 2000)
            print(
                "\(name)\(forGood ? " for good" : ""): \(number - 1) calls, \(memoryCount) in memory, \(replacedCount) replaced"
            )
        }
    }

    /// Some of everything; a success is noted, and not asked for again.
    private static func use(_ spool: SpoolDatabase, _ told: inout Told) async {
        for sequence: Int64 in 13...15 where !told.kept.contains(sequence) {
            let answer = await spool.append(batch(sequence), durable: true)
            if let failure = answer.failure { told.failures.append(failure.code) } else { told.kept.insert(sequence) }
        }
        if !told.applied {
            switch await EmbeddedSink(spool).apply(5, 0, 2, spanBatches) {
            case .success: told.applied = true
            case .failure(let failure): told.failures.append(failure.code)
            }
        }
        do {
            if !told.deadLettered {
                try await spool.deadLetter(batch(1), reason: "test")
                told.deadLettered = true
            }
            if told.removedThrough == 0, let head = try await spool.head(byteCountMax: 6000), head.stream.rawValue == 7,
                let last = head.batches.last
            {
                told.removedThrough = last.sequence
                try await spool.remove(through: last.sequence)
            }
            try await spool.syncedUsage()
            _ = try await spool.retention(age: .seconds(300 * 86_400), now: testTime)
        } catch {
            told.failures.append("\((error as? SinkError)?.code ?? "\(error)")")
        }
    }

    private static func check(
        _ folder: TemporaryDirectory,
        _ told: Told,
        of sequences: ClosedRange<Int64>,
        _ place: String
    ) async throws {
        // Sound, and without syncs that only cost time here.
        let spool = openDatabase(folder.path, try FaultDisk())
        #expect(spool.status.recovery == .clean, "\(place)")
        let counts = try inspect(
            folder.database,
            "SELECT pattern_id, sum(count)\n FROM aggregated_logs WHERE pattern_id < 100 GROUP BY 1 ORDER BY 1"
        )
        #expect(counts == [["5", "13"], ["6", "4"]], "\(place): \(told)")
        #expect(
            try inspect(folder.database, "SELECT max(applied) FROM delivery_progress WHERE stream = 5") == [["2"]],
            "\(place)"
        )
        #expect(
            try inspect(folder.database, "SELECT DISTINCT sequence FROM dead_letters WHERE reason = 'test'") == [["1"]],
            "\(place): \(told)"
        )
        var found: [Int64] = []
        while let head = try await spool.head(), let last = head.batches.last {
            for entry in head.batches {
                #expect(entry.batch.payload == batch(entry.sequence).batch.payload, "\(place)")
                found.append(entry.sequence)
            }
            try await spool.remove(through: last.sequence)
        }
        // A read that gave zeros where bytes were looks like damage: such a batch is kept for a person.
        let damaged = try inspect(folder.database, "SELECT sequence FROM dead_letters\n WHERE reason LIKE 'checksum%'")
            .compactMap { Int64($0[0]) }
        #expect(damaged.isEmpty || place.hasPrefix("short read"), "\(place): \(damaged)")
        let expected = Set(sequences.filter { $0 > told.removedThrough }).subtracting(damaged)
        #expect(expected.isSubset(of: found), "\(place): \(found.sorted()) of \(told)")
        #expect(Set(found).count == found.count && Set(found).isSubset(of: Set(1...15)), "\(place): \(found)")
        await spool.close()
    }
}
