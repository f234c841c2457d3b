import JSONBytes
import PipelineTesting
import Testing

@Suite struct TextTests {
    private func unescape(_ raw: String, room: Int? = nil) -> (bytes: [UInt8], isComplete: Bool) {
        var output = [UInt8](repeating: 0xAA, count: room ?? raw.utf8.count)
        let bytes = Array(raw.utf8)
        let (count, isComplete) = bytes.withUnsafeBufferPointer { source in
            output.withUnsafeMutableBufferPointer { JSONText.unescape(source, into: $0) }
        }
        return (Array(output[..<count]), isComplete)
    }

    @Test(arguments: [
        ("", ""), ("abc", "abc"), (#"\""#, "\""), (#"a\\b\/c"#, "a\\b/c"), (#"\b\f\n\r\t"#, "\u{8}\u{C}\n\r\t"),
        (#"\u0041\u00e9\u20AC"#, "Aé€"), (#"\ud83d\ude00"#, "😀"), (#"\u0000"#, "\0"), (#"\uffff"#, "\u{FFFF}"),
        (#"\ud83d"#, "\u{FFFD}"), (#"\ude00"#, "\u{FFFD}"), (#"\ud83dx"#, "\u{FFFD}x"), (#"\ud83d\n"#, "\u{FFFD}\n"),
        (#"\ud83d\ud83d\ude00"#, "\u{FFFD}😀"), (#"\ude00\ud83d"#, "\u{FFFD}\u{FFFD}"), (#"\ud83d\u0041"#, "\u{FFFD}A"),
        (#"0123456789abcdef\n0123456789abcdef"#, "0123456789abcdef\n0123456789abcdef"), (#"\ud800\udc00"#, "\u{10000}"),
        (#"\udbff\udfff"#, "\u{10FFFF}"),
    ])
    func `escapes give what they stand for, lone surrogates the replacement character`(_ raw: String, _ text: String) {
        let result = unescape(raw)
        #expect(String(decoding: result.bytes, as: UTF8.self) == text)
        #expect(result.isComplete)
    }

    @Test func `a cut falls between scalars at every length`() {
        let raw = #"aé€😀\u20ac\ud83d\ude00\n-\ud83d"#
        let whole = unescape(raw).bytes
        for room in 0...whole.count {
            let result = unescape(raw, room: room)
            #expect(result.isComplete == (room == whole.count))
            #expect(Array(whole[..<result.bytes.count]) == result.bytes)
            #expect(room - result.bytes.count < 4)
            #expect(!String(decoding: result.bytes, as: UTF8.self).dropLast().contains("\u{FFFD}"))
        }
    }

    @Test func `cutting bytes that are no UTF-8 keeps all that fit`() {
        let bytes = [UInt8](repeating: 0x80, count: 20)
        bytes.withUnsafeBufferPointer {
            #expect(JSONText.cut($0, byteCountMax: 10).count == 10)
            #expect(JSONText.cut($0, byteCountMax: 20).count == 20)
            #expect(JSONText.cut($0, byteCountMax: 0).count == 0)
        }
    }

    @Test(arguments: [
        "0", "-0", "1", "-17", "0.05", "1e3", "1.5E-7", "123456789012345", "0.1", "2.2250738585072014e-308",
        "1.7976931348623157e308", "9007199254740993", "12345678901234567890", "1e22", "1e23", "0.000001", "100e-2",
        "5e-324",
    ])
    func `numbers are read as the standard library reads them`(_ text: String) throws {
        let value = Array(text.utf8).withUnsafeBufferPointer { JSONText.double($0) }
        let reference = try #require(Double(text))
        #expect(value?.bitPattern == reference.bitPattern)
    }

    @Test func `random numbers are read to the last bit`() throws {
        var random = SeededGenerator(of: "numbers")
        for _ in 0..<20_000 {
            let double = Double(bitPattern: random.next())
            let digits = Int(random.next() % 16)
            let text =
                random.next() % 2 == 0 && double.isFinite
                ? double.description : "\(random.next() % 1_000_000_000).\(random.next() % 1000)e\(digits - 8)"
            let value = Array(text.utf8).withUnsafeBufferPointer { JSONText.double($0) }
            #expect(value?.bitPattern == Double(text)?.bitPattern, "\(text)")
        }
    }

    @Test(arguments: ["", "-", "a", "1a", "1 ", " 1", "0x10", "1e999", "-1e999", "nan", "inf", "01", "1.", "+1", "1e"])
    func `what is no JSON number is none`(_ text: String) {
        #expect(Array(text.utf8).withUnsafeBufferPointer { JSONText.double($0) } == nil)
    }
}
