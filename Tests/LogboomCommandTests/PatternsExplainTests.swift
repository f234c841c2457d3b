import LogModel
import PipelineTesting
import Testing

@testable import LogboomCommand

struct PatternsExplainTests {
    private func explanation(_ line: [UInt8], after lines: [String] = []) -> PatternExplanation {
        var counter = PatternCounter(patternCountMax: 100)
        for text in lines { Array(text.utf8).withUnsafeBufferPointer { _ = counter.count(LogRecord(message: $0)) } }
        return line.withUnsafeBufferPointer { PatternExplanation($0, counter: &counter) }
    }

    private func values(_ line: String) -> [String] {
        explanation(Array(line.utf8)).parts.compactMap { part in
            part.placeholder.map { $0 + " " + String(decoding: part.bytes, as: UTF8.self) }
        }
    }

    @Test func `each placeholder is told with the bytes it stands for`() {
        #expect(
            values("Failed password for root from 10.0.0.5 port 4242 ssh2") == ["<IP> 10.0.0.5", "<NUM> 4242"]
        )
        #expect(values("Error: File not found: /path/file.txt") == ["<PATH> /path/file.txt"])
        #expect(values("User 123 logged in") == ["<ID> 123"])
        #expect(values("nothing varies here").isEmpty)
        #expect(values("").isEmpty)
    }

    @Test func `the pattern and its id are those that counting gives`() throws {
        let line = "User 123 logged in"
        var counter = PatternCounter(patternCountMax: 10)
        Array(line.utf8).withUnsafeBufferPointer { _ = counter.count(LogRecord(message: $0)) }
        let counted = try #require(counter.finish().patterns.first)
        let explained = explanation(Array(line.utf8))
        #expect(explained.id == counted.id)
        #expect(explained.pattern == counted.text)
        #expect(explanation(Array("[warn] x".utf8)).level == .warn)
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 3, fresh: 2))
    func `parts put together are the line, for any bytes`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let words = [
            "user", "17", "10.0.0.1:80", "/var/log/a", "<NUM>", "<", ">", "a=b", "3ms", "\u{1B}[0m", "é", "x9f-3", "[",
            "]",
            "2025-01-15T10:30:00Z", "'q w'", "  ", "0x7f", "5%", "<MORE>", ":", ",",
        ]
        for _ in 0..<100 {
            let line = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
                words[Int.random(in: 0..<words.count, using: &generator)]
            }.joined(separator: Bool.random(using: &generator) ? " " : "")
            let explained = explanation(Array(line.utf8))
            guard !explained.parts.isEmpty else { continue }
            let whole = explained.parts.flatMap(\.bytes)
            #expect(whole == explained.line, "repeat with LOGBOOM_TEST_SEED=\(seed): \(line)")
        }
    }

    @Test func `a line past the bounds is explained in time`() {
        let line = Array(String(repeating: "1,22;333 <NUM> ", count: 5000).utf8)
        let explained = explanation(line)
        #expect(explained.parts.isEmpty || explained.parts.flatMap(\.bytes) == explained.line)
        #expect(explained.parts.last?.placeholder == "<MORE>")
    }

    @Test func `a secret in the line is told, not shown`() {
        let secret = "hunter" + "2-and-more"
        let explained = explanation(Array("login with password=\(secret) failed".utf8))
        #expect(explained.redactionCount == 1)
        let text = explained.lines(style: Style(isColored: false)).joined(separator: "\n")
        #expect(!text.contains(secret) && !String(decoding: explained.json(), as: UTF8.self).contains(secret))
        #expect(explained.parts.contains { $0.placeholder == "<REDACTED>" })
    }

    @Test func `what other lines taught is in the pattern, with the words it stands for`() {
        let names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]
        let explained = explanation(
            Array("session opened for user mallory".utf8),
            after: names.map { "session opened for user \($0)" }
        )
        #expect(String(decoding: explained.pattern, as: UTF8.self) == "session opened for user <*>")
        #expect(explained.parts.last == .init(bytes: Array("mallory".utf8), placeholder: "<*>"))
    }

    @Test func `an explanation shows hostile text escaped`() {
        let lines = explanation(Array("\u{1B}[2Jx\u{07} 17".utf8)).lines(style: Style(isColored: false))
        #expect(!lines.joined().unicodeScalars.contains { $0.value < 0x20 })
    }
}
