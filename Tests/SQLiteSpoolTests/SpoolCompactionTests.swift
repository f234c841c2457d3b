import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import Testing

@testable import SQLiteSpool

/// A window of logs such as a small machine writes: every pattern some times, each message with numbers of its own.
private func window(
    at second: Int64,
    patternCount: Int,
    countEach: Int,
    using generator: inout SeededGenerator
) -> Batch {
    let services = ["systemd", "node-red", "zigbee2mqtt", "mosquitto", "sshd", "kernel"]
    return makeBatch(
        (0..<patternCount).map { number in
            let service = services[number % services.count]
            func message() -> String {
                "\(service) device \(number) at 192.168.1.\(Int.random(in: 2...254, using: &generator)) reported value "
                    + "\(Int.random(in: 0...99_999, using: &generator)) after \(Int.random(in: 1...900, using: &generator)) ms"
            }
            return Delta(
                id: UInt64(number) &* 0x9E37_79B9_7F4A_7C15,
                template: "\(service) device \(number) at <IP> reported value <NUM> after <TIME> ms",
                severity: number % 10 == 0 ? .warn : .info,
                source: service,
                host: "raspberrypi",
                count: countEach,
                first: Int64.random(in: 0...2, using: &generator),
                last: Int64.random(in: 27...29, using: &generator),
                samples: (0..<min(3, countEach)).map { _ in message() }
            )
        },
        start: testTime.adding(seconds: second)
    )
}

extension SpoolDatabase {
    /// Takes everything out, in order; the records by pattern, and the batches it took.
    fileprivate func drainCounts(_ lane: Lane = .store) async throws -> (counts: [UInt64: Int], batches: [SpooledBatch])
    {
        var counts: [UInt64: Int] = [:]
        var batches: [SpooledBatch] = []
        while let head = try await head(lane) {
            for spooled in head.batches {
                try BatchReader.forEachSeries(in: spooled.batch) { _, series in
                    counts[series.templateID, default: 0] += series.count
                }
                batches.append(spooled)
            }
            guard let last = head.batches.last else { break }
            try await remove(lane, stream: head.stream.rawValue, through: last.sequence)
        }
        return (counts, batches)
    }
}

@Suite struct SpoolCompactionTests {
    @Test func `near its bound the spool merges windows, and no count is lost`() async throws {
        var generator = SeededGenerator(of: "compaction")
        let folder = try TemporaryDirectory()
        let limit = 64 * 1024
        let spool = openDatabase(folder.path, limit: limit)
        for number in 0..<400 {
            let batch = window(at: Int64(number) * 30, patternCount: 20, countEach: 7, using: &generator)
            try await spool.append(spooled(Int64(number + 1), batch)).get()
            let usage = try #require(spool.status.usage[.store])
            #expect(usage.byteCount + usage.batchCount * SpoolLimits.rowOverheadByteCount <= limit)
            #expect(usage.recordCount == (number + 1) * 140)
        }
        #expect(spool.status.mergedBatchCount > 100)
        #expect(spool.status.longestWindow >= .seconds(240))
        let (counts, batches) = try await spool.drainCounts()
        #expect(counts.count == 20)
        #expect(counts.values.allSatisfy { $0 == 400 * 7 })
        // Still in order, each following the one before, and the whole stretch covered.
        #expect(batches.map(\.sequence) == batches.map(\.sequence).sorted())
        #expect(batches.last?.sequence == 400)
        await spool.close()
    }

