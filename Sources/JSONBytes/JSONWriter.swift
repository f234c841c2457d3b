/// Writes JSON into an array that it owns. The commas are its own work; brackets and keys are the caller's, and it does not
/// check that they match.
///
/// What it writes is always well-formed UTF-8 and may stand in an HTML page's script: `</` and `<!` are escaped, as are U+2028 and
/// U+2029; invalid UTF-8 and NUL become U+FFFD (PostgreSQL's `jsonb` takes neither). Amortised linear.
///
/// ```swift
/// var writer = JSONWriter()
/// writer.beginObject()
/// writer.key("accepted"); writer.integer(3)
/// writer.endObject()
/// ```
public struct JSONWriter {
    /// What was written so far.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    /// - Parameter byteCountEstimate: reserved at once; growing further is allowed.
    public init(byteCountEstimate: Int = 256) {
        bytes.reserveCapacity(byteCountEstimate)
    }

    /// Forgets what was written and keeps the memory for the next document.
    public mutating func reset() {
        bytes.removeAll(keepingCapacity: true)
        needsComma = false
    }

    /// Opens an object; members follow as ``key(_:)`` and a value each.
    public mutating func beginObject() {
        open(0x7B)
    }

    /// Closes the object opened last.
    public mutating func endObject() {
        close(0x7D)
    }

    /// Opens an array.
    public mutating func beginArray() {
        open(0x5B)
    }

    /// Closes the array opened last.
    public mutating func endArray() {
        close(0x5D)
    }

    /// A key known when the program was written; the usual case.
    public mutating func key(_ name: StaticString) {
        key(bytes: Self.view(name))
    }

    /// A key made at run time.
    public mutating func key(text name: String) {
        string(name)
        endKey()
    }

    /// A key from bytes that somebody else owns.
    public mutating func key(bytes name: UnsafeBufferPointer<UInt8>) {
        string(bytes: name)
        endKey()
    }

    /// A string.
    public mutating func string(_ text: String) {
        var text = text
        text.withUTF8 { string(bytes: $0) }
    }

    /// A string known when the program was written.
    public mutating func string(static text: StaticString) {
        string(bytes: Self.view(text))
    }

    /// A string from bytes of any kind: log text needs no repair before.
    public mutating func string(bytes text: UnsafeBufferPointer<UInt8>) {
        beginValue()
        bytes.append(0x22)
        appendEscaped(text)
        bytes.append(0x22)
        needsComma = true
    }

    /// A whole number.
    public mutating func integer(_ number: Int) {
        appendNumber(magnitude: UInt64(number.magnitude), isNegative: number < 0)
    }

    /// A whole number; beyond 2^53 some readers round it (RFC 8259, section 6).
    public mutating func integer(_ number: UInt64) {
        appendNumber(magnitude: number, isNegative: false)
    }

    /// The shortest text that reads back as the same double; `null` for what JSON cannot say (infinity, not a number).
    /// Allocates a short string.
    public mutating func number(_ number: Double) {
        guard number.isFinite else {
            null()
            return
        }
        beginValue()
        // Swift prints 2.0 as "2.0" and 1e300 as "1e+300": both are JSON numbers as they stand.
        bytes.append(contentsOf: number.description.utf8)
        needsComma = true
    }

    /// `true` or `false`.
    public mutating func bool(_ value: Bool) {
        raw(Self.view(value ? "true" : "false"))
    }

    /// `null`.
    public mutating func null() {
        raw(Self.view("null"))
    }

    /// A value that is JSON already; the caller vouches for it.
    public mutating func raw(_ json: UnsafeBufferPointer<UInt8>) {
        beginValue()
        bytes.append(contentsOf: json)
        needsComma = true
    }

    /// The same from an array.
    public mutating func raw(_ json: [UInt8]) {
        json.withUnsafeBufferPointer { raw($0) }
    }

    /// Ends a line of NDJSON: a newline, and the next value begins without a comma.
    public mutating func endLine() {
        bytes.append(0x0A)
        needsComma = false
    }

    // MARK: Pieces

    private static func view(_ text: StaticString) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    private mutating func beginValue() {
        if needsComma { bytes.append(0x2C) }
    }

