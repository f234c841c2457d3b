import LogModel
import Testing

@Suite struct XXH64Tests {
    /// Values from the reference implementation (xxhsum of the xxHash project), so that ids are the same everywhere.
    @Test(
        arguments: [
            ("", 0xEF46_DB37_51D8_E999), ("a", 0xD24E_C4F1_A98C_6E5B), ("abc", 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ] as [(String, UInt64)]
    )
    func `the hash is the published one`(text: String, hash: UInt64) {
        #expect(Array(text.utf8).withUnsafeBufferPointer { XXH64.hash($0) } == hash)
    }
}

@Suite struct TimestampTests {
    @Test(
        arguments: [
            ("2025-01-15T10:30:45Z", "2025-01-15T10:30:45.000000Z"),
            ("2025-01-15t10:30:45.123456789z", "2025-01-15T10:30:45.123456Z"),
            ("2025-01-15 10:30:45,5+01:00", "2025-01-15T09:30:45.500000Z"),
            ("2025-01-15T10:30:45-0530", "2025-01-15T16:00:45.000000Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999000Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000000Z"), ("2025-01-15", "2025-01-15T00:00:00.000000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"), ("9999-12-31T23:59:59Z", nil),
        ] as [(String, String?)]
    )
    func `a date is read and printed`(text: String, printed: String?) {
        // Beyond the year 2262 and before 1677 nanoseconds do not fit: such a date is refused, not wrapped.
        let stamp = Array(text.utf8).withUnsafeBufferPointer { Timestamp(rfc3339: $0) }
        if text.hasPrefix("0001") || printed == nil {
            #expect(stamp == nil)
        } else {
            #expect(stamp?.rfc3339 == printed)
        }
    }

    @Test(arguments: [
        "", "2025", "2025-13-01", "2025-02-29T00:00:00Z", "2025-01-15T24:00:00Z", "2025-01-15T10:60:00Z",
        "2025-01-15T10:30:61Z",
        "2025-01-15T10:30:45.Z", "2025-01-15T10:30:45Zx", "2025-01-15T10:30:45+", "2025-01-15T10:30:45+25:00",
        "25-01-15T10:30:45Z",
        "2025-01-15T10:30:45.1234567890123456789012345678901234567890Q", "-025-01-15T10:30:45Z",
    ])
    func `what is no date is refused`(text: String) {
        #expect(Array(text.utf8).withUnsafeBufferPointer { Timestamp(rfc3339: $0) } == nil)
    }

    @Test(
        arguments: [
            (1_790_000_000.0, "2026-09-21T14:13:20.000000Z"), (1_790_000_000_123.0, "2026-09-21T14:13:20.123000Z"),
            (1_790_000_000_123_456.0, "2026-09-21T14:13:20.123456Z"),
            (1_790_000_000_123_456_000.0, "2026-09-21T14:13:20.123456Z"),
            (0.0, nil), (-1.0, nil), (.infinity, nil), (.nan, nil), (1e300, nil),
        ] as [(Double, String?)]
    )
    func `a number is taken for seconds, milliseconds, microseconds or nanoseconds by its size`(
        number: Double,
        text: String?
    ) {
        #expect(Timestamp(epoch: number)?.rfc3339 == text)
    }
}

@Suite struct SeverityTests {
    @Test(
        arguments: [
            ("warning", .warn), ("WARN", .warn), ("Err", .error), ("CRITICAL", .fatal), ("information", .info),
            ("0", .fatal), ("7", .debug),
            ("30", .warn), ("60", .trace), ("8", nil), ("", nil), ("loud", nil), ("informationals", nil),
            ("err\0", nil), ("\0err", nil),
        ] as [(String, Severity?)]
    )
    func `a word or number names its severity`(word: String, severity: Severity?) {
        #expect(Array(word.utf8).withUnsafeBufferPointer { Severity(word: $0) } == severity)
    }
}

@Suite struct UTF8RepairTests {
    private func repaired(_ bytes: [UInt8], max: Int = 1000) -> String {
        var output: [UInt8] = [0x3E]
        bytes.withUnsafeBufferPointer { UTF8Repair.append($0, to: &output, byteCountMax: max) }
        #expect(output.count <= max + 1)
        return String(validating: output.dropFirst(), as: UTF8.self) ?? "ill-formed"
    }

    @Test func `NUL and broken sequences become the replacement character`() {
        #expect(repaired(Array("a\0b".utf8)) == "a\u{FFFD}b")
        #expect(repaired([0x61, 0xFF, 0xFE, 0x62]) == "a\u{FFFD}\u{FFFD}b")
        #expect(repaired(Array("grüße 🪵".utf8)) == "grüße 🪵")
    }

    @Test func `a cut falls on the edge of a scalar at every length`() {
        let text = "aé漢🪵\0z"
        for max in 0...20 {
            let result = repaired(Array(text.utf8), max: max)
            #expect(result != "ill-formed" && "aé漢🪵\u{FFFD}z".hasPrefix(result), "\(max): \(result)")
        }
    }
}

@Suite struct NodeIDTests {
    @Test func `a node id is a version 4 UUID and survives being written down`() throws {
        let id = NodeID(random: (0..<16).map { UInt8($0 * 17) })
        #expect(id.text.count == 36 && Array(id.text)[14] == "4" && "89ab".contains(Array(id.text)[19]))
        #expect(NodeID(text: id.text) == id)
        #expect(NodeID(text: id.text.uppercased()) == id)
        #expect(NodeID(text: String(id.text.dropLast())) == nil)
        #expect(NodeID(text: id.text.replacing("-", with: "x")) == nil)
    }
}
