import Glibc
import PipelineTesting
import Testing

@testable import Settings

/// The syntax, row by row as systemd.exec(5) describes it under "EnvironmentFile=".
struct EnvironmentFileTests {
    private static let values: [(line: String, value: String)] = [
        ("KEY=plain", "plain"),
        ("KEY=", ""),
        ("KEY=   ", ""),
        ("  KEY  =  two words \t ", "two words"),
        ("KEY=a=b", "a=b"),
        ("KEY=a#b ; c", "a#b ; c"),
        ("KEY=don't", "don't"),
        ("KEY=a \"b\" c", "a \"b\" c"),
        ("KEY=a\\ b", "a b"),
        ("KEY=a\\\\b", "a\\b"),
        ("KEY=\\a\\'b\\\"", "a'b\""),
        ("KEY=first \\\nsecond", "first second"),
        ("KEY=kept \\\n", "kept "),
        ("KEY='single'", "single"),
        ("KEY='  blanks  '  ", "  blanks  "),
        ("KEY='no \\n escape $HOME \"'", "no \\n escape $HOME \""),
        ("KEY='two\nlines'", "two\nlines"),
        ("KEY=\"double\"", "double"),
        ("KEY=\"\\\"\\\\\\`\\$\"", "\"\\`$"),
        ("KEY=\"\\n\\x\"", "\\n\\x"),
        ("KEY=\"one \\\nline\"", "one line"),
        ("KEY=\"two\nlines\"", "two\nlines"),
        ("KEY='a' \"b\"c", "abc"),
        ("KEY=windows\r", "windows"),
        ("KEY=größe", "größe"),
        ("\u{FEFF}KEY=after a byte order mark", "after a byte order mark"),
        ("# comment\n ; another\n\nKEY=below", "below"),
    ]

    @Test(arguments: values)
    func `a value means what it means to systemd`(row: (line: String, value: String)) {
        for text in [row.line, row.line + "\n"] {
            let (assignments, flaws) = EnvironmentFile.parse(Array(text.utf8))
            #expect(assignments.map(\.value) == [row.value])
            #expect(assignments.map(\.name) == ["KEY"])
            #expect(flaws.isEmpty)
        }
    }

    private static let flawed: [(text: String, line: Int, part: String)] = [
        ("A=1\nno equals sign\n", 2, "no \"=\""),
        ("A=1\nthe end", 2, "no \"=\""),
        ("export A=1", 1, "not a key"),
        ("=1", 1, "not a key"),
        ("1A=1", 1, "not a key"),
        ("A.B=1", 1, "not a key"),
        (String(repeating: "A", count: 65) + "=1", 1, "not a key"),
        ("\nA='open\nB=1\n", 2, "never closed"),
        ("\n\nA=\"open\\", 3, "never closed"),
        ("A=nul\0byte", 1, "NUL"),
    ]

    @Test(arguments: flawed)
    func `what systemd passes over is reported with its line`(row: (text: String, line: Int, part: String)) {
        let (_, flaws) = EnvironmentFile.parse(Array(row.text.utf8))
        #expect(flaws.map(\.line) == [row.line])
        #expect(flaws.first?.what.contains(row.part) == true)
        #expect(flaws.first?.isWarning == false)
    }

    @Test func `a value that is not UTF-8 is reported and its neighbours are kept`() {
        let (assignments, flaws) = EnvironmentFile.parse(Array("A=1\nB=".utf8) + [0xFF, 0xFE] + Array("\nC=3\n".utf8))
        #expect(assignments.map(\.name) == ["A", "C"])
        #expect(flaws.map(\.line) == [2])
    }

    @Test func `lines are counted through quotes and continuations`() {
        let (assignments, _) = EnvironmentFile.parse(Array("A='x\ny'\nB=p\\\nq\n# c\nC=1\n".utf8))
        #expect(assignments.map(\.line) == [1, 3, 6])
    }

    @Test func `a comment that ends in a backslash warns, because older systemd reads on`() {
        let (assignments, flaws) = EnvironmentFile.parse(Array("# path C:\\\nA=1\n".utf8))
        #expect(assignments.map(\.name) == ["A"])
        #expect(flaws.map(\.isWarning) == [true])
    }

    @Test func `no bytes make the parser fail, and every name and line is a real one`() {
        var generator = SeededGenerator(of: "any bytes")
        let alphabet: [UInt8] = Array("AB=='\"\\\\\n\n\r#; \t$1".utf8) + [0, 0xC3, 0xA4, 0xFF]
        for _ in 0..<20_000 {
            let bytes = (0..<generator.next(below: 60)).map { _ in alphabet[generator.next(below: alphabet.count)] }
            let (assignments, flaws) = EnvironmentFile.parse(bytes)
            let lineCount = bytes.count { $0 == 0x0A } + 1
            let lines = assignments.map(\.line) + flaws.map(\.line)
            #expect(lines.allSatisfy { (1...lineCount).contains($0) }, "\(generator.repeatHint): \(bytes)")
            #expect(assignments.allSatisfy { !$0.name.isEmpty && !$0.value.contains("\0") }, "\(generator.repeatHint)")
        }
    }

    @Test func `any value written in double quotes comes back`() {
        var generator = SeededGenerator(of: "quoted values")
        for _ in 0..<5_000 {
            let value = String(
                String.UnicodeScalarView(
                    (0..<generator.next(below: 30)).compactMap { _ in Unicode.Scalar(generator.next(below: 200) + 1) }
                )
            )
            var quoted = "KEY=\""
            for character in value.unicodeScalars {
                if "\"\\`$".unicodeScalars.contains(character) { quoted += "\\" }
                quoted.unicodeScalars.append(character)
            }
            let (assignments, flaws) = EnvironmentFile.parse(Array((quoted + "\"\n").utf8))
            #expect(assignments.map { Array($0.value.utf8) } == [Array(value.utf8)], "\(generator.repeatHint)")
            #expect(flaws.isEmpty)
        }
    }
}

extension SeededGenerator {
    mutating func next(below bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
}
