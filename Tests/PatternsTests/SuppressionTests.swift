import LogModel
import PipelineTesting
import Testing

@testable import Patterns

/// A source that is too fast: counted whole, told by name, and without the details that cost most.
@Suite struct SuppressionTests {
    private let now = Timestamp(nanoseconds: 1_790_000_000_000_000_000)

    /// Folds one record at a moment of the monotonic clock.
    private func fold(
        _ message: String,
        source: String,
        attribute: String = "v",
        severity: Severity = .info,
        at milliseconds: Int64 = 0,
        into aggregator: inout Aggregator
    ) {
        var message = message
        var source = source
        var value = attribute
        var key = "k"
        message.withUTF8 { message in
            source.withUTF8 { source in
                value.withUTF8 { value in
                    key.withUTF8 { key in
                        let attributes = [AttributeView(key: key, value: value)]
                        attributes.withUnsafeBufferPointer { attributes in
                            var record = LogRecord(message: message)
                            record.source = source
                            record.severity = severity
                            record.attributes = attributes
                            _ = aggregator.fold(
                                record,
                                durableLevel: .error,
                                now: now,
                                clock: MonotonicTime(nanoseconds: milliseconds * 1_000_000)
                            )
                        }
                    }
                }
            }
        }
    }

    @Test func `a flood of 472414 equal lines is one row with that count, and says so`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        aggregator.limitSources(to: RateLimit(perSecond: 100, burst: 1000))
        for _ in 0..<472_414 { fold("Invalid auth token", source: "blynk", into: &aggregator) }
        for _ in 0..<10 { fold("Invalid auth token", source: "calm", into: &aggregator) }
        let suppressed = aggregator.suppressedCount
        #expect(suppressed == 471_414)
        let sealed = aggregator.seal(.ordinary, now: now, clockIsKnown: true)
        let batch = try #require(sealed)
        #expect(batch.recordCount == 472_424 && batch.seriesCount == 2)
        var counts: [Int] = []
        var attributed: [Int] = []
        try BatchReader.forEachSeries(in: batch) { _, series in
            counts.append(series.count)
            attributed.append(series.attributes.flatMap(\.values).reduce(0) { $0 + $1.count })
        }
        #expect(counts == [472_414, 10])
        #expect(attributed == [1_000, 10], "of those beyond the limit nobody looked at the attributes")
        let entries = aggregator.suppressed.entries
        #expect(entries.map(\.count) == [471_414])
        #expect(entries.map { String(decoding: $0.source, as: UTF8.self) } == ["blynk"])
        #expect(entries.map { String(decoding: $0.pattern, as: UTF8.self) } == ["Invalid auth token"])
    }

    @Test func `one source that floods costs another none of its room, and time gives room again`() {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        aggregator.limitSources(to: RateLimit(perSecond: 10, burst: 10))
        for _ in 0..<30 { fold("loud", source: "a", into: &aggregator) }
        for _ in 0..<10 { fold("calm", source: "b", into: &aggregator) }
        let first = aggregator.suppressedCount
        #expect(first == 20)
        for _ in 0..<10 { fold("loud", source: "a", at: 1_000, into: &aggregator) }
        let second = aggregator.suppressedCount
        #expect(second == 20)
        fold("loud", source: "a", at: 1_000, into: &aggregator)
        let third = aggregator.suppressedCount
        #expect(third == 21)
        aggregator.limitSources(to: nil)
        for _ in 0..<100 { fold("loud", source: "a", at: 1_000, into: &aggregator) }
        let last = aggregator.suppressedCount
        #expect(last == 21)
    }

    @Test func `a suppressed record that must be durable still is awaited, and a pattern's first message is kept`()
        throws
    {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        aggregator.limitSources(to: RateLimit(perSecond: 1, burst: 1))
        for _ in 0..<5 { fold("first", source: "a", into: &aggregator) }
        fold("second", source: "a", severity: .error, into: &aggregator)
        let sealed = aggregator.seal(.awaited, now: now, clockIsKnown: true)
        let batch = try #require(sealed)
        #expect(batch.recordCount == 1)
        var samples: [String] = []
        try BatchReader.forEachSeries(in: batch) { _, series in
            samples += series.samples.map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(samples == ["second"])
    }

    @Test func `an origin that takes another's number begins anew`() {
        var meters = SourceMeters()
        meters.limit = RateLimit(perSecond: 1, burst: 1)
        let clock = MonotonicTime(nanoseconds: 0)
        let before = [0, 0, -1, -1].map { meters.isSuppressed(origin: $0, now: clock) }
        #expect(before == [false, true, false, true])
        meters.began(origin: 0)
        meters.began(origin: 7)
        let after = [0, 0].map { meters.isSuppressed(origin: $0, now: clock) }
        #expect(after == [false, true])
    }

    @Test func `of many floods the greatest are named, in bounded memory`() {
        var suppressed = SuppressedSeries()
        func add(_ name: String, _ count: Int) {
            var name = name
            name.withUTF8 { suppressed.add(count, source: $0, host: $0, pattern: $0) }
        }
        for number in 1...100 { add("flood \(number)", number) }
        add("flood 90", 1_000)
        #expect(suppressed.entries.count == SuppressedSeries.countMax)
        #expect(suppressed.entries.map(\.count).sorted().first == 85)
        #expect(suppressed.entries.map(\.count).max() == 1_090)
    }
}
