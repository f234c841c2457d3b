internal import JSONBytes
internal import LogModel

/// What the check of an array of records noted down, so that the records are made from the notes and the text is walked once:
/// for each element an entry, and behind that of an object one for each member, with the field that its key stands for.
///
/// (A tape in the sense of G. Langdale and D. Lemire, "Parsing Gigabytes of JSON per Second", 2019, but of the records' own
/// members only: what is nested in one stays a piece of text.)
///
/// Owns ``entryCountMax`` entries, 256 KiB of addresses of which only touched pages cost memory. What does not fit is checked
/// all the same and left to ``rest``, to be walked again.
struct ElementTape: ~Copyable {
    struct Entry {
        /// Low half: offset of the value. High half: its bytes; for an object that is an element, the members behind it.
        fileprivate var value: UInt64
        /// From the lowest bit on: offset of the key (32), its bytes (16; a longer one counts as of ``keyByteCountMax``), kind of the
        /// value (4), marks (4), number of the field (4), rank of the name in it (4).
        fileprivate var key: UInt64

        fileprivate static let kindShift: UInt64 = 48
        fileprivate static let hasEscapes: UInt64 = 1 << 52
        fileprivate static let keyHasEscapes: UInt64 = 1 << 53
        /// Its key can be compared with others (``JSONCursor/glance(like:count:)``).
        fileprivate static let isTight: UInt64 = 1 << 54
        fileprivate static let fieldShift: UInt64 = 56
        fileprivate static let rankShift: UInt64 = 60
        fileprivate static let noField: UInt64 = 0xF

        /// What is the key's, and so the same for the same key.
        fileprivate static let keyMask: UInt64 = ~(0xF << kindShift | hasEscapes)

        @inline(__always)
        var memberCount: Int { Int(value >> 32) }

        @inline(__always)
        var kind: JSONKind { JSONKind(rawValue: UInt8(truncatingIfNeeded: key >> Self.kindShift & 0xF)) ?? .null }

        /// The raw value of the ``RecordField`` that the key stands for; beyond all of them for an attribute.
        @inline(__always)
        var fieldNumber: UInt8 { UInt8(truncatingIfNeeded: key >> Self.fieldShift & 0xF) }

        /// Of the key's name among those of its field.
        @inline(__always)
        var rank: UInt8 { UInt8(truncatingIfNeeded: key >> Self.rankShift) }

        @inline(__always)
        fileprivate var start: Int { Int(value & 0xFFFF_FFFF) }
        @inline(__always)
        fileprivate var keyStart: Int { Int(key & 0xFFFF_FFFF) }
        @inline(__always)
        fileprivate var keyCount: Int { Int(key >> 32 & 0xFFFF) }

        /// Both; `nil` for an attribute.
        @inline(__always)
        var alias: (field: RecordField, rank: UInt8)? {
            RecordField(rawValue: fieldNumber).map { ($0, rank) }
        }
    }

    /// Some 2,700 records of five members; bodies of more are rare, and cost a second walk over their rest.
    static let entryCountMax = 16384
    /// Far beyond where a key is cut anyway (``RecordLimits/attributeKeyByteCountMax``), also when all of it is escapes.
    fileprivate static let keyByteCountMax = Int(UInt16.max)

    private let entries: UnsafeMutablePointer<Entry>
    /// Entries in use.
    private(set) var count = 0
    /// Stands before the first element that is not on the tape; `nil` when all are.
    private(set) var rest: JSONCursor?
    private var text = JSONCursor(ByteView(start: nil, count: 0))

    init() {
        precondition(
            RecordField.allCases.count <= Entry.noField,
            "a field's number takes four bits, and one means none"
        )
        precondition(FieldAliases.rankCount <= 16, "a rank takes four bits")
        entries = .allocate(capacity: Self.entryCountMax)
    }

    deinit {
        entries.deallocate()
    }

    @inline(__always)
    subscript(place: Int) -> Entry { entries[place] }

    /// The value of an entry; what it gives of an object that is an element has no meaning.
    @inline(__always)
    func value(_ entry: Entry) -> JSONItem {
        let hasEscapes = entry.key & Entry.hasEscapes != 0
        let end = entry.start &+ Int(entry.value >> 32)
        return text.item(JSONSpan(kind: entry.kind, hasEscapes: hasEscapes, start: entry.start, end: end))
    }

    /// The key of a member's entry.
    @inline(__always)
    func key(_ entry: Entry) -> JSONItem {
        let hasEscapes = entry.key & Entry.keyHasEscapes != 0
        let end = entry.keyStart &+ entry.keyCount
        return text.item(JSONSpan(kind: .string, hasEscapes: hasEscapes, start: entry.keyStart, end: end))
    }

