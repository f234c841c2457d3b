import LogModel
import RecordDecoding
import Testing

@Suite struct DecoderFieldTests {
    @Test(arguments: [
        "message", "msg", "log", "MESSAGE", "text", "@m", "Message", "MSG", #"m\u0065ssage"#,
    ])
    func `a message is known by each of its names`(_ key: String) {
        let record = soleRecord("{\"\(key)\":\"disk is full\"}")
        #expect(record?.message == "disk is full")
        #expect(record?.attributes.isEmpty == true)
    }

    @Test(arguments: [
        ("level", "\"WARN\"", Severity.warn), ("severity", "\"error\"", .error), ("lvl", "\"dbg\"", nil),
        ("PRIORITY", "\"3\"", .error), ("PRIORITY", "4", .warn), ("level", "30", .warn), ("level", "20", .error),
        ("Level", "\"Information\"", .info), ("@l", "\"Fatal\"", .fatal), ("level", "\"\\u0065rror\"", .error),
        ("level", "null", nil), ("level", "\"\"", nil), ("level", "true", nil), ("level", "{}", nil),
        ("level", "99", nil),
    ])
    func `a severity is a word or a number under each of its names`(
        _ key: String,
        _ value: String,
        _ severity: Severity?
    ) {
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":\(value)}")?.severity == severity)
    }

    @Test(arguments: [("\"loud\"", "loud"), ("99", "99"), ("true", "true"), ("[1]", "[1]")])
    func `a level that is no severity is kept as an attribute`(_ value: String, _ kept: String) {
        let record = soleRecord("{\"message\":\"m\",\"severity\":\(value)}")
        #expect(record?.severity == nil)
        #expect(record?.attributes == ["level": kept])
    }

    @Test(arguments: ["source", "service", "app", "application", "logger", "SYSLOG_IDENTIFIER", "Service"])
    func `a source is known by each of its names`(_ key: String) {
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":\"node-red\"}")?.source == "node-red")
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":7}")?.source == "7")
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":null}")?.source == "")
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":{\"a\":1}}")?.attributes == ["\(key).a": "1"])
    }

    @Test(arguments: ["host", "hostname", "_HOSTNAME"])
    func `a host is known by each of its names`(_ key: String) {
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":\"pi\"}")?.host == "pi")
    }

    @Test(arguments: ["org", "tenant", "organization"])
    func `a tenant is known by each of its names`(_ key: String) {
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":\"acme\"}")?.tenant == "acme")
        #expect(decode("{\"message\":\"m\",\"\(key)\":\"acme\"}", requiresTenant: true).outcome == "1/0")
    }

    @Test func `a dashboard is a field of its own`() {
        #expect(soleRecord(#"{"message":"m","dashboard":"production"}"#)?.dashboard == "production")
    }

    @Test(arguments: ["timestamp", "time", "ts", "@timestamp", "@t", "date", "__REALTIME_TIMESTAMP"])
    func `a timestamp is known by each of its names and in each of its forms`(_ key: String) {
        for value in [
            "\"2025-01-15T10:30:45Z\"", "\"2025-01-15T11:30:45+01:00\"", "1736937045", "1736937045000", "1736937045.0",
            "\"1736937045\"", "\"1736937045000000\"", "1.736937045e9",
        ] {
            let record = soleRecord("{\"message\":\"m\",\"\(key)\":\(value)}")
            #expect(record?.timestamp == "2025-01-15T10:30:45.000000Z", "\(value)")
            #expect(record?.attributes.isEmpty == true)
        }
    }

    @Test(arguments: [
        ("\"yesterday\"", "yesterday"), ("\"2025-13-01T00:00:00Z\"", "2025-13-01T00:00:00Z"), ("-5", "-5"), ("0", "0"),
        ("true", "true"), ("[2025,1]", "[2025,1]"), ("1e999", "1e999"),
    ])
    func `a date that cannot be read is kept and the record too`(_ value: String, _ kept: String) {
        let record = soleRecord("{\"message\":\"m\",\"time\":\(value)}")
        #expect(record?.timestamp == nil)
        #expect(record?.attributes == ["time": kept])
    }

    @Test(arguments: ["latency_ms", "latency", "duration_ms"])
    func `a latency is a number or its text`(_ key: String) {
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":12.5}")?.latency == 12.5)
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":\"12.5\"}")?.latency == 12.5)
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":\"12 ms\"}")?.attributes == [key: "12 ms"])
        #expect(soleRecord("{\"message\":\"m\",\"\(key)\":null}")?.latency == nil)
    }

    @Test(arguments: ["metadata", "parsed_data", "attributes", "fields", "context", "labels"])
    func `members of a metadata object become attributes`(_ key: String) {
        let record = soleRecord(
            "{\"message\":\"m\",\"\(key)\":{\"user_id\":\"123\",\"n\":1.50,\"b\":true,\"z\":null,\"l\":[1, {\"x\":2}],\"o\":{\"p\":{\"q\":\"r\"}}}}"
        )
        #expect(
            record?.attributes == [
                "user_id": "123", "n": "1.50", "b": "true", "z": "null", "l": "[1, {\"x\":2}]", "o.p.q": "r",
            ]
        )
    }

    @Test func `metadata that is no object is one attribute, null none`() {
        #expect(soleRecord(#"{"message":"m","metadata":"x"}"#)?.attributes == ["metadata": "x"])
        #expect(soleRecord(#"{"message":"m","metadata":[1]}"#)?.attributes == ["metadata": "[1]"])
        #expect(soleRecord(#"{"message":"m","metadata":null}"#)?.attributes == [:])
        #expect(soleRecord(#"{"message":"m","metadata":{}}"#)?.attributes == [:])
    }

    @Test func `unknown keys are kept, objects flattened to four levels`() {
        let record = soleRecord(
            #"{"message":"m","k":{"a":{"b":{"c":{"d":1}}},"e":{}},"x\ty":"v\n","":"empty","level2":3}"#
        )
        #expect(
            record?.attributes == [
                "k.a.b.c": "{\"d\":1}", "k.e": "{}", "x\ty": "v\n", "": "empty", "level2": "3",
            ]
        )
    }

    @Test func `of a key that stands twice the last wins`() {
        let record = soleRecord(
            #"{"message":"a","level":"info","message":"b","level":"error","message":null,"source":"s","source":"t"}"#
        )
        #expect(record?.message == "b")
        #expect(record?.severity == .error)
        #expect(record?.source == "t")
        #expect(record?.attributes.isEmpty == true)
    }

    @Test(arguments: [
        #"{"message":"real","text":"other","msg":"third"}"#, #"{"text":"other","msg":"third","message":"real"}"#,
        #"{"msg":"third","message":"real","text":"other"}"#,
    ])
    func `of two names of one field the better known wins and the other is kept`(_ body: String) {
        let record = soleRecord(body)
        #expect(record?.message == "real")
        #expect(record?.attributes == ["text": "other", "msg": "third"])
    }

    @Test func `an empty message leaves the field to another name`() {
        #expect(soleRecord(#"{"message":"","msg":"used"}"#)?.message == "used")
        #expect(soleRecord(#"{"message":null,"log":"used"}"#)?.message == "used")
    }

    @Test(arguments: [
        ("42", "42"), ("-1.5e3", "-1.5e3"), ("true", "true"), ("{\"a\": 1}", "{\"a\": 1}"), ("[1, 2]", "[1, 2]"),
        ("\"  x \"", "  x "), ("\"a\\\"b\\\\c\\n\"", "a\"b\\c\n"), ("\"\\ud83d\\ude00 \\ud83d\"", "😀 \u{FFFD}"),
        ("\"nul \\u0000 in text\"", "nul \0 in text"),
    ])
    func `a message of any kind is its text`(_ value: String, _ text: String) {
        #expect(soleRecord("{\"message\":\(value)}")?.message == text)
    }

    @Test(arguments: [
        "{}", #"{"message":null}"#, #"{"message":""}"#, #"{"message":"   "}"#, #"{"message":"\n\t"}"#,
        #"{"level":"info"}"#,
        #"{"message":"\u0020"}"#,
    ])
    func `a record without a message fails by name`(_ body: String) {
        let decoded = decode(body)
        #expect(decoded.summary?.errors == [RecordError(index: 0, reason: "message is missing")])
        #expect(decoded.outcome == "0/1")
    }

    @Test func `invalid UTF-8 reaches the record as it is`() {
        let body = Array(#"{"message":""#.utf8) + [0xFF, 0xFE, 0x41] + Array(#""}"#.utf8)
        #expect(decode(body).records.first?.message == "\u{FFFD}\u{FFFD}A")
    }

    @Test func `a name is cut at 256 bytes, between scalars`() {
        let name = String(repeating: "é", count: 127) + "x" + String(repeating: "é", count: 10)
        #expect(soleRecord("{\"message\":\"m\",\"source\":\"\(name)\"}")?.source.utf8.count == 255)
    }

    @Test(arguments: [0, 1])
    func `a message is cut at 64 KiB and the cut is counted`(_ beyond: Int) {
        for escape in ["", "\\n"] {
            let length = RecordLimits.messageByteCountMax + beyond - (escape.isEmpty ? 0 : 1)
            let decoded = decode("{\"message\":\"\(escape)\(String(repeating: "d", count: length))\"}")
            #expect(decoded.records.first?.message.utf8.count == RecordLimits.messageByteCountMax)
            #expect(decoded.summary?.truncated == beyond)
        }
    }

    @Test(arguments: [31, 32, 33, 500])
    func `attributes beyond the 32nd are left out and that is counted`(_ count: Int) {
        let members = (0..<count).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        for body in ["{\"message\":\"m\",\(members)}", "{\"metadata\":{\(members)},\"message\":\"m\"}"] {
            let decoded = decode(body)
            #expect(decoded.records.first?.attributes.count == min(count, 32))
            #expect(decoded.records.first?.message == "m")
            #expect(decoded.summary?.attributesDropped == (count > 32 ? 1 : 0))
        }
    }

    @Test func `keys and values of attributes are cut at their bounds`() {
        let long = String(repeating: "k", count: 200)
        for escape in ["", "\\t"] {
            let value = escape + String(repeating: "v", count: 5000)
            let record = soleRecord(
                "{\"message\":\"m\",\"\(escape)\(long)\":\"\(value)\",\"o\":{\"\(long)\":{\"\(long)\":\"\(value)\"}}}"
            )
            #expect(record?.attributes.count == 2)
            for (key, value) in record?.attributes ?? [:] {
                #expect(key.utf8.count == 128)
                #expect(value.utf8.count == 1024)
            }
        }
    }

    @Test func `the largest record there can be fits the scratch memory`() {
        let escaped = String(repeating: "\\n", count: 70_000)
        let names = ["source", "host", "org", "dashboard", "level", "time", "latency_ms"]
            .map { "\"\($0)\":\"\(escaped)\"" }.joined(separator: ",")
        let attributes = (0..<40).map { "\"\\t\($0)\(escaped)\":\"\(escaped)\"" }.joined(separator: ",")
        let decoded = decode("[{\(names),\(attributes),\"message\":\"x\(escaped)\"},{\"message\":\"x\(escaped)\"}]")
        #expect(decoded.outcome == "2/0")
        #expect(decoded.summary?.truncated == 2)
        #expect(decoded.records.allSatisfy { $0.message.utf8.count == RecordLimits.messageByteCountMax })
        #expect(decoded.records.first?.attributes.count == 32)
        #expect(decoded.records.first?.dashboard.utf8.count == 256)
    }
}
