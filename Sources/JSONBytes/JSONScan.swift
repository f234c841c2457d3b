/// The per-byte work of the reader and the writer: eight bytes in one word at a time, after H. Warren, "Hacker's Delight",
/// 6-1 (find a byte in a word). In each result the lowest set bit is exact; bits above it may be false hits, because a
/// borrow can run upwards, so only the first is ever used.
public enum JSONScan {
    @usableFromInline static let ones: UInt64 = 0x0101_0101_0101_0101
    @usableFromInline static let highs: UInt64 = 0x8080_8080_8080_8080

    /// Eight bytes, the first of them lowest. The caller has checked that there are eight.
    @inlinable @inline(__always)
    static func word(_ base: UnsafePointer<UInt8>, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(base + offset).loadUnaligned(as: UInt64.self))
    }

    /// Marks what ends a run of plain bytes in a JSON string: a quotation mark, a backslash, a control character.
    ///
    /// The subtractions wrap on purpose: each byte is a number of its own.
    @inlinable @inline(__always)
    static func stringStops(_ word: UInt64) -> UInt64 {
        let quote = word ^ (ones &* 0x22)
        let backslash = word ^ (ones &* 0x5C)
        let found = ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | ((word &- ones &* 0x20) & ~word)
        return found & highs
    }

    /// Marks what ends a run of plain bytes in a JSON string: all bits of its byte.
    @inlinable @inline(__always)
    static func stringStops(at source: UnsafePointer<UInt8>) -> SIMD2<UInt64> {
        let bytes = UnsafeRawPointer(source).loadUnaligned(as: SIMD16<UInt8>.self)
        // Whole vectors of a type spelled out, and the masks as words: otherwise the compiler goes byte by byte (Swift 6.3).
        let quotes = unsafeBitCast(bytes .== SIMD16<UInt8>(repeating: 0x22), to: SIMD2<UInt64>.self)
        let backslashes = unsafeBitCast(bytes .== SIMD16<UInt8>(repeating: 0x5C), to: SIMD2<UInt64>.self)
        let controls = unsafeBitCast(bytes .<= SIMD16<UInt8>(repeating: 0x1F), to: SIMD2<UInt64>.self)
        return quotes | backslashes | controls
    }

    /// The index of the first byte that is marked; some are.
    @inlinable @inline(__always)
    static func firstIndex(_ stops: SIMD2<UInt64>) -> Int {
        stops[0] != 0 ? firstIndex(stops[0].littleEndian) : 8 &+ firstIndex(stops[1].littleEndian)
    }

    /// Where a run of plain bytes in a JSON string ends at the latest: the place of the first quotation mark, backslash or control
    /// character from `start` on; or a place before it from which fewer than eight bytes are left. Sixteen bytes at a time, as
    /// most strings of a log have no more.
    @inlinable @inline(__always)
    static func stringStop(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) -> Int {
        var place = start
        while place &+ 16 <= count {
            let stops = stringStops(at: base + place)
            if stops[0] | stops[1] != 0 { return place &+ firstIndex(stops) }
            place &+= 16
        }
        while place &+ 8 <= count {
            let stops = stringStops(word(base, place))
            if stops != 0 { return place &+ firstIndex(stops) }
            place &+= 8
        }
        return place
    }

    /// The place of the quotation mark that ends a string of plain bytes; `nil` when something else stands before it, or fewer
    /// than sixteen bytes are left.
    @inlinable @inline(__always)
    static func plainStringEnd(_ base: UnsafePointer<UInt8>, from start: Int, count: Int) -> Int? {
        var place = start
        while place &+ 16 <= count {
            let stops = stringStops(at: base + place)
            if stops[0] | stops[1] != 0 {
                place &+= firstIndex(stops)
                return base[place] == 0x22 ? place : nil
            }
            place &+= 16
        }
        return nil
    }

    /// What ``isSame(_:_:count:)`` compares at most, and may read on each side.
    public static let sameByteCountMax = 32

    /// Whether two texts are the same, byte for byte: the first and the last words of them, which may overlap. False also for
    /// texts of less than four bytes or more than ``sameByteCountMax``.
    @inlinable @inline(__always)
    public static func isSame(_ left: UnsafePointer<UInt8>, _ right: UnsafePointer<UInt8>, count: Int) -> Bool {
        let left = UnsafeRawPointer(left)
        let right = UnsafeRawPointer(right)
        func difference<Word: FixedWidthInteger & BitwiseCopyable>(_: Word.Type, at offset: Int) -> Word {
            left.loadUnaligned(fromByteOffset: offset, as: Word.self)
                ^ right.loadUnaligned(fromByteOffset: offset, as: Word.self)
        }
        if count >= 8, count <= sameByteCountMax {
            var differences = difference(UInt64.self, at: 0) | difference(UInt64.self, at: count &- 8)
            if count > 16 { differences |= difference(UInt64.self, at: 8) | difference(UInt64.self, at: count &- 16) }
            return differences == 0
        }
        guard count >= 4, count < 8 else { return false }
        return difference(UInt32.self, at: 0) | difference(UInt32.self, at: count &- 4) == 0
    }

    /// Marks backslashes.
    @inlinable @inline(__always)
    static func backslashes(_ word: UInt64) -> UInt64 {
        let backslash = word ^ (ones &* 0x5C)
        return (backslash &- ones) & ~backslash & highs
    }

    /// Marks what the writer cannot copy as it is: what ends a run for the reader, `<`, and everything beyond ASCII.
    @inlinable @inline(__always)
    static func writerStops(_ word: UInt64) -> UInt64 {
        let less = word ^ (ones &* 0x3C)
        return stringStops(word) | (((less &- ones) & ~less | word) & highs)
    }

    /// The index of the byte that the lowest set bit marks.
    @inlinable @inline(__always)
    static func firstIndex(_ marks: UInt64) -> Int {
        marks.trailingZeroBitCount >> 3
    }

    /// The value of a hexadecimal digit, or `nil`.
    @inlinable @inline(__always)
    static func hexDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x30...0x39: UInt32(byte) - 0x30
        case 0x41...0x46: UInt32(byte) - 0x37
        case 0x61...0x66: UInt32(byte) - 0x57
        default: nil
        }
    }

    /// Four hexadecimal digits from `offset` on, or `nil`. Reads nothing at or after `count`.
    @inlinable
    static func hexQuad(_ base: UnsafePointer<UInt8>, _ offset: Int, count: Int) -> UInt32? {
        guard offset + 4 <= count else { return nil }
        var value: UInt32 = 0
        for index in offset..<offset + 4 {
            guard let digit = hexDigit(base[index]) else { return nil }
            value = value << 4 | digit
        }
        return value
    }
}
