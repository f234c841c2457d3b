/// Sixteen bytes of a message for which only the values of the digits do not count.
struct ShapeBlock {
    static let byteCount = 16
    /// Stands for any digit in a text that is compared with. No UTF-8 has this byte (RFC 3629).
    static let anyDigit: UInt8 = 0xFF

    private typealias Bytes = SIMD16<UInt8>
    private let bytes: SIMD16<UInt8>

    @inline(__always)
    init(at source: UnsafePointer<UInt8>) {
        bytes = UnsafeRawPointer(source).loadUnaligned(as: SIMD16<UInt8>.self)
    }

    /// The last sixteen of `count` bytes, or all of them: what is left of the block is the same for texts of one length.
    @inline(__always)
    init(last source: UnsafePointer<UInt8>, _ count: Int) {
        let raw = UnsafeRawPointer(source)
        if count >= Self.byteCount {
            bytes = raw.loadUnaligned(fromByteOffset: count &- Self.byteCount, as: SIMD16<UInt8>.self)
            return
        }
        var first: UInt64 = 0
        var second: UInt64 = 0
        if count >= 8 {
            first = raw.loadUnaligned(as: UInt64.self)
            second = raw.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        } else {
            var index = 0
            while index < count {
                first = first << 8 | UInt64(source[index])
                index &+= 1  // below `count`
            }
        }
        let words = SIMD2<UInt64>(first, second)
        bytes = unsafeBitCast(words, to: SIMD16<UInt8>.self)
    }

    @inline(__always)
    private var isDigit: SIMD16<UInt8> {
        unsafeBitCast((bytes &- Bytes(repeating: UInt8(ascii: "0"))) .<= Bytes(repeating: 9), to: Bytes.self)
    }

    /// The bytes, every digit as 0.
    @inline(__always)
    var withoutDigits: SIMD2<UInt64> {
        unsafeBitCast(bytes & ~(isDigit & Bytes(repeating: 0x0F)), to: SIMD2<UInt64>.self)
    }

    /// Whether the bytes are those of `other`, or digits where that says ``anyDigit``: all bits set for each byte that
    /// is as it should be.
    @inline(__always)
    func matches(_ other: ShapeBlock) -> SIMD2<UInt64> {
        // As words: on masks of bytes the compiler goes byte by byte (Swift 6.3).
        let isEqual = unsafeBitCast(bytes .== other.bytes, to: SIMD2<UInt64>.self)
        let isFree = unsafeBitCast(other.bytes .== Bytes(repeating: Self.anyDigit), to: SIMD2<UInt64>.self)
        let isDigit = unsafeBitCast(self.isDigit, to: SIMD2<UInt64>.self)
        return isEqual ^ isFree & (isEqual ^ isDigit)
    }
}
