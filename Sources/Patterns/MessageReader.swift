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
    /// Where rules note what they asked about the values of digits.
    let conditions: DigitConditions

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

    /// Whether the value of the `count` digits at `start`, three at most, lies in `range`. With ``isZero(_:)``,
    /// ``needDigits(from:to:)`` and ``kindsOfName(from:to:)`` the only way to learn more of a digit than that it is one.
    func isNumber(at start: Int, count: Int, in range: ClosedRange<Int>) -> Bool {
        assert(count <= 3, "a range of more digits is not kept")
        var value = 0
        for index in start..<(start + count) {
            value = value * 10 + Int(byte(index) & 0x0F)
        }
        conditions.need(position: start, count: count, value: value, in: range)
        return range.contains(value)
    }

    /// Whether the byte at `index` is the digit 0.
    func isZero(_ index: Int) -> Bool {
        isDigit(index) && isNumber(at: index, count: 1, in: 0...0)
    }

    /// The digits in `start..<end` stay in the template as they are.
    func needDigits(from start: Int, to end: Int) { conditions.needDigits(from: start, to: end) }

    /// The kinds of a word without digits.
    @inline(__always)
    func kinds(from start: Int, to end: Int) -> Vocabulary.Kinds {
        vocabulary.kinds(of: bytes + start, count: end - start)
    }

    /// The kinds of a word that may have digits.
    func kindsOfName(from start: Int, to end: Int) -> Vocabulary.Kinds {
        guard vocabulary.knowsShape(of: bytes + start, count: end - start) else { return kinds(from: start, to: end) }
        needDigits(from: start, to: end)
        return kinds(from: start, to: end)
    }

    /// Whether the bytes at `start` are those of `text`, in this case.
    func has(_ text: StaticString, at start: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard start + count <= end else { return false }
        for index in 0..<count where bytes[start + index] != text.utf8Start[index] { return false }
        return true
    }
}
