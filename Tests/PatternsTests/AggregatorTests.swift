import LogModel
import Patterns
import PipelineTesting
import Testing

private func fold(
    _ message: String,
    severity: Severity? = .info,
    source: String = "",
    at stamp: Timestamp? = nil,
    into aggregator: inout Aggregator,
    now: Timestamp = Timestamp(nanoseconds: 1_790_000_000_000_000_000)
) {
    var message = message
    var source = source
    message.withUTF8 { message in
        source.withUTF8 { source in
            var record = LogRecord(message: message)
            record.severity = severity
            record.source = source
            record.timestamp = stamp
            _ = aggregator.fold(record, now: now)
        }
    }
}

private struct Row: Hashable {
    var template: String
    var source: String
    var severity: Severity
}

private func rows(_ batch: Batch) throws -> [Row: Int] {
    var rows: [Row: Int] = [:]
    try BatchReader.forEachSeries(in: batch) { _, series in
        let row = Row(
            template: String(decoding: series.template, as: UTF8.self),
            source: String(decoding: series.source, as: UTF8.self),
            severity: series.severity
        )
        rows[row, default: 0] += series.count
    }
    return rows
}

/// Outside the macros, which cannot take what is not copyable.
private func seal(_ aggregator: inout Aggregator) -> Batch? {
    aggregator.seal(.ordinary, now: now, clockIsKnown: true)
}

private let now = Timestamp(nanoseconds: 1_790_000_000_000_000_000)

