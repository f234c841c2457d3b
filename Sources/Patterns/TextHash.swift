/// A hash of texts for tables inside one process: a third of the instructions of ``XXH64``. Never stored, so it may change.
///
/// Folds the 128-bit product of 16 bytes at a time, as wyhash does, with its protection against operands that are zero
/// (github.com/wangyi-fudan/wyhash, `_wymum` under `WYHASH_CONDOM` 2). No defence against somebody who builds collisions.
enum TextHash {
    private static var prime0: UInt64 { 0x2d35_8dcc_aa6c_78a5 }
    private static var prime1: UInt64 { 0x8bb8_4b93_962e_acc9 }
    private static var prime2: UInt64 { 0x4b33_a62e_d433_d4a3 }

    @inline(__always)
    static func hash(_ text: UnsafeBufferPointer<UInt8>) -> UInt64 {
        let count = text.count
        guard let base = text.baseAddress, count > 0 else { return prime0 }
        let bytes = UnsafeRawPointer(base)
        var hash = prime0 ^ UInt64(truncatingIfNeeded: count)
        if count >= 16 {
            var offset = 0
            while offset &+ 16 < count {
                hash = fold(load(bytes, offset) ^ prime1, load(bytes, offset &+ 8) ^ hash)
                offset &+= 16
            }
            // The last 16, some of them for the second time.
            return fold(prime2, fold(load(bytes, count &- 16) ^ prime1, load(bytes, count &- 8) ^ hash))
        }
        if count >= 8 { return fold(prime2, fold(load(bytes, 0) ^ prime1, load(bytes, count &- 8) ^ hash)) }
        var word: UInt64 = 0
        for index in 0..<count { word = word << 8 | UInt64(base[index]) }
        return fold(prime2, fold(word ^ prime1, hash))
    }

    /// The hash of a text whose digits are all taken for 0.
    @inline(__always)
    static func hashShape(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
        var hash = prime0 ^ UInt64(truncatingIfNeeded: count)
        var offset = 0
        while offset &+ ShapeBlock.byteCount < count {
            hash = fold(ShapeBlock(at: bytes + offset), hash)
            offset &+= ShapeBlock.byteCount  // below `count`
        }
        hash = fold(ShapeBlock(last: bytes, count), hash)
        return fold(prime2, hash)
    }

    @inline(__always)
    private static func fold(_ block: ShapeBlock, _ hash: UInt64) -> UInt64 {
        let words = block.withoutDigits
        return fold(words[0] ^ prime1, words[1] ^ hash)
    }

    @inline(__always)
    private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return left ^ product.low ^ right ^ product.high
    }

    @inline(__always)
    private static func load(_ bytes: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }
}
