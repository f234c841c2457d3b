/// Makes bytes storable as text: PostgreSQL and JSON take neither invalid UTF-8 nor NUL, and one such record must not cost
/// its batch (`\u0000` stops several log agents for good).
public enum UTF8Repair {
    /// Appends `bytes` to `output` with every ill-formed sequence, and every NUL, replaced by U+FFFD, at most `byteCountMax`
    /// bytes in all, cut at a scalar's edge. Linear in the bytes looked at.
    public static func append(_ bytes: ByteView, to output: inout [UInt8], byteCountMax: Int) {
        let start = output.count
        let view = ByteView(rebasing: bytes[..<scalarEdge(in: bytes, before: byteCountMax)])
        if isClean(view) {
            output.append(contentsOf: view)
            return
        }
        for scalar in String(decoding: view, as: UTF8.self).unicodeScalars {
            let encoded = Unicode.UTF8.encode(scalar == "\0" ? "\u{FFFD}" : scalar)
            let code = encoded ?? Unicode.UTF8.encodedReplacementCharacter
            // A replacement takes three bytes for one: repaired text can outgrow its bound.
            guard output.count - start + code.count <= byteCountMax else { return }
            output.append(contentsOf: code)
        }
    }

    /// The last place at or before `limit` that does not lie inside a scalar.
    private static func scalarEdge(in bytes: ByteView, before limit: Int) -> Int {
        guard bytes.count > limit else { return bytes.count }
        var edge = limit
        while edge > 0, limit - edge < 3, bytes[edge] & 0xC0 == 0x80 { edge -= 1 }
        // Four continuation bytes in a row belong to no scalar: cut anywhere.
        return bytes[edge] & 0xC0 == 0x80 ? limit : edge
    }

    /// Whether the bytes are plain ASCII without NUL, or well-formed UTF-8 without NUL.
    public static func isClean(_ bytes: ByteView) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        let raw = UnsafeRawPointer(base)
        var accumulated: UInt64 = 0
        var index = 0
        // Eight bytes at a time; the second line finds a zero byte (Warren, "Hacker's Delight", 6-1). It wraps on purpose.
        while index + 8 <= bytes.count {
            let word = raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { return false }
            accumulated |= word
            index += 8
        }
        while index < bytes.count {
            if bytes[index] == 0 { return false }
            accumulated |= UInt64(bytes[index])
            index += 1
        }
        return accumulated & 0x8080_8080_8080_8080 == 0 || isWellFormed(bytes)
    }

    private static func isWellFormed(_ bytes: ByteView) -> Bool {
        var decoder = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        while true {
            switch decoder.parseScalar(from: &iterator) {
            case .valid: continue
            case .emptyInput: return true
            case .error: return false
            }
        }
    }
}
