import Patterns
import PipelineTesting
import Testing

@Suite struct NormalizerPropertyTests {
    @Test(arguments: [PlaceholderStyle.angle, .braces])
    func `normalising a template gives the same template, whatever the bytes`(style: PlaceholderStyle) {
        let seed = SeededGenerator.seed(of: "idempotence, \(style)")
        var messages = HostileMessages(seed: seed, corpus: loghubLines(suffix: ".raw.log"))
        var normalizer = Normalizer(style: style)
        var shortest: (message: [UInt8], once: [UInt8], twice: [UInt8])?
        // Fresh ones each run, so that many runs see many; the fuzzer sees more.
        for _ in 0..<8_000 {
            let message = messages.next()
            let once = normalizer.template(of: message)
            let twice = normalizer.template(of: once)
            if once != twice, message.count < shortest?.message.count ?? .max { shortest = (message, once, twice) }
        }
        if let shortest {
            Issue.record(
                """
                shortest of seed \(seed)
                message \(String(decoding: shortest.message, as: UTF8.self).debugDescription)
                once    \(String(decoding: shortest.once, as: UTF8.self).debugDescription)
                twice   \(String(decoding: shortest.twice, as: UTF8.self).debugDescription)
                """
            )
        }
    }

    @Test func `a quoted text that a placeholder makes long keeps its template, also behind a backslash`() {
        var normalizer = Normalizer(style: .angle)
        for length in 50...70 {
            let message = Array("x \"\\0 \(String(repeating: "w", count: length))\" y".utf8)
            let once = normalizer.template(of: message)
            #expect(normalizer.template(of: once) == once, "\(length)")
        }
    }

    // What stands behind the last colon made the groups before it no address; as a placeholder it must not make them one.
    @Test(arguments: [
        "x86_64:aa:bb:cc:dd:ee:ff:550e8400-e29b-41d4-a716-446655440000", "v4:aa:bb:cc:dd:ee:ff:aa:bb:12345",
        "sha-256:aa:bb:cc:dd:ee:ff:aa:bb:cc:12345", "e820:a:b:c:d:e:f:a:12345", "e820::a:12345", "e820::12345",
        "e820::a:550e8400-e29b-41d4-a716-446655440000",
    ])
    func `groups that were no address are none when the template comes back`(message: String) {
        for style in [PlaceholderStyle.angle, .braces] {
            var normalizer = Normalizer(style: style)
            let once = normalizer.template(of: Array(message.utf8))
            let twice = normalizer.template(of: once)
            #expect(String(decoding: twice, as: UTF8.self) == String(decoding: once, as: UTF8.self))
        }
    }

    @Test(arguments: [PlaceholderStyle.angle, .braces])
    func `every line of the Loghub samples keeps its template when normalised again`(style: PlaceholderStyle) {
        var normalizer = Normalizer(style: style)
        for line in loghubLines(suffix: ".log") {
            let once = normalizer.template(of: line)
            let twice = normalizer.template(of: once)
            #expect(once == twice, "\(String(decoding: line, as: UTF8.self))")
        }
    }

    @Test(arguments: [PlaceholderStyle.angle, .braces])
    func `a template stays within its bounds and never depends on earlier messages`(style: PlaceholderStyle) {
        let seed = SeededGenerator.seed(of: "bounds, \(style)")
        var messages = HostileMessages(seed: seed, corpus: [])
        var used = Normalizer(style: style)
        for round in 0..<5_000 {
            let message = messages.next()
            let result = used.template(of: message)
            #expect(result.count <= Normalizer.templateByteCountMax, "seed \(seed), round \(round)")
            let words = result.split { $0 == 0x20 || (0x09...0x0D).contains($0) }
            #expect(words.count <= Normalizer.tokenCountMax, "seed \(seed), round \(round)")
            // A fresh one is dear (it builds its word lists), so every eighth message will do.
            if round % 8 == 0 {
                #expect(result == template(of: message, style: style), "seed \(seed), round \(round)")
            }
        }
    }

