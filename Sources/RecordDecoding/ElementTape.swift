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
        fileprivate var end: Int { start &+ Int(value >> 32) }
        /// What stands behind it and before the next one: of the places where the text may go on as it did before.
        @inline(__always)
        fileprivate func gap(before next: Entry) -> Range<Int> {
            Range(uncheckedBounds: (end, next.start))
        }
        @inline(__always)
        fileprivate var isString: Bool { kind == .string }
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
    /// Members that an object may lack of those before it, one after the other, without its further keys being looked at.
    private static let omittedCountMax = 4
    /// Far beyond where a key is cut anyway (``RecordLimits/attributeKeyByteCountMax``), also when all of it is escapes.
    fileprivate static let keyByteCountMax = Int(UInt16.max)

    private let entries: UnsafeMutablePointer<Entry>
    /// Entries in use.
    private(set) var count = 0
    /// Stands before the first element that is not on the tape; `nil` when all are.
    private(set) var rest: JSONCursor?
    private var source = JSONCursor(ByteView(start: nil, count: 0)).source

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
        return source.item(JSONSpan(kind: entry.kind, hasEscapes: hasEscapes, start: entry.start, end: entry.end))
    }

    /// Whether an entry has a value, and no text of which the first look does not show that it is more than blanks.
    @inline(__always)
    func saysSomething(_ entry: Entry) -> Bool {
        switch entry.kind {
        case .string: entry.end > entry.start && source[entry.start] > 0x20
        case .null: false
        case .object, .array, .number, .bool: true
        }
    }

    /// The key of a member's entry.
    @inline(__always)
    func key(_ entry: Entry) -> JSONItem {
        let hasEscapes = entry.key & Entry.keyHasEscapes != 0
        let end = entry.keyStart &+ entry.keyCount
        return source.item(JSONSpan(kind: .string, hasEscapes: hasEscapes, start: entry.keyStart, end: end))
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
        source = cursor.source
        try cursor.enterArray()
        // The members of the object before: the next one mostly has the same keys in the same order.
        var earlier = 0..<0
        while true {
            let before = cursor
            guard try cursor.nextElement() else { return }
            let head = count
            guard head < Self.entryCountMax, cursor.byteCount <= Int(UInt32.max) else {
                return try checkRest(from: before, &cursor)
            }
            guard cursor.peek() == .object else {
                entries[head] = Entry(try cursor.span())
                count &+= 1
                continue
            }
            if let full = try noteObjects(&cursor, from: before, aliases, &earlier) {
                return try checkRest(from: full, &cursor)
            }
        }
    }

    /// Checks the elements that are not noted.
    private mutating func checkRest(
        from start: JSONCursor,
        _ cursor: inout JSONCursor
    ) throws(JSONSyntaxError) {
        rest = start
        cursor = start
        while try cursor.nextElement() { _ = try cursor.span() }
    }

    /// Notes the object before which the cursor stands, and those that follow it as long as what is between their values is the same
    /// (``JSONSource/repeats(_:behind:)``): then no key is looked at, only where each value ends.
    ///
    /// - Parameters:
    ///   - before: stands before the comma that the object follows.
    ///   - earlier: the entries of the members of the object before; then of the last one noted.
    /// - Returns: `nil` when there was room for all of them, and the cursor stands behind the last; otherwise the last one is not on
    ///   the tape, and this stands before its comma.
    private mutating func noteObjects(
        _ cursor: inout JSONCursor,
        from before: JSONCursor,
        _ aliases: borrowing FieldAliases,
        _ earlier: inout Range<Int>
    ) throws(JSONSyntaxError) -> JSONCursor? {
        var run = Run(entries, known: earlier, head: count)
        try cursor.enterObject()
        while try cursor.nextMember() {
            guard run.hasRoom else {
                defer { count = run.head }
                return run.head == count ? before : try Self.cursor(cursor, behind: entries[run.head &- 1])
            }
            run.append(try Self.member(&cursor, aliases))
            if let like = member(after: run.like, to: run.knownEnd, withKeyOf: run.last) { run.like = like }
            guard run.like >= run.known else { continue }
            while let next = Self.follow(source, &run) {
                cursor.move(before: next.start, isString: next.isString)
                run.append(Entry(keyOf: next, try cursor.span()))
            }
            cursor.move(behind: run.last.end, isString: run.last.isString)
        }
        run.endObject()
        earlier = run.head &+ 1..<run.place
        count = run.place
        return nil
    }

    /// Objects that follow one another, as they are noted.
    private struct Run {
        let entries: UnsafeMutablePointer<Entry>
        /// The members of the object before, and behind its last.
        private(set) var known: Int
        private(set) var knownEnd: Int
        /// Of the object at hand.
        private(set) var head: Int
        /// Behind the entry that was made last.
        private(set) var place: Int
        /// The member of the object before that the last one is like; before the first one there is none.
        var like: Int

        init(_ entries: UnsafeMutablePointer<Entry>, known: Range<Int>, head: Int) {
            self.entries = entries
            self.known = known.lowerBound
            knownEnd = known.upperBound
            self.head = head
            place = head &+ 1
            like = known.lowerBound &- 1
        }

        var hasRoom: Bool { place < ElementTape.entryCountMax }
        @inline(__always)
        var last: Entry { entries[place &- 1] }

        @inline(__always)
        mutating func append(_ entry: Entry) {
            entries[place] = entry
            place &+= 1
        }

        @inline(__always)
        func endObject() {
            entries[head] = Entry(memberCount: place &- head &- 1)
        }

        /// The object is complete, and its first member was found to be that of another.
        @inline(__always)
        mutating func beginObject() {
            endObject()
            (known, knownEnd) = (head &+ 1, place)
            head = place
            place &+= 1
        }
    }

    /// Notes texts as long as the text behind each goes on as it did before, and beyond the end of an object also the next one.
    ///
    /// - Returns: where to read on when a value is no plain text, with the key that it has; `nil` when the text goes on in another way, or
    ///   there is no room.
    @inline(never)
    private static func follow(_ source: JSONSource, _ state: inout Run) -> Entry? {
        // What stands behind a text begins with its mark. Further down both are texts.
        guard state.last.isString == state.entries[state.like].isString else { return nil }
        // Of our own, so that it can live in registers.
        var run = state
        defer { state = run }
        var end = run.last.end
        while run.place &+ 1 < entryCountMax {
            var next = run.like &+ 1
            let isLast = next >= run.knownEnd
            if isLast {
                // Then the text may go on like that between the object before and this one.
                guard run.knownEnd == run.head else { return nil }
                next = run.head &+ 1
            }
            let known = run.entries[next]
            guard let start = source.repeats(run.entries[run.like].gap(before: known), behind: end) else { return nil }
            run.like = next
            if isLast { run.beginObject() }
            guard known.isString, let stop = source.plainStringEnd(from: start) else {
                return Entry(keyOf: known, at: start)
            }
            run.append(Entry(keyOf: known, textFrom: start, to: stop))
            end = stop
        }
        return nil
    }

    @inline(never)
    private static func member(
        _ cursor: inout JSONCursor,
        _ aliases: borrowing FieldAliases
    ) throws(JSONSyntaxError) -> Entry {
        let key = try cursor.keySpan()
        let entry = Entry(key, aliases.field(of: cursor.source.item(key)))
        return Entry(keyOf: entry, try cursor.span())
    }

    /// Which of the next few members of the object before has the same key: senders leave out what they do not know.
    @inline(never)
    private func member(after place: Int, to end: Int, withKeyOf entry: Entry) -> Int? {
        let key = key(entry).bytes
        var place = place &+ 1
        let end = min(end, place &+ Self.omittedCountMax)
        while place < end {
            if entries[place].keyCount == key.count, self.key(entries[place]).bytes.elementsEqual(key) { return place }
            place &+= 1
        }
        return nil
    }

    /// `cursor`, which is in a later object, moved behind the object whose last member this is.
    @inline(never)
    private static func cursor(_ cursor: JSONCursor, behind last: Entry) throws(JSONSyntaxError) -> JSONCursor {
        var cursor = cursor
        cursor.move(behind: last.end, isString: last.isString)
        _ = try cursor.nextMember()
        return cursor
    }
}

