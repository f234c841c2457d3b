/// What a JSON value is, told by its first byte.
public enum JSONKind: UInt8, Sendable {
    case object, array, string, number, bool, null
}

/// One value or key as it stands in the text: a view, no copy, valid as long as the text.
public struct JSONItem {
    public var kind: JSONKind
    /// True for a string that holds at least one escape, so that ``bytes`` is not yet its content.
    public var hasEscapes: Bool
    /// A string without its quotation marks; anything else as it was written.
    public var bytes: UnsafeBufferPointer<UInt8>

    /// - Parameter bytes: for a string, what stands between the quotation marks.
    @inlinable
    public init(kind: JSONKind, hasEscapes: Bool, bytes: UnsafeBufferPointer<UInt8>) {
        self.kind = kind
        self.hasEscapes = hasEscapes
        self.bytes = bytes
    }
}

/// Checks whole documents.
public enum JSONValidator {
    /// Succeeds when `bytes` is one JSON value with nothing but blanks around it. One pass, no allocation.
    @inlinable
    public static func validate(_ bytes: UnsafeBufferPointer<UInt8>) throws(JSONSyntaxError) {
        var cursor = JSONCursor(bytes)
        _ = try cursor.value()
        try cursor.finish()
    }
}

/// Reads JSON (RFC 8259) value by value from bytes that somebody else owns. Allocates nothing, copies nothing.
///
/// Strict about the grammar; everything it steps over is checked, also inside ``value()``. Lenient about text: invalid
/// UTF-8 in strings passes (whoever stores it repairs it), a lone surrogate and `\u0000` pass as escapes. Containers nest
/// at most ``depthMax`` deep. After an error the cursor must not be used further.
///
/// ```swift
/// var cursor = JSONCursor(bytes)
/// try cursor.enterObject()
/// while let key = try cursor.nextKey() {
///     let item = try cursor.value()
/// }
/// try cursor.finish()
/// ```
public struct JSONCursor {
    /// Containers open at once. Deeper is never honest in a log record, and 64 fit one word of marks.
    public static let depthMax = 64

    @usableFromInline let base: UnsafePointer<UInt8>
    @usableFromInline let count: Int
    /// Bytes read so far.
    public private(set) var offset: Int {
        @inlinable get { position }
        set { position = newValue }
    }
    @usableFromInline var position: Int
    @usableFromInline var depth: Int
    /// True directly after an opening bracket, where no comma stands before the next member.
    @usableFromInline var isFirst: Bool

    /// A cursor at the start of `bytes`, which must stay valid while it and the items it gave are used.
    @inlinable
    public init(_ bytes: UnsafeBufferPointer<UInt8>) {
        // An empty buffer may have no address; nothing is read through this one, as the count is zero.
        base = bytes.baseAddress ?? UnsafePointer(bitPattern: 1).unsafelyUnwrapped
        count = bytes.count
        position = 0
        depth = 0
        isFirst = false
    }

    /// The kind of the next value, blanks before it skipped; `nil` at the end and before anything that begins no value.
    @inlinable
    public mutating func peek() -> JSONKind? {
        skipBlanks()
        guard position < count else { return nil }
        switch base[position] {
        case 0x7B: return .object
        case 0x5B: return .array
        case 0x22: return .string
        case 0x74, 0x66: return .bool
        case 0x6E: return .null
        case 0x2D, 0x30...0x39: return .number
        default: return nil
        }
    }

    /// Succeeds when only blanks are left.
    @inlinable
    public mutating func finish() throws(JSONSyntaxError) {
        skipBlanks()
        guard position == count else { throw error("unexpected text after the value") }
    }

    /// Steps over `{`.
    @inlinable
    public mutating func enterObject() throws(JSONSyntaxError) {
        skipBlanks()
        guard position < count, base[position] == 0x7B else { throw error("expected an object") }
        try enter()
    }

    /// Steps over `[`.
    @inlinable
    public mutating func enterArray() throws(JSONSyntaxError) {
        skipBlanks()
        guard position < count, base[position] == 0x5B else { throw error("expected an array") }
        try enter()
    }

