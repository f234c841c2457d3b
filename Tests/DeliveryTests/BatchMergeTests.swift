import Delivery
import LogModel
import PipelineTesting
import Testing

/// What a merge must keep of a series, summed up by the test itself.
private struct Sums: Equatable {
    var count = 0
    var first = Timestamp(nanoseconds: .max)
    var last = Timestamp(nanoseconds: .min)
    var latencyCount = 0
    var latencyMinimum = Double.infinity
    var latencyMaximum = -Double.infinity
}

private struct Key: Hashable {
    var id: UInt64
    var severity: UInt8
    var names: [[UInt8]]
}

@Suite struct BatchMergeTests {
    private static func text(_ string: String, _ body: (ByteView) -> Void) {
        Array(string.utf8).withUnsafeBufferPointer(body)
    }

    /// A window of a few patterns, sources and levels, drawn so that batches overlap in some and differ in others.
    private static func batch(
        at second: Int64,
        using generator: inout SeededGenerator,
        clockIsKnown: Bool = true
    ) -> Batch {
        var seen: Set<[Int]> = []
        var keys: [[Int]] = []
        for _ in 0..<Int.random(in: 1...12, using: &generator) {
            let key = [
                Int.random(in: 0...5, using: &generator), Int.random(in: 0...1, using: &generator),
                Int.random(in: 0...2, using: &generator),
            ]
            if seen.insert(key).inserted { keys.append(key) }
        }
        let counts = keys.map { _ in Int.random(in: 1...1000, using: &generator) }
        let start = Timestamp(nanoseconds: 1_800_000_000_000_000_000 + second * 1_000_000_000)
        var writer = BatchWriter(
            windowStart: start,
            windowEnd: Timestamp(nanoseconds: start.nanoseconds + 30_000_000_000),
            clockIsKnown: clockIsKnown,
            recordCount: counts.reduce(0, +),
            seriesCount: keys.count,
            merges: Bool.random(using: &generator)
                ? [TemplateMerge(from: 5, to: UInt64(second), template: Array("a <*>".utf8))] : [],
            byteCountEstimate: 256
        )
        for (key, count) in zip(keys, counts) {
            let offsets = (0..<2).map { _ in Int64.random(in: 0...29, using: &generator) * 1_000_000_000 }
            text("pattern \(key[0]) <ID>") { template in
                text("source-\(key[2])") { source in
                    text("pi") { host in
                        writer.beginSeries(
                            templateID: UInt64(key[0]),
                            severity: key[1] == 0 ? .info : .error,
                            template: template,
                            source: source,
                            host: host,
                            tenant: ByteView(start: nil, count: 0),
                            dashboard: ByteView(start: nil, count: 0),
                            count: count,
                            firstSeen: Timestamp(nanoseconds: start.nanoseconds + (offsets.min() ?? 0)),
                            lastSeen: Timestamp(nanoseconds: start.nanoseconds + (offsets.max() ?? 0)),
                            latency: Bool.random(using: &generator)
                                ? LatencySummary(first: Double.random(in: 0...9, using: &generator)) : nil
                        )
                    }
                }
            }
            let sampleCount = min(count, Int.random(in: 1...3, using: &generator))
            writer.append(UInt64(sampleCount))
            for index in 0..<sampleCount {
                text("pattern \(key[0]) \(second)-\(index)") { writer.append($0) }
            }
            let attributeCount = Int.random(in: 0...8, using: &generator)
            writer.append(UInt64(attributeCount))
            for index in 0..<attributeCount {
                let valueCount = Int.random(in: 1...4, using: &generator)
                text("key-\((index + key[0]) % 12)") { name in
                    writer.beginAttribute(
                        key: name,
                        otherCount: 2,
                        distinctCount: valueCount + 1,
                        numbers: AttributeNumbers(count: 1, minimum: Double(index), maximum: Double(second)),
                        valueCount: valueCount
                    )
                }
                for value in 0..<valueCount {
                    text("value-\((Int(second) + value) % 6)") { writer.append($0) }
                    writer.append(3)
                }
            }
        }
        return Batch(payload: writer.bytes, recordCount: counts.reduce(0, +), seriesCount: keys.count)
    }

