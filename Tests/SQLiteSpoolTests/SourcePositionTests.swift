import Foundation
import LogModel
import PipelineTesting
import Ports
import Testing

@testable import SQLiteSpool

/// How far the journal was counted, kept with its batches.
struct SourcePositionTests {
    private static func position(_ seal: Int64, isFinal: Bool = false) -> SourcePosition {
        var stretch = SourceStretch(
            seal: seal,
            name: StreamID(rawValue: UInt64(seal) &* 0x9E37_79B9_7F4A_7C15),
            from: seal == 1 ? nil : "s=\(seal - 1)",
            through: "s=\(seal);\"\\"
        )
        stretch.isForwarded = true
        var position = SourcePosition(own: seal, stretches: [stretch], nextName: StreamID(rawValue: .max))
        position.isFinal = isFinal
        return position
    }

    @Test func `a position is read back as it was written`() {
        let position = Self.position(7, isFinal: true)
        #expect(SourcePosition(text: position.text) == position)
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"own":1,"next":"00","stretches":[]}"#, #"{"own":1,"next":"zz","stretches":[{}]}"#,
    ])
    func `what is no position is none`(text: String) {
        #expect(SourcePosition(text: Array(text.utf8)) == nil)
    }

    @Test func `damaged bytes never make one that traps`() {
        var generator = SeededGenerator(seed: 5)
        let text = Self.position(3).text
        for _ in 0..<2000 {
            var bytes = text
            for _ in 0..<3 {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if let position = SourcePosition(text: bytes) { #expect(!position.stretches.isEmpty) }
        }
    }

    private func kept(_ database: SpoolDatabase) async throws -> [(position: SourcePosition, lane: Lane?)] {
        try await withCheckedContinuation { done in
            database.sourcePositions { done.resume(returning: $0) }
        }.get()
    }

    private func append(_ seal: Int64, to database: SpoolDatabase) async throws {
        let writer = BatchWriter(
            windowStart: Timestamp(nanoseconds: 0),
            windowEnd: Timestamp(nanoseconds: 1),
            clockIsKnown: true,
            recordCount: 1,
            seriesCount: 0,
            byteCountEstimate: 64
        )
        var batch = Batch(payload: writer.bytes, recordCount: 1, seriesCount: 0)
        batch.position = Self.position(seal)
        let spooled = SpooledBatch(lane: .forward, stream: StreamID(rawValue: 1), sequence: seal, batch: batch)
        try await withCheckedContinuation { done in
            database.append(spooled, durable: true) { done.resume(returning: $0) }
        }.get()
    }

    private func close(_ database: SpoolDatabase) async {
        await withCheckedContinuation { done in database.close { done.resume() } }
    }

    @Test func `a spooled batch keeps its position, also when the batch is gone`() async throws {
        let folder = try TemporaryDirectory()
        let configuration = SpoolConfiguration(
            directory: folder.path,
            spoolByteCountMax: 1 << 20,
            now: { Timestamp(nanoseconds: 0) }
        )
        let database = SpoolDatabase(configuration)
        for seal in 1...50 as ClosedRange<Int64> { try await append(seal, to: database) }
        await withCheckedContinuation { done in
            database.remove(lane: .forward, stream: StreamID(rawValue: 1), through: 50) { _ in done.resume() }
        }
        await close(database)
        let again = SpoolDatabase(configuration)
        let found = try await kept(again)
        #expect(found.map(\.position) == (19...50).map { Self.position($0) })
        #expect(found.allSatisfy { $0.lane == .forward })
        await close(again)
    }

    @Test func `an orderly stop's word that nothing came after is given once`() async throws {
        let folder = try TemporaryDirectory()
        let configuration = SpoolConfiguration(
            directory: folder.path,
            spoolByteCountMax: 1 << 20,
            now: { Timestamp(nanoseconds: 0) }
        )
        let database = SpoolDatabase(configuration)
        try await withCheckedContinuation { done in
            database.keep(Self.position(4, isFinal: true)) { done.resume(returning: $0) }
        }.get()
        #expect(try await kept(database).map(\.position.isFinal) == [true])
        #expect(try await kept(database).map(\.position.isFinal) == [false])
        #expect(try await kept(database).map(\.lane) == [nil])
        await close(database)
    }
}