    @inlinable
    mutating func enter() throws(JSONSyntaxError) {
        guard depth < Self.depthMax else { throw error("nested deeper than 64") }
        depth &+= 1
        position &+= 1
        isFirst = true
    }

    /// The next key of the object entered last, its colon stepped over; `nil` when the object ends. The value must be
    /// read or entered before the next call.
    @inlinable
    public mutating func nextKey() throws(JSONSyntaxError) -> JSONItem? {
        skipBlanks()
        guard position < count else { throw error("unexpected end inside an object") }
        if base[position] == 0x7D {
            leave()
            return nil
        }
        if isFirst {
            isFirst = false
        } else {
            guard base[position] == 0x2C else { throw error("expected a comma or the end of the object") }
            position &+= 1
        }
        return try key()
    }

    /// Whether the array entered last has another element, which must be read or entered before the next call.
    @inlinable
    public mutating func nextElement() throws(JSONSyntaxError) -> Bool {
        skipBlanks()
        guard position < count else { throw error("unexpected end inside an array") }
        if base[position] == 0x5D {
            leave()
            return false
        }
        if isFirst {
            isFirst = false
        } else {
            guard base[position] == 0x2C else { throw error("expected a comma or the end of the array") }
            position &+= 1
        }
        return true
    }

    @inlinable
    mutating func leave() {
        position &+= 1
        depth &-= 1
        isFirst = false
    }

    /// The next value, whatever it is; an object or array is checked to its end and given as it was written.
    @inlinable
    public mutating func value() throws(JSONSyntaxError) -> JSONItem {
        skipBlanks()
        guard position < count else { throw error("unexpected end, expected a value") }
        let start = position
        let kind: JSONKind
        switch base[position] {
        case 0x22:
            position &+= 1
            return try string()
        case 0x7B:
            try container()
            kind = .object
        case 0x5B:
            try container()
            kind = .array
        default:
            kind = try scalar()
        }
        return JSONItem(kind: kind, hasEscapes: false, bytes: view(start, position))
    }

    // MARK: Pieces