    private static func sums(of batches: [Batch]) throws -> [Key: Sums] {
        var all: [Key: Sums] = [:]
        for batch in batches {
            try BatchReader.forEachSeries(in: batch) { _, series in
                let key = Key(
                    id: series.templateID,
                    severity: series.severity.rawValue,
                    names: [Array(series.source), Array(series.host), Array(series.tenant), Array(series.dashboard)]
                )
                var sums = all[key] ?? Sums()
                sums.count += series.count
                sums.first = min(sums.first, series.firstSeen)
                sums.last = max(sums.last, series.lastSeen)
                if let latency = series.latency {
                    sums.latencyCount += latency.count
                    sums.latencyMinimum = min(sums.latencyMinimum, latency.minimum)
                    sums.latencyMaximum = max(sums.latencyMaximum, latency.maximum)
                }
                all[key] = sums
            }
        }
        return all
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 60, fresh: 30))
    func `a merge has the sums of its batches, whatever the order and the grouping`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let batches = (0..<Int.random(in: 1...8, using: &generator)).map {
            Self.batch(at: Int64($0) * 30, using: &generator)
        }
        let expected = try Self.sums(of: batches)
        let cut = Int.random(in: 0...batches.count, using: &generator)
        var halves: [Batch] = []
        for half in [batches[..<cut], batches[cut...]] where !half.isEmpty {
            halves.append(try BatchMerge.merged(Array(half)))
        }
        for merged in [
            try BatchMerge.merged(batches), try BatchMerge.merged(batches.reversed()), try BatchMerge.merged(halves),
            try BatchMerge.merged(batches, keeping: .withoutSamples),
            try BatchMerge.merged(batches, keeping: .countsOnly),
        ] {
            #expect(try Self.sums(of: [merged]) == expected, "LOGBOOM_TEST_SEED=\(seed)")
            #expect(merged.recordCount == batches.reduce(0) { $0 + $1.recordCount })
            #expect(merged.seriesCount == expected.count)
            try BatchReader.forEachSeries(in: merged) { header, _ in
                #expect(header.recordCount == merged.recordCount && header.clockIsKnown)
                #expect(header.windowStart.nanoseconds == 1_800_000_000_000_000_000)
                #expect(
                    header.windowEnd.nanoseconds
                        == 1_800_000_000_000_000_000 + Int64(batches.count) * 30_000_000_000
                )
            }
        }
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 30, fresh: 10))
    func `samples and attributes stay within the bounds of a window, and every record's attributes are counted`(
        seed: UInt64
    ) throws {
        var generator = SeededGenerator(seed: seed)
        let batches = (0..<6).map { Self.batch(at: Int64($0) * 30, using: &generator) }
        func attributeCount(_ batches: [Batch], key: String) throws -> Int {
            var count = 0
            for batch in batches {
                try BatchReader.forEachSeries(in: batch) { _, series in
                    for attribute in series.attributes where attribute.key.elementsEqual(key.utf8) {
                        count += attribute.otherCount + attribute.values.reduce(0) { $0 + $1.count }
                    }
                }
            }
            return count
        }
        let merged = try BatchMerge.merged(batches)
        try BatchReader.forEachSeries(in: merged) { _, series in
            #expect((1...Limits.sampleCountMax).contains(series.samples.count))
            #expect(Set(series.samples.map { Array($0) }).count == series.samples.count)
            #expect(series.attributes.count <= Limits.attributeCountMax)
            for attribute in series.attributes {
                #expect(attribute.values.count <= Limits.attributeValueCountMax)
                #expect(attribute.distinctCount >= attribute.values.count)
            }
        }
        // Keys are left out once a series has eight; until then each keeps its sum.
        for number in 0..<12 {
            let sum = try attributeCount([merged], key: "key-\(number)")
            #expect(sum <= (try attributeCount(batches, key: "key-\(number)")))
        }
        for batch in batches {
            let twice = try BatchMerge.merged([batch, batch])
            for number in 0..<12 {
                let sum = try attributeCount([batch], key: "key-\(number)")
                #expect(try attributeCount([twice], key: "key-\(number)") == 2 * sum, "LOGBOOM_TEST_SEED=\(seed)")
            }
        }
        let one = try BatchMerge.merged([batches[0]])
        #expect(one.payload == batches[0].payload, "a batch by itself stays what it is")
    }

    @Test func `the first and the last message stay`() throws {
        var generator = SeededGenerator(seed: 3)
        var batches: [Batch] = []
        for second in 0..<5 { batches.append(Self.batch(at: Int64(second), using: &generator)) }
        var given: [Key: [[UInt8]]] = [:]
        func forEach(_ batch: Batch, _ body: (Key, [[UInt8]]) -> Void) throws {
            try BatchReader.forEachSeries(in: batch) { _, series in
                body(
                    Key(id: series.templateID, severity: series.severity.rawValue, names: [Array(series.source)]),
                    series.samples.map { Array($0) }
                )
            }
        }
        for batch in batches { try forEach(batch) { given[$0, default: []] += $1 } }
        try forEach(try BatchMerge.merged(batches)) { key, samples in
            #expect(samples.first == given[key]?.first)
            #expect(samples.last == given[key]?.last)
        }
    }

    @Test func `one guessed clock makes the sum guessed`() throws {
        var generator = SeededGenerator(seed: 4)
        let known = Self.batch(at: 0, using: &generator)
        let guessed = Self.batch(at: 30, using: &generator, clockIsKnown: false)
        let merged = try BatchMerge.merged([known, guessed])
        try BatchReader.forEachSeries(in: merged) { header, _ in #expect(!header.clockIsKnown) }
    }

    @Test func `of several words on what a pattern was merged into, the last one holds`() throws {
        func batch(_ merges: [TemplateMerge]) -> Batch {
            let start = Timestamp(nanoseconds: 0)
            let writer = BatchWriter(
                windowStart: start,
                windowEnd: start,
                clockIsKnown: true,
                recordCount: 0,
                seriesCount: 0,
                merges: merges,
                byteCountEstimate: 64
            )
            return Batch(payload: writer.bytes, recordCount: 0, seriesCount: 0)
        }
        let first = TemplateMerge(from: 1, to: 2, template: Array("a".utf8))
        let other = TemplateMerge(from: 7, to: 2, template: Array("b".utf8))
        let later = TemplateMerge(from: 1, to: 3, template: Array("c".utf8))
        let merged = try BatchMerge.merged([batch([first, other]), batch([first]), batch([later])])
        #expect(try BatchReader.merges(in: merged) == [other, later])
    }

    @Test func `bytes that are no batch are an error`() {
        var generator = SeededGenerator(seed: 5)
        let good = Self.batch(at: 0, using: &generator)
        let bad = Batch(payload: Array(good.payload.dropLast(3)), recordCount: good.recordCount, seriesCount: 1)
        #expect(throws: BatchFormatError.self) { try BatchMerge.merged([good, bad]) }
    }
}