    /// Reads an array to its end and notes its elements. The text must stay valid as long as the tape is read.
    ///
    /// - Throws: where it is no JSON; the tape must not be read then.
    mutating func note(
        _ cursor: inout JSONCursor,
        _ aliases: borrowing FieldAliases
    ) throws(JSONSyntaxError) {
        count = 0
        rest = nil
        text = cursor
        try cursor.enterArray()
        // The members of the object before: the next one mostly has the same keys in the same order.
        var earlier = 0..<0
        while true {
            let before = cursor
            guard try cursor.nextElement() else { return }
            let head = count
            var hasRoom = head < Self.entryCountMax && cursor.byteCount <= Int(UInt32.max)
            if hasRoom, cursor.peek() == .object {
                hasRoom = try noteMembers(&cursor, aliases, earlier: earlier)
                if hasRoom { earlier = head &+ 1..<count }
            } else if hasRoom {
                entries[head] = Entry(try cursor.span())
                count &+= 1
            }
            guard hasRoom else {
                count = head
                rest = before
                cursor = before
                while try cursor.nextElement() { _ = try cursor.span() }
                return
            }
        }
    }

    /// Whether there was room for all members of the object before which the cursor stands.
    private mutating func noteMembers(
        _ original: inout JSONCursor,
        _ aliases: borrowing FieldAliases,
        earlier: Range<Int>
    ) throws(JSONSyntaxError) -> Bool {
        // A copy, as one of our own can live in registers.
        var cursor = original
        try cursor.enterObject()
        let entries = entries
        var place = count &+ 1
        var like = earlier.lowerBound
        while true {
            if like < earlier.upperBound, place < Self.entryCountMax, entries[like].key & Entry.isTight != 0 {
                let known = entries[like]
                let glance = cursor.glance(like: known.keyStart, count: known.keyCount)
                if glance.isKey {
                    cursor.accept(glance)
                    if let text = glance.text {
                        entries[place] = Entry(keyOf: known, text)
                    } else {
                        entries[place] = Entry(keyOf: known, try Self.value(&cursor))
                    }
                    place &+= 1
                    like &+= 1
                    continue
                }
            }
            guard try cursor.nextMember() else { break }
            guard place < Self.entryCountMax else { return false }
            entries[place] = try Self.member(&cursor, aliases)
            place &+= 1
            like &+= 1
        }
        entries[count] = Entry(memberCount: place &- count &- 1)
        count = place
        original = cursor
        return true
    }

    @inline(never)
    private static func value(_ cursor: inout JSONCursor) throws(JSONSyntaxError) -> JSONSpan {
        try cursor.span()
    }

    @inline(never)
    private static func member(
        _ cursor: inout JSONCursor,
        _ aliases: borrowing FieldAliases
    ) throws(JSONSyntaxError) -> Entry {
        let key = try cursor.keySpan()
        let isTight = cursor.isTight(key) && key.end - key.start <= keyByteCountMax
        let entry = Entry(key, aliases.field(of: cursor.item(key)), isTight: isTight)
        return Entry(keyOf: entry, try cursor.span())
    }
}

// Offsets fit, as a text of more than 4 GiB is not noted.
extension ElementTape.Entry {
    /// A key with no value yet.
    fileprivate init(_ span: JSONSpan, _ alias: (field: RecordField, rank: UInt8)?, isTight: Bool) {
        value = 0
        key = UInt64(span.start) & 0xFFFF_FFFF
        key |= UInt64(min(span.end - span.start, ElementTape.keyByteCountMax)) << 32
        key |= (alias.map { UInt64($0.field.rawValue) } ?? Self.noField) << Self.fieldShift
        key |= UInt64(alias?.rank ?? 0) << Self.rankShift
        if span.hasEscapes { key |= Self.keyHasEscapes }
        if isTight { key |= Self.isTight }
    }

    /// A member with the key of another.
    @inline(__always)
    fileprivate init(keyOf other: Self, _ span: JSONSpan) {
        value = UInt64(truncatingIfNeeded: span.start) | UInt64(truncatingIfNeeded: span.end &- span.start) << 32
        key = other.key & Self.keyMask | UInt64(span.kind.rawValue) << Self.kindShift
        if span.hasEscapes { key |= Self.hasEscapes }
    }

    /// An element that is no object.
    fileprivate init(_ span: JSONSpan) {
        self.init(keyOf: Self(memberCount: 0), span)
    }

    /// An object as an element.
    @inline(__always)
    fileprivate init(memberCount: Int) {
        value = UInt64(truncatingIfNeeded: memberCount) << 32
        key = UInt64(JSONKind.object.rawValue) << Self.kindShift | Self.noField << Self.fieldShift
    }
}
