import Foundation
import LogModel
import PipelineTesting
import Ports
import Synchronization
import Testing

@testable import SQLiteSpool

/// What a dead process or a cut of power leaves behind.
@Suite struct SpoolCrashTests {
    /// Where a child process works: it knows its parent's number and nothing else.
    private static func killFolder(parent: Int32) -> String { NSTemporaryDirectory() + "lb-kill-\(parent)" }

    /// Runs in the child: appends durably from several sides, notes each acknowledged sequence, and is killed by itself
    /// after as many as the parent wrote into the file `limit`.
    private static func appendUntilKilled() async {
        let folder = killFolder(parent: getppid())
        let limit = (try? String(contentsOfFile: folder + "/limit", encoding: .utf8)).flatMap { Int($0) } ?? 1
        let start = (try? String(contentsOfFile: folder + "/start", encoding: .utf8)).flatMap { Int64($0) } ?? 1
        let acknowledged = open(folder + "/acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        let spool = openDatabase(folder)
        let count = Atomic<Int>(0)
        for sequence in start..<start + 2000 {
            spool.append(spooled(sequence, makeBatch(count: 2, byteCount: Int(sequence % 50) * 100)), durable: true) {
                guard $0.failure == nil else { return }
                let line = "\(sequence)\n"
                _ = line.withCString { write(acknowledged, $0, strlen($0)) }
                if count.add(1, ordering: .relaxed).newValue >= limit { kill(getpid(), SIGKILL) }
            }
            // Lets the thread begin now and then, so that there are many transactions and not one.
            if sequence % 7 == 0 { await Task.yield() }
        }
        // The kill comes from the spool's thread, in the middle of whatever the others do.
        while true { await Task.yield() }
    }

    @Test(.timeLimit(.minutes(10)))
    func `every batch acknowledged before kill -9 is there on reopening`() async throws {
        var random = SeededGenerator(of: "kill -9")
        let folder = Self.killFolder(parent: getpid())
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var start = 1
        for _ in 0..<8 {
            try "\(Int.random(in: 1...300, using: &random))".write(
                toFile: folder + "/limit",
                atomically: true,
                encoding: .utf8
            )
            try "\(start)".write(toFile: folder + "/start", atomically: true, encoding: .utf8)
            await #expect(processExitsWith: .signal(SIGKILL)) { await SpoolCrashTests.appendUntilKilled() }
            start += 2000
        }
        let acknowledged = try String(contentsOfFile: folder + "/acknowledged", encoding: .utf8)
            .split(separator: "\n").compactMap { Int64($0) }
        #expect(acknowledged.count >= 8)
        let spool = openDatabase(folder)
        #expect(spool.status.recovery == .clean)
        let found = try await spool.drain().map(\.sequence)
        #expect(Set(acknowledged).subtracting(found).isEmpty)
        #expect(Set(found).count == found.count)
        #expect(spool.status.deadLetterCount == 0)
        await spool.close()
    }

    @Test func `a WAL torn at any place still gives a whole beginning of what was appended`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        for sequence in 1...20 {
            try await spool.append(spooled(Int64(sequence), makeBatch(byteCount: 1500)), durable: sequence % 3 == 0)
                .get()
        }
        // Nothing is under way now, so a copy is what a power cut would leave if the disk wrote everything.
        let file = try Data(contentsOf: URL(fileURLWithPath: folder.database))
        let wal = try Data(contentsOf: URL(fileURLWithPath: folder.database + "-wal"))
        #expect(wal.count > 50_000)
        var mostFound = 0
        for length in Array(stride(from: 0, to: wal.count, by: 512)) + [wal.count] {
            let copy = try TemporaryDirectory()
            try file.write(to: URL(fileURLWithPath: copy.database))
            try wal.prefix(length).write(to: URL(fileURLWithPath: copy.database + "-wal"))
            let reopened = openDatabase(copy.path)
            #expect(reopened.status.recovery == .clean, "torn at \(length)")
            let found = try await reopened.drain().map(\.sequence)
            #expect(found == Array(1..<Int64(found.count + 1)), "torn at \(length)")
            #expect(found.count >= mostFound, "torn at \(length)")
            mostFound = max(mostFound, found.count)
            await reopened.close()
        }
        #expect(mostFound == 20)
        await spool.close()
    }

    @Test func `batches removed by a dead process do not come back twice`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        for sequence in 1...6 { try await spool.append(spooled(Int64(sequence)), durable: true).get() }
        try await spool.remove(through: 4)
        let copy = try TemporaryDirectory()
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: folder.database + suffix, toPath: copy.database + suffix)
        }
        let reopened = openDatabase(copy.path)
        #expect(try await reopened.head()?.previous == 4)
        #expect(try await reopened.drain().map(\.sequence) == [5, 6])
        await reopened.close()
        await spool.close()
    }
}