// Offsets fit, as a text of more than 4 GiB is not noted.
extension ElementTape.Entry {
    /// A key with no value yet.
    fileprivate init(_ span: JSONSpan, _ alias: (field: RecordField, rank: UInt8)?) {
        value = 0
        key = UInt64(span.start) & 0xFFFF_FFFF
        key |= UInt64(min(span.end - span.start, ElementTape.keyByteCountMax)) << 32
        key |= (alias.map { UInt64($0.field.rawValue) } ?? Self.noField) << Self.fieldShift
        key |= UInt64(alias?.rank ?? 0) << Self.rankShift
        if span.hasEscapes { key |= Self.keyHasEscapes }
    }

    /// A member with the key of another.
    @inline(__always)
    fileprivate init(keyOf other: Self, _ span: JSONSpan) {
        value = UInt64(truncatingIfNeeded: span.start) | UInt64(truncatingIfNeeded: span.end &- span.start) << 32
        key = other.key & Self.keyMask | UInt64(span.kind.rawValue) << Self.kindShift
        if span.hasEscapes { key |= Self.hasEscapes }
    }

    /// A member with the key of another and a text without escapes.
    @inline(__always)
    fileprivate init(keyOf other: Self, textFrom start: Int, to end: Int) {
        self.init(keyOf: other, JSONSpan(kind: .string, hasEscapes: false, start: start, end: end))
    }

    /// A member with the key of another, and a value of its kind that is still to be read.
    @inline(__always)
    fileprivate init(keyOf other: Self, at start: Int) {
        self.init(value: UInt64(truncatingIfNeeded: start), key: other.key)
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
