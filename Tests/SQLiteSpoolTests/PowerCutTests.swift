import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Testing

@testable import SQLiteSpool

/// A cut of power at any write: what a receipt was given for is there, and nothing is there in half.
///
/// More cuts by `LOGBOOM_POWER_CUTS`, one seed by `LOGBOOM_TEST_SEED`.
@Suite struct PowerCutTests {
    private static let cutsPerRun = 26

    /// Runs so many that there are at least 300 cuts.
    private static var runCount: Int {
        let wanted = ProcessInfo.processInfo.environment["LOGBOOM_POWER_CUTS"].flatMap { Int($0) } ?? 0
        return max(12, wanted / cutsPerRun)
    }

    @Test func `after a power cut at any write every receipt holds and nothing is half there`() async throws {
        var figures = PowerCutFigures()
        for seed in SeededGenerator.seeds(fixed: Self.runCount / 2, fresh: (Self.runCount + 1) / 2) {
            let found = try await Self.run(seed, cuts: Self.cutsPerRun, disk: try FaultDisk(), &figures)
            #expect(found.isEmpty, "LOGBOOM_TEST_SEED=\(seed): \(found.prefix(3).joined(separator: "\n"))")
        }
        print("power cuts: \(figures)")
        #expect(figures.longestStart < .seconds(2))
        #expect(figures.checkedReceiptCount > 1000)
        if Self.runCount >= 12 { #expect(figures.mergedCount > 0) }
    }

    @Test func `a disk that only says it syncs is found out`() async throws {
        var figures = PowerCutFigures()
        var found: [String] = []
        for seed: UInt64 in 1...3 {
            found += try await Self.run(seed, cuts: 20, disk: try FaultDisk(ignoringSyncs: true), &figures)
        }
        #expect(found.contains { $0.contains("was acknowledged") }, "the test would not see a missing sync")
    }

    /// One history of operations, then cuts at points of it. Gives what was wrong.
    private static func run(
        _ seed: UInt64,
        cuts: Int,
        disk: FaultDisk,
        _ figures: inout PowerCutFigures
    ) async throws -> [String] {
        var random = SeededGenerator(seed: seed)
        let folder = try TemporaryDirectory()
        let history = try await PowerCutHistory.record(in: folder.path, disk, operationCount: 140, using: &random)
        let end = disk.recordCount
        var found: [String] = []
        var cut = PowerCut(disk)
        for point in (0..<cuts).map({ _ in Int.random(in: 0...end, using: &random) }).sorted() {
            cut.advance(to: point)
            let manner = PowerCut.Manner.allCases.randomElement(using: &random) ?? .sectors
            let left = try TemporaryDirectory()
            try cut.leave(in: left.path, manner, using: &random)
            let place = "cut at \(point) of \(end), \(manner)"
            var twice: TemporaryDirectory?
            if Int.random(in: 0..<3, using: &random) == 0 {
                // The power comes back, and goes again while the file is being opened or used.
                twice = try await cutAgain(left.path, using: &random)
            }
            figures.cutCount += 1
            let check = try await history.check(twice ?? left, cutAt: point, &figures)
            found += check.map { "\(place)\(twice == nil ? "" : ", twice"): \($0)" }
        }
        return found
    }

    private static func cutAgain(_ directory: String, using random: inout SeededGenerator) async throws
        -> TemporaryDirectory
    {
        // What SQLite did not open before the second cut is as the first one left it.
        let left = try TemporaryDirectory()
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where !name.hasSuffix("-shm") {
            try FileManager.default.copyItem(atPath: "\(directory)/\(name)", toPath: left.file(name))
        }
        let disk = try FaultDisk()
        let spool = openDatabase(directory, disk)
        if Bool.random(using: &random) { try await spool.syncedUsage() }
        var cut = PowerCut(disk)
        cut.advance(to: Int.random(in: 0...disk.recordCount, using: &random))
        for name in FileManager.default.enumerator(atPath: left.path)?.compactMap({ $0 as? String }) ?? []
        where cut.knows(name) {
            try FileManager.default.removeItem(atPath: left.file(name))
        }
        try cut.leave(in: left.path, .allCases.randomElement(using: &random) ?? .sectors, using: &random)
        await spool.close()
        return left
    }
}

struct PowerCutFigures: CustomStringConvertible {
    var cutCount = 0
    var checkedReceiptCount = 0
    /// Rows looked at that had been merged, or had lost samples.
    var mergedCount = 0
    var longestStart = Duration.zero
    var description: String {
        "\(cutCount) cuts, \(checkedReceiptCount) receipts looked for, \(mergedCount) merged rows, longest start \(longestStart)"
    }
}
