/// Sixteen bytes of a message at once: copied without asking for the length, and asked where a word ends.
///
/// Reads and writes beyond what counts, so both sides need `byteCount` bytes of room more. The operations are those that
/// SSE2 and NEON both have.
struct MessageBlock {
    static let byteCount = 16

    private typealias Bytes = SIMD16<UInt8>
    private let bytes: SIMD16<UInt8>

    static let blank = MessageBlock(SIMD16(repeating: 0x20))

    @inline(__always)
    private init(_ bytes: SIMD16<UInt8>) { self.bytes = bytes }

    @inline(__always)
    init(at source: UnsafePointer<UInt8>) {
        bytes = UnsafeRawPointer(source).loadUnaligned(as: SIMD16<UInt8>.self)
    }

    @inline(__always)
    func store(at target: UnsafeMutablePointer<UInt8>) {
        UnsafeMutableRawPointer(target).storeBytes(of: bytes, as: SIMD16<UInt8>.self)
    }

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        let hits = unsafeBitCast(bytes .== Bytes(repeating: byte), to: SIMD2<UInt64>.self)
        return hits[0] | hits[1] != 0
    }

    /// Whether a blank or a control byte stands in the block, and no colon before it.
    @inline(__always)
    var endsWordWithoutColon: Bool {
        let blanks = unsafeBitCast(bytes .<= Bytes(repeating: 0x20), to: SIMD2<UInt64>.self)
        let colons = unsafeBitCast(bytes .== Bytes(repeating: UInt8(ascii: ":")), to: SIMD2<UInt64>.self)
        let low = UInt64(littleEndian: blanks[0])
        // The bits below the lowest one of a word.
        if low != 0 { return UInt64(littleEndian: colons[0]) & ((low & (~low &+ 1)) &- 1) == 0 }
        let high = UInt64(littleEndian: blanks[1])
        return high != 0 && colons[0] == 0 && UInt64(littleEndian: colons[1]) & ((high & (~high &+ 1)) &- 1) == 0
    }

    /// Letters and `_` at the beginning of the block.
    @inline(__always)
    var letterCount: Int {
        // The bit of the case set, a letter is one of 26 in a row.
        let isLetter = ((bytes | Bytes(repeating: 0x20)) &- Bytes(repeating: 0x61)) .<= Bytes(repeating: 25)
        let isMark = bytes .== Bytes(repeating: UInt8(ascii: "_"))
        let words = unsafeBitCast(isLetter .| isMark, to: SIMD2<UInt64>.self)
        let first = ~UInt64(littleEndian: words[0])
        if first != 0 { return first.trailingZeroBitCount >> 3 }
        let second = ~UInt64(littleEndian: words[1])
        return second == 0 ? Self.byteCount : 8 + second.trailingZeroBitCount >> 3
    }
}
