import LogModel
import Patterns
import PipelineTesting
import Testing

private func fold(
    _ message: String,
    severity: Severity? = .info,
    source: String = "",
    attributes: [(key: String, value: String)] = [],
    at stamp: Timestamp? = nil,
    into aggregator: inout Aggregator,
    now: Timestamp = Timestamp(nanoseconds: 1_790_000_000_000_000_000)
) {
    var message = message
    var source = source
    let texts = attributes.map { (Array($0.key.utf8), Array($0.value.utf8)) }
    var views: [AttributeView] = []
    func attribute(_ index: Int, then body: () -> Void) {
        guard index < texts.count else { return body() }
        texts[index].0.withUnsafeBufferPointer { key in
            texts[index].1.withUnsafeBufferPointer { value in
                views.append(AttributeView(key: key, value: value))
                attribute(index + 1, then: body)
            }
        }
    }
    message.withUTF8 { message in
        source.withUTF8 { source in
            attribute(0) {
                views.withUnsafeBufferPointer { views in
                    var record = LogRecord(message: message)
                    record.severity = severity
                    record.source = source
                    record.timestamp = stamp
                    record.attributes = views
                    _ = aggregator.fold(record, now: now)
                }
            }
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
        for number in 0..<500 { fold(unlike(number), into: &aggregator) }
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        let counted = try rows(batch)
        #expect(counted.values.reduce(0, +) == 500)
        #expect(counted[Row(template: "<other>", source: "", severity: .info)] == 450)
        let figures = (aggregator.overflowCount, aggregator.templateCount)
        // Half of the room is kept from a flood of messages that nothing repeats.
        #expect(figures == (450, 50))
    }

    @Test func `a template that was not seen for two batches makes room for a new one`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        var last: [Row: Int] = [:]
        for batch in 0..<16 {
            for number in 0..<15 {
                for _ in 0..<2 { fold(unlike(15 * batch + number), into: &aggregator) }
            }
            let sealed = seal(&aggregator)
            last = try rows(#require(sealed))
        }
        #expect(last.count == 15 && last.values.allSatisfy { $0 == 2 })
        #expect(!last.keys.contains { $0.template == "<other>" })
        let figures = (aggregator.templateCount, aggregator.templateEvictionCount > 0)
        #expect(figures.0 <= 100 && figures.1)
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 20, fresh: 5))
    func `counts always add up, whatever is merged, evicted or refused`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var aggregator = Aggregator(templateCountMax: 120, style: .angle)
        var expected = 0
        var counted = 0
        for _ in 0..<30 {
            for _ in 0..<Int.random(in: 1...300, using: &generator) {
                let number = Int.random(in: 0..<400, using: &generator)
                fold(Bool.random(using: &generator) ? unlike(number) : "\(letters(number)) passed", into: &aggregator)
                expected += 1
            }
            let sealed = seal(&aggregator)
            let batch = try #require(sealed)
            counted += try rows(batch).values.reduce(0, +)
            let templateCount = aggregator.templateCount
            #expect(templateCount <= 120, "LOGBOOM_TEST_SEED=\(seed)")
        }
        #expect(counted == expected, "LOGBOOM_TEST_SEED=\(seed)")
    }

    @Test func `patterns that turn out to be one are told with the next batch, and count as one`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        fold("user alice logged in", into: &aggregator)
        let early = seal(&aggregator)
        let alone = try rows(#require(early))
        #expect(alone.keys.map(\.template) == ["user alice logged in"])
        for name in ["bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "oscar"] {
            fold("user \(name) logged in", into: &aggregator)
        }
        let late = seal(&aggregator)
        let batch = try #require(late)
        let together = try rows(batch)
        #expect(together.values.reduce(0, +) == 11)
        #expect(Set(together.keys.map(\.template)) == ["user <*> logged in"])
        let merges = try BatchReader.merges(in: batch)
        let from = Array("user alice logged in".utf8).withUnsafeBufferPointer { XXH64.hash($0) }
        let to = Array("user <*> logged in".utf8)
        #expect(merges.contains { $0.from == from && $0.template == to })
        #expect(merges.allSatisfy { $0.to == to.withUnsafeBufferPointer { XXH64.hash($0) } && $0.from != $0.to })
        // Told once.
        fold("user peggy logged in", into: &aggregator)
        let next = seal(&aggregator)
        #expect(try BatchReader.merges(in: #require(next)).isEmpty)
    }

    @Test func `the catalogue makes the next process know the same patterns by the same ids`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        for name in ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory"] {
            fold("user \(name) logged in", into: &aggregator)
        }
        fold("disk \u{1F4A5} full", into: &aggregator)
        let catalogue = aggregator.catalogue()
        var next = Aggregator(templateCountMax: 100, style: .angle)
        next.restore(catalogue: catalogue)
        let count = next.templateCount
        #expect(count == 2)
        fold("user zoe logged in", into: &next)
        let learned = next.templateLearnedCount
        #expect(learned == 0)
        let sealed = seal(&next)
        #expect(try rows(#require(sealed)).keys.map(\.template) == ["user <*> logged in"])
        // A catalogue cut anywhere, or no catalogue at all, costs knowledge and nothing else.
        for end in 0..<catalogue.count {
            var other = Aggregator(templateCountMax: 100, style: .angle)
            other.restore(catalogue: Array(catalogue.prefix(end)))
            let count = other.templateCount
            #expect(count <= 2)
        }
        var other = Aggregator(templateCountMax: 100, style: .angle)
        other.restore(catalogue: Array("LBC9 what is this".utf8))
        let none = other.templateCount
        #expect(none == 0)
    }

    @Test func `samples are the first record, one of the rest and the last, whatever their number`() throws {
        for count in [1, 2, 3, 50] {
            var aggregator = Aggregator(templateCountMax: 100, style: .angle)
            for number in 1...count {
                let now = Timestamp(nanoseconds: 1_790_000_000_000_000_000 + Int64(number) * 1_000_000_000)
                // Growing ones, so that a place is used again and outgrown.
                fold("pump \(number) failed\n\(String(repeating: "x", count: number * 7))", into: &aggregator, now: now)
            }
            let sealed = seal(&aggregator)
            var numbers: [Int] = []
            try BatchReader.forEachSeries(in: #require(sealed)) { _, series in
                numbers = series.samples.map { sample in
                    let text = String(decoding: sample, as: UTF8.self)
                    let number = Int(text.split(separator: " ")[1]) ?? 0
                    #expect(text.hasSuffix("\n" + String(repeating: "x", count: min(number * 7, 400))) || number > 30)
                    return number
                }
            }
            #expect(numbers.first == 1 && numbers.last == count && Set(numbers).count >= min(count, 2))
        }
    }

    @Test func `attributes say how many values there were, and the range of the numbers`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        for number in 0..<100 {
            let temperature = number == 50 ? "-12.5" : "\(number)"
            fold("ok", attributes: [("temp", temperature), ("room", number < 60 ? "hall" : "loft")], into: &aggregator)
        }
        let sealed = seal(&aggregator)
        var keys: [String: AttributeNumbers?] = [:]
        try BatchReader.forEachSeries(in: #require(sealed)) { _, series in
            for attribute in series.attributes {
                let key = String(decoding: attribute.key, as: UTF8.self)
                keys[key] = attribute.numbers
                #expect(key == "room" ? attribute.distinctCount == 2 : (80...120).contains(attribute.distinctCount))
            }
        }
        #expect(keys == ["temp": AttributeNumbers(count: 100, minimum: -12.5, maximum: 99), "room": nil])
    }

    @Test(arguments: [
        #"{"a":"b","t":6x7}"#, "\nr=l=warn took=3m", #"[1, 2, {"a":1}] x"#, "got {\"a\":6x7}", "a=1 b=2", "a = 1 b =",
        "word =",
        "x=<ID> y=6x7", "[main] ok", "{", "[]", "k=", "= =",
    ])
    func `masking a template gives the template, also where a placeholder makes data of it`(message: String) {
        var engine = PatternEngine(capacity: 100, style: .angle)
        func mask(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBufferPointer { Array(engine.mask($0)) } }
        let once = mask(Array(message.utf8))
        let twice = mask(once)
        #expect(once == twice, "\(String(decoding: once, as: UTF8.self)) \(String(decoding: twice, as: UTF8.self))")
        // No trap, whatever the miner makes of it.
        let outcome = once.withUnsafeBufferPointer { engine.learn($0, epoch: 1) }
        #expect(outcome != .full)
    }

    @Test func `whatever bytes come, templates, ids and merges are text that a database takes`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        func fold(_ bytes: [UInt8]) {
            bytes.withUnsafeBufferPointer { _ = aggregator.fold(LogRecord(message: $0), now: now) }
        }
        // NUL and a byte that is no UTF-8 in a part that stays, and names that turn out to vary.
        for name in ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory"] {
            fold(Array("user \(name) lo".utf8) + [0, 0xFF] + Array("gged in".utf8))
            if name == "alice" { _ = seal(&aggregator) }
        }
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        let merges = try BatchReader.merges(in: batch)
        #expect(!merges.isEmpty)
        for merge in merges { #expect(merge.template.withUnsafeBufferPointer { UTF8Repair.isClean($0) }) }
        try BatchReader.forEachSeries(in: batch) { _, series in
            #expect(UTF8Repair.isClean(series.template) && XXH64.hash(series.template) == series.templateID)
            #expect(merges.allSatisfy { $0.to == series.templateID })
        }
    }

    @Test func `a trace counts with the line that says what happened`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        fold("pump 3 failed", into: &aggregator)
        fold("pump 4 failed\n    at run (/srv/pump.js:3:7)\n    at next (/srv/loop.js:9:1)", into: &aggregator)
        fold("\r\n  \npump 5 failed\r\n\tat a.b.C(D.java:7)", into: &aggregator)
        fold(
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nValueError: bad 7\n",
            into: &aggregator
        )
        let sealed = seal(&aggregator)
        let counted = try rows(#require(sealed))
        #expect(Set(counted.keys.map(\.template)) == ["pump <NUM> failed", "ValueError: bad <NUM>"])
    }

    @Test func `secrets are gone from templates, samples and attributes`() throws {
        var aggregator = Aggregator(templateCountMax: 100, style: .angle)
        let secret = ["hun", "ter2x9"].joined()
        fold(
            "login with password=\(secret) from 10.0.0.1",
            attributes: [("api_key", secret), ("room", "hall")],
            into: &aggregator
        )
        let sealed = seal(&aggregator)
        let batch = try #require(sealed)
        #expect(!String(decoding: batch.payload, as: UTF8.self).contains(secret))
        #expect(String(decoding: batch.payload, as: UTF8.self).contains("hall"))
        let count = aggregator.redactionCount
        #expect(count == 2)
    }

    @Test func `memory depends on the patterns, not on the number of records`() {
        var aggregator = Aggregator(templateCountMax: 5000, style: .angle)
        func load(_ count: Int) {
            for number in 0..<count { fold("User \(number) logged in from 10.0.\(number % 256).1", into: &aggregator) }
        }
        // Numbers of each length come once: those messages differ in shape, and the latest shapes are kept.
        load(100_256)
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

    /// Messages that no two of have more than a word in common.
    private func unlike(_ number: Int) -> String {
        "\(letters(number)) \(letters(number * 7 + 1000)) met \(letters(number * 13 + 5000)) at \(letters(number * 3 + 90_000))"
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
