import JSONBytes
import LogModel
import PipelineTesting
import RecordDecoding
import Testing

/// Records in an array are made from the notes of its check; those on lines of their own are read at once. Both have to be
/// the same records.
@Suite struct DecoderArrayTests {
    /// Keys that are alike in length or in their beginning, that mean a field, or that no comparison in words can take.
    private static let keys = [
        "message", "messagf", "msg", "level", "lavel", "levels", "source", "host", "ts", "t", "", "timestamp", "time",
        "error", "payload", "metadata", "logs", "_msgid", "org", "latency_ms", "abcdefghijklm", "abcdefghijklmn",
        "a-key-of-twenty-five-bytes", "a-key-of-thirty-five-bytes-in-all-xx",
        "m\\u0065ssage", "le\\u0076el", "ключ",
    ]
    private static let values = [
        #""a""#, #""""#, #"" ""#, #""info""#, #""10""#, "3", "-0.5e3", "true", "false", "null", "[]", "[1,{}]", "{}",
        #"{"message":"inner","k":{"d":[1]}}"#, #""with \"escapes\" \u00e9\n""#, #""2026-03-04T05:06:07.089Z""#,
        #""a text of more than sixteen bytes""#, #""fifteen bytes..""#, #""sixteen bytes...""#, #""äöü""#,
    ]

    /// An object as a sender may write it: `style` says where it puts blanks.
    private static func object(of members: [(key: String, value: String)], style: Int) -> String {
        let colon = style == 0 ? ":" : style == 1 ? ": " : " : "
        let comma = style == 0 ? "," : style == 1 ? ", " : " ,\t"
        return "{" + members.map { "\"\($0.key)\"\(colon)\($0.value)" }.joined(separator: comma) + "}"
    }