    @inlinable @inline(__always)
    func view(_ start: Int, _ end: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: base + start, count: end &- start)
    }

    @inlinable @inline(never)
    func error(_ reason: StaticString) -> JSONSyntaxError {
        JSONSyntaxError(offset: position, reason: reason)
    }

    @inlinable @inline(__always)
    mutating func skipBlanks() {
        while position < count {
            let byte = base[position]
            if byte > 0x20 { return }
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position &+= 1
        }
    }

    /// A key and its colon.
    @inlinable @inline(__always)
    mutating func key() throws(JSONSyntaxError) -> JSONItem {
        skipBlanks()
        guard position < count else { throw error("unexpected end inside an object") }
        guard base[position] == 0x22 else { throw error("expected a key in quotation marks") }
        position &+= 1
        let key = try string()
        skipBlanks()
        guard position < count, base[position] == 0x3A else { throw error("expected a colon") }
        position &+= 1
        return key
    }

    /// A string whose opening mark was stepped over. The inner loop takes eight bytes at a time.
    @inlinable @inline(__always)
    mutating func string() throws(JSONSyntaxError) -> JSONItem {
        let start = position
        var place = position
        var hasEscapes = false
        let base = base
        let count = count
        while true {
            while place &+ 8 <= count {
                let stops = JSONScan.stringStops(JSONScan.word(base, place))
                if stops != 0 {
                    place &+= JSONScan.firstIndex(stops)
                    break
                }
                place &+= 8
            }
            position = place
            guard place < count else { throw error("unexpected end inside a string") }
            let byte = base[place]
            if byte == 0x22 {
                position = place &+ 1
                return JSONItem(kind: .string, hasEscapes: hasEscapes, bytes: view(start, place))
            } else if byte == 0x5C {
                hasEscapes = true
                try escape()
                place = position
            } else if byte < 0x20 {
                throw error("control character inside a string")
            } else {
                place &+= 1
            }
        }
    }

    /// One escape; a surrogate is not looked at here.
    @inlinable
    mutating func escape() throws(JSONSyntaxError) {
        guard position &+ 1 < count else {
            position = count
            throw error("unexpected end inside a string")
        }
        switch base[position &+ 1] {
        case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74:
            position &+= 2
        case 0x75:
            guard JSONScan.hexQuad(base, position &+ 2, count: count) != nil else {
                throw error("expected four hexadecimal digits after \\u")
            }
            position &+= 6
        default:
            throw error("unknown escape")
        }
    }

    /// A number or a literal.
    @inlinable
    mutating func scalar() throws(JSONSyntaxError) -> JSONKind {
        switch base[position] {
        case 0x2D, 0x30...0x39:
            try number()
            return .number
        case 0x74:
            try literal("true")
            return .bool
        case 0x66:
            try literal("false")
            return .bool
        case 0x6E:
            try literal("null")
            return .null
        default:
            throw error("expected a value")
        }
    }

    @inlinable
    mutating func literal(_ word: StaticString) throws(JSONSyntaxError) {
        let length = word.utf8CodeUnitCount
        guard position &+ length <= count else { throw error("expected a value") }
        for index in 0..<length where base[position &+ index] != word.utf8Start[index] {
            throw error("expected a value")
        }
        position &+= length
    }

    @inlinable
    mutating func number() throws(JSONSyntaxError) {
        if base[position] == 0x2D { position &+= 1 }
        guard position < count else { throw error("unexpected end inside a number") }
        if base[position] == 0x30 {
            position &+= 1
            if position < count, base[position] &- 0x30 < 10 { throw error("a number must not begin with zero") }
        } else {
            try digits()
        }
        if position < count, base[position] == 0x2E {
            position &+= 1
            try digits()
        }
        if position < count, base[position] | 0x20 == 0x65 {
            position &+= 1
            if position < count, base[position] == 0x2B || base[position] == 0x2D { position &+= 1 }
            try digits()
        }
    }

    /// One digit or more. The subtraction wraps so that one comparison serves for both ends.
    @inlinable
    mutating func digits() throws(JSONSyntaxError) {
        let start = position
        while position < count, base[position] &- 0x30 < 10 { position &+= 1 }
        guard position > start else { throw error("expected a digit") }
    }

    /// An object or array from its opening bracket to its end, without recursion: which of the open containers are objects
    /// is kept as one bit each, the innermost lowest.
    @inlinable
    mutating func container() throws(JSONSyntaxError) {
        var objects: UInt64 = 0
        let outerDepth = depth
        value: while true {
            skipBlanks()
            guard position < count else { throw error("unexpected end, expected a value") }
            switch base[position] {
            case 0x22:
                position &+= 1
                _ = try string()
            case 0x7B:
                guard depth < Self.depthMax else { throw error("nested deeper than 64") }
                depth &+= 1
                objects = objects << 1 | 1
                position &+= 1
                skipBlanks()
                if position < count, base[position] == 0x7D { break }
                _ = try key()
                continue value
            case 0x5B:
                guard depth < Self.depthMax else { throw error("nested deeper than 64") }
                depth &+= 1
                objects <<= 1
                position &+= 1
                skipBlanks()
                guard position < count else { throw error("unexpected end inside an array") }
                if base[position] == 0x5D { break }
                continue value
            default:
                _ = try scalar()
            }
            while depth > outerDepth {
                skipBlanks()
                guard position < count else {
                    throw error(
                        objects & 1 == 1 ? "unexpected end inside an object" : "unexpected end inside an array"
                    )
                }
                switch (base[position], objects & 1) {
                case (0x2C, 1):
                    position &+= 1
                    _ = try key()
                    continue value
                case (0x2C, _):
                    position &+= 1
                    continue value
                case (0x7D, 1), (0x5D, 0):
                    position &+= 1
                    depth &-= 1
                    objects >>= 1
                case (_, 1):
                    throw error("expected a comma or the end of the object")
                default:
                    throw error("expected a comma or the end of the array")
                }
            }
            isFirst = false
            return
        }
    }
}