    @Test func `single durable records become windows too`() async throws {
        var generator = SeededGenerator(of: "single records")
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 32 * 1024)
        for number in 0..<600 {
            let batch = window(at: Int64(number), patternCount: 1, countEach: 1, using: &generator)
            try await spool.append(spooled(Int64(number + 1), batch)).get()
        }
        #expect(try await spool.drainCounts().counts == [0: 600])
        await spool.close()
    }

    @Test func `lanes and streams are merged each for itself`() async throws {
        var generator = SeededGenerator(of: "lanes")
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 96 * 1024)
        for number in 0..<300 {
            for lane in Lane.allCases {
                let batch = window(at: Int64(number) * 30, patternCount: 10, countEach: 3, using: &generator)
                let stream = UInt64(1 + number / 100)
                try await spool.append(spooled(Int64(number + 1), stream: stream, lane: lane, batch)).get()
            }
        }
        for lane in Lane.allCases {
            let (counts, batches) = try await spool.drainCounts(lane)
            #expect(counts.values.allSatisfy { $0 == 900 } && counts.count == 10)
            #expect(Set(batches.map(\.stream.rawValue)) == [1, 2, 3])
        }
        await spool.close()
    }

    /// A sink may hold what was sent, all or in part: merged with a later batch it could be neither sent nor dropped.
    @Test func `what may have been sent keeps its bounds, also for the next process`() async throws {
        var generator = SeededGenerator(of: "sent")
        let folder = try TemporaryDirectory()
        var spool = openDatabase(folder.path, limit: 64 * 1024)
        func append(_ numbers: ClosedRange<Int>) async throws {
            for number in numbers {
                let batch = window(at: Int64(number) * 30, patternCount: 10, countEach: 5, using: &generator)
                try await spool.append(spooled(Int64(number), batch)).get()
            }
        }
        try await append(1...10)
        var named = spooled(1, stream: 99, window(at: 0, patternCount: 10, countEach: 5, using: &generator))
        named.wasSent = true
        try await spool.append(named, durable: true).get()
        let head = try #require(try await spool.head(byteCountMax: 1))
        #expect(head.batches.map(\.sequence) == [1])
        await spool.close()
        spool = openDatabase(folder.path, limit: 64 * 1024)
        try await append(11...400)
        #expect(spool.status.mergedBatchCount > 100)
        let rows = try inspect(
            folder.database,
            "SELECT first_sequence, sequence, stream\n FROM spool WHERE stream = 99 OR sequence <= 10 ORDER BY id"
        )
        #expect(rows == (1...10).map { ["\($0)", "\($0)", "7"] } + [["1", "1", "99"]])
        let (counts, _) = try await spool.drainCounts()
        #expect(counts.values.allSatisfy { $0 == 401 * 5 })
        #expect(try inspect(folder.database, "SELECT count(*)\n FROM spool_sent") == [["0"]])
        await spool.close()
    }

    @Test func `a batch that was merged and comes again under its name is there already`() async throws {
        var generator = SeededGenerator(of: "again")
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 32 * 1024)
        var batches: [Batch] = []
        for number in 0..<200 {
            batches.append(window(at: Int64(number) * 30, patternCount: 10, countEach: 2, using: &generator))
            try await spool.append(spooled(Int64(number + 1), batches[number])).get()
        }
        #expect(spool.status.mergedBatchCount > 50)
        let before = spool.status.usage
        for number in [0, 1, 50, 199] {
            try await spool.append(spooled(Int64(number + 1), batches[number]), durable: true).get()
        }
        #expect(spool.status.usage == before)
        #expect(try await spool.drainCounts().counts.values.allSatisfy { $0 == 400 })
        await spool.close()
    }

    @Test func `patterns without end are refused at last, and what is there stays whole`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 32 * 1024)
        var kept = 0
        var refusal: SinkError?
        for number in 0..<2000 {
            // Every batch another pattern, and nothing to compress: merging saves no more than the rows.
            let batch = makeBatch([Delta(id: UInt64(number), template: "pattern \(number)", noiseByteCount: 200)])
            switch await spool.append(spooled(Int64(number + 1), batch)) {
            case .success: kept += 1
            case .failure(let error): refusal = error
            }
        }
        #expect(refusal?.code == "SPOOL_FULL")
        // Samples went before anything was refused.
        #expect(spool.status.reducedBatchCount > 0)
        #expect(kept > 300)
        let (counts, _) = try await spool.drainCounts()
        #expect(counts.count == kept && counts.values.allSatisfy { $0 == 1 })
        // Emptied, it takes windows as they are again.
        try await spool.append(spooled(5000, makeBatch(byteCount: 1000))).get()
        #expect(spool.status.usage[.store]?.batchCount == 1)
        await spool.close()
    }

    @Test func `merging survives the next start, and a copy made in its middle is whole`() async throws {
        var generator = SeededGenerator(of: "copies")
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 48 * 1024)
        for number in 0..<300 {
            let batch = window(at: Int64(number) * 30, patternCount: 10, countEach: 4, using: &generator)
            try await spool.append(spooled(Int64(number + 1), batch), durable: number % 3 == 0).get()
            guard number % 20 == 19 else { continue }
            // What a kill leaves: the file and its log as they are at this moment.
            let copy = try TemporaryDirectory()
            for suffix in ["", "-wal"] {
                try copyFile(folder.database + suffix, copy.database + suffix)
            }
            let other = openDatabase(copy.path, limit: 48 * 1024)
            let counts = try await other.drainCounts().counts
            #expect(counts.values.allSatisfy { $0 == (number + 1) * 4 }, "after \(number + 1) windows")
            await other.close()
        }
        await spool.close()
    }

    /// The sizes that docs/formats/spool-file.md states; run alone, it prints them.
    @Test func `a log costs few bytes in the spool`() async throws {
        var generator = SeededGenerator(seed: 1)
        for (countEach, most) in [(10, 24.0), (100, 5.0)] {
            let folder = try TemporaryDirectory()
            let spool = openDatabase(folder.path)
            let batch = window(at: 0, patternCount: 400, countEach: countEach, using: &generator)
            try await spool.append(spooled(1, batch)).get()
            let usage = try #require(spool.status.usage[.store])
            let each = Double(usage.byteCount + SpoolLimits.rowOverheadByteCount) / Double(usage.recordCount)
            print("\(countEach) logs a pattern and window: \(each) bytes a log, unpacked \(batch.payload.count)")
            #expect(each <= most)
            await spool.close()
        }
    }

    /// A month without PostgreSQL, 200 logs a second over 400 patterns, in 64 MB. In the ordinary run a sixtieth of it in both
    /// time and room, over 100 patterns; whole with LOGBOOM_LONG_TESTS=1, best in a release build.
    @Test func `an outage of a month fits, with every count`() async throws {
        var generator = SeededGenerator(of: "outage")
        let isWhole = ProcessInfo.processInfo.environment["LOGBOOM_LONG_TESTS"] == "1"
        let scale = isWhole ? 1 : 60
        let windowCount = 30 * 86_400 / 30 / scale
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path, limit: 64_000_000 / scale)
        let began = ContinuousClock.now
        var slowest = Duration.zero
        let patternCount = isWhole ? 400 : 100
        for number in 0..<windowCount {
            let batch = window(
                at: Int64(number) * 30,
                patternCount: patternCount,
                countEach: 15,
                using: &generator
            )
            let start = ContinuousClock.now
            try await spool.append(spooled(Int64(number + 1), batch)).get()
            slowest = max(slowest, start.duration(to: .now))
        }
        print(
            "\(windowCount) windows in \(began.duration(to: .now)); slowest append \(slowest); merged "
                + "\(spool.status.mergedBatchCount), longest window \(spool.status.longestWindow), file "
                + "\(spool.status.fileByteCount), written \(spool.status.bytesWritten)"
        )
        #expect(spool.status.fileByteCount < 64_000_000 / scale * 5 / 4 + 2_000_000)
        let (counts, _) = try await spool.drainCounts()
        #expect(counts.count == patternCount && counts.values.allSatisfy { $0 == windowCount * 15 })
        await spool.close()
    }
}

