/// One message while it is being normalised: its bytes, their classes and the word lists.
///
/// The recognisers are extensions of this type, one function each. They are pure: a position in, the position after the
/// value out, or 0 when there is none (a value never ends at 0). Reading at or past `end` gives a blank, so every
/// look-ahead may run over the end, and the end of a message is a boundary like any other: blanks stand there
/// (``paddingByteCount``), and no run of anything but blanks goes on behind the first of them.
///
/// Does not own its memory; `Normalizer` keeps it alive for the call.
struct MessageReader {
    let bytes: UnsafePointer<UInt8>
    let end: Int
    let classes: UnsafePointer<ByteClass>
    let vocabulary: Vocabulary

    /// Blanks behind the message, so that looking ahead needs not ask for the end at each byte. No rule looks further ahead
    /// than this of a byte that is no blank; the longest look is that of the dates, 20 bytes.
    static let paddingByteCount = 64

    @inline(__always)
    func byte(_ index: Int) -> UInt8 {
        assert(index < end + Self.paddingByteCount, "a rule looks ahead further than there are blanks")
        return bytes[index]
    }

    @inline(__always)
    func byteClass(_ index: Int) -> ByteClass { classes[Int(byte(index))] }

    @inline(__always)
    func isDigit(_ index: Int) -> Bool {
        byteClass(index) == .digit
    }

    @inline(__always)
    func isLetter(_ index: Int) -> Bool {
        byteClass(index).touches(.letter)
    }

    /// Whether a name goes on at `index`: what must not follow a value directly.
    @inline(__always)
    func isWord(_ index: Int) -> Bool {
        byteClass(index).touches(.word)
    }

    /// The first position from `start` on whose byte has none of `set`, which does not hold the blank.
    @inline(__always)
    func endOfRun(of set: ByteClass, from start: Int) -> Int {
        assert(!set.touches(.blank), "a run of blanks ends at the end of the message")
        var index = start
        while byteClass(index).touches(set) { index &+= 1 }  // a blank stands at `end`
        return index
    }

    @inline(__always)
    func endOfBlanks(from start: Int) -> Int {
        var index = start
        while index < end, classes[Int(bytes[index])] == .blank { index &+= 1 }
        return index
    }

    /// Digits at `start`, counting at most `max`.
    @inline(__always)
    func digitCount(at start: Int, max: Int) -> Int {
        var index = start
        let limit = start &+ max
        while index < limit, byteClass(index) == .digit { index &+= 1 }
        return index &- start
    }

    /// The value of the `count` digits at `start`; `count` at most 9.
    func number(at start: Int, count: Int) -> Int {
        var value = 0
        for index in start..<(start + count) {
            value = value * 10 + Int(byte(index) & 0x0F)
        }
        return value
    }

    @inline(__always)
    func kinds(from start: Int, to end: Int) -> Vocabulary.Kinds {
        vocabulary.kinds(of: bytes + start, count: end - start)
    }

    /// Whether the bytes at `start` are those of `text`, in this case.
    func has(_ text: StaticString, at start: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard start + count <= end else { return false }
        for index in 0..<count where bytes[start + index] != text.utf8Start[index] { return false }
        return true
    }
}
