import Patterns
import PipelineTesting
import Testing

/// What holds for any bytes at all.
@Suite struct RedactPropertyTests {
    /// Pieces of secrets and of what stands around them, glued in all ways.
    private static let pieces: [String] = [
        "password", "token", "api_key", "secret", "Authorization", "Cookie", "session", "psk", "key", "ssid",
        "response", "=", ":",
        ": ", "=>", "\"", "'", "\\\"", "`", " ", "  ", "\n", ",", ";", "&", ")", "}", "]", "[", "{", "(", "<", ">",
        "</", "@", "://",
        "http", "bob", "hunter2", "Bearer", "Basic", "Digest ", "AWS4-HMAC-SHA256 ", "--", "-p", "-u ", "mysql", "curl",
        "sshpass",
        "-----BEGIN ", "PRIVATE KEY-----", "-----END ", "IDENTIFIED BY ", "PASSWORD(", "<REDACTED>",
        "<REDACTED:1a2b3c4d>",
        "<REDACTED", "<EMAIL>", "REDACTED>", "bob@example.org", "example.org", "4111 1111 1111 1111",
        "4111111111111111", "1111", "4111",
        "DE89", "DE89 3704 0044 0532 0130 00", "eyJhbGciOiJIUzI1NiJ9", ".", "eyJzdWIiOiIxMjM0NTY3ODkwIn0",
        "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "gh" + "p_", "AK" + "IA", "S" + "G.", "xo" + "xb-", "ABCDEFGHIJKLMNOP", "abcdefghijklmnopqrstuvwxyz0123456789",
        "123456789:AA",
        "ü", "温度", "🙂", "\u{0}", "%3D", "${X}", "***", "null", "x1", "7", "_", "-", "+", "/", "#", "?", "B", "BY '",
    ]

    private struct Messages {
        var generator: SeededGenerator

        mutating func next() -> [UInt8] {
            if Int.random(in: 0..<8, using: &generator) == 0 {
                return (0..<Int.random(in: 0..<150, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
            }
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                bytes.append(contentsOf: (pieces.randomElement(using: &generator) ?? "").utf8)
            }
            if Int.random(in: 0..<4, using: &generator) == 0, !bytes.isEmpty {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            return bytes
        }
    }

    @Test(arguments: [nil, Array(UInt8(0)..<16)] as [[UInt8]?])
    func `redacting the result changes nothing, and valid text stays valid, whatever the bytes`(key: [UInt8]?) {
        for seed in SeededGenerator.seeds(fixed: 1, fresh: 1) {
            var messages = Messages(generator: SeededGenerator(seed: seed))
            var redactor = Redactor(key: key)
            for round in 0..<4_000 {
                let message = messages.next()
                let once = redactor.redacted(message)
                let twice = redactor.redacted(once)
                if once != twice {
                    Issue.record(
                        """
                        seed \(seed), round \(round)
                        message \(String(decoding: message, as: UTF8.self).debugDescription)
                        once    \(String(decoding: once, as: UTF8.self).debugDescription)
                        twice   \(String(decoding: twice, as: UTF8.self).debugDescription)
                        """
                    )
                    return
                }
                if String(validating: message, as: UTF8.self) != nil {
                    #expect(String(validating: once, as: UTF8.self) != nil, "seed \(seed), round \(round): \(message)")
                }
                // A marker stands for a byte at least.
                #expect(once.count <= message.count * 19, "seed \(seed), round \(round)")
            }
        }
    }

    @Test func `the result does not depend on earlier messages`() {
        for seed in SeededGenerator.seeds(fixed: 1, fresh: 1) {
            var messages = Messages(generator: SeededGenerator(seed: seed))
            var used = Redactor()
            for round in 0..<2_000 {
                let message = messages.next()
                var fresh = Redactor()
                let results = [used.redacted(message), fresh.redacted(message)]
                #expect(results[0] == results[1], "seed \(seed), round \(round)")
            }
        }
    }

    @Test func `a message longer than the bound is cut, and nothing that was not looked at is let through`() {
        var redactor = Redactor()
        let bound = Redactor.messageByteCountMax
        for shift in 0..<40 {
            // The secret lies across the bound.
            let head = String(repeating: "word ü ", count: bound / 8 - 10)
            let fill = String(repeating: ".", count: bound - head.utf8.count - shift)
            let line = head + fill + " password=hunter2hunter2hunter2 tail tail"
            let result = redactor.redacted(line)
            #expect(result.utf8.count <= bound)
            #expect(!result.contains("hunt") && !result.contains("tail"), "shift \(shift)")
            let again = redactor.redacted(result)
            #expect(again == result, "shift \(shift)")
        }
        // One word without an end.
        let token = redactor.redacted("eyJ" + String(repeating: "a", count: bound) + ".b")
        #expect(token.utf8.count <= bound)
        let many = redactor.redacted(String(repeating: "pass=a ", count: bound / 7))
        #expect(many.utf8.count <= bound && !many.contains("=a"))
        let again = redactor.redacted(many)
        #expect(again == many)
    }

    @Test func `hostile messages of the longest kind cost about as much as others`() {
        var redactor = Redactor()
        let clock = ContinuousClock()
        for piece in [
            "session=", "pwd=/", "cookie: ", "authorization: x", "authorization: digest ", "://u:p/x", "a@", "key=[",
            "session=[",
            "eyJ.", "1234 ", "AAAA", "-----BEGIN PRIVATE KEY", "-----END ", "<password>",
            "a.eyJaaaaaaaaaaaaaaaaaaaaaaaa.", "\"\\", "Basic ",
            "password='", " -p", "curl -u ", "token=\\\"", "Cookie: a=\" ", "x,", "pass=a,b",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-", "4111-",
        ] {
            let text = String(repeating: piece, count: 65_000 / piece.utf8.count)
            let spent = clock.measure { _ = redactor.redacted(text) }
            // 64 KiB take some 10 ms in a debug build; a quadratic rule takes minutes.
            #expect(spent < .seconds(10), "\(piece): \(spent)")
        }
    }
}
