/// Which machine a batch comes from: a random UUID (RFC 9562, version 4) made at the first start and kept in the state
/// directory.
public struct NodeID: Sendable, Hashable {
    /// Sixteen bytes, big-endian, as PostgreSQL's binary `uuid`.
    public let bytes: [UInt8]

    /// From sixteen random bytes; sets the version and variant bits.
    public init(random: [UInt8]) {
        precondition(random.count == 16, "a node id has sixteen bytes")
        var bytes = random
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        self.bytes = bytes
    }

    /// Reads `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`; `nil` for anything else.
    public init?(text: String) {
        var bytes: [UInt8] = []
        var high: UInt8?
        guard text.utf8.count == 36 else { return nil }
        for (index, character) in text.utf8.enumerated() {
            if [8, 13, 18, 23].contains(index) {
                guard character == 0x2D else { return nil }
                continue
            }
            guard let digit = Character(Unicode.Scalar(character)).hexDigitValue else { return nil }
            if let value = high {
                bytes.append(value << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        self.bytes = bytes
    }

    public var text: String {
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            text += byte < 16 ? "0" + String(byte, radix: 16) : String(byte, radix: 16)
        }
        return text
    }
}

/// One ordered sequence of batches from one lane: 64 random bits. A lane has one stream for fresh batches and one for each
/// period of spooling (docs/formats/delivery.md).
public struct StreamID: Sendable, Hashable {
    public let rawValue: UInt64

    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// The same bits as a signed number, for `bigint` columns.
    public var signed: Int64 { Int64(bitPattern: rawValue) }

    /// Sixteen lower-case hexadecimal digits, for headers and messages.
    public var text: String {
        let digits = String(rawValue, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// What a sink is asked to apply at once: everything in `stream` after `previous`, up to and including `last`.
///
/// The sink applies it only if it has applied nothing after `previous`; so the same span sent twice, or sent again in
/// other portions after an answer was lost, changes no count.
public struct BatchSpan: Sendable, Hashable {
    public var stream: StreamID
    /// Sequence before the first batch; 0 for the first of a stream.
    public var previous: Int64
    public var last: Int64

    public init(stream: StreamID, previous: Int64, last: Int64) {
        precondition(previous >= 0 && last > previous, "a span holds at least one batch")
        self.stream = stream
        self.previous = previous
        self.last = last
    }
}

/// Why the open batch was sealed. A closed set: it labels a metric.
public enum SealReason: String, Sendable, CaseIterable {
    case time, size, memory, durable, force, shutdown
    /// A request with an `Idempotency-Key` ended: it is a batch of its own.
    case key
}

/// A sealed, immutable set of pattern deltas in the format of docs/formats/batch.md. Applying it means adding its counts.
public struct Batch: Sendable {
    /// The encoded deltas; read with ``BatchReader``. All text in it is well-formed UTF-8 without NUL.
    public let payload: [UInt8]
    /// Records counted in it; the unit of every conservation counter.
    public let recordCount: Int
    public let seriesCount: Int
    /// How far a replayable source was counted with this batch; `nil` when nothing of one is in it. No part of the payload.
    public var position: SourcePosition?

    public init(payload: [UInt8], recordCount: Int, seriesCount: Int) {
        self.payload = payload
        self.recordCount = recordCount
        self.seriesCount = seriesCount
    }
}
