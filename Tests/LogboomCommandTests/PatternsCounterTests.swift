import LogModel
import Patterns
import PipelineTesting
import Testing

@testable import LogboomCommand

struct PatternsCounterTests {
    private struct Line {
        var text: String
        var severity: Severity?
        var source = ""
        var time: Int64?
    }

    /// Counts the lines and returns the counter's answer with the number of each line.
    private func count(_ lines: [Line], patternCountMax: Int = 100) -> (counted: CountedPatterns, numbers: [Int32]) {
        var counter = PatternCounter(patternCountMax: patternCountMax)
        var numbers: [Int32] = []
        for line in lines {
            var text = line.text
            var source = line.source
            text.withUTF8 { text in
                source.withUTF8 { source in
                    var record = LogRecord(message: text)
                    record.severity = line.severity
                    record.source = source
                    record.timestamp = line.time.map { Timestamp(nanoseconds: $0) }
                    numbers.append(counter.count(record))
                }
            }
        }
        return (counter.finish(), numbers)
    }

    private func texts(_ counted: CountedPatterns) -> [String] {
        counted.patterns.map { String(decoding: $0.text, as: UTF8.self) }
    }

    @Test func `lines of one statement are one pattern with its first line as the sample`() throws {
        let (counted, numbers) = count([
            Line(text: "User 17 logged in"), Line(text: "link is down"), Line(text: "User 9 logged in"),
        ])
        #expect(texts(counted) == ["User <ID> logged in", "link is down"])
        let user = try #require(counted.patterns.first)
        #expect(user.count == 2)
        #expect(user.tally.sample == Array("User 17 logged in".utf8))
        #expect((user.tally.firstPlace, user.tally.lastPlace) == (1, 3))
        #expect(user.first == nil)
        #expect(numbers.map { counted.rowOfNumber[Int($0)] } == [0, 1, 0])
    }

    @Test(arguments: [1, 2, 49, 50, 51])
    func `the sum of the counts is the number of records, whatever fits`(patternCountMax: Int) {
        // 50 statements that no masking makes one, twice each, and one more.
        let names = (0..<50).map { index in "statement \(Self.word(index)) was here" }
        let lines = (names + names + ["the end"]).map { Line(text: $0) }
        let (counted, numbers) = count(lines, patternCountMax: patternCountMax)
        #expect(counted.patterns.reduce(0) { $0 + $1.count } == 101)
        #expect(counted.patterns.count(where: { $0.id != nil }) <= patternCountMax)
        #expect(numbers.allSatisfy { counted.rowOfNumber[Int($0)] >= 0 })
        let other = counted.patterns.first { $0.id == nil }
        #expect((other != nil) == (counted.patterns.count > patternCountMax))
        if let other { #expect(other.text == Array("<other>".utf8)) }
    }

    /// A word of letters only.
    private static func word(_ index: Int) -> String {
        String(String.UnicodeScalarView([index / 7, index % 7, index / 49].map { Unicode.Scalar(UInt8(0x67 + $0)) }))
    }

    @Test func `a stated level goes before one in the text, and each is counted`() throws {
        let (counted, _) = count([
            Line(text: "[error] disk 1"), Line(text: "[error] disk 2", severity: .warn), Line(text: "[error] disk 3"),
            Line(text: "all is well"),
        ])
        let disk = try #require(counted.patterns.first)
        #expect(disk.level == "ERROR")
        #expect(disk.tally.levels[6] == 2)
        #expect(disk.tally.levels[5] == 1)
        #expect(counted.patterns.last?.level == nil)
    }

    @Test func `the letter of a klog stamp is a level though it is masked`() {
        let (counted, _) = count([
            Line(text: "I1121 12:00:00.000001 1 a.go:1] x"), Line(text: "E1121 12:00:00.000002 1 a.go:1] x"),
            Line(text: "E1121 12:00:00.000003 1 a.go:1] x"),
        ])
        #expect(counted.patterns.reduce(0) { $0 + $1.tally.levels[6] } == 2)
        #expect(counted.patterns.reduce(0) { $0 + $1.tally.levels[3] } == 1)
    }

    /// Sums of levels, by ``LevelIndex``.
    private func levelSums(_ counted: CountedPatterns) -> [Int] {
        (0..<LevelIndex.count).map { index in counted.patterns.reduce(0) { $0 + $1.tally.levels[index] } }
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 3, fresh: 2))
    func `levels found once for a masked text are those of each message`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let heads = [
            "", "[error] ", "WARN ", "<3>", "<6>", "level=debug ", "level=warn ", "E1121 12:00:00.1 ",
            "I1121 12:00:00.1 ",
        ]
        let bodies = ["disk is full", "user alice logged in", "took 5 ms", "/var/log/x", "fatal: gone", "0x7f"]
        let lines = (0..<2000).map { _ in
            let number = Int.random(in: 0..<500, using: &generator)
            return Line(
                text:
                    "\(heads.randomElement(using: &generator) ?? "")\(bodies.randomElement(using: &generator) ?? "") n=\(number)"
            )
        }
        var expected = [Int](repeating: 0, count: LevelIndex.count)
        for line in lines {
            var text = line.text
            expected[Int(LevelIndex(text.withUTF8 { Severity.found(in: $0) }).rawValue)] += 1
        }
        #expect(levelSums(count(lines).counted) == expected, "repeat with LOGBOOM_TEST_SEED=\(seed)")
        #expect(expected.filter { $0 > 0 }.count >= 5, "the lines state levels at all")
    }

    @Test func `sources are told apart up to a bound, and stamps span from the first to the last`() throws {
        let lines = (0..<20).map { index in
            Line(text: "tick", source: "s\(index % 10)", time: Int64(1000 - index))
        }
        let tick = try #require(count(lines).counted.patterns.first)
        #expect(tick.sources.count == PatternCounter.sourceCountMaxOfPattern)
        #expect(tick.sources.allSatisfy { $0.count == 2 })
        #expect(tick.first?.nanoseconds == 981)
        #expect(tick.last?.nanoseconds == 1000)
    }

    @Test func `text that is no UTF-8 is counted, repaired and has an id`() throws {
        var counter = PatternCounter(patternCountMax: 10)
        let hostile: [UInt8] = [0xFF, 0x00, 0x1B, 0x5B, 0x32, 0x4A, 0xC3]
        hostile.withUnsafeBufferPointer { _ = counter.count(LogRecord(message: $0)) }
        let pattern = try #require(counter.finish().patterns.first)
        #expect(UTF8RepairCheck.isClean(pattern.text))
        #expect(UTF8RepairCheck.isClean(pattern.tally.sample))
        #expect(pattern.id != nil)
    }

    @Test func `a sample of a long line is its beginning`() {
        let (counted, _) = count([Line(text: String(repeating: "wörter ", count: 10_000))])
        #expect((200...Limits.sampleByteCountMax).contains(counted.patterns[0].tally.sample.count))
    }
}

enum UTF8RepairCheck {
    static func isClean(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBufferPointer { UTF8Repair.isClean($0) }
    }
}