@Suite struct AggregatorTests {
    @Test func `records of one pattern, level and source are one series with their count`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        for number in 0..<1000 {
            fold("User \(number) logged in", source: number % 2 == 0 ? "a" : "b", into: &aggregator)
        }
        fold("User 7 logged in", severity: .error, source: "a", into: &aggregator)
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        #expect(batch.recordCount == 1001 && batch.seriesCount == 3)
        #expect(
            try rows(batch) == [
                Row(template: "User <ID> logged in", source: "a", severity: .info): 500,
                Row(template: "User <ID> logged in", source: "b", severity: .info): 500,
                Row(template: "User <ID> logged in", source: "a", severity: .error): 1,
            ]
        )
        let isEmpty = seal(&aggregator) == nil
        #expect(isEmpty)
    }

    @Test func `more templates than the bound are counted under other, and sums hold`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        for number in 0..<500 { fold("kind\(letters(number)) happened", into: &aggregator) }
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        let counted = try rows(batch)
        #expect(counted.values.reduce(0, +) == 500)
        #expect(counted[Row(template: "<other>", source: "", severity: .info)] == 400)
        let figures = (aggregator.overflowCount, aggregator.templateCount)
        #expect(figures == (400, 100))
    }

    @Test func `a template that was not seen for two batches makes room for a new one`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        for number in 0..<100 { fold("kind\(letters(number)) happened", into: &aggregator) }
        for _ in 0..<3 {
            _ = seal(&aggregator)
            fold("kind\(letters(0)) happened", into: &aggregator)
        }
        fold("something new", into: &aggregator)
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        #expect(try rows(batch)[Row(template: "something new", source: "", severity: .info)] == 1)
        let evicted = aggregator.templateEvictionCount
        #expect(evicted == 1)
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 20, fresh: 5))
    func `counts never exceed a plain dictionary's and always add up to it, whatever is evicted`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var aggregator = Aggregator(templateCountMax: 120, style: .angle)
        var expected = 0
        var counted = 0
        for _ in 0..<30 {
            var plain: [String: Int] = [:]
            for _ in 0..<Int.random(in: 1...300, using: &generator) {
                let text = "word\(letters(Int.random(in: 0..<400, using: &generator))) passed"
                plain[text, default: 0] += 1
                fold(text, into: &aggregator)
            }
            expected += plain.values.reduce(0, +)
            let sealed = seal(&aggregator)
            let batch = try #require(sealed)
            for (row, count) in try rows(batch) {
                counted += count
                // A template that got its place in the middle of a batch was counted under <other> before.
                if row.template != "<other>" {
                    #expect(count <= plain[row.template] ?? 0, "LOGBOOM_TEST_SEED=\(seed)")
                }
            }
        }
        #expect(counted == expected)
    }

    @Test func `memory depends on the patterns, not on the number of records`() {
        var aggregator = Aggregator(templateCountMax: 5000, style: .angle)
        func load(_ count: Int) {
            for number in 0..<count { fold("User \(number) logged in from 10.0.\(number % 256).1", into: &aggregator) }
        }
        load(1000)
        let before = aggregator.byteCount
        load(200_000)
        let after = aggregator.byteCount
        #expect(after == before)
    }

    @Test func `first and last seen follow the senders' stamps, and absurd ones are replaced`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        let early = Timestamp(nanoseconds: now.nanoseconds - 5_000_000_000)
        fold("a", at: now, into: &aggregator)
        fold("a", at: early, into: &aggregator)
        fold("a", at: Timestamp(nanoseconds: 0), into: &aggregator)
        fold("a", at: Timestamp(nanoseconds: .max), into: &aggregator)
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        try BatchReader.forEachSeries(in: batch) { _, series in
            #expect(series.firstSeen == early && series.lastSeen == now && series.count == 4)
        }
    }

    @Test func `hostile bytes come out as storable text`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        let message: [UInt8] = Array("bad ".utf8) + [0xFF, 0x00, 0xC3] + Array(" end".utf8)
        message.withUnsafeBufferPointer { bytes in
            var record = LogRecord(message: bytes)
            record.source = bytes
            let attribute = AttributeView(key: bytes, value: bytes)
            withUnsafePointer(to: attribute) { pointer in
                record.attributes = UnsafeBufferPointer(start: pointer, count: 1)
                _ = aggregator.fold(record, now: now)
            }
        }
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        try BatchReader.forEachSeries(in: batch) { _, series in
            var texts = [series.template, series.source] + series.samples
            texts += series.attributes.flatMap { [$0.key] + $0.values.map(\.value) }
            #expect(texts.count == 5)
            for text in texts {
                #expect(String(validating: text, as: UTF8.self) == "bad \u{FFFD}\u{FFFD}\u{FFFD} end")
            }
        }
    }

    @Test func `records that must be durable are sealed alone, and the window of the rest goes on`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        for (severity, count) in [(Severity.error, 3), (.info, 5)] {
            for _ in 0..<count {
                let message = Array("a".utf8)
                message.withUnsafeBufferPointer { bytes in
                    var record = LogRecord(message: bytes)
                    record.severity = severity
                    _ = aggregator.fold(record, durableLevel: .error, now: now)
                }
            }
        }
        let awaited = aggregator.seal(.awaited, now: now, clockIsKnown: true)
        #expect(awaited?.recordCount == 3)
        let rest = aggregator.recordCount
        #expect(rest == 5)
        let ordinary = aggregator.seal(.ordinary, now: now, clockIsKnown: true)
        #expect(ordinary?.recordCount == 5)
    }

    @Test func `attributes keep a few values with counts, and count the rest`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        let message = Array("a".utf8)
        let key = Array("room".utf8)
        for number in 0..<20 {
            let value = Array("room \(number % 6)".utf8)
            message.withUnsafeBufferPointer { message in
                key.withUnsafeBufferPointer { key in
                    value.withUnsafeBufferPointer { value in
                        var record = LogRecord(message: message)
                        withUnsafePointer(to: AttributeView(key: key, value: value)) { pointer in
                            record.attributes = UnsafeBufferPointer(start: pointer, count: 1)
                            _ = aggregator.fold(record, now: now)
                        }
                    }
                }
            }
        }
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        try BatchReader.forEachSeries(in: batch) { _, series in
            #expect(series.attributes.count == 1)
            let attribute = series.attributes[0]
            #expect(attribute.values.count == 4 && attribute.otherCount == 6)
            #expect(attribute.values.reduce(attribute.otherCount) { $0 + $1.count } == 20)
        }
    }

    private func letters(_ number: Int) -> String {
        var text = ""
        var rest = number
        repeat {
            text.append(Character(UnicodeScalar(UInt8(97 + rest % 26))))
            rest /= 26
        } while rest > 0
        return text + "q"
    }
}
