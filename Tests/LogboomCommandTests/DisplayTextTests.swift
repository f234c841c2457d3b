import Glibc
import JSONBytes
import PipelineTesting
import Testing

@testable import LogboomCommand

/// Log text is hostile to terminals.
struct DisplayTextTests {
    private static let cleaned: [(text: String, shown: String)] = [
        ("plain text", "plain text"),
        ("", ""),
        ("tab\tbetween", "tab between"),
        ("two\nlines", "two\\nlines"),
        ("windows\r\n", "windows\\r\\n"),
        ("\u{2028}", "\\n"),
        ("\u{1B}[31mred\u{1B}[0m", "red"),
        ("\u{9B}31mred", "red"),
        ("\u{1B}[2J\u{1B}[1;1Hgone", "gone"),
        ("\u{1B}[?1049h", ""),
        ("\u{1B}]0;title\u{07}", "\\x1b]0;title\\x07"),
        ("\u{1B}P$q\u{1B}\\", "\\x1bP$q\\x1b\\"),
        ("\u{1B}", "\\x1b"),
        ("\u{1B}[", "\\x1b["),
        ("\u{1B}[12", "\\x1b[12"),
        ("\u{1B}[1\nm", "\\x1b[1\\nm"),
        ("\u{0}\u{8}\u{7F}\u{85}", "\\x00\\x08\\x7f\\x85"),
        ("\u{202E}evil\u{202C}", "evil"),
        ("\u{2066}a\u{2069}\u{200F}\u{61C}", "a"),
        ("zero\u{200B}width\u{FEFF}", "zerowidth"),
        ("tag\u{E0041}", "tag"),
        ("filler\u{3164}\u{115F}", "filler"),
        ("private\u{E000}", "private\u{FFFD}"),
        ("e\u{301}\u{302}\u{303}\u{304}", "e\u{301}\u{302}"),
        ("\u{301}e", "e"),
        ("größe 日本 🎉", "größe 日本 🎉"),
    ]

    @Test(arguments: cleaned)
    func `text is shown without anything a terminal obeys`(pair: (text: String, shown: String)) {
        #expect(Array(DisplayText.clean(pair.text).unicodeScalars) == Array(pair.shown.unicodeScalars))
    }

    private static let cut: [(text: String, width: Int, shown: String)] = [
        ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("abcd", 4, "abcd"), ("abcd", 1, "…"), ("abcd", 0, ""), ("", 0, ""),
        ("日本", 4, "日本"), ("日本", 3, "日…"), ("日本", 2, "…"), ("日本", 1, "…"), ("a日本", 4, "a日…"),
        ("abc\n", 4, "abc…"), ("ab\n", 4, "ab\\n"), ("abe\u{301}", 3, "abe\u{301}"), ("abe\u{301}d", 3, "ab…"),
        ("\u{1B}[31mabc", 3, "abc"),
    ]

    @Test(arguments: cut)
    func `text is cut at columns, not at characters`(row: (text: String, width: Int, shown: String)) {
        let shown = DisplayText.clean(row.text, widthMax: row.width)
        #expect(shown == row.shown)
        #expect(DisplayText.width(shown) <= row.width)
    }

    @Test func `random text never gets a control character through and never gets too wide`() {
        var generator = SeededGenerator(of: "hostile text")
        let alphabet: [UInt32] = [
            0x1B, 0x5B, 0x5D, 0x33, 0x31, 0x6D, 0x9B, 0x07, 0x0A, 0x0D, 0x09, 0x00, 0x7F, 0x41, 0x20, 0x202E, 0x2066,
            0x200D,
            0x301, 0x65E5, 0x1F389, 0xFE0F, 0xE000, 0x10FFFF, 0x2028, 0xAD,
        ]
        for _ in 0..<20_000 {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0..<40, using: &generator) {
                let known = alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
                let value = Bool.random(using: &generator) ? known : UInt32.random(in: 0..<0x11_0000, using: &generator)
                if let scalar = Unicode.Scalar(value) { text.append(scalar) }
            }
            let widthMax = Int.random(in: 0..<30, using: &generator)
            for shown in [DisplayText.clean(String(text)), DisplayText.clean(String(text), widthMax: widthMax)] {
                let isHarmless = shown.unicodeScalars.allSatisfy { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned: false
                    default: true
                    }
                }
                #expect(isHarmless, "\(generator.repeatHint)")
                #expect(DisplayText.clean(shown) == shown, "\(generator.repeatHint)")
            }
            #expect(DisplayText.width(DisplayText.clean(String(text), widthMax: widthMax)) <= widthMax)
        }
    }

    @Test func `JSON stays the same document and holds nothing a terminal obeys`() throws {
        let value = JSONValue.object([
            .init(key: "a", value: .string("\u{7F}\u{9B}31m\u{202E}x\u{E0041}\n\u{1B}[0m日本🎉")),
            .init(key: "b", value: .integer(1)),
        ])
        let shown = DisplayText.cleanJSON(value.bytes)
        #expect(try JSONValue.parse(Array(shown.utf8)) == value)
        #expect(!shown.unicodeScalars.contains { $0.properties.generalCategory == .control })
        #expect(!shown.unicodeScalars.contains { $0.properties.generalCategory == .format })
        #expect(shown.contains("日本🎉"))
    }
}