    private static func objects(seed: UInt64) -> [String] {
        var random = SeededGenerator(seed: seed)
        var members: [(key: String, value: String)] = []
        var style = Int.random(in: 0..<3, using: &random)
        // Not one alone: `{"logs":[]}` is a body without records, not a record.
        return (0..<Int.random(in: 2...12, using: &random)).map { _ in
            // Mostly the keys of the one before, sometimes one more, one less, or in another order.
            switch Int.random(in: 0..<8, using: &random) {
            case 0: members.append((keys.randomElement(using: &random) ?? "", ""))
            case 1 where !members.isEmpty: members.remove(at: Int.random(in: 0..<members.count, using: &random))
            case 2: members.shuffle(using: &random)
            case 3:
                members = (0..<Int.random(in: 0...7, using: &random)).map { _ in
                    (keys.randomElement(using: &random) ?? "", "")
                }
            default: break
            }
            for index in members.indices { members[index].value = values.randomElement(using: &random) ?? "1" }
            if Int.random(in: 0..<4, using: &random) == 0 { style = Int.random(in: 0..<3, using: &random) }
            return object(of: members, style: style)
        }
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 300, fresh: 100))
    func `an array holds the records that the same objects on lines are`(_ seed: UInt64) {
        let objects = Self.objects(seed: seed)
        let lines = decode(objects.joined(separator: "\n"), type: "application/x-ndjson")
        for body in [
            "[" + objects.joined(separator: ",") + "]", "{\"logs\": [ " + objects.joined(separator: " , ") + "\n]}",
        ] {
            let array = decode(body)
            #expect(array.records == lines.records, "LOGBOOM_TEST_SEED=\(seed)")
            // A body of lines of which none is usable is told apart from one with records that fail.
            if let summary = lines.summary { #expect(array.summary == summary, "LOGBOOM_TEST_SEED=\(seed)") }
        }
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 20, fresh: 10))
    func `an array cut anywhere leaves nothing behind`(_ seed: UInt64) {
        let body = Array(("[" + Self.objects(seed: seed).joined(separator: ",") + "]").utf8)
        for end in 1..<body.count {
            let decoded = decode(Array(body[..<end]))
            #expect(decoded.malformed != nil && decoded.records.isEmpty, "LOGBOOM_TEST_SEED=\(seed), cut at \(end)")
        }
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 60, fresh: 20))
    func `an array with any bytes changed is read only when it is JSON`(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed &+ 1)
        let whole = Array(("[" + Self.objects(seed: seed).joined(separator: ",") + "]").utf8)
        let bytes = Array("{}[],:\"\\ 1a-.".utf8)
        for _ in 0..<400 {
            var body = whole
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                let place = Int.random(in: 1..<body.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: body[place] = bytes.randomElement(using: &random) ?? 0x20
                case 1: body.insert(bytes.randomElement(using: &random) ?? 0x20, at: place)
                default: if body.count > 2 { body.remove(at: place) }
                }
            }
            let isJSON = body.withUnsafeBufferPointer { text in
                do throws(JSONSyntaxError) { try JSONValidator.validate(text) } catch { return false }
                return true
            }
            let text = String(decoding: body, as: UTF8.self)
            #expect((decode(body).malformed == nil) == isJSON, "LOGBOOM_TEST_SEED=\(seed) \(text.debugDescription)")
        }
    }

    @Test func `a mark too many behind a number is no end of a text`() {
        let long = "and enough text behind that words can be compared"
        let decoded = decode(#"[{"message":"a","level":"warn"},{"message":1","level":"warn","text":"\#(long)"}]"#)
        #expect(decoded.malformed != nil)
    }

    @Test(arguments: ["[", "{\"logs\":["])
    func `more records than are noted are all there, in their order`(_ opening: String) {
        // Five members each, so the notes are full in the middle of a record.
        let count = 9000
        let objects = (0..<count).map { #"{"a":1,"message":"text \#($0)","b":2,"level":"warn","c":\#($0)}"# }
        let decoded = decode(opening + objects.joined(separator: ",") + (opening == "[" ? "]" : "]}"))
        #expect(decoded.outcome == "\(count)/0")
        #expect(decoded.records.map(\.message) == (0..<count).map { "text \($0)" })
        #expect(decoded.records.enumerated().allSatisfy { $0.element.attributes["c"] == "\($0.offset)" })
    }

    @Test func `one object with more members than are noted is a record`() {
        let members = (0..<40_000).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        let decoded = decode(
            "[{\"message\":\"first\"},{" + members + ",\"message\":\"second\"},\"third\",{\"message\":\"fourth\"}]"
        )
        #expect(decoded.records.map(\.message) == ["first", "second", "third", "fourth"])
        #expect(decoded.records[1].attributes.count == RecordLimits.attributeCountMax)
        #expect(decoded.summary?.attributesDropped == 1)
    }

    @Test func `a key longer than can be noted is cut like any other`() {
        let long = String(repeating: "k", count: 70_000)
        let decoded = decode(#"[{"message":"a","\#(long)":1},{"message":"b","\#(long)":2,"level":"warn"}]"#)
        let cut = String(repeating: "k", count: RecordLimits.attributeKeyByteCountMax)
        #expect(decoded.records.map(\.attributes) == [[cut: "1"], [cut: "2"]])
        #expect(decoded.records.last?.severity == .warn)
    }

    @Test func `a broken record behind those that are noted breaks the whole body`() {
        let objects = Array(repeating: #"{"message":"x","a":1,"b":2}"#, count: 6000).joined(separator: ",")
        let decoded = decode("[" + objects + #",{"message":"y",}]"#)
        #expect(decoded.malformed?.offset == 1 + objects.utf8.count + 16)
        #expect(decoded.records.isEmpty)
    }

    @Test func `a text that looks like what stands between values stays a text`() {
        let body = #"""
            [{"level":"warn","message":"a"},{"level":"warn","message":"b"},{"level":"\",\"message\":\"c","message":"d"},
            {"level":"error","message":"\"},{\"level\":\"fatal\",\"message\":\"e"},{"level":"warn","message":"f\\"},
            {"level":"error","message":"g"},{"level":"error","message":"h and what follows has to be long enough to be looked at"}]
            """#
        let decoded = decode(body.replacing("\n", with: ""))
        #expect(
            decoded.records.map(\.message) == [
                "a", "b", "d", #""},{"level":"fatal","message":"e"#, #"f\"#, "g",
                "h and what follows has to be long enough to be looked at",
            ]
        )
        #expect(decoded.records.map(\.severity) == [.warn, .warn, nil, .error, .warn, .error, .error])
        #expect(decoded.records.dropFirst(2).first?.attributes == ["level": #"","message":"c"#])
    }

    @Test func `members that some objects lack, and values of other kinds, are where they belong`() {
        var objects: [String] = []
        for index in 0..<200 {
            var members = [#""timestamp":\#(1_772_000_000 + index)"#]
            if index % 3 != 0 { members.append(#""level":"warn""#) }
            members.append(#""message":\#(index % 5 == 0 ? "\(index)" : "\"text \(index)\"")"#)
            if index % 4 == 0 { members.append(#""latency_ms":\#(index % 8 == 0 ? "null" : "1.5")"#) }
            members.append(#""user":{"id":\#(index)}"#)
            objects.append("{" + members.joined(separator: index % 7 == 0 ? ", " : ",") + "}")
        }
        let decoded = decode("[" + objects.joined(separator: ",\n") + "]")
        #expect(decoded.outcome == "200/0")
        for (index, record) in decoded.records.enumerated() {
            #expect(record.message == (index % 5 == 0 ? "\(index)" : "text \(index)"))
            #expect(record.severity == (index % 3 == 0 ? nil : .warn))
            #expect(record.latency == (index % 4 == 0 && index % 8 != 0 ? 1.5 : nil))
            #expect(record.attributes["user.id"] == "\(index)")
        }
    }

    @Test func `the last of two arrays named logs is the batch`() {
        let decoded = decode(#"{"logs":[{"message":"a"},{"message":"b"}],"logs":[{"message":"c"}]}"#)
        #expect(decoded.records.map(\.message) == ["c"])
    }
}
