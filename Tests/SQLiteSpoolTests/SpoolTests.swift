import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Synchronization
import Testing

@testable import SQLiteSpool

@Suite struct SpoolTests {
    @Test func `what was appended comes back, byte for byte and in order`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        let batches = (1...3).map { makeBatch(count: $0, byteCount: $0 * 1000) }
        for (index, batch) in batches.enumerated() {
            try await spool.append(spooled(Int64(index + 1), batch)).get()
        }
        let head = try #require(try await spool.head())
        #expect(head.previous == 0)
        #expect(head.batches.map(\.sequence) == [1, 2, 3])
        #expect(head.batches.map(\.batch.payload) == batches.map(\.payload))
        #expect(head.batches.map(\.batch.recordCount) == [1, 2, 3])
        #expect(head.batches.map(\.batch.seriesCount) == [1, 1, 1])
        #expect(spool.status.usage[.store]?.recordCount == 6)
        #expect(spool.status.usage[.forward]?.batchCount == 0)
        await spool.close()
    }

    @Test func `the head holds as many neighbours as fit, but always one`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        for sequence in 1...4 { try await spool.append(spooled(Int64(sequence), makeBatch(byteCount: 1000))).get() }
        let size = makeBatch(byteCount: 1000).payload.count
        for (limit, count) in [(0, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (2 * size + 1, 2), (9 * size, 4)] {
            #expect(try await spool.head(byteCountMax: limit)?.batches.count == count, "limit \(limit)")
        }
        await spool.close()
    }

    @Test func `a hole ends the head, and the next one begins behind it`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        for sequence in [3, 4, 6, 7] { try await spool.append(spooled(Int64(sequence))).get() }
        let first = try #require(try await spool.head())
        #expect(first.previous == 2)
        #expect(first.batches.map(\.sequence) == [3, 4])
        try await spool.remove(through: 4)
        let second = try #require(try await spool.head())
        #expect(second.previous == 5)
        #expect(second.batches.map(\.sequence) == [6, 7])
        await spool.close()
    }

    @Test func `lanes do not see each other's batches`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1, lane: .store)).get()
        try await spool.append(spooled(1, lane: .forward)).get()
        try await spool.append(spooled(2, lane: .forward)).get()
        try await spool.remove(.store, through: 9)
        #expect(try await spool.head(.store) == nil)
        #expect(try await spool.head(.forward)?.batches.count == 2)
        await spool.close()
    }

    @Test func `a batch appended twice under one name is one`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1, makeBatch(count: 5)), durable: false).get()
        try await spool.append(spooled(1, makeBatch(count: 5)), durable: true).get()
        #expect(spool.status.usage[.store]?.recordCount == 5)
        #expect(try inspect(folder.database, "SELECT count(*) FROM spool") == [["1"]])
        // The second append changed no row, and must have synced the first all the same.
        #expect(spool.status.syncCount == 1)
        await spool.close()
    }

    @Test func `a name taken twice does not count against the limit`() async throws {
        let folder = try TemporaryDirectory()
        let batch = makeBatch(byteCount: 1000)
        let spool = openDatabase(folder.path, limit: batch.payload.count + SpoolLimits.rowOverheadByteCount)
        try await spool.append(spooled(1, batch)).get()
        try await spool.append(spooled(1, batch), durable: true).get()
        #expect(await spool.append(spooled(2, batch)).failure?.code == "SPOOL_FULL")
        await spool.close()
    }

    @Test func `at its limit the spool refuses what it cannot merge, and takes again when batches left`() async throws {
        let folder = try TemporaryDirectory()
        let cost = makeBatch(byteCount: 1000).payload.count + SpoolLimits.rowOverheadByteCount
        let spool = openDatabase(folder.path, limit: 3 * cost)
        for sequence in 1...3 {
            try await spool.append(spooled(Int64(sequence), makeBatch(byteCount: 1000), wasSent: true)).get()
        }
        let failure = try #require(await spool.append(spooled(4, makeBatch(byteCount: 1000), wasSent: true)).failure)
        #expect(failure.failureClass == .transient)
        #expect(failure.code == "SPOOL_FULL")
        try await spool.remove(through: 1)
        try await spool.append(spooled(4, makeBatch(byteCount: 1000), wasSent: true)).get()
        #expect(spool.status.usage[.store]?.batchCount == 3)
        await spool.close()
    }

    @Test func `the limit and the counters hold over a restart`() async throws {
        let folder = try TemporaryDirectory()
        let cost = makeBatch(byteCount: 1000).payload.count + SpoolLimits.rowOverheadByteCount
        let before = openDatabase(folder.path, limit: 2 * cost)
        try await before.append(spooled(1, makeBatch(count: 3, byteCount: 1000), wasSent: true)).get()
        try await before.append(spooled(1, stream: .max, makeBatch(count: 4, byteCount: 1000), wasSent: true)).get()
        let usage = before.status.usage
        await before.close()
        let after = openDatabase(folder.path, limit: 2 * cost)
        #expect(after.status.recovery == .clean)
        #expect(after.status.usage == usage)
        #expect(after.status.usage[.store]?.streams.map(\.rawValue) == [7, .max])
        #expect(await after.append(spooled(2, makeBatch(byteCount: 1000), wasSent: true)).failure?.code == "SPOOL_FULL")
        await after.close()
    }

    @Test func `appends that wait together share a transaction`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1)).get()
        let before = spool.status
        let answered = Atomic<Int>(0)
        // The first is under way or waiting while the others arrive: far fewer syncs than appends.
        await withCheckedContinuation { waiting in
            for sequence in 2...501 {
                spool.append(spooled(Int64(sequence)), durable: true) { result in
                    if case .failure(let error) = result { Issue.record("\(error)") }
                    if answered.add(1, ordering: .relaxed).newValue == 500 { waiting.resume() }
                }
            }
        }
        let syncCount = spool.status.syncCount - before.syncCount
        #expect((1...250).contains(syncCount), "\(syncCount) syncs for 500 durable appends")
        #expect(spool.status.usage[.store]?.batchCount == 501)
        await spool.close()
    }

    @Test func `only a durable append waits for the disk`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1), durable: false).get()
        #expect(spool.status.syncCount == 0)
        try await spool.append(spooled(2), durable: true).get()
        #expect(spool.status.syncCount == 1)
        try await spool.append(spooled(3), durable: false).get()
        #expect(spool.status.syncCount == 1)
        try await spool.syncedUsage()
        #expect(spool.status.syncCount == 2)
        try await spool.syncedUsage()
        #expect(spool.status.syncCount == 2, "nothing new to sync")
        await spool.close()
    }

    @Test func `a spool that is only opened writes nothing`() async throws {
        let folder = try TemporaryDirectory()
        await openDatabase(folder.path).close()
        let before = try Data(contentsOf: URL(fileURLWithPath: folder.database))
        let spool = openDatabase(folder.path)
        #expect(try await spool.head() == nil)
        try await spool.remove(through: 5)
        try await spool.syncedUsage()
        #expect(spool.status.commitCount == 0)
        #expect(spool.status.bytesWritten == 0)
        await spool.close()
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.database)) == before)
    }

    @Test func `calls keep their order, whatever appends gather`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        let order = Mutex<[String]>([])
        await withCheckedContinuation { waiting in
            spool.append(spooled(1), durable: true) { _ in order.withLock { $0.append("append 1") } }
            spool.remove(lane: .store, stream: StreamID(rawValue: 7), through: 9) { _ in
                order.withLock { $0.append("remove") }
            }
            spool.append(spooled(2), durable: true) { _ in order.withLock { $0.append("append 2") } }
            spool.head(of: .store, byteCountMax: 1000) { result in
                let names = (try? result.get())?.batches.map { "\($0.sequence)" } ?? []
                order.withLock { $0.append("head \(names.joined(separator: ","))") }
                waiting.resume()
            }
        }
        #expect(order.withLock { $0 } == ["append 1", "remove", "append 2", "head 2"])
        await spool.close()
    }

    @Test func `the spool behaves as an array, whatever is asked of it in whatever order`() async throws {
        struct Model {
            var rows: [(id: Int, name: SpooledBatch)] = []
            var nextID = 1

            func stream(of lane: Lane) -> StreamID? {
                let streams = Set(rows.filter { $0.name.lane == lane }.map(\.name.stream))
                return streams.min { age($0, lane) < age($1, lane) }
            }
            func age(_ stream: StreamID, _ lane: Lane) -> Int {
                rows.filter { $0.name.lane == lane && $0.name.stream == stream }
                    .min { $0.name.sequence < $1.name.sequence }?.id ?? .max
            }
            func head(of lane: Lane, byteCountMax: Int) -> [SpooledBatch] {
                guard let stream = stream(of: lane) else { return [] }
                let sorted = rows.map(\.name).filter { $0.lane == lane && $0.stream == stream }
                    .sorted { $0.sequence < $1.sequence }
                var head: [SpooledBatch] = []
                var bytes = 0
                for row in sorted {
                    if let last = head.last {
                        guard row.sequence == last.sequence + 1, bytes + row.batch.payload.count <= byteCountMax else {
                            break
                        }
                    }
                    bytes += row.batch.payload.count
                    head.append(row)
                    if bytes >= byteCountMax { break }
                }
                return head
            }
        }

        var random = SeededGenerator(of: "array model")
        let folder = try TemporaryDirectory()
        var spool = openDatabase(folder.path)
        var model = Model()
        for _ in 0..<3000 {
            let lane = Lane.allCases.randomElement(using: &random) ?? .store
            let stream = UInt64.random(in: 1...3, using: &random) &* 0x7FFF_FFFF_FFFF_FFFF
            switch Int.random(in: 0..<100, using: &random) {
            case ..<50:
                // Mostly the next sequence; sometimes a hole, an old one, or one that is there.
                let last =
                    model.rows.map(\.name).filter { $0.lane == lane && $0.stream.rawValue == stream }.map(\.sequence)
                    .max() ?? 0
                let sequence = max(1, last + [1, 1, 1, 1, 1, 0, 2, 5, -1].randomElement(using: &random)!)
                let count = Int.random(in: 1...50, using: &random)
                let batch = spooled(
                    sequence,
                    stream: stream,
                    lane: lane,
                    makeBatch(count: count, byteCount: Int.random(in: 0...9000, using: &random))
                )
                try await spool.append(batch, durable: Bool.random(using: &random)).get()
                let isThere = model.rows.contains {
                    $0.name.lane == lane && $0.name.stream == batch.stream && $0.name.sequence == sequence
                }
                if !isThere {
                    model.rows.append((model.nextID, batch))
                    model.nextID += 1
                }
            case ..<75:
                let limit = Int.random(in: 0...30_000, using: &random)
                let head = try await spool.head(lane, byteCountMax: limit)
                let expected = model.head(of: lane, byteCountMax: limit)
                #expect(head?.stream == expected.first?.stream)
                #expect(head?.previous == expected.first.map { $0.sequence - 1 })
                #expect((head?.batches ?? []).map(\.sequence) == expected.map(\.sequence))
                #expect((head?.batches ?? []).map(\.batch.payload) == expected.map(\.batch.payload))
            case ..<95:
                let all = model.rows.map(\.name).filter { $0.lane == lane && $0.stream.rawValue == stream }.map(
                    \.sequence
                )
                let through = Int64.random(in: 0...max(1, all.max() ?? 1), using: &random)
                try await spool.remove(lane, stream: stream, through: through)
                model.rows.removeAll {
                    $0.name.lane == lane && $0.name.stream.rawValue == stream && $0.name.sequence <= through
                }
            case ..<98:
                guard let row = model.rows.randomElement(using: &random) else { continue }
                try await spool.deadLetter(row.name, reason: "test")
                model.rows.removeAll { $0.id == row.id }
            default:
                await spool.close()
                spool = openDatabase(folder.path)
                #expect(spool.status.recovery == .clean)
            }
            for lane in Lane.allCases {
                let rows = model.rows.map(\.name).filter { $0.lane == lane }
                let usage = spool.status.usage[lane]
                #expect(usage?.batchCount == rows.count)
                #expect(usage?.recordCount == rows.reduce(0) { $0 + $1.batch.recordCount })
                #expect(usage?.byteCount == rows.reduce(0) { $0 + $1.batch.payload.count })
            }
        }
        await spool.close()
    }

    @Test func `a payload damaged on disk goes to the dead letters, and its neighbours go on`() async throws {
        let folder = try TemporaryDirectory()
        let before = openDatabase(folder.path)
        for sequence in 1...4 { try await before.append(spooled(Int64(sequence), makeBatch(count: 10))).get() }
        await before.close()
        try tamper(
            folder.database,
            "UPDATE spool SET payload = CAST(substr(payload, 1, 40) || 'X' AS BLOB) WHERE sequence = 2"
        )
        let spool = openDatabase(folder.path)
        #expect(try await spool.drain().map(\.sequence) == [1, 3, 4])
        #expect(spool.status.deadLetterCount == 1)
        #expect(spool.status.deadLetterRecordCount == 10)
        #expect(spool.status.usage[.store]?.batchCount == 0)
        #expect(
            try inspect(folder.database, "SELECT sequence, reason, record_count FROM dead_letters") == [
                ["2", "checksum does not match: damaged on disk", "10"]
            ]
        )
        await spool.close()
    }

    @Test(arguments: ["sequence = 9", "stream = 8", "record_count = 11", "first_sequence = 1", "series_count = 4"])
    func `a damaged name or count is found out as well`(change: String) async throws {
        let folder = try TemporaryDirectory()
        let before = openDatabase(folder.path)
        for sequence in 1...3 { try await before.append(spooled(Int64(sequence), makeBatch(count: 10))).get() }
        await before.close()
        try tamper(folder.database, "UPDATE spool SET \(change) WHERE sequence = 2")
        let spool = openDatabase(folder.path)
        #expect(try await spool.drain().map(\.sequence) == [1, 3])
        #expect(spool.status.deadLetterCount == 1)
        await spool.close()
    }

    @Test func `a dead letter keeps its payload for a person, and leaves the spool`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        let batch = makeBatch(count: 2, byteCount: 5000)
        try await spool.append(spooled(1, batch)).get()
        try await spool.append(spooled(2, batch)).get()
        try await spool.deadLetter(spooled(1, batch), reason: "22P02 invalid text")
        try await spool.deadLetter(spooled(99, stream: 1, lane: .forward, batch), reason: "was never spooled")
        #expect(try await spool.head()?.batches.map(\.sequence) == [2])
        #expect(spool.status.deadLetterCount == 2)
        #expect(spool.status.deadLetterRecordCount == 4)
        #expect(
            try inspect(folder.database, "SELECT lane, stream, sequence, reason, length(payload) FROM dead_letters")
                == [
                    ["store", "7", "1", "22P02 invalid text", "\(batch.payload.count)"],
                    ["forward", "1", "99", "was never spooled", "\(batch.payload.count)"],
                ]
        )
        await spool.close()
        #expect(openDatabase(folder.path).status.deadLetterRecordCount == 4)
    }

    @Test func `a refused part leaves the spool, and the rest stays under the batch's name`() async throws {
        let folder = try TemporaryDirectory()
        var spool = openDatabase(folder.path)
        let whole = makeBatch([Delta(id: 1, count: 2), Delta(id: 2, count: 30), Delta(id: 3, count: 400)])
        for sequence in 1...3 { try await spool.append(spooled(Int64(sequence), whole)).get() }
        let taken = try whole.takingOut([BatchPart(series: [1])])
        let rest = try #require(taken.rest)
        let part = RefusedPart(batch: taken.parts[0], reason: "22P05")
        let refused = [1, 2].map { SetAsideBatch(spooled(Int64($0), whole), parts: [part], rest: rest) }
        try await spool.setAside(refused)
        // Asked again, as after an answer that got lost: nothing is kept twice.
        try await spool.setAside(refused)
        for isReopened in [false, true] {
            if isReopened {
                await spool.close()
                spool = openDatabase(folder.path)
            }
            #expect(spool.status.deadLetterCount == 2 && spool.status.deadLetterRecordCount == 60)
            #expect(spool.status.usage[.store]?.recordCount == 402 * 2 + 432)
            #expect(spool.status.usage[.store]?.byteCount == rest.payload.count * 2 + whole.payload.count)
            let head = try #require(try await spool.head())
            #expect(head.batches.map(\.sequence) == [1, 2, 3])
            #expect(head.batches.map(\.batch.recordCount) == [402, 402, 432])
            #expect(head.batches[0].batch.payload == rest.payload)
        }
        await spool.close()
    }

    @Test func `what is set aside from memory alone leaves the spool as it was`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        let whole = makeBatch([Delta(id: 1, count: 2), Delta(id: 2, count: 30)])
        try await spool.append(spooled(1, whole)).get()
        let taken = try whole.takingOut([BatchPart(series: [0])])
        let part = RefusedPart(batch: taken.parts[0], reason: "23514")
        try await spool.setAside([SetAsideBatch(spooled(5, stream: 9, whole), parts: [part], rest: taken.rest)])
        #expect(spool.status.deadLetterRecordCount == 2)
        #expect(spool.status.usage[.store]?.recordCount == 32 && spool.status.usage[.store]?.batchCount == 1)
        await spool.close()
    }

    @Test func `a full disk refuses the append only, and appends succeed again once there is room`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.append(spooled(1, makeBatch(byteCount: 1000)), durable: true).get()
        try await spool.limitFile(pageCount: 40)
        let failure = try #require(await spool.append(spooled(2, makeBatch(byteCount: 500_000)), durable: true).failure)
        #expect(failure.failureClass == .transient)
        #expect(failure.code == "SQLITE_FULL")
        // Small ones still fit, also when they wait in one group with one that does not.
        let answers = Mutex<[Int64: Bool]>([:])
        await withCheckedContinuation { waiting in
            for (sequence, size) in [(Int64(3), 1000), (4, 600_000), (5, 1000)] {
                spool.append(spooled(sequence, makeBatch(byteCount: size)), durable: true) { result in
                    let count = answers.withLock { answers in
                        answers[sequence] = result.failure == nil
                        return answers.count
                    }
                    if count == 3 { waiting.resume() }
                }
            }
        }
        #expect(answers.withLock { $0 } == [3: true, 4: false, 5: true])
        #expect(spool.status.usage[.store]?.batchCount == 3)
        try await spool.limitFile(pageCount: 100_000)
        try await spool.append(spooled(2, makeBatch(byteCount: 500_000)), durable: true).get()
        #expect(try await spool.drain().map(\.sequence) == [1, 2, 3, 5])
        await spool.close()
    }

    @Test func `space is given back after draining, and the WAL stays small`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        var walByteCountMost = 0
        for sequence in 1...400 {
            try await spool.append(spooled(Int64(sequence), makeBatch(byteCount: 20_000))).get()
            let attributes = try FileManager.default.attributesOfItem(atPath: folder.database + "-wal")
            walByteCountMost = max(walByteCountMost, attributes[.size] as? Int ?? 0)
        }
        try await spool.syncedUsage()
        #expect(spool.status.fileByteCount > 8_000_000)
        #expect(walByteCountMost < 3 << 20)
        _ = try await spool.drain(byteCountMax: 100_000)
        // Each step asks for the next; a call made now comes after those that are waiting.
        for _ in 0..<30 where spool.status.fileByteCount > 1 << 20 { try await spool.syncedUsage() }
        #expect(spool.status.fileByteCount < 1 << 20)
        await spool.close()
    }

    @Test func `an error never holds log text`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await spool.limitFile(pageCount: 1)
        let secret = "password=hunter2"
        let batch = makeBatch([Delta(samples: [String(repeating: secret, count: 10_000)], noiseByteCount: 200_000)])
        let failure = try #require(await spool.append(spooled(1, batch)).failure)
        #expect(!failure.description.contains("hunter2"))
        #expect(failure.description.contains("SQLITE_FULL"))
        await spool.close()
    }
}
