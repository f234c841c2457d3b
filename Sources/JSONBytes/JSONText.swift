/// Turns items into what they stand for. Pure functions over views; none allocates except where it says so.
public enum JSONText {
    /// The content of a string item, its escapes resolved, written to `output`. A lone surrogate gives U+FFFD, `\u0000` a
    /// NUL byte; bytes that are not UTF-8 are copied as they are. The content is never longer than the raw text.
    ///
    /// - Parameter raw: what stands between the quotation marks, as a ``JSONCursor`` gave it.
    /// - Returns: the bytes written, and whether that was all; when `output` is too short the cut is at a scalar's edge.
    @inlinable
    public static func unescape(
        _ raw: UnsafeBufferPointer<UInt8>,
        into output: UnsafeMutableBufferPointer<UInt8>
    ) -> (count: Int, isComplete: Bool) {
        guard let source = raw.baseAddress, let target = output.baseAddress else { return (0, raw.isEmpty) }
        var read = 0
        var written = 0
        while read < raw.count {
            let runEnd = nextBackslash(source, from: read, count: raw.count)
            if runEnd > read {
                let room = output.count &- written
                let run = cut(UnsafeBufferPointer(start: source + read, count: runEnd &- read), byteCountMax: room)
                (target + written).update(from: source + read, count: run.count)
                written &+= run.count
                if run.count < runEnd &- read { return (written, false) }
                read = runEnd
                continue
            }
            let (scalar, length) = escape(source, at: read, count: raw.count)
            let width = scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x1_0000 ? 3 : 4
            guard written &+ width <= output.count else { return (written, false) }
            encode(scalar, width: width, to: target + written)
            written &+= width
            read &+= length
        }
        return (written, true)
    }

    /// The same into an array that grows; for keys and text off the hot path.
    public static func unescape(_ raw: UnsafeBufferPointer<UInt8>, appendingTo output: inout [UInt8]) {
        let start = output.count
        output.append(contentsOf: repeatElement(0, count: raw.count))
        let written = output.withUnsafeMutableBufferPointer {
            unescape(raw, into: UnsafeMutableBufferPointer(rebasing: $0[start...])).count
        }
        output.removeLast(raw.count - written)
    }

    /// The content of a string item as a `String`, invalid UTF-8 repaired. Allocates.
    public static func string(_ item: JSONItem) -> String {
        guard item.hasEscapes else { return String(decoding: item.bytes, as: UTF8.self) }
        var bytes: [UInt8] = []
        unescape(item.bytes, appendingTo: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// At most `byteCountMax` bytes from the start of `text`, no UTF-8 scalar cut in two.
    @inlinable
    public static func cut(_ text: UnsafeBufferPointer<UInt8>, byteCountMax: Int) -> UnsafeBufferPointer<UInt8> {
        guard text.count > byteCountMax, let base = text.baseAddress else { return text }
        var end = byteCountMax
        // A scalar has at most three continuation bytes; more of them is not UTF-8, and then the place does not matter.
        let limit = max(0, end - 3)
        while end > limit, base[end] & 0xC0 == 0x80 { end -= 1 }
        if base[end] & 0xC0 == 0x80 { end = byteCountMax }
        return UnsafeBufferPointer(start: base, count: end)
    }

    /// The number that `text` is, by the JSON grammar and with nothing around it; `nil` for anything else and for a
    /// number beyond a double's range. Correctly rounded. Allocates only when more than 15 significant digits or a power
    /// of ten beyond 22 keep the arithmetic from being exact (Clinger, "How to Read Floating Point Numbers Accurately").
    public static func double(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
        guard let first = text.first, first == 0x2D || first &- 0x30 < 10 else { return nil }
        var cursor = JSONCursor(text)
        do throws(JSONSyntaxError) {
            try cursor.number()
        } catch {
            return nil
        }
        guard cursor.offset == text.count else { return nil }

        var mantissa: UInt64 = 0
        var significant = 0
        var exponent = 0
        var index = first == 0x2D ? 1 : 0
        var inFraction = false
        while index < text.count, text[index] | 0x20 != 0x65 {
            if text[index] == 0x2E {
                inFraction = true
            } else {
                if significant > 0 || text[index] != 0x30 { significant += 1 }
                guard significant <= 15 else { return slowDouble(text) }
                mantissa = mantissa * 10 + UInt64(text[index] - 0x30)
                if inFraction { exponent -= 1 }
            }
            index += 1
        }
        if index < text.count {
            index += 1
            let isNegative = text[index] == 0x2D
            if text[index] == 0x2B || isNegative { index += 1 }
            var stated = 0
            while index < text.count {
                guard stated < 1000 else { return slowDouble(text) }
                stated = stated * 10 + Int(text[index] - 0x30)
                index += 1
            }
            exponent += isNegative ? -stated : stated
        }
        var value = Double(mantissa)
        if mantissa != 0 {
            guard abs(exponent) <= 22 else { return slowDouble(text) }
            var power = 1.0
            for _ in 0..<abs(exponent) { power *= 10 }
            value = exponent < 0 ? value / power : value * power
        }
        return first == 0x2D ? -value : value
    }

    private static func slowDouble(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
        guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }

    @inlinable
    static func nextBackslash(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) -> Int {
        var index = start
        while index &+ 8 <= count {
            let marks = JSONScan.backslashes(JSONScan.word(base, index))
            if marks != 0 { return index &+ JSONScan.firstIndex(marks) }
            index &+= 8
        }
        while index < count, base[index] != 0x5C { index &+= 1 }
        return index
    }

    /// The scalar that the escape at `offset` stands for and the escape's length. Text that did not come from a cursor may
    /// hold a broken escape: it gives U+FFFD, so that any bytes are safe here.
    @inlinable
    static func escape(_ base: UnsafePointer<UInt8>, at offset: Int, count: Int) -> (scalar: UInt32, length: Int) {
        guard offset &+ 1 < count else { return (0xFFFD, 1) }
        switch base[offset &+ 1] {
        case 0x62: return (0x08, 2)
        case 0x66: return (0x0C, 2)
        case 0x6E: return (0x0A, 2)
        case 0x72: return (0x0D, 2)
        case 0x74: return (0x09, 2)
        case 0x75:
            guard let unit = JSONScan.hexQuad(base, offset &+ 2, count: count) else { return (0xFFFD, 2) }
            guard unit & 0xF800 == 0xD800 else { return (unit, 6) }
            guard unit < 0xDC00, offset &+ 12 <= count, base[offset &+ 6] == 0x5C, base[offset &+ 7] == 0x75,
                let low = JSONScan.hexQuad(base, offset &+ 8, count: count), low & 0xFC00 == 0xDC00
            else { return (0xFFFD, 6) }
            return (0x1_0000 + ((unit & 0x3FF) << 10 | low & 0x3FF), 12)
        case let other: return (other < 0x80 ? UInt32(other) : 0xFFFD, 2)
        }
    }

    @inlinable
    static func encode(_ scalar: UInt32, width: Int, to target: UnsafeMutablePointer<UInt8>) {
        switch width {
        case 1:
            target[0] = UInt8(truncatingIfNeeded: scalar)
        case 2:
            target[0] = UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6)
            target[1] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
        case 3:
            target[0] = UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12)
            target[1] = UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F)
            target[2] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
        default:
            target[0] = UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18)
            target[1] = UInt8(truncatingIfNeeded: 0x80 | scalar >> 12 & 0x3F)
            target[2] = UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F)
            target[3] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F)
        }
    }
}
