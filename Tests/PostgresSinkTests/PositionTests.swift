import Delivery
import LogModel
import PipelineTesting
import Ports
import PostgresSink
import Testing

/// How far the journal was counted, in the transaction of the batch.
@Suite(.timeLimit(.minutes(10)))
struct PositionTests {
    private static func position(_ seal: Int64) -> SourcePosition {
        let stretch = SourceStretch(
            seal: seal,
            name: StreamID(rawValue: UInt64(seal)),
            from: "s=\(seal - 1)",
            through: "s=\(seal)"
        )
        return SourcePosition(own: seal, stretches: [stretch], nextName: StreamID(rawValue: UInt64(seal + 1)))
    }

    private func positions(_ sink: PostgresSink) async throws -> [SourcePosition] {
        try await withCheckedContinuation { done in
            sink.sourcePositions(of: node) { done.resume(returning: $0) }
        }.get()
    }

    @Test(arguments: [1, PatternCounts.severalStatements])
    func `a stretch's position is there with its batch, the newest first`(seriesCount: Int) async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        #expect(try await positions(sink).isEmpty)
        for seal in 1...3 as ClosedRange<Int64> {
            var batch = makeBatch((0..<seriesCount).map { Series(id: UInt64($0 + 1)) })
            batch.position = Self.position(seal)
            let name = StreamID(rawValue: UInt64(seal))
            #expect(await sink.apply(0, 1, [batch], stream: name) == .success(.applied))
            // Sent again it changes neither counts nor position.
            #expect(await sink.apply(0, 1, [batch], stream: name) == .success(.alreadyApplied(through: 1)))
        }
        #expect(await sink.apply(0, 1, [makeBatch([Series()])], stream: StreamID(rawValue: 99)) == .success(.applied))
        #expect(try await positions(sink) == [3, 2, 1].map { Self.position($0) })
        #expect(try warehouse.count() == 3 * seriesCount + 1)
        await sink.close()
    }

    @Test func `an empty stretch takes its name, and what comes late under it changes nothing`() async throws {
        let warehouse = try Warehouse()
        let sink = PostgresSink(warehouse.settings)
        var empty = makeBatch([])
        empty.position = Self.position(1)
        #expect(await sink.apply(0, 1, [empty]) == .success(.applied))
        var late = makeBatch([Series(count: 5)])
        late.position = Self.position(1)
        #expect(await sink.apply(0, 1, [late]) == .success(.alreadyApplied(through: 1)))
        #expect(try warehouse.count() == 0)
        #expect(try await positions(sink) == [Self.position(1)])
        await sink.close()
    }
}

private enum PatternCounts {
    /// More than one statement takes.
    static let severalStatements = 2100
}
