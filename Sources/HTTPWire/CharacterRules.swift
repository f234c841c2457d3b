/// The byte classes of HTTP/1.1. Bitmaps rather than tables: they live in the instructions.
enum CharacterRules {
    static let tab = UInt8(ascii: "\t")
    static let space = UInt8(ascii: " ")
    static let carriageReturn = UInt8(ascii: "\r")
    static let lineFeed = UInt8(ascii: "\n")
    static let colon = UInt8(ascii: ":")

    /// `tchar` (RFC 9110, 5.6.2): letters, digits and ``!#$%&'*+-.^_`|~``.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        // Bytes 0x00-0x3F and 0x40-0x7F, a bit each.
        let map: UInt64 =
            byte < 0x40 ? 0x03FF_6CFA_0000_0000 : byte < 0x80 ? 0x57FF_FFFF_C7FF_FFFE : 0
        return map >> UInt64(byte & 63) & 1 != 0
    }

    /// What may stand in a field's value, blanks at its ends aside (RFC 9110, 5.5): everything but control characters.
    @inline(__always)
    static func isFieldValue(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != 0x7F || byte == tab
    }

    /// A visible ASCII character: what a target and a method are made of.
    @inline(__always)
    static func isVisible(_ byte: UInt8) -> Bool {
        byte &- 0x21 < 0x5E
    }

    /// What a host and its port are made of (RFC 3986, 3.2.2): unreserved, sub-delims, `%`, `:`, `[` and `]`.
    static func isHost(_ byte: UInt8) -> Bool {
        let map: UInt64 =
            byte < 0x40 ? 0x2FFF_7FF2_0000_0000 : byte < 0x80 ? 0x47FF_FFFE_AFFF_FFFE : 0
        return map >> UInt64(byte & 63) & 1 != 0
    }

    @inline(__always)
    static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    /// The value of a hexadecimal digit.
    static func hexValue(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(byte - UInt8(ascii: "a")) + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(byte - UInt8(ascii: "A")) + 10
        default: nil
        }
    }
}
