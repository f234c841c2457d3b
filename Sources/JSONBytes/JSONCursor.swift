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

/// Where a value or key stands in the text of its cursor: what an item is made of, for whoever keeps many of them.
public struct JSONSpan {
    public var kind: JSONKind
    /// As ``JSONItem/hasEscapes``.
    public var hasEscapes: Bool
    /// Offset of the first byte; of a string the one behind its quotation mark.
    public var start: Int
    /// Offset behind the last byte; of a string that of its closing mark.
    public var end: Int

    @inlinable @inline(__always)
    public init(kind: JSONKind, hasEscapes: Bool, start: Int, end: Int) {
        self.kind = kind
        self.hasEscapes = hasEscapes
        self.start = start
        self.end = end
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
    /// Bytes of the whole text.
    @inlinable public var byteCount: Int { count }
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
    @inlinable @inline(__always)
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
    @inlinable @inline(__always)
    public mutating func enterObject() throws(JSONSyntaxError) {
        skipBlanks()
        guard position < count, base[position] == 0x7B else { throw error("expected an object") }
        try enter()
    }

    /// Steps over `[`.
    @inlinable @inline(__always)
    public mutating func enterArray() throws(JSONSyntaxError) {
        skipBlanks()
        guard position < count, base[position] == 0x5B else { throw error("expected an array") }
        try enter()
    }

    @inlinable @inline(__always)
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
        guard try nextMember() else { return nil }
        return item(try keySpan())
    }

    /// Whether the object entered last has another member, whose key and value must be read before the next call.
    @inlinable @inline(__always)
    public mutating func nextMember() throws(JSONSyntaxError) -> Bool {
        skipBlanks()
        guard position < count else { throw error("unexpected end inside an object") }
        if base[position] == 0x7D {
            leave()
            return false
        }
        if isFirst {
            isFirst = false
        } else {
            guard base[position] == 0x2C else { throw error("expected a comma or the end of the object") }
            position &+= 1
        }
        skipBlanks()
        return true
    }

    /// Goes to the first byte of a value in the object entered last, or one at the same depth; of a string the mark before it.
    @inlinable @inline(__always)
    public mutating func move(before start: Int, isString: Bool) {
        position = isString ? start &- 1 : start
        isFirst = false
    }

    /// Goes behind a value of the object entered last, or of one at the same depth.
    @inlinable @inline(__always)
    public mutating func move(behind end: Int, isString: Bool) {
        position = isString ? end &+ 1 : end
        isFirst = false
    }

    /// The text, to be asked about places that the cursor was at.
    @inlinable public var source: JSONSource { JSONSource(base: base, count: count) }

    @inlinable @inline(__always)
    func item(_ span: JSONSpan) -> JSONItem { source.item(span) }

    /// Whether the array entered last has another element, which must be read or entered before the next call.
    @inlinable @inline(__always)
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

    @inlinable @inline(__always)
    mutating func leave() {
        position &+= 1
        depth &-= 1
        isFirst = false
    }

    /// The next value, whatever it is; an object or array is checked to its end and given as it was written.
    @inlinable
    public mutating func value() throws(JSONSyntaxError) -> JSONItem {
        item(try span())
    }

    /// The same as a span.
    @inlinable @inline(__always)
    public mutating func span() throws(JSONSyntaxError) -> JSONSpan {
        skipBlanks()
        guard position < count else { throw error("unexpected end, expected a value") }
        guard base[position] == 0x22 else {
            let span = try otherSpan()
            position = span.end
            return span
        }
        position &+= 1
        return try string()
    }

    /// A value that is no string; the cursor stands before it, and is left there.
    @inlinable @inline(never)
    func otherSpan() throws(JSONSyntaxError) -> JSONSpan {
        var cursor = self
        let kind: JSONKind
        switch base[position] {
        case 0x7B:
            try cursor.container()
            kind = .object
        case 0x5B:
            try cursor.container()
            kind = .array
        default:
            kind = try cursor.scalar()
        }
        return JSONSpan(kind: kind, hasEscapes: false, start: position, end: cursor.position)
    }

    // MARK: Pieces

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

    /// A key and its colon; the cursor stands before the key.
    @inlinable @inline(__always)
    public mutating func keySpan() throws(JSONSyntaxError) -> JSONSpan {
        guard position < count else { throw error("unexpected end inside an object") }
        guard base[position] == 0x22 else { throw error("expected a key in quotation marks") }
        position &+= 1
        let key = try string()
        skipBlanks()
        guard position < count, base[position] == 0x3A else { throw error("expected a colon") }
        position &+= 1
        return key
    }

    /// A string whose opening mark was stepped over.
    @inlinable @inline(__always)
    mutating func string() throws(JSONSyntaxError) -> JSONSpan {
        let start = position
        let end = JSONScan.stringStop(base, from: start, count: count)
        if end < count, base[end] == 0x22 {
            position = end &+ 1
            return JSONSpan(kind: .string, hasEscapes: false, start: start, end: end)
        }
        let span = try stringRest(start, from: end)
        position = span.end &+ 1
        return span
    }

    /// A string from `place` on, where it has an escape, an error, or its end among the last bytes of the text. Moves nothing, so
    /// that a cursor can live in registers.
    @inlinable @inline(never)
    func stringRest(_ start: Int, from place: Int) throws(JSONSyntaxError) -> JSONSpan {
        var cursor = self
        cursor.position = place
        var hasEscapes = false
        while true {
            guard cursor.position < count else { throw cursor.error("unexpected end inside a string") }
            let byte = base[cursor.position]
            if byte == 0x22 {
                return JSONSpan(kind: .string, hasEscapes: hasEscapes, start: start, end: cursor.position)
            } else if byte == 0x5C {
                hasEscapes = true
                try cursor.escape()
            } else if byte < 0x20 {
                throw cursor.error("control character inside a string")
            } else {
                cursor.position &+= 1
            }
            cursor.position = JSONScan.stringStop(base, from: cursor.position, count: count)
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
                _ = try keySpan()
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
                    skipBlanks()
                    _ = try keySpan()
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
