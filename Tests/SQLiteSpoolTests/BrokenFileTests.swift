import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Testing

@testable import SQLiteSpool

/// Whatever stands in the file's place: it starts within two seconds, gives back only what was put in, and goes on.
@Suite struct BrokenFileTests {
    private static let payload = makeBatch(count: 2, byteCount: 900).payload

    /// A closed file with twelve batches, a dead letter and patterns; some 70 KiB.
    private static func makeFile() async throws -> Data {
        let folder = try TemporaryDirectory()
        let database = openDatabase(folder.path)
        let batch = Batch(payload: payload, recordCount: 2, seriesCount: 1)
        for sequence: Int64 in 1...12 { try await database.append(spooled(sequence, batch)).get() }
        try await database.deadLetter(spooled(1, batch), reason: "test")
        let deltas = (0..<30).map { Delta(id: UInt64($0), count: 3) }
        _ = try await EmbeddedSink(database).apply(5, 0, 1, [makeBatch(deltas)]).get()
        await database.close()
        return try Data(contentsOf: URL(fileURLWithPath: folder.database))
    }

    private struct Outcome {
        var kinds: [String: Int] = [:]
        var longestStart = Duration.zero
        var batchCount = 0
    }

    /// Opens a folder with this file, reads and writes everything, and notes how it went.
    private func tryOut(
        _ bytes: Data,
        _ what: String,
        readsPatterns: Bool = true,
        _ outcome: inout Outcome
    ) async throws {
        let folder = try TemporaryDirectory()
        try bytes.write(to: URL(fileURLWithPath: folder.database))
        let start = ContinuousClock.now
        // A thousand times over: without real syncs, which only cost time here.
        let database = openDatabase(folder.path, try FaultDisk())
        outcome.longestStart = max(outcome.longestStart, start.duration(to: .now))
        switch database.status.recovery {
        case .clean: outcome.kinds["clean", default: 0] += 1
        case .recovered: outcome.kinds["recovered", default: 0] += 1
        case .memoryOnly(let reason): Issue.record("\(what): \(reason)")
        }
        // Damage that opening did not see comes to light in use: a call may fail, the file is replaced, then it goes on.
        var attempts = 0
        var calls = 0
        while attempts < 5, calls < 200 {
            attempts += 1
            calls += 1
            guard let head = try? await database.head() else {
                if case .some(.none) = try? await database.head() { break }
                continue
            }
            for batch in head.batches { #expect(batch.batch.payload == Self.payload, "\(what)") }
            guard let last = head.batches.last else { break }
            outcome.batchCount += head.batches.count
            attempts = 0
            _ = try? await database.remove(stream: head.stream.rawValue, through: last.sequence)
        }
        #expect(attempts < 5 && calls < 200, "\(what)")
        if readsPatterns {
            _ = await EmbeddedSink(database).apply(98, 0, 1, [makeBatch()])
            _ = try? await EmbeddedReader(database).patterns()
        }
        outcome.kinds["replaced in use", default: 0] += database.status.damageCount
        // By now the file is sound, or was replaced by one that is.
        var failure = await database.append(spooled(1, stream: 99), durable: true).failure
        if failure != nil { failure = await database.append(spooled(1, stream: 99), durable: true).failure }
        #expect(failure == nil, "\(what)")
        await database.close()
    }

    @Test(.timeLimit(.minutes(10)))
    func `bytes flipped anywhere never stop a start, and never come back as a batch`() async throws {
        var random = SeededGenerator(of: "flipped bytes")
        let good = try await Self.makeFile()
        var outcome = Outcome()
        for round in 0..<1000 {
            var bytes = good
            for _ in 0..<[1, 2, 8, 64].randomElement(using: &random)! {
                // Half of them in the first two pages, where the header and the schema stand.
                let range = Bool.random(using: &random) ? 0..<8192 : 0..<bytes.count
                bytes[Int.random(in: range, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            }
            if round % 10 == 0 { bytes = bytes.prefix(Int.random(in: 0..<bytes.count, using: &random)) }
            // A connection more each; a quarter of the rounds is enough for what only these calls meet.
            try await tryOut(bytes, "round \(round)", readsPatterns: round % 4 == 0, &outcome)
        }
        print("flipped bytes: \(outcome)")
        #expect(outcome.longestStart < .seconds(2))
        // Damage costs what it hit: most batches of most files are still there.
        #expect(outcome.batchCount > 1000 * 11 / 2)
    }

    @Test func `a file cut at any sector never stops a start`() async throws {
        let good = try await Self.makeFile()
        var outcome = Outcome()
        for length in stride(from: 0, to: good.count, by: 512) {
            try await tryOut(good.prefix(length), "cut at \(length)", &outcome)
        }
        print("cut files: \(outcome)")
        #expect(outcome.longestStart < .seconds(2))
    }

    @Test(arguments: ["folder", "full folder", "pipe", "loop", "link to nothing"])
    func `what is no file is set aside`(kind: String) async throws {
        let folder = try TemporaryDirectory()
        let path = folder.database
        switch kind {
        case "folder": #expect(mkdir(path, 0o700) == 0)
        case "full folder": #expect(mkdir(path, 0o700) == 0 && mkdir(path + "/x", 0o700) == 0)
        case "pipe": #expect(mkfifo(path, 0o600) == 0)
        case "loop": #expect(symlink(path, path) == 0)
        default: #expect(symlink(folder.path + "/no/where", path) == 0)
        }
        let start = ContinuousClock.now
        let database = openDatabase(folder.path)
        #expect(start.duration(to: .now) < .seconds(2))
        guard case .recovered(let movedTo, 0, _) = database.status.recovery else {
            Issue.record("\(database.status.recovery)")
            return
        }
        #expect(movedTo == path + ".damaged-20250115T103000Z")
        try await database.append(spooled(1), durable: true).get()
        await database.close()
        #expect(openDatabase(folder.path).status.recovery == .clean)
    }

    @Test func `a link to a file elsewhere is followed`() async throws {
        let (folder, elsewhere) = (try TemporaryDirectory(), try TemporaryDirectory())
        try (await Self.makeFile()).write(to: URL(fileURLWithPath: elsewhere.database))
        #expect(symlink(elsewhere.database, folder.database) == 0)
        let database = openDatabase(folder.path)
        #expect(database.status.recovery == .clean)
        #expect(database.status.usage[.store]?.batchCount == 11)
        await database.close()
    }

    @Test func `batches whose bytes changed are kept for a person when the rest is salvaged`() async throws {
        let folder = try TemporaryDirectory()
        try (await Self.makeFile()).write(to: URL(fileURLWithPath: folder.database))
        try tamper(folder.database, "UPDATE spool SET payload = x'00' WHERE sequence IN (3, 4); PRAGMA user_version=99")
        let database = openDatabase(folder.path)
        guard case .recovered(_, 9, _) = database.status.recovery else {
            Issue.record("\(database.status.recovery)")
            return
        }
        #expect(database.status.deadLetterCount == 3)
        let kept = try inspect(folder.database, "SELECT sequence, reason FROM dead_letters ORDER BY sequence")
        let reason = "checksum does not match: damaged on disk"
        #expect(kept == [["1", "test"], ["3", reason], ["4", reason]])
        await database.close()
    }
}
