internal import LogModel

/// One look over all bytes of a message before anything is made of it.
enum TextSurvey {
    private typealias Block = SIMD16<UInt8>

    /// Whether the text is ASCII without NUL and line feed, as nearly all messages are: then it is well-formed, stays as it
    /// is, and is its own headline. Sixteen bytes at a time, the last sixteen perhaps for the second time.
    @inline(__always)
    static func isPlainLine(_ text: ByteView) -> Bool {
        let count = text.count
        guard let base = text.baseAddress, count > 0 else { return true }
        let bytes = UnsafeRawPointer(base)
        guard count >= 16 else {
            var index = 0
            while index < count {
                let byte = base[index]
                if byte == 0 || byte == 0x0A || byte >= 0x80 { return false }
                index &+= 1  // below `count`
            }
            return true
        }
        var found = faults(bytes.loadUnaligned(fromByteOffset: count &- 16, as: Block.self))
        var index = 0
        while index &+ 16 < count {
            found |= faults(bytes.loadUnaligned(fromByteOffset: index, as: Block.self))
            index &+= 16  // below `count`
        }
        let words = unsafeBitCast(found, to: SIMD2<UInt64>.self)
        return (words[0] | words[1]) & 0x8080_8080_8080_8080 == 0
    }

    /// The highest bit of each byte that is not plain.
    @inline(__always)
    private static func faults(_ block: Block) -> Block {
        let isNull = unsafeBitCast(block .== Block(repeating: 0), to: Block.self)
        let isFeed = unsafeBitCast(block .== Block(repeating: 0x0A), to: Block.self)
        return block | isNull | isFeed
    }
}
