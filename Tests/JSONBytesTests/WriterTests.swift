import Foundation
import JSONBytes
import PipelineTesting
import Testing

@Suite struct WriterTests {
    private func written(_ body: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        body(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func written(bytes: [UInt8]) -> [UInt8] {
        var writer = JSONWriter()
        bytes.withUnsafeBufferPointer { writer.string(bytes: $0) }
        return writer.bytes
    }

    @Test func `commas stand between members and elements and nowhere else`() {
        let text = written { writer in
            writer.beginObject()
            writer.key("a")
            writer.integer(1)
            writer.key("b")
            writer.beginArray()
            writer.beginObject()
            writer.endObject()
            writer.beginArray()
            writer.endArray()
            writer.null()
            writer.bool(true)
            writer.endArray()
            writer.key(text: "c\"")
            writer.string("d")
            writer.key("e")
            writer.raw(Array("[1, 2]".utf8))
            writer.key("f")
            writer.string(static: "s")
            writer.endObject()
        }
        #expect(text == #"{"a":1,"b":[{},[],null,true],"c\"":"d","e":[1, 2],"f":"s"}"#)
    }

    @Test func `lines of NDJSON begin without a comma`() {
        let text = written { writer in
            for index in 0..<2 {
                writer.beginObject()
                writer.key("n")
                writer.integer(index)
                writer.endObject()
                writer.endLine()
            }
        }
        #expect(text == "{\"n\":0}\n{\"n\":1}\n")
    }

    @Test(arguments: [
        ("", ""), ("a\"b\\c", #"a\"b\\c"#), ("\n\r\t\u{8}\u{C}", #"\n\r\t\b\f"#), ("\u{1}\u{1F}", #"\u0001\u001f"#),
        ("</script><!-- <ID>", #"\u003c/script>\u003c!-- <ID>"#), ("a\u{2028}b\u{2029}", #"a\u2028b\u2029"#),
        ("a\0b", "a\u{FFFD}b"),
        ("é€😀\u{7F}", "é€😀\u{7F}"), ("\u{202A}\u{2027}", "\u{202A}\u{2027}"),
    ])
    func `strings are escaped so that a page may hold them`(_ text: String, _ expected: String) {
        #expect(written { $0.string(text) } == "\"\(expected)\"")
    }

    @Test func `invalid UTF-8 is replaced as the standard library does`() {
        var random = SeededGenerator(of: "invalid UTF-8")
        let leads: [UInt8] = [
            0x41, 0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF, 0x9F, 0xA0, 0x90,
        ]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...12, using: &random)).map { _ in leads.randomElement(using: &random) ?? 0
            }
            let expected = "\"" + String(decoding: bytes, as: UTF8.self) + "\""
            #expect(String(decoding: written(bytes: bytes), as: UTF8.self) == expected, "\(bytes)")
        }
    }

    @Test func `whatever bytes go in, Foundation reads the output`() throws {
        var random = SeededGenerator(of: "writer")
        for _ in 0..<5_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...(Bool.random(using: &random) ? 0x7F : 0xFF), using: &random)
            }
            let output = written(bytes: bytes)
            let read = try JSONSerialization.jsonObject(with: Data(output), options: .fragmentsAllowed) as? String
            // By scalars: Foundation's search would miss a NUL that carries a combining mark.
            let expected = String(decoding: bytes, as: UTF8.self).unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : $0 }
            #expect(read.map { Array($0.unicodeScalars) } == expected, "\(bytes)")
            for index in output.indices.dropLast() where output[index] == 0x3C {
                #expect(output[index + 1] != UInt8(ascii: "/") && output[index + 1] != UInt8(ascii: "!"))
            }
            #expect(validationError(output) == nil)
        }
    }

    @Test func `numbers keep their value and what is no number becomes null`() {
        #expect(written { $0.integer(Int.min) } == "-9223372036854775808")
        #expect(written { $0.integer(UInt64.max) } == "18446744073709551615")
        #expect(written { $0.integer(0) } == "0")
        #expect(written { $0.number(0.1) } == "0.1")
        #expect(written { $0.number(-1e300) } == "-1e+300")
        for value in [Double.nan, .infinity, -.infinity] {
            #expect(written { $0.number(value) } == "null")
        }
    }

    @Test func `a writer that was reset writes the same again`() {
        var writer = JSONWriter()
        writer.beginArray()
        writer.integer(1)
        writer.reset()
        writer.integer(2)
        #expect(writer.bytes == Array("2".utf8))
    }
}
