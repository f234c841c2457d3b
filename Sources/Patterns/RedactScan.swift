/// The look at every byte of a message: which places could be part of a secret at all.
///
/// Sixteen bytes at a time, by comparisons that both SSE2 and NEON have, so that an ordinary message costs about two
/// instructions a byte and is never copied. A place marked here proves nothing; the rules of `SecretReader` decide.
enum SecretTriggers {
    /// Bytes looked at by one call; one more is read.
    static let stride = 16

    /// The places in 16 bytes where a rule must look, as a non-zero byte each, in memory order.
    struct Marks {
        /// - `:`, `=`, `@` (and their neighbours `; < > ?`, which cost nothing more): keys, URLs, addresses, elements;
        /// - a dash after a dash, a blank or a bracket: flags, PEM;
        /// - a quote: `IDENTIFIED BY '…'`;
        /// - `B`: `Bearer …`, `Basic …`;
        /// - four capitals or digits at a multiple of four: every account or card number of 13 digits has such a word in
        ///   it, and so has one written in groups of four, because its groups begin at four different residues.
        var places: SIMD2<UInt64>
        /// Eight letters, digits, `_` or `-` at a multiple of eight, after eight more: every token of 23 bytes has two
        /// such words in it.
        var words: SIMD2<UInt64>
    }

    /// The marks of the 16 bytes at `bytes`. A secret always has one; a mark proves nothing.
    ///
    /// The multiples count from the beginning of the message, so `bytes` must be a multiple of 16 away from it.
    /// `wordBefore` says whether the eight bytes before are a word (all bits set); it is left for the next call.
    /// Reads 17 bytes.
    @inline(__always)
    static func marks(_ bytes: UnsafeRawPointer, wordBefore: inout UInt64) -> Marks {
        let here = bytes.loadUnaligned(as: Block.self)
        let next = (bytes + 1).loadUnaligned(as: Block.self)
        let dash = Block(repeating: UInt8(ascii: "-"))
        let separator = (here &- Block(repeating: 0x3A)) .<= Block(repeating: 6)
        let isDash = here .== dash
        // `| 0x0D` makes a dash of blank, dash and `( ) , ! $ %`.
        let dashAfter = ((here | Block(repeating: 0x0D)) .== dash) .& (next .== dash)
        // `| 0x05` makes an apostrophe of both quotes (and of `#` and `&`).
        let quote = (here | Block(repeating: 0x05)) .== Block(repeating: UInt8(ascii: "'"))
        let scheme = here .== Block(repeating: UInt8(ascii: "B"))
        let capital = (here &- Block(repeating: 0x30)) .<= Block(repeating: 0x2A)
        let word = isDash .| (here .>= Block(repeating: 0x30))

        let capitals = unsafeBitCast(capital, to: SIMD4<UInt32>.self) .== SIMD4<UInt32>(repeating: .max)
        let words = unsafeBitCast(
            unsafeBitCast(word, to: SIMD2<UInt64>.self) .== SIMD2<UInt64>(repeating: .max),
            to: SIMD2<UInt64>.self
        )
        let pairs = words & SIMD2(wordBefore, words[0])
        wordBefore = words[1]
        // One mark a word is enough.
        let single = unsafeBitCast(separator .| dashAfter .| quote .| scheme, to: SIMD2<UInt64>.self)
        return Marks(
            places: single | unsafeBitCast(capitals, to: SIMD2<UInt64>.self) & SIMD2(repeating: 0x0000_00FF_0000_00FF),
            words: pairs & SIMD2(repeating: 0xFF)
        )
    }

    // Operators on two vectors become instructions; those on a vector and a number become loops (Swift 6.3).
    private typealias Block = SIMD16<UInt8>
}
