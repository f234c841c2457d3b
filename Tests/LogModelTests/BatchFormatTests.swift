import LogModel
import PipelineTesting
import Testing

@Suite struct BatchFormatTests {
    @Test(arguments: SeededGenerator.seeds(fixed: 100, fresh: 20))
    func `what is written is read back`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let given = (0..<Int.random(in: 1...20, using: &generator)).map { _ in Series(using: &generator) }
        let batch = encode(given)
        var read: [Series] = []
        try BatchReader.forEachSeries(in: batch) { header, series in
            #expect(
                header.windowStart == Timestamp(nanoseconds: 1000) && header.windowEnd == Timestamp(nanoseconds: 2000)
            )
            #expect(header.clockIsKnown && header.seriesCount == given.count)
            for attribute in series.attributes {
                #expect(attribute.distinctCount == attribute.otherCount / 2 + 1)
                #expect(
                    attribute.numbers?.maximum == (attribute.otherCount % 2 == 0 ? Double(attribute.otherCount) : nil)
                )
            }
            read.append(Series(series))
        }
        #expect(read == given, "LOGBOOM_TEST_SEED=\(seed)")
        #expect(try BatchReader.merges(in: batch) == merges)
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 20, fresh: 20))
    func `every prefix and many mutations of a batch give an error or a reading, never a bad access`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let batch = encode((0..<3).map { _ in Series(using: &generator) })
        for count in 0..<batch.payload.count {
            let cut = Batch(payload: Array(batch.payload.prefix(count)), recordCount: 1, seriesCount: 1)
            #expect(throws: BatchFormatError.self) { try BatchReader.forEachSeries(in: cut) { _, _ in } }
        }
        for _ in 0..<2000 {
            var bytes = batch.payload
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            // Any outcome but a trap is right: the spool's checksum tells damage from data.
            try? BatchReader.forEachSeries(in: Batch(payload: bytes, recordCount: 1, seriesCount: 1)) { _, _ in }
        }
    }

    @Test func `a batch of the release before is read, without merges and classification`() throws {
        // LBB1: one record, `ok` at info, from `a`; written by hand from docs/formats/batch.md.
        var bytes: [UInt8] = Array("LBB1".utf8) + [1]
        bytes += [UInt8](repeating: 0, count: 16) + [1, 1]
        bytes += [7, 0, 0, 0, 0, 0, 0, 0, 9, 2] + Array("ok".utf8) + [1] + Array("a".utf8) + [0, 0, 0]
        bytes += [1, 0, 0, 0, 0, 0]
        let batch = Batch(payload: bytes, recordCount: 1, seriesCount: 1)
        var texts: [String] = []
        try BatchReader.forEachSeries(in: batch) { _, series in
            texts.append(String(decoding: series.template, as: UTF8.self))
            #expect(series.classification == Classification() && series.count == 1 && series.templateID == 7)
        }
        #expect(texts == ["ok"])
        #expect(try BatchReader.merges(in: batch).isEmpty)
    }

    @Test func `bytes after the last series are an error`() {
        var generator = SeededGenerator(seed: 1)
        let batch = encode([Series(using: &generator)])
        let long = Batch(payload: batch.payload + [0], recordCount: 1, seriesCount: 1)
        #expect(throws: BatchFormatError.trailingBytes(1)) { try BatchReader.forEachSeries(in: long) { _, _ in } }
    }

    private struct Series: Equatable {
        var id: UInt64
        var severity: Severity
        var classification: Classification
        var texts: [[UInt8]]
        var count: Int
        var first: Int64
        var last: Int64
        var latency: LatencySummary?
        var samples: [[UInt8]]
        var attributes: [[[UInt8]]]
        var counts: [Int]

        init(using generator: inout SeededGenerator) {
            func text(_ generator: inout SeededGenerator) -> [UInt8] {
                (0..<Int.random(in: 0...300, using: &generator)).map { _ in
                    UInt8.random(in: 32...126, using: &generator)
                }
            }
            id = generator.next()
            severity = Severity.allCases.randomElement(using: &generator) ?? .info
            classification = Classification(
                category: Classification.Category.allCases.randomElement(using: &generator) ?? .application,
                tags: Classification.Tags(rawValue: UInt32.random(in: 0 ... .max, using: &generator))
            )
            texts = (0..<5).map { _ in text(&generator) }
            count = Int.random(in: 1...1 << 53, using: &generator)
            first = Int64.random(in: -1_000_000...2_000_000_000_000_000_000, using: &generator)
            last = first + Int64.random(in: 0...1000, using: &generator)
            latency =
                Bool.random(using: &generator) ? LatencySummary(count: 3, sum: 4.5, minimum: -1, maximum: 1e300) : nil
            samples = (0..<Int.random(in: 0...3, using: &generator)).map { _ in text(&generator) }
            attributes = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                (0..<Int.random(in: 1...4, using: &generator)).map { _ in text(&generator) }
            }
            counts = attributes.map { _ in Int.random(in: 0...1 << 53, using: &generator) }
        }

        init(_ view: SeriesView) {
            id = view.templateID
            severity = view.severity
            classification = view.classification
            texts = [view.template, view.source, view.host, view.tenant, view.dashboard].map(Array.init)
            count = view.count
            first = view.firstSeen.nanoseconds
            last = view.lastSeen.nanoseconds
            latency = view.latency
            samples = view.samples.map(Array.init)
            attributes = view.attributes.map { [Array($0.key)] + $0.values.map { Array($0.value) } }
            counts = view.attributes.map(\.otherCount)
        }
    }

    private let merges = [
        TemplateMerge(from: 1, to: .max, template: Array("user <*> logged in".utf8)),
        TemplateMerge(from: .max - 1, to: 2, template: []),
    ]

    private func encode(_ series: [Series]) -> Batch {
        var writer = BatchWriter(
            windowStart: Timestamp(nanoseconds: 1000),
            windowEnd: Timestamp(nanoseconds: 2000),
            clockIsKnown: true,
            recordCount: 7,
            seriesCount: series.count,
            merges: merges,
            byteCountEstimate: 100
        )
        func with(_ bytes: [UInt8], _ body: (ByteView) -> Void) { bytes.withUnsafeBufferPointer(body) }
        for entry in series {
            let joined = entry.texts.flatMap { $0 }
            joined.withUnsafeBufferPointer { all in
                var views: [ByteView] = []
                var offset = 0
                for text in entry.texts {
                    views.append(ByteView(rebasing: all[offset..<offset + text.count]))
                    offset += text.count
                }
                writer.beginSeries(
                    templateID: entry.id,
                    severity: entry.severity,
                    classification: entry.classification,
                    template: views[0],
                    source: views[1],
                    host: views[2],
                    tenant: views[3],
                    dashboard: views[4],
                    count: entry.count,
                    firstSeen: Timestamp(nanoseconds: entry.first),
                    lastSeen: Timestamp(nanoseconds: entry.last),
                    latency: entry.latency
                )
            }
            writer.append(UInt64(entry.samples.count))
            for sample in entry.samples { with(sample) { writer.append($0) } }
            writer.append(UInt64(entry.attributes.count))
            for (attribute, other) in zip(entry.attributes, entry.counts) {
                with(attribute[0]) { key in
                    writer.beginAttribute(
                        key: key,
                        otherCount: other,
                        distinctCount: other / 2 + 1,
                        numbers: other.isMultiple(of: 2)
                            ? AttributeNumbers(count: 2, minimum: -1, maximum: Double(other)) : nil,
                        valueCount: attribute.count - 1
                    )
                }
                for value in attribute.dropFirst() {
                    with(value) { writer.append($0) }
                    writer.append(UInt64(1))
                }
            }
        }
        return Batch(payload: writer.bytes, recordCount: 7, seriesCount: series.count)
    }
}