    private mutating func open(_ bracket: UInt8) {
        beginValue()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func endKey() {
        bytes.append(0x3A)
        needsComma = false
    }

    private mutating func appendNumber(magnitude: UInt64, isNegative: Bool) {
        beginValue()
        if isNegative { bytes.append(0x2D) }
        let start = bytes.count
        var rest = magnitude
        repeat {
            bytes.append(UInt8(truncatingIfNeeded: rest % 10) + 0x30)
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
        needsComma = true
    }

    private mutating func appendEscaped(_ text: UnsafeBufferPointer<UInt8>) {
        guard let base = text.baseAddress else { return }
        var index = 0
        while index < text.count {
            let runStart = index
            index = Self.runEnd(base, from: index, count: text.count)
            if index > runStart {
                bytes.append(contentsOf: UnsafeBufferPointer(start: base + runStart, count: index - runStart))
            }
            guard index < text.count else { return }
            let byte = base[index]
            if byte < 0x80 {
                let isPlain = byte == 0x3C && !Self.opensMarkup(base, index + 1, text.count)
                if isPlain { bytes.append(byte) } else { appendEscape(byte) }
                index += 1
                continue
            }
            let (length, isValid) = Self.sequence(base, at: index, count: text.count)
            if !isValid {
                bytes.append(contentsOf: [0xEF, 0xBF, 0xBD])
            } else if length == 3, byte == 0xE2, base[index + 1] == 0x80, base[index + 2] & 0xFE == 0xA8 {
                bytes.append(contentsOf: Self.view(base[index + 2] == 0xA8 ? "\\u2028" : "\\u2029"))
            } else {
                bytes.append(contentsOf: UnsafeBufferPointer(start: base + index, count: length))
            }
            index += length
        }
    }

    /// Whether a `<` before `index` could end or open markup inside a page's script: `</script`, `<!--` (HTML Standard,
    /// "Restrictions for contents of script elements"). Any other, as in `<ID>`, is left readable.
    private static func opensMarkup(_ base: UnsafePointer<UInt8>, _ index: Int, _ count: Int) -> Bool {
        index < count && (base[index] == 0x2F || base[index] == 0x21)
    }

    private mutating func appendEscape(_ byte: UInt8) {
        switch byte {
        case 0x00: bytes.append(contentsOf: [0xEF, 0xBF, 0xBD])
        case 0x22: bytes.append(contentsOf: [0x5C, 0x22])
        case 0x5C: bytes.append(contentsOf: [0x5C, 0x5C])
        case 0x0A: bytes.append(contentsOf: [0x5C, 0x6E])
        case 0x0D: bytes.append(contentsOf: [0x5C, 0x72])
        case 0x09: bytes.append(contentsOf: [0x5C, 0x74])
        case 0x08: bytes.append(contentsOf: [0x5C, 0x62])
        case 0x0C: bytes.append(contentsOf: [0x5C, 0x66])
        default:
            let digits = Self.view("0123456789abcdef")
            bytes.append(contentsOf: Self.view("\\u00"))
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 0xF)])
        }
    }

    /// Where the bytes from `start` on stop being copyable as they are.
    private static func runEnd(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) -> Int {
        var index = start
        while index + 8 <= count {
            let marks = JSONScan.writerStops(JSONScan.word(base, index))
            if marks != 0 { return index + JSONScan.firstIndex(marks) }
            index += 8
        }
        while index < count {
            let byte = base[index]
            if byte < 0x20 || byte >= 0x80 || byte == 0x22 || byte == 0x5C || byte == 0x3C { break }
            index += 1
        }
        return index
    }

    /// The length of the UTF-8 sequence at `offset` (Unicode 16, table 3-7); when it is ill-formed, of its maximal
    /// subpart, which one U+FFFD replaces, as the standard library does.
    private static func sequence(
        _ base: UnsafePointer<UInt8>,
        at offset: Int,
        count: Int
    ) -> (length: Int, isValid: Bool) {
        let lead = base[offset]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return (1, false)
        }
        guard offset + 1 < count, second.contains(base[offset + 1]) else { return (1, false) }
        for index in 2..<max(2, length) {
            guard offset + index < count, base[offset + index] & 0xC0 == 0x80 else { return (index, false) }
        }
        return (length, true)
    }
}