@Suite struct SpoolPolicyTests {
    private func rows(_ spans: [(start: Int64, end: Int64)], byteCount: Int = 1000) -> [SpoolPolicy.Row] {
        spans.map {
            SpoolPolicy.Row(
                byteCount: byteCount,
                windowStart: Timestamp(nanoseconds: $0.start * 1_000_000_000),
                windowEnd: Timestamp(nanoseconds: $0.end * 1_000_000_000)
            )
        }
    }

    @Test func `as many neighbours as span no more than the step says become one`() {
        let half = rows((0..<10).map { ($0 * 30, $0 * 30 + 30) })
        #expect(SpoolPolicy.runLength(of: half, in: .merge(upTo: .seconds(30))) == 1)
        #expect(SpoolPolicy.runLength(of: half, in: .merge(upTo: .seconds(59))) == 1)
        #expect(SpoolPolicy.runLength(of: half, in: .merge(upTo: .seconds(60))) == 2)
        #expect(SpoolPolicy.runLength(of: half, in: .merge(upTo: .seconds(240))) == 8)
        #expect(SpoolPolicy.runLength(of: half, in: .mergeAll) == 10)
        #expect(SpoolPolicy.runLength(of: half, in: .reduce(to: .withoutSamples)) == 1)
        #expect(SpoolPolicy.runLength(of: [], in: .mergeAll) == 0)
    }

    @Test func `a run ends at its number and at its bytes`() {
        let many = rows((0..<200).map { _ in (0, 1) })
        #expect(SpoolPolicy.runLength(of: many, in: .mergeAll) == SpoolPolicy.runLengthMax)
        let large = rows([(0, 1), (1, 2), (2, 3)], byteCount: SpoolPolicy.runByteCountMax / 2)
        #expect(SpoolPolicy.runLength(of: large, in: .mergeAll) == 2)
    }

    @Test func `a clock that jumped makes no window that ends before it begins`() {
        let jumped = rows([(1000, 1030), (0, 30), (1030, 1060)])
        #expect(SpoolPolicy.runLength(of: jumped, in: .merge(upTo: .seconds(120))) == 1)
        #expect(SpoolPolicy.runLength(of: jumped, in: .merge(upTo: .seconds(86_400))) == 3)
    }

    @Test func `steps go from the mildest to the last resort`() {
        var policy = SpoolPolicy()
        #expect(policy.step == .merge(upTo: .seconds(30)))
        var steps: [SpoolPolicy.Step] = []
        while let step = policy.step {
            steps.append(step)
            policy.passEnded()
        }
        #expect(
            Array(steps.suffix(4)) == [
                .merge(upTo: .seconds(86_400)), .reduce(to: .withoutSamples), .reduce(to: .countsOnly), .mergeAll,
            ]
        )
    }
}
