/// How bad a record says it is. The raw value is the OpenTelemetry SeverityNumber (Logs Data Model, "SeverityNumber"),
/// so the scale orders and survives in storage without a table.
public enum Severity: UInt8, Sendable, Comparable, CaseIterable {
    case trace = 1
    case debug = 5
    case info = 9
    case notice = 10
    case warn = 13
    case error = 17
    case fatal = 21

    /// The canonical upper-case word, as stored in `aggregated_logs.level`.
    public var name: StaticString {
        switch self {
        case .trace: "TRACE"
        case .debug: "DEBUG"
        case .info: "INFO"
        case .notice: "NOTICE"
        case .warn: "WARN"
        case .error: "ERROR"
        case .fatal: "FATAL"
        }
    }

    @inlinable
    public static func < (left: Severity, right: Severity) -> Bool {
        left.rawValue < right.rawValue
    }

    /// The severity a syslog priority stands for (RFC 5424, table 2); `nil` outside 0...7.
    public init?(syslogPriority: Int) {
        switch syslogPriority {
        case 0, 1, 2: self = .fatal
        case 3: self = .error
        case 4: self = .warn
        case 5: self = .notice
        case 6: self = .info
        case 7: self = .debug
        default: return nil
        }
    }

    /// The severity a sender's word or number stands for, in any case: `warning`, `ERR`, `critical`, a syslog priority
    /// `0`...`7`, or a Node-RED level `10`...`60` (10 is fatal there; Node-RED, "Logging"). `nil` for anything else.
    public init?(word: UnsafeBufferPointer<UInt8>) {
        if let common = Self.common(word) {
            self = common
            return
        }
        guard (1...16).contains(word.count) else { return nil }
        // Up to sixteen letters, folded to lower case in two words: a switch on packed bytes costs no allocation.
        var packed: (high: UInt64, low: UInt64) = (0, 0)
        for byte in word {
            guard byte > 0 else { return nil }
            let lower = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
            packed.high = packed.high << 8 | packed.low >> 56
            packed.low = packed.low << 8 | UInt64(lower)
        }
        for entry in Self.words where entry.high == packed.high && entry.low == packed.low {
            self = entry.severity
            return
        }
        return nil
    }

    /// The words that nearly all senders use, by their first and last four letters as one number.
    @inline(__always)
    private static func common(_ word: UnsafeBufferPointer<UInt8>) -> Severity? {
        guard (4...5).contains(word.count), let base = word.baseAddress else { return nil }
        let raw = UnsafeRawPointer(base)
        let first = UInt64(raw.loadUnaligned(as: UInt32.self).littleEndian)
        let last = UInt64(raw.loadUnaligned(fromByteOffset: word.count &- 4, as: UInt32.self).littleEndian)
        // Lower case: of all bytes only a letter's two cases become that letter.
        switch (first | last << 32) | 0x2020_2020_2020_2020 {
        case 0x6F66_6E69_6F66_6E69: return .info  // "info" twice
        case 0x6E72_6177_6E72_6177: return .warn
        case 0x6775_6265_7562_6564: return .debug  // "debu", "ebug"
        case 0x726F_7272_6F72_7265: return .error  // "erro", "rror"
        default: return nil
        }
    }

    private static let words: [(high: UInt64, low: UInt64, severity: Severity)] = {
        let table: [(StaticString, Severity)] = [
            ("info", .info), ("error", .error), ("warn", .warn), ("debug", .debug), ("warning", .warn),
            ("notice", .notice), ("err", .error), ("fatal", .fatal), ("critical", .fatal), ("crit", .fatal),
            ("trace", .trace), ("information", .info), ("informational", .info), ("verbose", .debug),
            ("alert", .fatal), ("emerg", .fatal), ("emergency", .fatal), ("panic", .fatal), ("severe", .error),
            ("audit", .notice), ("metric", .info), ("log", .info),
            ("0", .fatal), ("1", .fatal), ("2", .fatal), ("3", .error), ("4", .warn), ("5", .notice), ("6", .info),
            ("7", .debug), ("10", .fatal), ("20", .error), ("30", .warn), ("40", .info), ("50", .debug), ("60", .trace),
        ]
        return table.map { word, severity in
            precondition(word.utf8CodeUnitCount <= 16, "a severity's word fits two machine words")
            var high: UInt64 = 0
            var low: UInt64 = 0
            for index in 0..<word.utf8CodeUnitCount {
                high = high << 8 | low >> 56
                low = low << 8 | UInt64(word.utf8Start[index])
            }
            return (high, low, severity)
        }
    }()
}
