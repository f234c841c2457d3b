import LogModel
import Patterns
import PipelineTesting
import Testing

@Suite struct MultilineTextTests {
    private func records(_ text: String) -> [String] {
        var text = text
        return text.withUTF8 { view in
            // A block of exactly its size, so that a read beyond it is found.
            let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: view.count)
            defer { copy.deallocate() }
            _ = copy.initialize(from: view)
            var reader = MultilineText(ByteView(copy))
            var records: [String] = []
            while let record = reader.next() { records.append(String(decoding: record, as: UTF8.self)) }
            return records
        }
    }

    @Test(arguments: [
        ("", []), ("\n\n \t\r\n", []), ("one", ["one"]), ("one\ntwo\n", ["one", "two"]),
        ("one\r\ntwo\r\n", ["one", "two"]), ("one\n\n\ntwo", ["one", "two"]),
        // Indentation goes with the line above it; a blank line ends that.
        ("one\n  more\n\tand more\ntwo", ["one\n  more\n\tand more", "two"]), ("one\n\n  two", ["one", "  two"]),
        // A single blank is padding.
        ("one\n two", ["one", " two"]),
        // A trace is a record of its own.
        (
            "ready\nTraceback (most recent call last):\n  File \"a.py\", line 1\nValueError: x\nready",
            ["ready", "Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError: x", "ready"]
        ),
        // Blank lines within one, and none behind it.
        (
            "panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\n\n",
            ["panic: boom\n\ngoroutine 1 [running]:\nmain.main()"]
        ),
        // Two of them, one behind the other.
        ("panic: a\nTypeError: b\n    at c (d.js:1:2)", ["panic: a", "TypeError: b\n    at c (d.js:1:2)"]),
    ])
    func `a record is a line, or the lines that belong together`(_ text: String, _ expected: [String]) {
        #expect(records(text) == expected)
    }

    @Test func `a trace without an end is cut at its bounds into records, and nothing of it is lost`() {
        let frames = (0..<2000).map { "    at f\($0) (a.js:1:2)" }
        let cut = records((["TypeError: x"] + frames).joined(separator: "\n"))
        #expect(cut.count == 4)
        #expect(cut.joined(separator: "\n").split(separator: "\n").dropFirst().map(String.init) == frames)
        #expect(cut.allSatisfy { $0.split(separator: "\n").count <= MultilineJoiner.lineCountMax })
        let wide = (0..<300).map { "    at " + String(repeating: "x", count: 1000) + "\($0)" }
        let pieces = records((["TypeError: x"] + wide).joined(separator: "\n"))
        #expect(pieces.count == 5)
        #expect(pieces.allSatisfy { $0.utf8.count <= MultilineJoiner.byteCountMax })
    }

    @Test func `every line that is not blank is in exactly one record, in order`() {
        var random = SeededGenerator(of: "multi-line text")
        let lines = [
            "plain", "", "  indented", "\ttab", " ", "Traceback (most recent call last):", "ValueError: x", "panic: y",
            "goroutine 1 [running]:", "main.main()", "java.lang.Error: z", "\tat a.B.c(B.java:1)", "Caused by: d: e",
            "Fatal error: q", "0 0x00005581 in main at /x.swift:3", "/srv/app.js:10", "    at f (a.js:1:2)",
            "... 3 more",
        ]
        for _ in 0..<5000 {
            let text = (0..<Int.random(in: 0...12, using: &random)).map { _ in lines.randomElement(using: &random) ?? ""
            }
            let ending = Bool.random(using: &random) ? "\n" : "\r\n"
            let joined = records(text.joined(separator: ending))
            let seen = joined.flatMap { $0.split(whereSeparator: \.isNewline) }.map(String.init)
            let isText = { (line: String) in line.contains { $0 != " " && $0 != "\t" } }
            #expect(seen.filter(isText) == text.filter(isText), "\(text)")
            #expect(joined.allSatisfy { $0.first?.isNewline == false && $0.last?.isNewline == false }, "\(joined)")
        }
    }
}
