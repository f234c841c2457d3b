/// What a rule of redaction wants replaced.
struct SecretFinding {
    enum Marker { case redacted, email }

    var start: Int
    var end: Int
    var marker = Marker.redacted

    static let none = SecretFinding(start: 0, end: 0)
    var isFound: Bool { end > start }
}

/// One message while secrets are sought in it.
///
/// The rules are extensions of this type. They are pure: a place in, a finding out. Reading outside the message gives a
/// blank, so every look may run over either end. They may look back at bytes that are settled already, but a finding never
/// begins before `floor`. A finding never begins or ends inside a scalar: it ends at ASCII bytes, or takes all bytes of
/// non-ASCII text along.
///
/// Does not own its memory; `Redactor` keeps it alive for the call.
struct SecretReader {
    /// What a byte can be part of.
    struct Kind: OptionSet {
        let rawValue: UInt8

        static let lower = Kind(rawValue: 1)
        static let upper = Kind(rawValue: 2)
        static let digit = Kind(rawValue: 4)
        static let underscore = Kind(rawValue: 8)
        static let dash = Kind(rawValue: 16)
        /// Blanks and control bytes, NUL and line ends included.
        static let blank = Kind(rawValue: 32)
        static let highByte = Kind(rawValue: 64)
        /// `. + / = ~`: with `run`, the bytes of RFC 6750's token68.
        static let tokenMark = Kind(rawValue: 128)

        static let letter: Kind = [.lower, .upper]
        static let alphanumeric: Kind = [.lower, .upper, .digit]
        static let word: Kind = [.lower, .upper, .digit, .underscore]
        /// The alphabet of base64url (RFC 4648 section 5), which nearly all tokens are made of.
        static let run: Kind = [.lower, .upper, .digit, .underscore, .dash]
        static let token68: Kind = [.run, .tokenMark]
        static let capitalOrDigit: Kind = [.upper, .digit]

        static func makeTable() -> UnsafeMutablePointer<Kind> {
            let table = UnsafeMutablePointer<Kind>.allocate(capacity: 256)
            for value in 0...255 { (table + value).initialize(to: of(UInt8(value))) }
            return table
        }

        private static func of(_ byte: UInt8) -> Kind {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): .digit
            case UInt8(ascii: "a")...UInt8(ascii: "z"): .lower
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): .upper
            case UInt8(ascii: "_"): .underscore
            case UInt8(ascii: "-"): .dash
            case 0...0x20, 0x7F: .blank
            case 0x80...0xFF: .highByte
            case UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="), UInt8(ascii: "~"):
                .tokenMark
            default: []
            }
        }

        @inline(__always)
        func touches(_ other: Kind) -> Bool { rawValue & other.rawValue != 0 }
    }

    let bytes: UnsafePointer<UInt8>
    let end: Int
    let kinds: UnsafePointer<Kind>
    let endings: UnsafePointer<UInt64>
    /// Where rules note what they asked about the values of digits: all that look at a value note all of it, so that no
    /// secret is taken for another message that was harmless.
    let conditions: DigitConditions
    /// Where the text begins that is not settled yet.
    var floor = 0
    /// Words that begin before here were looked at.
    var wordsDone = 0
    /// Numbers that end before here were looked at.
    var numbersDone = 0
    /// Addresses that begin before here belong to a URL.
    var addressesDone = 0

    init(
        bytes: UnsafePointer<UInt8>,
        end: Int,
        kinds: UnsafePointer<Kind>,
        endings: UnsafePointer<UInt64>,
        conditions: DigitConditions
    ) {
        self.endings = endings
        self.conditions = conditions
        self.bytes = bytes
        self.end = end
        self.kinds = kinds
    }

    @inline(__always)
    func byte(_ index: Int) -> UInt8 {
        index >= 0 && index < end ? bytes[index] : UInt8(ascii: " ")
    }

    @inline(__always)
    func kind(_ index: Int) -> Kind {
        index >= 0 && index < end ? kinds[Int(bytes[index])] : .blank
    }

    @inline(__always)
    func isDigit(_ index: Int) -> Bool { kind(index) == .digit }

    @inline(__always)
    func isBlank(_ index: Int) -> Bool { kind(index) == .blank }

    @inline(__always)
    func isQuote(_ index: Int) -> Bool {
        switch byte(index) {
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"): true
        default: false
        }
    }

    /// The first position from `start` on whose byte has none of `set`; looks at `max` bytes at most.
    @inline(__always)
    func endOfRun(of set: Kind, from start: Int, max: Int = .max) -> Int {
        var index = start
        let limit = max < end - start ? start + max : end
        while index < limit, kinds[Int(bytes[index])].touches(set) { index += 1 }
        return index
    }

    /// The first position of the run of `set` that ends before `finish`; looks back `max` bytes at most.
    @inline(__always)
    func startOfRun(of set: Kind, before finish: Int, max: Int = .max) -> Int {
        var index = finish
        let limit = max < finish ? finish - max : 0
        while index > limit, kinds[Int(bytes[index - 1])].touches(set) { index -= 1 }
        return index
    }

    /// Whether the bytes at `start` are those of `text`, in this case.
    func has(_ text: StaticString, at start: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard start >= 0, start + count <= end else { return false }
        for index in 0..<count where bytes[start + index] != text.utf8Start[index] { return false }
        return true
    }

    /// Whether the bytes at `start` are those of `text`, which is written in small letters, in either case.
    func hasWord(_ text: StaticString, at start: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard start >= 0, start + count <= end else { return false }
        for index in 0..<count where lowered(start + index) != text.utf8Start[index] { return false }
        return true
    }

    /// Whether the word `start..<finish` is `text`, in either case.
    func isWord(_ text: StaticString, from start: Int, to finish: Int) -> Bool {
        finish - start == text.utf8CodeUnitCount && hasWord(text, at: start)
    }

    /// The byte at `index`; a capital as its small letter.
    @inline(__always)
    func lowered(_ index: Int) -> UInt8 {
        let byte = byte(index)
        return kinds[Int(byte)] == .upper ? byte | 0x20 : byte
    }

    /// The end of a marker of an earlier redaction at `start` (`<REDACTED>`, `<REDACTED:1a2b3c4d>`, `<EMAIL>`); else 0.
    func markerEnd(at start: Int) -> Int {
        guard byte(start) == UInt8(ascii: "<") else { return 0 }
        if has("<REDACTED>", at: start) { return start + 10 }
        if has("<EMAIL>", at: start) { return start + 7 }
        guard has("<REDACTED:", at: start), byte(start + 18) == UInt8(ascii: ">") else { return 0 }
        for index in (start + 10)..<(start + 18) {
            switch byte(index) {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): continue
            default: return 0
            }
        }
        return start + 19
    }

    /// `start..<finish` as a finding, unless it is empty, begins too early, or is a marker already.
    func finding(from start: Int, to finish: Int) -> SecretFinding {
        guard finish > start, start >= floor, markerEnd(at: start) != finish else { return .none }
        return SecretFinding(start: start, end: finish)
    }
}
