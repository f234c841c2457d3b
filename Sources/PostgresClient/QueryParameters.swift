/// The values of one statement in PostgreSQL's binary format, in one buffer that is used again for the next statement.
///
/// Formats: PostgreSQL source, `src/backend/utils/adt`, functions `int8send`, `textsend`, `uuid_send`, `timestamptz_send`,
/// `float8send`, `boolsend`, `array_send`. Numbers are big-endian.
package struct QueryParameters {
    /// Object identifiers of built-in types; part of the server's protocol and never changed (pg_type.dat).
    package enum TypeID: UInt32, Sendable {
        case bool = 16
        case bytes = 17
        case int8 = 20
        case text = 25
        case float8 = 701
        case timestamptz = 1184
        case uuid = 2950

        var array: UInt32 {
            switch self {
            case .bool: 1000
            case .bytes: 1001
            case .int8: 1016
            case .text: 1009
            case .float8: 1022
            case .timestamptz: 1185
            case .uuid: 2951
            }
        }
    }

    /// Begins with one spare byte: an empty value, too, needs an address that is not NULL.
    private(set) var bytes: [UInt8] = [0]
    private(set) var types: [UInt32] = []
    /// Where each value lies in `bytes`; `nil` is NULL.
    private(set) var ranges: [Range<Int>?] = []

    package init() {}

    package var count: Int { ranges.count }
    package var byteCount: Int { bytes.count - 1 }

    /// Forgets the values and keeps the memory, unless the last statement was so large that it should be given back.
    package mutating func removeAll(keepingByteCountMax: Int = 256 * 1024) {
        bytes.removeAll(keepingCapacity: bytes.capacity <= keepingByteCountMax)
        bytes.append(0)
        types.removeAll(keepingCapacity: true)
        ranges.removeAll(keepingCapacity: true)
    }

    package mutating func append(_ value: Int64) {
        append(.int8) { $0.append(bigEndian: UInt64(bitPattern: value)) }
    }

    package mutating func append(_ value: Double) {
        append(.float8) { $0.append(bigEndian: value.bitPattern) }
    }

    package mutating func append(_ value: String) {
        append(.text) { $0.append(contentsOf: value.utf8) }
    }

    package mutating func append(data: [UInt8]) {
        append(.bytes) { $0.append(contentsOf: data) }
    }

    /// Sixteen bytes.
    package mutating func append(uuid: [UInt8]) {
        precondition(uuid.count == 16, "a uuid has sixteen bytes")
        append(.uuid) { $0.append(contentsOf: uuid) }
    }

    /// A date in microseconds since 1970-01-01T00:00:00Z.
    package mutating func append(unixMicroseconds: Int64) {
        append(.timestamptz) { $0.append(bigEndian: UInt64(bitPattern: ArrayColumn.postgresTime(unixMicroseconds))) }
    }

    package mutating func appendNull(_ type: TypeID) {
        types.append(type.rawValue)
        ranges.append(nil)
    }

    package mutating func append(_ column: ArrayColumn) {
        types.append(column.type.array)
        let start = bytes.count
        bytes.append(bigEndian: column.count == 0 ? UInt32(0) : 1)
        bytes.append(bigEndian: column.hasNull ? UInt32(1) : 0)
        bytes.append(bigEndian: column.type.rawValue)
        if column.count > 0 {
            bytes.append(bigEndian: UInt32(column.count))
            bytes.append(bigEndian: UInt32(1))
            bytes.append(contentsOf: column.bytes)
        }
        ranges.append(start..<bytes.count)
    }

    private mutating func append(_ type: TypeID, _ write: (inout [UInt8]) -> Void) {
        types.append(type.rawValue)
        let start = bytes.count
        write(&bytes)
        ranges.append(start..<bytes.count)
    }
}

/// One array parameter being filled: a column of rows that one statement stores. Appending is amortised linear.
package struct ArrayColumn {
    package let type: QueryParameters.TypeID
    package private(set) var count = 0
    private(set) var hasNull = false
    private(set) var bytes: [UInt8] = []

    package init(_ type: QueryParameters.TypeID) {
        self.type = type
    }

    package var byteCount: Int { bytes.count }

    package mutating func removeAll(keepingByteCountMax: Int = 64 * 1024) {
        bytes.removeAll(keepingCapacity: bytes.capacity <= keepingByteCountMax)
        count = 0
        hasNull = false
    }

    package mutating func append(_ value: Int64) {
        precondition(type == .int8, "the column holds another type")
        appendEightBytes(UInt64(bitPattern: value))
    }

    package mutating func append(_ value: Double) {
        precondition(type == .float8, "the column holds another type")
        appendEightBytes(value.bitPattern)
    }

    package mutating func append(unixMicroseconds: Int64) {
        precondition(type == .timestamptz, "the column holds another type")
        appendEightBytes(UInt64(bitPattern: Self.postgresTime(unixMicroseconds)))
    }

    package mutating func append(_ value: Bool) {
        precondition(type == .bool, "the column holds another type")
        bytes.append(bigEndian: UInt32(1))
        bytes.append(value ? 1 : 0)
        count += 1
    }

    /// Well-formed UTF-8 without NUL, or the server refuses the statement.
    package mutating func append(text: some Collection<UInt8>) {
        precondition(type == .text, "the column holds another type")
        bytes.append(bigEndian: UInt32(text.count))
        bytes.append(contentsOf: text)
        count += 1
    }

    package mutating func appendNull() {
        bytes.append(bigEndian: UInt32.max)
        hasNull = true
        count += 1
    }

    private mutating func appendEightBytes(_ value: UInt64) {
        bytes.append(bigEndian: UInt32(8))
        bytes.append(bigEndian: value)
        count += 1
    }

    /// PostgreSQL counts from 2000-01-01 and knows years to 294276; dates outside its range are moved to the nearest
    /// within (`timestamp.h`, MIN_TIMESTAMP and END_TIMESTAMP), since a sender's absurd date must not cost its batch.
    static func postgresTime(_ unixMicroseconds: Int64) -> Int64 {
        let (difference, overflow) = unixMicroseconds.subtractingReportingOverflow(946_684_800_000_000)
        let value = overflow ? Int64.min : difference
        return min(max(value, -211_813_488_000_000_000), 9_223_371_331_199_999_999)
    }
}

extension [UInt8] {
    mutating func append(bigEndian value: UInt32) {
        append(UInt8(truncatingIfNeeded: value >> 24))
        append(UInt8(truncatingIfNeeded: value >> 16))
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    mutating func append(bigEndian value: UInt64) {
        append(bigEndian: UInt32(truncatingIfNeeded: value >> 32))
        append(bigEndian: UInt32(truncatingIfNeeded: value))
    }
}
