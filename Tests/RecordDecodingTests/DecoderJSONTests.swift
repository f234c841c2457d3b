import Foundation
import LogModel
import PipelineTesting
import RecordDecoding
import Testing

/// What JSON leaves open, or senders get wrong, has one answer each: the table of docs/formats/http.md. And what is plain JSON is
/// read as Foundation reads it.
@Suite struct DecoderJSONTests {
    @Test(arguments: [
        // Text.
        (#"{"message":"a \ud83d b"}"#, "1/0"), (#"{"message":"a \ude00\ud83d b"}"#, "1/0"),
        (#"{"message":"a\u0000b"}"#, "1/0"),
        ("{\"message\":\"a\u{1}b\"}", "malformed at 13"), ("{\"message\":\"a\nb\"}", "malformed at 13"),
        (#"{"message":"\x"}"#, "malformed at 12"), (#"{"message":"\u12"}"#, "malformed at 12"),
        // Values that are none.
        (#"{"message":NaN}"#, "malformed at 11"), (#"{"message":Infinity}"#, "malformed at 11"),
        (#"{"message":-Infinity}"#, "malformed at 12"), (#"{"message":+1}"#, "malformed at 11"),
        (#"{"message":01}"#, "malformed at 12"), (#"{"message":.5}"#, "malformed at 11"),
        (#"{"message":1.}"#, "malformed at 13"), (#"{"message":'a'}"#, "malformed at 11"),
        (#"{"message":"a",}"#, "malformed at 15"), (#"[{"message":"a"},]"#, "malformed at 17"),
        (#"{"message":"a"/**/}"#, "malformed at 14"), (#"{message:"a"}"#, "malformed at 1"),
    ])
    func `what is no JSON is refused where it goes wrong, and odd text is not`(_ body: String, _ outcome: String) {
        #expect(decode(body).outcome == outcome)
        // As a line it costs itself.
        guard outcome != "1/0", !body.contains("\n"), body.first == "{" else { return }
        #expect(decode("\(body)\n{\"message\":\"next\"}", type: "application/x-ndjson").outcome == "1/1")
    }

    @Test func `a lone surrogate is the replacement character, and NUL stays until it is stored`() {
        #expect(soleRecord(#"{"message":"a\ud83db"}"#)?.message == "a\u{FFFD}b")
        #expect(soleRecord(#"{"message":"a\ud83d\ude00b"}"#)?.message == "a\u{1F600}b")
        #expect(soleRecord(#"{"message":"a\u0000b"}"#)?.message == "a\0b")
    }

    @Test func `of a name that stands twice the last is the field, and attributes are both kept`() {
        let body = #"{"message":"a","message":"b","level":"info","level":"error","k":1,"k":2}"#
        var keys: [String] = []
        let decoder = BodyDecoder()
        var text = body
        text.withUTF8 { view in
            _ = decoder.decode(view, contentType: nil, rules: RecordRules()) { record in
                keys = record.attributes.map { String(decoding: $0.value, as: UTF8.self) }
                return nil
            }
        }
        #expect(soleRecord(body)?.message == "b")
        #expect(soleRecord(body)?.severity == .error)
        #expect(keys == ["1", "2"])
    }

    @Test(arguments: [64, 65, 5000])
    func `nesting is read to 64 levels and refused at the next bracket`(_ depth: Int) {
        // The object around it is a level itself.
        let value = String(repeating: "[", count: depth - 1) + String(repeating: "]", count: depth - 1)
        let outcome = decode(#"{"message":"m","a":\#(value)}"#).outcome
        #expect(outcome == (depth == 64 ? "1/0" : "malformed at \(19 + 63)"))
        let line = decode("{\"message\":\"n\"}\n{\"message\":\"m\",\"a\":\(value)}\n", type: "application/x-ndjson")
        #expect(line.outcome == (depth == 64 ? "2/0" : "1/1"))
    }

    @Test(arguments: [
        "1e400", "-1e400", "123456789012345678901234567890", "0.1234567890123456789012345678901234567890", "1e-400",
        "-0",
        String(repeating: "9", count: 900),
    ])
    func `a number of any size is kept as it is written`(_ number: String) {
        let record = soleRecord(#"{"message":\#(number),"a":\#(number)}"#)
        #expect(record?.message == number)
        #expect(record?.attributes == ["a": number])
        // As a time or a latency it counts when it can be one, and is an attribute otherwise; never an error.
        let fields = soleRecord(#"{"message":"m","timestamp":\#(number),"latency_ms":\#(number)}"#)
        #expect(fields?.latency != nil || fields?.attributes["latency_ms"] == number)
        #expect(fields?.timestamp != nil || fields?.attributes["timestamp"] == number)
        #expect(fields?.latency?.isFinite != false)
    }

    // MARK: Against Foundation

    private func randomText(_ random: inout SeededGenerator) -> String {
        let pieces = [
            "a", "User 7", " ", "é", "\u{1F600}", "\\n", "\\t", "\\\"", "\\\\", "\\/", "\\u00e9", "\\u4e2d",
            "\\ud83d\\ude00",
            "\\u0041", "{", "]", ",", ":", "'", "\u{7F}", "\u{2028}",
        ]
        return (0..<Int.random(in: 0...9, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
            .joined()
    }

    @Test func `records of generated and mutated bodies are those that Foundation reads`() throws {
        var random = SeededGenerator(of: "decoder against Foundation")
        let decoder = BodyDecoder()
        let alphabet = Array("{}[]\",:\\u09 \nnte".utf8)
        var compared = 0
        for _ in 0..<4000 {
            let records = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                #"{"message":"m\#(randomText(&random))","source":"s\#(randomText(&random))","k":"\#(randomText(&random))"}"#
            }
            var body = Array("[\(records.joined(separator: " ,"))]".utf8)
            if Bool.random(using: &random) {
                body[Int.random(in: 0..<body.count, using: &random)] = alphabet.randomElement(using: &random) ?? 0
            }
            let decoded = decode(body, using: decoder)
            let reference = try? JSONSerialization.jsonObject(with: Data(body)) as? [Any]
            let text = String(decoding: body, as: UTF8.self)
            // Foundation refuses bytes that are no UTF-8 and lone surrogates, and takes a comma before a bracket.
            guard let reference, decoded.malformed == nil else {
                let isComma = decoded.malformed.map { [0x7D, 0x5D].contains(body[$0.offset...].first) } ?? false
                let isKnown = String(validating: body, as: UTF8.self) == nil || text.contains("\\ud") || isComma
                #expect((reference == nil) == (decoded.malformed != nil) || isKnown, "\(text)")
                continue
            }
            // Only what both call records, with each name once.
            let objects = reference.compactMap { $0 as? [String: String] }
            guard objects.count == reference.count, objects.allSatisfy({ Set($0.keys) == ["message", "source", "k"] })
            else {
                continue
            }
            guard decoded.records.count == objects.count else { continue }
            for (record, object) in zip(decoded.records, objects) where record.source.utf8.count < 250 {
                #expect(record.message == object["message"], "\(text)")
                #expect(
                    record.source == object["source"] || object["source"]?.contains { $0 > " " } == false,
                    "\(text)"
                )
                #expect(record.attributes["k"] == object["k"], "\(text)")
            }
            compared += 1
        }
        #expect(compared > 1500)
    }
}
