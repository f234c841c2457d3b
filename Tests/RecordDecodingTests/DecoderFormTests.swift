import LogModel
import RecordDecoding
import Testing

private let ok = #"{"level":"info","source":"t","message":"hello 42"}"#

@Suite struct DecoderFormTests {
    @Test(arguments: [
        // An object, an array, logs.
        (ok, "1/0"), ("[\(ok)]", "1/0"), ("[\(ok),\(ok)]", "2/0"), ("{\"logs\":[\(ok),\(ok),\(ok)]}", "3/0"),
        ("{\"source\":\"x\",\"logs\":[\(ok)],\"n\":1}", "1/0"), ("[]", "0/0"), ("{\"logs\":[]}", "0/0"), ("{}", "0/1"),
        (" \n\(ok)\r\n ", "1/0"), ("\u{FEFF}\(ok)", "1/0"), ("[\"a text\",\(ok)]", "2/0"), ("[\"\"]", "0/1"),
        ("{\"logs\":[\"a\",{\"message\":\"b\"},7]}", "2/1"), ("{\"logs\":\"text\",\"message\":\"m\"}", "1/0"),
        // Bad neighbours.
        ("[\(ok),7,\(ok)]", "2/1"), ("[\(ok),null,[],true,{},\(ok)]", "2/4"),
        // Lines.
        ("\(ok)\n\(ok)", "2/0"), ("\(ok)\r\n\(ok)\r\n", "2/0"), ("\(ok)\(ok)", "2/0"),
        ("\(ok) \(ok)\n\n\(ok)\n", "3/0"),
        ("\(ok)\n{\"bad\":\n\(ok)", "2/1"), ("\(ok)\n7\n\(ok)", "2/1"), ("\(ok)\ngarbage\n\(ok)", "2/1"),
        ("\(ok)\n\"text\"\n", "1/1"), ("\(ok)\n\(ok) x\n\(ok)", "2/1"), ("\(ok)\n{}\n\(ok)", "2/1"),
        ("{\n \"message\": \"a\"\n}\n{\n \"message\": \"b\"\n}\n", "2/0"), ("\(ok)\n\(ok.dropLast())", "1/1"),
        // Not readable as a whole.
        ("", "malformed at 0"), (" \r\n\t ", "malformed at 0"), ("\u{FEFF}", "malformed at 0"),
        ("42", "malformed at 0"),
        ("\"x\"", "malformed at 0"), ("null", "malformed at 0"), ("hello", "malformed at 0"),
        (" hello", "malformed at 1"),
        ("{\"level\":\"info\",", "malformed at 16"), ("[\(ok),{\"bad\":]", "malformed at 59"),
        ("[\(ok)", "malformed at 51"),
        ("{\"logs\":[\(ok)", "malformed at 59"), ("[\(ok)] x", "malformed at 53"), ("\(ok) x", "malformed at 51"),
        ("\(ok),\(ok)", "malformed at 50"), ("{\"message\":NaN}", "malformed at 11"),
        ("[{\"message\":\"a\tb\"}]", "malformed at 14"),
    ])
    func `each form of a body has one outcome, whatever a careless content type says`(_ body: String, _ outcome: String)
    {
        for type in [
            nil, "", "application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "*/*",
        ] {
            #expect(decode(body, type: type).outcome == outcome, "\(body) as \(type ?? "nothing")")
        }
    }

    @Test func `a broken document leaves nothing behind`() {
        for body in ["[\(ok),\(ok),{\"bad\":]", "{\"logs\":[\(ok),\(ok)}", "[\(ok)] trailing", "{\"message\":\"m\",}"] {
            #expect(decode(body).records.isEmpty)
            #expect(decode(body).malformed != nil)
        }
    }

    @Test(arguments: [
        "application/x-ndjson", "application/jsonl", "application/x-ndjson; charset=utf-8", "Application/X-NDJSON",
    ])
    func `lines of JSON may be broken from the first on`(_ type: String) {
        #expect(decode("garbage\n\(ok)\n", type: type).outcome == "1/1")
        #expect(decode("{\"bad\":\n\(ok)\n7\n", type: type).outcome == "1/2")
        #expect(decode(ok, type: type).outcome == "1/0")
        #expect(decode("{\n\"message\":\n\"m\"}", type: type).outcome == "1/0")
        #expect(decode("[\(ok)]", type: type).outcome == "1/0")
        #expect(decode("\(ok) x\n\(ok)", type: type).outcome == "1/1")
        #expect(decode("{\"logs\":[\(ok)]}", type: type).outcome == "1/0")
    }

    @Test func `when every line is broken the body is`() {
        let decoded = decode("garbage\n{\"bad\":\n]", type: "application/x-ndjson")
        #expect(decoded.malformed == MalformedBody(offset: 0, reason: "expected an object"))
        #expect(decode("x\ny", type: "application/x-ndjson").outcome == "malformed at 0")
    }

    @Test func `a failed line is named by its index, its reason and its place`() {
        let decoded = decode("\(ok)\n{\"a\":}\n{}\n7\n")
        #expect(
            decoded.summary?.errors == [
                RecordError(index: 1, reason: "expected a value", offset: 56),
                RecordError(index: 2, reason: "message is missing"),
                RecordError(index: 3, reason: "a record must be an object", offset: 61),
            ]
        )
        #expect(decoded.summary?.errors.first?.description == "expected a value at byte 56")
    }

    @Test func `plain text is a record a line, blank lines skipped`() {
        let decoded = decode("first line\r\n\n  \n  second\nlast", type: "text/plain; charset=utf-8")
        #expect(decoded.records.map(\.message) == ["first line", "  second", "last"])
        #expect(decode("42", type: "text/plain").outcome == "1/0")
    }

    @Test func `JSON sent as plain text is JSON`() {
        #expect(decode(ok, type: "text/plain").records.first?.source == "t")
        #expect(decode("[\(ok),\(ok)]", type: "text/plain").outcome == "2/0")
        #expect(decode("\(ok)\n\(ok)", type: "text/plain").outcome == "2/0")
        #expect(decode("{\"level\":", type: "text/plain").outcome == "malformed at 9")
    }

    @Test func `plain text that begins with a bracket is plain text unless an array of records begins`() {
        #expect(
            decode("[2026-03-01 10:00:00] started\nnext", type: "text/plain").records.map(\.message) == [
                "[2026-03-01 10:00:00] started", "next",
            ]
        )
        #expect(decode("[main] INFO ready", type: "text/plain").outcome == "1/0")
        #expect(decode("[{\"message\":", type: "text/plain").outcome == "malformed at 12")
    }

    @Test func `where a tenant is required each record needs its own`() {
        let decoded = decode(
            #"{"logs":[{"org":"acme","message":"a"},{"message":"b"},"c",{"org":" ","message":"d"}]}"#,
            requiresTenant: true
        )
        #expect(decoded.outcome == "1/3")
        #expect(
            decoded.summary?.errors.map(\.reason.description) == ["org is missing", "org is missing", "org is missing"]
        )
        #expect(decode("a line", type: "text/plain", requiresTenant: true).outcome == "0/1")
    }

    @Test func `a refused record counts as failed at its index, its neighbours do not`() {
        let decoded = decode("[\(ok),{},\(ok),\(ok)]") { $0 == 1 ? RecordRefusal(reason: "memory is full") : nil }
        #expect(decoded.outcome == "2/2")
        #expect(
            decoded.summary?.errors == [
                RecordError(index: 1, reason: "message is missing"), RecordError(index: 2, reason: "memory is full"),
            ]
        )
    }

    @Test func `a hundred errors are listed and all are counted`() {
        let decoded = decode("[" + Array(repeating: "7", count: 250).joined(separator: ",") + "]")
        #expect(decoded.outcome == "0/250")
        #expect(decoded.summary?.errors.count == 100)
        #expect(decoded.summary?.errors.last?.index == 99)
    }

    @Test func `nesting beyond 64 levels is refused as a whole`() {
        for body in [
            String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000),
            String(repeating: "{\"a\":", count: 2000) + "1" + String(repeating: "}", count: 2000),
        ] {
            #expect(decode(body).malformed?.reason == "nested deeper than 64")
        }
    }

    @Test func `a decoder keeps nothing of one body for the next`() {
        let decoder = BodyDecoder()
        let full = Array(
            #"{"message":"a\n","level":"error","source":"s","host":"h","org":"o","time":1736937045,"k":"v","_msgid":"1"}"#
                .utf8
        )
        #expect(decode(full, using: decoder).records.first?.attributes.count == 2)
        let second = decode(Array(#"[{"message":"b"},"c"]"#.utf8), using: decoder).records
        #expect(second.map(\.message) == ["b", "c"])
        for record in second {
            #expect(record.severity == nil && record.source == "" && record.host == "" && record.tenant == "")
            #expect(record.timestamp == nil && record.attributes.isEmpty)
        }
        #expect(decode(Array("{\"logs\":[".utf8), using: decoder).malformed != nil)
        #expect(decode(Array(ok.utf8), using: decoder).outcome == "1/0")
    }
}
