import Foundation
import Patterns
import Testing

@Suite struct NormalizerExampleTests {
    @Test(arguments: [
        ("User 123 logged in", "User <ID> logged in"),
        ("Query took 0.05s", "Query took <TIME>s"),
        ("Error: File not found: /path/file.txt", "Error: File not found: <PATH>"),
    ])
    func `the examples of the source document hold literally`(message: String, expected: String) {
        #expect(template(of: message) == expected)
        let braces = expected.replacing("<", with: "{").replacing(">", with: "}")
        #expect(template(of: message, style: .braces) == braces)
    }

    @Test func `every line of the golden file has its template`() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/normalizer.txt")
        let text = try String(contentsOf: file, encoding: .utf8)
        var count = 0
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            guard !line.isEmpty, !line.hasPrefix("## ") else { continue }
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
            try #require(parts.count == 2, "line \(number + 1): one tab parts message and template")
            #expect(template(of: String(parts[0])) == String(parts[1]), "line \(number + 1)")
            count += 1
        }
        #expect(count >= 80)
    }

    @Test func `the mark of a redaction is one placeholder in both styles, with and without its hash`() {
        for mark in ["<REDACTED>", "<REDACTED:1a2b3c4d>", "<REDACTED:00000000>"] {
            #expect(template(of: "password=\(mark), try 5") == "password=<REDACTED>, try <NUM>")
            #expect(template(of: "password=\(mark), try 5", style: .braces) == "password={REDACTED}, try {NUM}")
            #expect(template(of: mark) == "<REDACTED>")
            #expect(template(of: "user pi:\(mark)@nas") == "user pi:<REDACTED>@nas")
        }
        #expect(template(of: "a {REDACTED} b", style: .braces) == "a {REDACTED} b")
    }

    @Test func `what only looks like the mark of a redaction is text`() {
        for text in [
            "<REDACTED", "<REDACTED:", "<REDACTED:1a2b3c4d", "<REDACTED:1A2B3C4D>", "<REDACTED:1a2b3c4>",
            "<REDACTED:xyzxyzxy>",
            "<redacted>", "< REDACTED>",
        ] {
            #expect(!template(of: text).contains("<REDACTED>"))
            #expect(!template(of: text, style: .braces).contains("{REDACTED}"))
        }
    }

    @Test func `a placeholder of the other style is text`() {
        #expect(template(of: "a {ID} 5 b") == "a {ID} <NUM> b")
        #expect(template(of: "a <ID> 5 b", style: .braces) == "a <ID> {NUM} b")
    }

    @Test func `the view is valid until the next call and reuses its memory`() {
        var normalizer = Normalizer()
        let first = normalizer.template(of: Array("task 1 done".utf8))
        let second = normalizer.template(of: Array("x".utf8))
        #expect(first == Array("task <ID> done".utf8))
        #expect(second == Array("x".utf8))
    }
}