    @Test func `valid text gives a valid template, also where a bound cuts it`() {
        let seed = SeededGenerator.seed(of: "UTF-8")
        var messages = HostileMessages(seed: seed, corpus: [])
        var normalizer = Normalizer()
        var valid = 0
        for round in 0..<6_000 {
            var message = messages.next()
            if round % 4 == 0 {
                // Long text of scalars of every length, with and without words in it.
                let unit = ["ü", "温度 ", "🙂", "naïve ", "é1 ", "ß/ö/ü "][round / 4 % 6]
                message = Array(String(repeating: unit, count: 300 + round % 97).utf8) + message
            }
            guard String(validating: message, as: UTF8.self) != nil else { continue }
            valid += 1
            let result = normalizer.template(of: message)
            #expect(String(validating: result, as: UTF8.self) != nil, "seed \(seed), round \(round)")
        }
        #expect(valid > 1_500)
    }

    @Test(arguments: [0, 1, 2, 3])
    func `a message is cut between scalars at the bound on what is looked at`(shift: Int) {
        // Digits vanish in one placeholder, so that only the byte bound of the message is reached.
        let head = String(repeating: "7", count: Normalizer.messageByteCountMax - 6 - shift)
        let result = template(of: head + " 温度温度温度")
        #expect(result.hasPrefix("<NUM> 温"))
        #expect(result.hasSuffix("<MORE>"))
        #expect(!result.contains("\u{FFFD}"))
    }

    @Test func `invalid bytes stay as they are`() {
        #expect(template(of: [0xFF, 0x20, 0x35, 0x20, 0xC3]) == [0xFF, 0x20] + Array("<NUM>".utf8) + [0x20, 0xC3])
        #expect(template(of: [0x61, 0x00, 0x62]) == [0x61, 0x00, 0x62])
    }

    @Test(arguments: [
        "a", "5", "/", "/a", "a/", "\"", "'", "<", "[", " ", "  5", "ü", ".", "a.", "a-", ":", "x:", "1h", "http://",
        "\\", "~/", "a@b.", "0:",
    ])
    func `a hundred kilobytes of one form end in time and within the bound`(unit: String) {
        let message = Array(String(repeating: unit, count: 100_000 / unit.utf8.count).utf8)
        let once = template(of: message)
        #expect(once.count <= Normalizer.templateByteCountMax)
        #expect(once.suffix(6) == Array("<MORE>".utf8)[...])
        #expect(template(of: once) == once)
    }

    @Test func `nothing becomes nothing`() {
        #expect(template(of: "") == "")
        #expect(template(of: [UInt8]()) == [])
    }
}

@Suite struct NormalizerBoundTests {
    @Test func `the last word that fits is kept and one more is the rest`() {
        let words = (0..<Normalizer.tokenCountMax).map { _ in "word" }.joined(separator: " ")
        #expect(template(of: words) == words)
        #expect(template(of: words + " more") == words + "<MORE>")
        #expect(template(of: words + "<MORE>") == words + "<MORE>")
    }

    @Test func `a template of exactly the bound is kept and one more byte is the rest`() {
        let room = Normalizer.templateByteCountMax - 6
        // Two words, because one word is copied or left out as a whole.
        let fits = "ab " + String(repeating: "x", count: room - 3)
        #expect(template(of: fits) == fits)
        #expect(template(of: fits + "x") == "ab <MORE>")
        #expect(template(of: fits + " ") == fits + "<MORE>")
        #expect(template(of: fits + "<MORE>") == fits + "<MORE>")
    }

    @Test func `a number in a column that does not fit leaves nothing of itself behind`() {
        for length in (Normalizer.templateByteCountMax - 20)..<Normalizer.templateByteCountMax {
            let head = "ab " + String(repeating: "x", count: length - 3)
            let result = template(of: head + "     12345 and more")
            #expect(result.hasPrefix(head) || result == "ab <MORE>")
            #expect(!result.contains("<<") && !result.contains("N<"), "\(result.suffix(20))")
        }
    }

    @Test func `a message longer than what is looked at says so`() {
        let digits = String(repeating: "1", count: Normalizer.messageByteCountMax)
        #expect(template(of: digits) == "<NUM>")
        #expect(template(of: digits + "1") == "<NUM><MORE>")
    }

    @Test func `the rest has the brackets of the style`() {
        #expect(template(of: String(repeating: "word ", count: 200), style: .braces).hasSuffix("word{MORE}"))
    }
}
