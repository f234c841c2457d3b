internal import JSONBytes
internal import LogModel

/// What a key in a sender's object means to us.
enum RecordField: UInt8, CaseIterable {
    case message, severity, source, host, tenant, dashboard, timestamp, latency
    /// Node-RED's Catch node: `{message, source: {id, type, name}}`; used when there is no message.
    case error
    /// Node-RED's ordinary message body; used when there is neither message nor error.
    case payload
    /// An object whose members become attributes without a prefix.
    case attributes
    /// The array of records in `{"logs": […]}`; means that only at the top of a body.
    case logs
    /// Node-RED puts it on each message: tells a Catch node's message from an application's error object.
    case nodeRedMessageID

    /// Fields kept until the whole object is read: the cases up to here have a slot each.
    static let slotCount = 10
}

/// Finds the field that a key stands for: the one table of names that senders use.
///
/// Exact names and their other capitalisations mean the same (`Level`, `MESSAGE`); no two aliases differ in case only, so
/// one comparison without case serves both. A field's aliases stand in order of rank: when an object holds two of them,
/// the earlier one is the field and the other is kept as an attribute. One hash and one comparison a key, no allocation.
struct FieldAliases: ~Copyable {
    /// Names and whose they are; the services this one replaces, journalctl's JSON, and what common libraries write.
    static let table: [(name: StaticString, field: RecordField)] = [
        ("message", .message),  // our own, S1, S3, S4, journald's MESSAGE, zap, zigbee2mqtt
        ("msg", .message),  // Node-RED logging handlers, pino, bunyan, slog, logrus
        ("log", .message),  // Docker and Fluent Bit
        ("@m", .message),  // CLEF (Serilog)
        ("text", .message),  // loguru, chat bridges

        ("level", .severity),  // our own, every seed, Node-RED and pino as a number
        ("severity", .severity),  // Google Cloud, OpenTelemetry exporters
        ("lvl", .severity),  // log15, go-kit
        ("priority", .severity),  // journald: 0 to 7
        ("@l", .severity),  // CLEF

        ("source", .source),  // our own, S1
        ("service", .source),  // S3, S4
        ("app", .source),  // shell scripts and small tools
        ("application", .source),
        ("logger", .source),  // zap, logback, Python's JSON formatters
        ("syslog_identifier", .source),  // journald

        ("host", .host),  // our own, S4, Fluent Bit, Vector
        ("hostname", .host),  // pino, bunyan
        ("_hostname", .host),  // journald

        ("org", .tenant),  // S4's, required on its path
        ("tenant", .tenant),
        ("organization", .tenant),

        ("dashboard", .dashboard),  // S4

        ("timestamp", .timestamp),  // our own, S3, S4, Node-RED
        ("time", .timestamp),  // pino, bunyan, logrus, slog, Docker
        ("ts", .timestamp),  // zap
        ("@timestamp", .timestamp),  // Logstash, ECS
        ("@t", .timestamp),  // CLEF
        ("date", .timestamp),  // Fluent Bit's default key
        ("__realtime_timestamp", .timestamp),  // journald: microseconds as a string

        ("latency_ms", .latency),  // our own, S3
        ("latency", .latency),
        ("duration_ms", .latency),

        ("metadata", .attributes),  // S1, S4
        ("parsed_data", .attributes),  // S0
        ("attributes", .attributes),  // OpenTelemetry style
        ("fields", .attributes),  // Logstash, tracing (Rust)
        ("context", .attributes),  // monolog
        ("labels", .attributes),  // Prometheus and Loki style

        ("logs", .logs),  // S1's and S4's batch
        ("error", .error),
        ("payload", .payload),
        ("_msgid", .nodeRedMessageID),
    ]

    private struct Entry {
        var name: UnsafePointer<UInt8>
        var count: Int
        var field: RecordField
        var rank: UInt8
    }

    /// Twice and more the number of names, a power of two; so a probe is short.
    private static let slotCount = 128
    private static let nameByteCountMax = 20
    private let slots: UnsafeMutablePointer<UInt8>
    private let entries: UnsafeMutablePointer<Entry>
    /// Where a key with escapes is written out.
    private let keyBuffer: UnsafeMutableBufferPointer<UInt8>

    /// Ranks are below this.
    static let rankCount = 16

    /// Builds the hash table: once for each decoder.
    init() {
        let table = Self.table
        precondition(table.count < Self.slotCount / 2, "the alias table outgrew its hash table")
        slots = .allocate(capacity: Self.slotCount)
        slots.initialize(repeating: 0xFF, count: Self.slotCount)
        entries = .allocate(capacity: table.count)
        keyBuffer = .allocate(capacity: Self.nameByteCountMax)
        var ranks = [UInt8](repeating: 0, count: RecordField.allCases.count)
        for (index, alias) in table.enumerated() {
            let field = Int(alias.field.rawValue)
            let name = ByteView(start: alias.name.utf8Start, count: alias.name.utf8CodeUnitCount)
            (entries + index).initialize(
                to: Entry(name: alias.name.utf8Start, count: name.count, field: alias.field, rank: ranks[field])
            )
            precondition(
                ranks[field] < Self.rankCount && name.count <= Self.nameByteCountMax,
                "an alias is out of bounds"
            )
            ranks[field] += 1
            var slot = Self.hash(alias.name.utf8Start, name.count)
            while slots[slot] != 0xFF { slot = (slot + 1) % Self.slotCount }
            slots[slot] = UInt8(index)
        }
    }

    deinit {
        slots.deallocate()
        entries.deallocate()
        keyBuffer.deallocate()
    }

    /// The same for a key that may have escapes.
    @inline(__always)
    func field(of key: JSONItem) -> (field: RecordField, rank: UInt8)? {
        key.hasEscapes ? field(ofEscaped: key.bytes) : field(of: key.bytes)
    }

    @inline(never)
    private func field(ofEscaped key: ByteView) -> (field: RecordField, rank: UInt8)? {
        let (count, isComplete) = JSONText.unescape(key, into: keyBuffer)
        return isComplete ? field(of: ByteView(start: keyBuffer.baseAddress, count: count)) : nil
    }

    /// The field of `key` and the rank of this name in it, 0 the best; `nil` for a key that is an attribute.
    @inline(__always)
    func field(of key: ByteView) -> (field: RecordField, rank: UInt8)? {
        guard let base = key.baseAddress, key.count > 0, key.count <= Self.nameByteCountMax else { return nil }
        var slot = Self.hash(base, key.count)
        while slots[slot] != 0xFF {
            let entry = entries[Int(slots[slot])]
            if entry.count == key.count,
                JSONScan.isSame(base, entry.name, count: key.count) || Self.matches(base, entry.name, key.count)
            {
                return (entry.field, entry.rank)
            }
            slot = (slot &+ 1) % Self.slotCount
        }
        return nil
    }

    // Wrapping on purpose: only the low bits are wanted. Setting bit 5 makes letters lower case and does no harm elsewhere.
    @inline(__always)
    private static func hash(_ base: UnsafePointer<UInt8>, _ count: Int) -> Int {
        let first = Int(base[0] | 0x20)
        let last = Int(base[count &- 1] | 0x20)
        let middle = Int(base[count / 2] | 0x20)
        return (first &* 31 &+ last &* 7 &+ middle &* 3 &+ count &* 13) % slotCount
    }

    @inline(never)
    private static func matches(_ key: UnsafePointer<UInt8>, _ name: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        for index in 0..<count {
            let byte = key[index]
            let lower = byte &- 0x41 < 26 ? byte | 0x20 : byte
            if lower != name[index] { return false }
        }
        return true
    }
}
