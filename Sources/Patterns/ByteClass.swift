/// What a byte can be part of, as a set of bits: one table look-up a byte answers every question the scan asks.
///
/// Two families: *chunk* bytes (letters, digits and the marks that join values: `_ - . : / @ + \`, and bytes of
/// non-ASCII text) and *stops* (blanks and every other byte), at which a chunk ends.
struct ByteClass: OptionSet {
    let rawValue: UInt16

    static let digit = ByteClass(rawValue: 1 << 0)
    /// `a`...`f` in either case: a letter that is also a hexadecimal digit.
    static let hexLetter = ByteClass(rawValue: 1 << 1)
    /// Every other ASCII letter.
    static let plainLetter = ByteClass(rawValue: 1 << 2)
    static let underscore = ByteClass(rawValue: 1 << 3)
    /// `-`, `.` and `~`: they join words into one name (`part-00190`, `ns1.example.org`, `1.2~rc1`).
    static let joiner = ByteClass(rawValue: 1 << 4)
    static let colon = ByteClass(rawValue: 1 << 5)
    static let slash = ByteClass(rawValue: 1 << 6)
    /// `@` and `\`.
    static let mark = ByteClass(rawValue: 1 << 7)
    static let plus = ByteClass(rawValue: 1 << 8)
    /// A byte of a multi-byte scalar, or of invalid text. Never split from its neighbours by a recogniser.
    static let highByte = ByteClass(rawValue: 1 << 9)
    static let blank = ByteClass(rawValue: 1 << 10)
    /// Any other ASCII byte, NUL and control bytes included.
    static let delimiter = ByteClass(rawValue: 1 << 11)
    /// A delimiter that may begin something: a quoted text, a placeholder, the kernel's time.
    static let opener = ByteClass(rawValue: 1 << 12)

    static let letter: ByteClass = [.hexLetter, .plainLetter]
    static let hexDigit: ByteClass = [.digit, .hexLetter]
    static let word: ByteClass = [.digit, .hexLetter, .plainLetter, .underscore]
    static let stop: ByteClass = [.blank, .delimiter, .opener]
    /// A chunk without any of these holds no value: it is copied as it stands.
    static let suspicious: ByteClass = [.digit, .slash, .mark, .joiner]

    /// The table the scan reads: 256 entries, allocated once for a `Normalizer`, freed by its owner.
    static func makeTable() -> UnsafeMutablePointer<ByteClass> {
        let table = UnsafeMutablePointer<ByteClass>.allocate(capacity: 256)
        for value in 0...255 {
            (table + value).initialize(to: of(UInt8(value)))
        }
        return table
    }

    private static func of(_ byte: UInt8) -> ByteClass {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): .digit
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): .hexLetter
        case UInt8(ascii: "g")...UInt8(ascii: "z"), UInt8(ascii: "G")...UInt8(ascii: "Z"): .plainLetter
        case UInt8(ascii: "_"): .underscore
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "~"): .joiner
        case UInt8(ascii: ":"): .colon
        case UInt8(ascii: "/"): .slash
        case UInt8(ascii: "@"), UInt8(ascii: "\\"): .mark
        case UInt8(ascii: "+"): .plus
        case 0x80...0xFF: .highByte
        case 0x20, 0x09...0x0D: .blank
        case UInt8(ascii: "<"), UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\""), UInt8(ascii: "'"): .opener
        default: .delimiter
        }
    }

    /// Whether any bit is shared. `!isDisjoint(with:)` reads backwards in a condition.
    @inline(__always)
    func touches(_ other: ByteClass) -> Bool {
        rawValue & other.rawValue != 0
    }
}
