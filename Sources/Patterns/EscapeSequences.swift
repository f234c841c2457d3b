internal import LogModel

/// Takes out of a message what only a terminal understands: colours, cursor moves, titles, links (ECMA-48 sections 5.3 and
/// 5.4; OSC as xterm's "Control Sequences" has it).
///
/// Many programs colour their lines also where nobody sees them. The numbers in `ESC[32m` would be masked like any other, the
/// `m` would hang on the level behind it, and text that is shown later must not be obeyed by a terminal.
enum EscapeSequences {
    private static let escape: UInt8 = 0x1B
    /// Of a title or a link that does not end, only the escape itself goes.
    private static let stringByteCountMax = 2048
    private static let parameterCountMax = 64

    private typealias Block = SIMD16<UInt8>

    /// Whether there is any: one look over the bytes, sixteen at a time.
    @inline(__always)
    static func areIn(_ text: ByteView) -> Bool {
        let count = text.count
        guard let base = text.baseAddress, count > 0 else { return false }
        guard count >= 16 else {
            var index = 0
            while index < count {
                if base[index] == escape { return true }
                index &+= 1  // below `count`
            }
            return false
        }
        let bytes = UnsafeRawPointer(base)
        var found = bytes.loadUnaligned(fromByteOffset: count &- 16, as: Block.self) .== Block(repeating: escape)
        var index = 0
        while index &+ 16 < count {
            found =
                found .| (bytes.loadUnaligned(fromByteOffset: index, as: Block.self) .== Block(repeating: escape))
            index &+= 16  // below `count`
        }
        let words = unsafeBitCast(found, to: SIMD2<UInt64>.self)
        return words[0] | words[1] != 0
    }

    /// Copies `text` without them to `target`, which has room for `capacity` bytes, and returns how many were written. No
    /// escape is left, so doing it again changes nothing. Linear.
    static func remove(from text: ByteView, to target: UnsafeMutablePointer<UInt8>, capacity: Int) -> Int {
        var count = 0
        var index = 0
        while index < text.count, count < capacity {
            if text[index] == escape {
                index = end(of: index, in: text)
            } else {
                target[count] = text[index]
                count += 1
                index += 1
            }
        }
        return count
    }

    /// Where the sequence ends whose escape stands at `start`; behind the escape when it is none, or not whole.
    private static func end(of start: Int, in text: ByteView) -> Int {
        guard start + 1 < text.count else { return start + 1 }
        switch text[start + 1] {
        case UInt8(ascii: "["):
            // Parameters and intermediates, then a final byte.
            var index = start + 2
            let limit = min(text.count, index + parameterCountMax)
            while index < limit, (0x20...0x3F).contains(text[index]) { index += 1 }
            return index < limit && (0x40...0x7E).contains(text[index]) ? index + 1 : start + 2
        case UInt8(ascii: "]"):
            var index = start + 2
            let limit = min(text.count, index + stringByteCountMax)
            while index < limit, text[index] >= 0x20 { index += 1 }
            guard index < limit else { return start + 2 }
            if text[index] == 0x07 { return index + 1 }
            let endsWhole = text[index] == escape && index + 1 < text.count && text[index + 1] == UInt8(ascii: "\\")
            return endsWhole ? index + 2 : start + 2
        case UInt8(ascii: "("), UInt8(ascii: ")"):
            // A character set.
            return min(text.count, start + 3)
        case 0x40...0x5F: return start + 2
        default: return start + 1
        }
    }
}
