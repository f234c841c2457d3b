import JSONBytes
import Testing

@Suite struct CursorTests {
    @Test(arguments: [
        "0", "-0", "1", "-12", "1.5", "0.5e3", "1E+2", "1e-2", "true", "false", "null", "\"\"", "\"a\"", "{}", "[]",
        " [ ] ", "\t{\r\n}\n", "[1,2]", "{\"a\":1}", "{\"a\":{\"b\":[null,true]}}", "{\"a\":1,\"a\":2}",
        "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\u0000\"", "\"\\\\\"", "[[],{},[{}]]", "1e400",
    ])
    func `what the grammar allows is accepted`(_ text: String) {
        #expect(validationError(text) == nil)
        #expect((try? walk(Array(text.utf8)).get()) != nil)
    }

    @Test(arguments: [
        ("", 0), (" ", 1), ("{", 1), ("[", 1), ("]", 0), ("{]", 1), ("[}", 1), ("[1,]", 3), ("[,1]", 1), ("[1 2]", 3),
        ("{\"a\"}", 4), ("{\"a\":}", 5), ("{\"a\":1,}", 7), ("{a:1}", 1), ("{'a':1}", 1), ("{\"a\":1 \"b\":2}", 7),
        ("01", 1), ("-01", 2), ("-", 1), ("+1", 0), (".5", 0), ("1.", 2), ("1.e1", 2), ("1e", 2), ("1e+", 3),
        ("0x1", 1),
        ("NaN", 0), ("Infinity", 0), ("-Infinity", 1), ("nul", 0), ("True", 0), ("1 1", 2), ("{}{}", 2), ("[]]", 2),
        ("\"", 1), ("\"a", 2), ("\"\\", 2), ("\"\\x\"", 1), ("\"\\u12\"", 1), ("\"\\u12g4\"", 1), ("\"a\nb\"", 2),
        ("\"0123456789\u{1}\"", 11), ("\u{FEFF}1", 0), ("// c\n1", 0), ("[1]//", 3), ("\u{0B}1", 0), ("{\"a\":1]", 6),
    ])
    func `what the grammar forbids is refused at the byte where it goes wrong`(_ text: String, _ offset: Int) {
        #expect(validationError(text)?.offset == offset)
        guard case .failure(let error) = walk(Array(text.utf8)) else {
            Issue.record("the pull reader accepted it")
            return
        }
        #expect(error.offset == offset)
    }

    @Test func `64 levels are read and the 65th is refused by name`() {
        let fits = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(validationError(fits) == nil)
        for opening in ["[", "{\"a\":"] {
            let deep = String(repeating: opening, count: 65)
            #expect(
                validationError(deep)
                    == JSONSyntaxError(offset: 64 * opening.utf8.count, reason: "nested deeper than 64")
            )
            guard case .failure(let error) = walk(Array(deep.utf8)) else {
                Issue.record("accepted")
                return
            }
            #expect(error.reason.description == "nested deeper than 64")
        }
        #expect(validationError(String(repeating: "[", count: 5000))?.offset == 64)
    }

    @Test func `depth counts open containers and not those that ended`() {
        #expect(validationError("[" + String(repeating: "[],{},", count: 500) + "1]") == nil)
    }

    @Test func `a container read as one value counts the levels around it`() {
        let inner = String(repeating: "[", count: 63) + String(repeating: "]", count: 63)
        for (text, fits) in [("[\(inner)]", true), ("[[\(inner)]]", false)] {
            let bytes = Array(text.utf8)
            bytes.withUnsafeBufferPointer { view in
                var cursor = JSONCursor(view)
                do throws(JSONSyntaxError) {
                    try cursor.enterArray()
                    while try cursor.nextElement() { _ = try cursor.value() }
                    #expect(fits)
                } catch {
                    #expect(!fits)
                    #expect(error.reason.description == "nested deeper than 64")
                }
            }
        }
    }

    @Test func `every byte that is no UTF-8 may stand in a string`() {
        for byte in UInt8(0x80)...0xFF {
            #expect(validationError([0x22, byte, 0x22]) == nil)
        }
        for byte in UInt8(0)..<0x20 {
            #expect(validationError([0x22, byte, 0x22])?.offset == 1)
        }
    }

    @Test func `a stop is found at every place in a word`() {
        for length in 0..<40 {
            for stop in [UInt8(0x22), 0x0A, 0x5C] {
                let bytes = [0x22] + [UInt8](repeating: 0xFF, count: length) + [stop]
                let error = validationError(bytes)
                switch stop {
                case 0x22: #expect(error == nil)
                case 0x0A: #expect(error?.offset == length + 1)
                default: #expect(error?.offset == length + 2)
                }
            }
        }
    }

    @Test func `items are views into the text`() throws {
        let text = Array(#"{"plain":"abc","esc\u0061ped":"a\nb","n":-1.5e3,"o":{"x":[1]},"t":true,"z":null}"#.utf8)
        var seen: [(String, JSONKind, String)] = []
        try text.withUnsafeBufferPointer { view in
            var cursor = JSONCursor(view)
            try cursor.enterObject()
            while let key = try cursor.nextKey() {
                let item = try cursor.value()
                seen.append((JSONText.string(key), item.kind, JSONText.string(item)))
            }
            try cursor.finish()
            #expect(cursor.offset == view.count)
        }
        #expect(seen.map(\.0) == ["plain", "escaped", "n", "o", "t", "z"])
        #expect(seen.map(\.1) == [.string, .string, .number, .object, .bool, .null])
        #expect(seen.map(\.2) == ["abc", "a\nb", "-1.5e3", "{\"x\":[1]}", "true", "null"])
    }

    @Test func `an error describes itself without the text`() {
        let error = validationError("{\"secret\":x}")
        #expect(error?.description == "read JSON: expected a value at byte 10")
    }
}
