import LogModel
import PipelineTesting
import Testing

@Suite struct BatchSplittingTests {
    @Test(arguments: SeededGenerator.seeds(fixed: 100, fresh: 20))
    func `parts and rest hold every series and merge once, as it was`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let counts = (0..<Int.random(in: 1...30, using: &generator)).map { _ in
            Int.random(in: 1...1000, using: &generator)
        }
        let mergeCount = Int.random(in: 0...3, using: &generator)
        let batch = makeBatch(counts, mergeCount: mergeCount)
        var parts = Array(repeating: BatchPart(), count: Int.random(in: 0...3, using: &generator))
        for place in counts.indices where !parts.isEmpty && Bool.random(using: &generator) {
            parts[Int.random(in: 0..<parts.count, using: &generator)].series.append(place)
        }
        for place in 0..<mergeCount where !parts.isEmpty && Bool.random(using: &generator) {
            parts[Int.random(in: 0..<parts.count, using: &generator)].merges.append(place)
        }
        let taken = try batch.takingOut(parts)
        #expect(taken.parts.count == parts.count)
        for (part, wanted) in zip(taken.parts, parts) {
            #expect(try places(part) == wanted.series)
            #expect(part.recordCount == wanted.series.reduce(0) { $0 + counts[$1] })
            #expect(try BatchReader.merges(in: part).map { Int($0.from) } == wanted.merges)
        }
        let left = counts.indices.filter { place in !parts.contains { $0.series.contains(place) } }
        #expect(try taken.rest.map(places) ?? [] == left)
        let total = taken.parts.reduce(taken.rest?.recordCount ?? 0) { $0 + $1.recordCount }
        #expect(total == batch.recordCount, "LOGBOOM_TEST_SEED=\(seed)")
        if parts.isEmpty { #expect(taken.rest?.payload == batch.payload) }
    }

    @Test func `nothing is left of a batch whose every series and merge is taken out`() throws {
        let batch = makeBatch([5, 6], mergeCount: 1)
        let all = try batch.takingOut([BatchPart(series: [0, 1], merges: [0])])
        #expect(all.rest == nil && all.parts.map(\.recordCount) == [11])
        #expect(all.parts[0].payload == batch.payload)
        let merge = try batch.takingOut([BatchPart(series: [0, 1])])
        #expect(merge.rest?.recordCount == 0 && merge.rest?.seriesCount == 0)
    }

    @Test func `places that a batch does not have change nothing`() throws {
        let batch = makeBatch([5, 6], mergeCount: 0)
        let taken = try batch.takingOut([BatchPart(series: [-1, 2, 99], merges: [0])])
        #expect(taken.parts.map(\.recordCount) == [0] && taken.rest?.payload == batch.payload)
    }

    @Test func `counts that damage made too large do not trap, and add up to the batch's`() throws {
        let damaged = makeBatch([1 << 53, 1 << 53, 3], mergeCount: 0, recordCount: 7)
        let taken = try damaged.takingOut([BatchPart(series: [0, 1])])
        #expect(taken.parts.map(\.recordCount) == [7] && taken.rest?.recordCount == 0)
        let cut = Batch(payload: Array(damaged.payload.dropLast()), recordCount: 7, seriesCount: 3)
        #expect(throws: BatchFormatError.self) { try cut.takingOut([BatchPart(series: [0])]) }
    }

    /// Series whose template ids are their places.
    private func makeBatch(_ counts: [Int], mergeCount: Int, recordCount: Int? = nil) -> Batch {
        let total = recordCount ?? counts.reduce(0, +)
        var writer = BatchWriter(
            windowStart: Timestamp(nanoseconds: 1000),
            windowEnd: Timestamp(nanoseconds: 2000),
            clockIsKnown: false,
            recordCount: total,
            seriesCount: counts.count,
            merges: (0..<mergeCount).map { TemplateMerge(from: UInt64($0), to: 99, template: Array("<*>".utf8)) },
            byteCountEstimate: 64
        )
        for (place, count) in counts.enumerated() {
            Array("pattern \(place)".utf8).withUnsafeBufferPointer { text in
                writer.beginSeries(
                    templateID: UInt64(place),
                    severity: .warn,
                    classification: Classification(category: .power, tags: [.throttled]),
                    template: text,
                    source: text,
                    host: text,
                    tenant: text,
                    dashboard: text,
                    count: count,
                    firstSeen: Timestamp(nanoseconds: 1001),
                    lastSeen: Timestamp(nanoseconds: 1999),
                    latency: place % 2 == 0 ? LatencySummary(first: 2.5) : nil
                )
                writer.append(1)
                writer.append(text)
                writer.append(1)
                let numbers = AttributeNumbers(count: 1, minimum: 1, maximum: 2)
                writer.beginAttribute(key: text, otherCount: 3, distinctCount: 4, numbers: numbers, valueCount: 1)
                writer.append(text)
                writer.append(5)
            }
        }
        return Batch(payload: writer.bytes, recordCount: total, seriesCount: counts.count)
    }

    private func places(_ batch: Batch) throws -> [Int] {
        var places: [Int] = []
        try BatchReader.forEachSeries(in: batch) { header, series in
            #expect(header.windowStart == Timestamp(nanoseconds: 1000) && !header.clockIsKnown)
            #expect(series.classification.tags == [.throttled] && series.attributes.first?.numbers?.maximum == 2)
            #expect(String(decoding: series.template, as: UTF8.self) == "pattern \(series.templateID)")
            places.append(Int(series.templateID))
        }
        return places
    }
}
