import Delivery
import LogModel
import PipelineTesting
import Ports
import Testing

@testable import SQLiteSpool

@Suite struct DeadLetterTests {
    private func letter(_ spool: SpoolDatabase, _ sequence: Int64, _ batch: Batch, lane: Lane = .store) async throws {
        try await spool.deadLetter(spooled(sequence, lane: lane, batch), reason: "23514 number \(sequence)")
    }

    @Test func `dead letters are listed oldest first, page by page, and shown with what is in them`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        #expect(try await spool.letters().isEmpty)
        for sequence in 1...5 { try await letter(spool, Int64(sequence), makeBatch(count: sequence)) }
        let all = try await spool.letters()
        #expect(all.map(\.id) == [1, 2, 3, 4, 5] && all.map(\.recordCount) == [1, 2, 3, 4, 5])
        #expect(all[1].reason == "23514 number 2" && all[1].lane == "store" && all[1].sequence == 2)
        #expect(all[1].time.microseconds == testTime.microseconds && all[1].payload.isEmpty)
        #expect(try await spool.letters(after: 2, limit: 2).map(\.id) == [3, 4])
        #expect(try await spool.letter(3)?.payload == makeBatch(count: 3).payload)
        #expect(try await spool.letter(6) == nil)
        await spool.close()
    }

    @Test func `a dead letter sent again is in the spool or among the letters, never in both or none`() async throws {
        let folder = try TemporaryDirectory()
        var spool = openDatabase(folder.path)
        try await letter(spool, 1, makeBatch(count: 10))
        try await letter(spool, 2, makeBatch(count: 20))
        #expect(try await spool.replay(2, as: 1) == .done(recordCount: 20, wasCounted: true))
        #expect(try await spool.replay(2, as: 2) == .unknown)
        #expect(try await spool.replay(1, of: .forward, as: 3) == .unknown)
        for isReopened in [false, true] {
            if isReopened {
                await spool.close()
                spool = openDatabase(folder.path)
            }
            #expect(try await spool.letters().map(\.id) == [1])
            #expect(spool.status.deadLetterCount == 1 && spool.status.deadLetterRecordCount == 10)
            let head = try #require(try await spool.head())
            #expect(head.stream == StreamID(rawValue: 77) && head.batches.map(\.sequence) == [1])
            #expect(head.batches[0].batch.recordCount == 20)
            #expect(head.batches[0].batch.payload == makeBatch(count: 20).payload)
        }
        // Another process set it aside: it was not counted by this one.
        #expect(try await spool.replay(1, as: 2) == .done(recordCount: 10, wasCounted: false))
        #expect(try await spool.head()?.batches.map(\.sequence) == [1, 2])
        await spool.close()
    }

    @Test func `a number is never given to another letter`() async throws {
        let folder = try TemporaryDirectory()
        var spool = openDatabase(folder.path)
        for sequence in 1...3 { try await letter(spool, Int64(sequence), makeBatch(count: 1)) }
        #expect(try await spool.drop(3)?.recordCount == 1)
        #expect(try await spool.drop(3) == nil)
        try await letter(spool, 4, makeBatch(count: 1))
        #expect(try await spool.letters().map(\.id) == [1, 2, 4])
        for id in [1, 2, 4] as [Int64] { #expect(try await spool.drop(id) != nil) }
        #expect(spool.status.deadLetterCount == 0 && spool.status.deadLetterByteCount == 0)
        await spool.close()
        spool = openDatabase(folder.path)
        try await letter(spool, 5, makeBatch(count: 1))
        #expect(try await spool.letters().map(\.id) == [5])
        await spool.close()
    }

    @Test func `a full spool refuses a dead letter, which stays one`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 10_000)
        try await letter(spool, 1, makeBatch(byteCount: 9000))
        try await spool.append(spooled(1, makeBatch(byteCount: 3000))).get()
        await #expect(throws: SinkError.self) { try await spool.replay(1, as: 1) }
        #expect(try await spool.letters().map(\.id) == [1])
        try await spool.remove(through: 1)
        #expect(try await spool.replay(1, as: 1) == .done(recordCount: 1, wasCounted: true))
        await spool.close()
    }

    @Test(arguments: [
        "payload = CAST(substr(payload, 1, length(payload) - 1) AS BLOB)", "record_count = 11", "payload = x''",
        "payload = CAST('LBB' AS BLOB)",
    ])
    func `a damaged letter can be shown and removed, and is never sent`(change: String) async throws {
        let folder = try TemporaryDirectory()
        let before = openDatabase(folder.path)
        try await letter(before, 1, makeBatch(count: 10))
        await before.close()
        try tamper(folder.database, "UPDATE dead_letters SET \(change)")
        let spool = openDatabase(folder.path)
        #expect(try await spool.replay(1, as: 1) == .unreadable)
        #expect(try await spool.head() == nil)
        #expect(try await spool.letter(1) != nil)
        #expect(try await spool.drop(1) != nil)
        await spool.close()
    }

    @Test func `a full disk leaves a letter where it is`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        try await letter(spool, 1, makeBatch(byteCount: 100_000))
        try await spool.limitFile(pageCount: 1)
        await #expect(throws: SinkError.self) { try await spool.replay(1, as: 1) }
        #expect(try await spool.letters().map(\.id) == [1] && spool.status.deadLetterCount == 1)
        #expect(try await spool.head() == nil)
        try await spool.limitFile(pageCount: 100_000)
        #expect(try await spool.replay(1, as: 2) == .done(recordCount: 1, wasCounted: true))
        await spool.close()
    }
}

extension SpoolDatabase {
    fileprivate func letters(after id: Int64 = 0, limit: Int = 100) async throws -> [DeadLetter] {
        try await withCheckedContinuation { waiting in
            deadLetters(after: id, limit: limit) { waiting.resume(returning: $0) }
        }.get()
    }

    fileprivate func letter(_ id: Int64) async throws -> DeadLetter? {
        try await withCheckedContinuation { waiting in deadLetter(id) { waiting.resume(returning: $0) } }.get()
    }

    fileprivate func drop(_ id: Int64) async throws -> DeadLetter? {
        try await withCheckedContinuation { waiting in dropDeadLetter(id) { waiting.resume(returning: $0) } }.get()
    }

    fileprivate func replay(_ id: Int64, of lane: Lane = .store, as sequence: Int64) async throws -> Replay {
        try await withCheckedContinuation { waiting in
            replay(deadLetter: id, of: lane, as: (StreamID(rawValue: 77), sequence)) { waiting.resume(returning: $0) }
        }.get()
    }
}