private func copyFile(_ from: String, _ to: String) throws {
    try FileManager.default.copyItem(atPath: from, toPath: to)
}

@Suite struct SpoolClockTests {
    @Test func `what was spooled before the clock was set is put right, unless it was sent`() async throws {
        let folder = try TemporaryDirectory()
        let spool = openDatabase(folder.path)
        func batch(_ number: Int64, clockIsKnown: Bool) -> Batch {
            makeBatch([Delta(count: Int(number))], start: testTime.adding(seconds: number), clockIsKnown: clockIsKnown)
        }
        try await spool.append(spooled(1, stream: 3, batch(1, clockIsKnown: false), wasSent: true)).get()
        try await spool.append(spooled(1, batch(2, clockIsKnown: false))).get()
        try await spool.append(spooled(2, batch(3, clockIsKnown: true))).get()
        spool.correctStamps(ClockWatch.Correction(step: .seconds(3600), isKnown: true))
        // Once known, a later step is nobody's business.
        spool.correctStamps(ClockWatch.Correction(step: .seconds(3600), isKnown: true))
        try await spool.syncedUsage()
        let rows = try inspect(
            folder.database,
            "SELECT stream, sequence, window_start\n FROM spool ORDER BY id"
        )
        let expected = [(3, 1, 1), (7, 1, 3602), (7, 2, 3)].map { stream, sequence, second in
            ["\(stream)", "\(sequence)", "\(testTime.adding(seconds: Int64(second)).microseconds)"]
        }
        #expect(rows == expected)
        let usage = spool.status.usage
        await spool.close()
        let again = openDatabase(folder.path)
        #expect(again.status.usage == usage && again.status.recovery == .clean)
        let (counts, _) = try await again.drainCounts()
        #expect(counts == [1: 6])
        await again.close()
    }
}
