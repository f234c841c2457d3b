import LogModel
import Patterns
import PipelineTesting
import Testing

/// The template of one structured message, `nil` when it is ordinary text.
private func shape(_ text: String, style: PlaceholderStyle = .angle) -> String? {
    var reader = StructuredReader(style: style)
    return reader.template(of: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
}

/// A structured message reader and the masker it needs.
private struct StructuredReader: ~Copyable {
    var structured: StructuredMessage
    var normalizer: Normalizer

    init(style: PlaceholderStyle) {
        structured = StructuredMessage(style: style)
        normalizer = Normalizer(style: style)
    }

    /// The input sits in a block of exactly its size, so that a sanitizer would notice a read past its end.
    mutating func template(of bytes: [UInt8]) -> [UInt8]? {
        let exact = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        defer { exact.deallocate() }
        _ = exact.initialize(from: bytes)
        return structured.template(of: UnsafeBufferPointer(exact), normalizer: &normalizer).map(Array.init)
    }
}

@Suite struct StructuredMessageExampleTests {
    static let json: [(String, String)] = [
        (#"{"level":"info","user":"bob","ms":12}"#, #"{"level":"info","user":<STRING>,"ms":<NUM>}"#),
        (#"{ "level" : "info" , "user":"bob" }  "#, #"{"level":"info","user":<STRING>}"#),
        (
            #"{"level":30,"time":1700000000123,"pid":812,"hostname":"pi","msg":"user 123 logged in"}"#,
            #"{"level":30,"time":<NUM>,"pid":<NUM>,"hostname":<STRING>,"msg":"user <ID> logged in"}"#
        ),
        (#"{"ok":true,"off":false,"none":null}"#, #"{"ok":<BOOL>,"off":<BOOL>,"none":null}"#),
        (#"{"a":-1.5e-7,"b":NaN,"c":-Infinity}"#, #"{"a":<NUM>,"b":<NUM>,"c":<NUM>}"#),
        (#"{"list":[1,"]",{"x":"[\"}"}],"b":[]}"#, #"{"list":[<...>],"b":[<...>]}"#),
        (#"{"a":{"b":{"c":{"d":{"e":1}}}}}"#, #"{"a":{"b":{"c":{"d":{<...>}}}}}"#),
        (#"{"a":{"b":{"c":{"d":1}}}}"#, #"{"a":{"b":{"c":{"d":<NUM>}}}}"#),
        ("{}", "{}"),
        ("[]", "[<...>]"),
        ("[1, 2.5, null]", "[<...>]"),
        (#"[{"id":1,"n":"x"},{"id":2}]"#, #"[{"id":<NUM>,"n":<STRING>},<...>]"#),
        (#"[{"id":1,"n":"x"}]"#, #"[{"id":<NUM>,"n":<STRING>},<...>]"#),
        // Sensors: the names that people chose stay.
        (
            #"{"co2":812,"pm2_5":3.1,"p95":7,"sha256":"ab"}"#,
            #"{"co2":<NUM>,"pm2_5":<NUM>,"p95":<NUM>,"sha256":<STRING>}"#
        ),
        // Devices: the names that machines made do not, and their number does not matter.
        (
            #"{"0x00158d0001a2b3c4":{"linkquality":120},"0x00158d0001a2b3c5":{"linkquality":9},"state":"ON"}"#,
            #"{"<ID>":{"linkquality":<NUM>},"state":"ON"}"#
        ),
        (#"{"17":1,"18":2,"19":3}"#, #"{"<ID>":<NUM>}"#),
        (#"{"550e8400-e29b-41d4-a716-446655440000":1}"#, #"{"<ID>":<NUM>}"#),
        // What says which statement it was stays, also under a longer key.
        (
            #"{"log.level":"WARN","event_type":"login","method":"GET"}"#,
            #"{"log.level":"WARN","event_type":"login","method":"GET"}"#
        ),
        (#"{"type":"a long sentence that is no member of any enumeration at all"}"#, #"{"type":<STRING>}"#),
        (#"{"error":"open /var/lib/x.db: permission denied"}"#, #"{"error":"open <PATH>: permission denied"}"#),
        (#"{"message":"said \"hi\" 5 times"}"#, #"{"message":"said \"hi\" <NUM> times"}"#),
        (#"{"msg":""}"#, #"{"msg":""}"#),
    ]

    @Test(arguments: json)
    func `a JSON message becomes a template of its keys`(message: String, expected: String) {
        #expect(shape(message) == expected)
    }

    @Test(arguments: [
        (
            #"level=info msg="user 5 logged in" user=bob ok=true n=5"#,
            #"level=info msg="user <ID> logged in" user=<STRING> ok=<BOOL> n=<NUM>"#
        ),
        (
            #"ts=2026-03-01T00:00:00Z level=warn component=tsdb err="open /var/x: no such file" addr="10.0.0.1:80""#,
            #"ts=<TIME> level=warn component=tsdb err="open <PATH>: no such file" addr=<IP>"#
        ),
        ("a=1, b=two; c=", "a=<NUM>, b=<STRING>; c="),
        ("a=1   b=2\tc=3", "a=<NUM> b=<NUM> c=<NUM>"),
        (
            "at=info method=GET path=\"/api/v1/x\" status=200 bytes=1534",
            "at=<STRING> method=GET path=<PATH> status=<NUM> bytes=<NUM>"
        ),
        (#"level=info msg="never closed"#, nil),
        (#"level=info user=bob msg="never closed"#, "level=info user=<STRING> <MORE>"),
    ])
    func `a logfmt message becomes a template of its keys`(message: String, expected: String?) {
        #expect(shape(message) == expected)
    }

    @Test(arguments: [
        (
            #"MQTT publish: topic zigbee, payload {"brightness":254,"state":"ON"}"#,
            #"MQTT publish: topic zigbee, payload {"brightness":<NUM>,"state":"ON"}"#
        ),
        (#"took 5 items: {"a":1}"#, #"took <NUM> items: {"a":<NUM>}"#),
    ])
    func `a JSON object may end an ordinary message`(message: String, expected: String) {
        #expect(shape(message) == expected)
    }

    @Test(arguments: [
        "", "{", "[", "a", "{}x", "User 123 logged in", "[12345.678901] usb 1-1: new device", "[main] INFO started",
        "[error] x",
        "[4711]", "[12:00:00]", "[1", "[1,", "[\"a", "{'a': 1}", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a", "{\"type\":\"x\"} and more text", "{\"a\":1}\n{\"b\":2}", "{\"a\":truth}", "{\"a\":+}", "{ID}",
        "{ID} went away",
        "a=1 is the answer to the question", "size=5 bytes freed", "key = value other = thing", "x=1", "=1 =2",
        "1=2 3=4",
        "Failed password for root from 10.0.0.1 port 22 ssh2", "for (i=0; i<5; i++) {}", "payload {\"a\":1} sent",
        "open {\"a\":}", "http://x/?a=b c=d", "{\u{0}}",
    ])
    func `ordinary text is left alone`(message: String) {
        #expect(shape(message) == nil)
    }

    @Test func `the style of the placeholders is the one asked for`() {
        let message = #"{"level":"info","user":"bob","ms":12,"l":[1],"msg":"5 items"}"#
        let expected = #"{"level":"info","user":{STRING},"ms":{NUM},"l":[{...}],"msg":"{NUM} items"}"#
        #expect(shape(message, style: .braces) == expected)
        #expect(shape(expected, style: .braces) == expected)
        #expect(shape("a=1 b=x", style: .braces) == "a={NUM} b={STRING}")
    }

    @Test func `compact JSON does not give a pattern a line`() {
        var templates: Set<String> = []
        for index in 0..<500 {
            let line =
                #"{"ts":"2026-03-01T12:00:\#(index % 60)Z","level":"info","device":"lamp-\#(index)","rssi":-\#(index % 90),"on":\#(index % 2 == 0)}"#
            templates.insert(shape(line) ?? line)
        }
        #expect(templates.count == 1)
    }
}

@Suite struct StructuredMessageBoundTests {
    @Test func `JSON cut anywhere keeps its complete members and says that there is more`() {
        let text = #"{"level":"info","n":12,"o":{"p":true,"q":"x"},"msg":"done in 5 s","l":[1,{"a":2}],"z":null}"#
        let bytes = Array(text.utf8)
        var reader = StructuredReader(style: .angle)
        for length in 0..<bytes.count {
            let cut = Array(bytes.prefix(length))
            guard let template = reader.template(of: cut) else {
                // Nothing to tell it from text before the first key is complete.
                #expect(length <= #"{"level":"#.utf8.count, "\(length)")
                continue
            }
            let shown = String(decoding: template, as: UTF8.self)
            #expect(shown.hasSuffix("<MORE>"), "\(shown)")
            #expect(reader.template(of: template) == template, "\(shown)")
        }
        #expect(shape(String(text.prefix(40))) == #"{"level":"info","n":<NUM>,"o":{"p":<BOOL><MORE>"#)
    }

    @Test func `a message longer than what is looked at ends in MORE`() {
        let long = #"{"level":"info","blob":""# + String(repeating: "x", count: 20_000) + #"","z":1}"#
        #expect(shape(long) == #"{"level":"info"<MORE>"#)
        let pairs = (0..<4000).map { "k=\($0)" }.joined(separator: " ")
        #expect(shape(pairs)?.hasSuffix(" <MORE>") == true)
    }

    @Test func `many keys end in MORE within the bound`() {
        var letters: [String] = []
        for first in "abcdefghijklmnopqrst" {
            for second in "abcdefghijklmnopqrst" { letters.append("key\(first)\(second)") }
        }
        let text = "{" + letters.map { "\"\($0)\":\"v\"" }.joined(separator: ",") + "}"
        let template = shape(text) ?? ""
        #expect(template.utf8.count <= StructuredMessage.templateByteCountMax)
        #expect(template.utf8.count > StructuredMessage.templateByteCountMax - 40)
        #expect(template.hasSuffix("<MORE>"))
        #expect(shape(template) == template)
    }

    @Test func `a long text is cut at a word and the keys behind it stay`() {
        let text = #"{"msg":""# + String(repeating: "word ", count: 500) + #"","user":"bob"}"#
        let template = shape(text) ?? ""
        #expect(template.hasSuffix(#"word<MORE>","user":<STRING>}"#))
        #expect(shape(template) == template)
    }

    @Test(arguments: ["{", "[", "{\"a\":", "[[", "{\"a\":{", "\"", "{\"a\":[", "a=", "a=\"", "{\"a\":1,", "k=v "])
    func `a hundred kilobytes of one form end in time and within the bound`(unit: String) {
        let message = Array(String(repeating: unit, count: 100_000 / unit.utf8.count).utf8)
        var reader = StructuredReader(style: .angle)
        if let template = reader.template(of: message) {
            #expect(template.count <= StructuredMessage.templateByteCountMax)
            #expect(reader.template(of: template) == template)
        }
    }
}

@Suite struct StructuredMessagePropertyTests {
    /// Makes JSON and logfmt of every shape, mutated as often as not.
    private struct Messages {
        var hostile: HostileMessages

        init(seed: UInt64) {
            hostile = HostileMessages(seed: seed, corpus: [])
        }

        mutating func next() -> [UInt8] {
            var bytes: [UInt8]
            switch pick(6) {
            case 0: return hostile.next()
            case 1: bytes = pairs()
            case 2: bytes = Array("payload ".utf8) + object(depth: 0)
            case 3: bytes = Array("[".utf8) + object(depth: 0) + Array(",1]".utf8)
            default: bytes = object(depth: 0)
            }
            if pick(3) == 0, !bytes.isEmpty {
                for _ in 0...pick(3) where !bytes.isEmpty {
                    let index = pick(bytes.count)
                    switch pick(4) {
                    case 0: bytes.removeSubrange(index...)
                    case 1: bytes.remove(at: index)
                    case 2: bytes.insert(Array("{}[]\",:<>=\\ .M0e".utf8)[pick(16)], at: index)
                    default: bytes[index] = UInt8(truncatingIfNeeded: pick(256))
                    }
                }
            }
            return bytes
        }

        private mutating func pick(_ count: Int) -> Int { Int.random(in: 0..<count, using: &hostile.generator) }

        private mutating func key() -> String {
            let names = [
                "level", "msg", "user", "error", "type", "a", "b.message", "co2", "0x00158d", "17", "<ID>", "{ID}", "",
                "a b",
                "x/y", "logger", "\\u0041", "ключ", "code", String(repeating: "k", count: 70),
            ]
            return names[pick(names.count)]
        }

        private mutating func text() -> String {
            var result = ""
            for _ in 0..<pick(6) {
                result += HostileMessages.pieces[pick(HostileMessages.pieces.count)]
                if pick(2) == 0 { result += " " }
            }
            if pick(12) == 0 { result += String(repeating: "long text ", count: 60) }
            return result.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        }

        private mutating func value(depth: Int) -> [UInt8] {
            switch pick(10) {
            case 0: Array("true".utf8)
            case 1: Array("null".utf8)
            case 2: Array("[1,\"x\",{\"a\":[]}]".utf8)
            case 3, 4: Array("\(pick(100_000))".utf8)
            case 5: Array("-1.5e3".utf8)
            case 6 where depth < 6: object(depth: depth + 1)
            case 7: Array("<NUM>".utf8)
            default: Array("\"\(text())\"".utf8)
            }
        }

        private mutating func object(depth: Int) -> [UInt8] {
            var result = Array("{".utf8)
            for index in 0..<pick(pick(8) == 0 ? 40 : 6) {
                if index > 0 { result.append(UInt8(ascii: ",")) }
                result += Array("\"\(key())\":".utf8) + value(depth: depth)
                if pick(4) == 0 { result.append(UInt8(ascii: " ")) }
            }
            return result + Array("}".utf8)
        }

        private mutating func pairs() -> [UInt8] {
            let names = ["level", "msg", "user", "err", "ts", "caller", "k-1", "a.b"]
            return (0...pick(pick(8) == 0 ? 60 : 6)).map { _ in
                switch pick(6) {
                case 0: HostileMessages.pieces[pick(HostileMessages.pieces.count)]
                case 1: "\(names[pick(names.count)])=\"\(text())\""
                default: "\(names[pick(names.count)])=\(HostileMessages.pieces[pick(HostileMessages.pieces.count)])"
                }
            }.joined(separator: " ").utf8.map { $0 }
        }
    }

    @Test(arguments: [PlaceholderStyle.angle, .braces])
    func `the template of a template is the same, whatever the bytes`(style: PlaceholderStyle) {
        let seed = SeededGenerator.seed(of: "structured, \(style)")
        var messages = Messages(seed: seed)
        var reader = StructuredReader(style: style)
        var structured = 0
        var shortest: (message: [UInt8], once: [UInt8], twice: [UInt8])?
        for _ in 0..<40_000 {
            let message = messages.next()
            guard let once = reader.template(of: message) else { continue }
            structured += 1
            #expect(once.count <= StructuredMessage.templateByteCountMax, "seed \(seed)")
            let twice = reader.template(of: once) ?? []
            if once != twice, message.count < shortest?.message.count ?? .max { shortest = (message, once, twice) }
        }
        #expect(structured > 10_000)
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

    @Test func `a template does not depend on earlier messages`() {
        let seed = SeededGenerator.seed(of: "structured, memory")
        var messages = Messages(seed: seed)
        var used = StructuredReader(style: .angle)
        for round in 0..<4_000 {
            let message = messages.next()
            let result = used.template(of: message)
            if round % 8 == 0 {
                var fresh = StructuredReader(style: .angle)
                #expect(result == fresh.template(of: message), "seed \(seed), round \(round)")
            }
        }
    }
}
