internal import LogModel

/// Messages seen lately, with what was found out about them: programs repeat themselves, word for word but for a few
/// numbers, and a message that differs from an earlier one in nothing that any rule asked about needs neither redacting nor
/// masking again.
///
/// A message is found by its shape, every digit taken for 0, and compared byte for byte with the one that was kept. Digits may
/// differ where ``DigitConditions`` says that no rule asked for their value, and have to lie in the same ranges where one
/// did. A message with identifiers in it is kept with those digits open too (``HexShape``). So a hit says what all the rules
/// would have said. Holds only messages in which no secret was found, because the caller says what may be kept.
///
/// Two tables, for short messages and for longer ones up to ``messageByteCountMax``: together 512 KiB and at most
/// 4 MiB once there are thousands of patterns (``makeRoom(forPatterns:)``), touched as they are used.
struct RecentMessages {
    struct Entry {
        var number: Int32
        var stamp: UInt32
        /// The caller's.
        var level: UInt8
    }

    /// As what a message is kept: as it came, or as its ``HexShape``, which is found by no message that came so.
    enum Form: UInt8 { case plain, hexShape }

    /// Four in five messages are as short.
    private static let shortByteCountMax = 84
    static let messageByteCountMax = 180

    /// Of the mixed lines of eight systems' logs 91 in 100 were like one of the last 2,048; with 512 it were 84, with 4,096 95.
    /// Only 45 were the same byte for byte as one of the last 512.
    static let slotCountMin = 2048
    /// A pattern has some shapes, as its numbers have more or fewer digits: of lines of 5,000 patterns, each as likely as the
    /// others, this many hold 92 in 100, half of them 71.
    static let slotCountMax = 16384

    private var short: MessageTable
    /// Half as many slots, twice as large.
    private var long: MessageTable

    init() { self.init(slotCount: Self.slotCountMin) }

    private init(slotCount: Int) {
        precondition(Self.messageByteCountMax <= DigitConditions.positionMax, "every position is noted")
        short = MessageTable(slotCount: slotCount, slotByteCount: 128)
        long = MessageTable(slotCount: slotCount / 2, slotByteCount: 256)
    }

    func deallocate() {
        short.deallocate()
        long.deallocate()
    }

    /// What was touched of the tables.
    var byteCount: Int { short.byteCount + long.byteCount }

    /// Four slots a pattern, between the bounds. Forgets everything when there are not enough, which happens three times at most.
    @inline(__always)
    mutating func makeRoom(forPatterns count: Int) {
        if short.slotCount < min(4 * count, Self.slotCountMax) { grow(forPatterns: count) }
    }

    private mutating func grow(forPatterns count: Int) {
        var slotCount = short.slotCount
        while slotCount < min(4 * count, Self.slotCountMax) { slotCount *= 2 }
        deallocate()
        self = RecentMessages(slotCount: slotCount)
    }

    /// Whether a message may be kept at all. An empty one needs no help.
    @inline(__always)
    static func fits(_ message: ByteView) -> Bool {
        message.count &- 1 < messageByteCountMax  // wraps for none: below every bound but zero's
            && message.count > 0
    }

    /// What was remembered of this message or of one like it. `hash` is ``TextHash/hashShape(_:_:)`` of it, and it
    /// ``fits(_:)``.
    @inline(__always)
    func find(_ message: ByteView, hash: UInt64, form: Form = .plain) -> Entry? {
        message.count <= Self.shortByteCountMax
            ? short.find(message, hash: hash, form) : long.find(message, hash: hash, form)
    }

    /// Whether a message with this hash gets its place now; when not, it is noted that it was wanted.
    @inline(__always)
    func wants(_ message: ByteView, hash: UInt64) -> Bool {
        message.count <= Self.shortByteCountMax ? short.wants(hash) : long.wants(hash)
    }

    /// Keeps a message that ``fits(_:)`` and is ``wants(_:hash:)``ed, and what its outcome depended on.
    mutating func insert(
        _ message: ByteView,
        hash: UInt64,
        form: Form = .plain,
        _ entry: Entry,
        _ conditions: DigitConditions
    ) {
        if message.count <= Self.shortByteCountMax {
            short.insert(message, hash: hash, form, entry, conditions)
        } else {
            long.insert(message, hash: hash, form, entry, conditions)
        }
    }
}

/// A cache of messages in sets of four: a message has one set, and any of the four slots there.
///
/// A message takes the place of another when it is wanted for the second time, and no third one was in between: a
/// flood of what never comes again leaves the table as it is, and costs no copies. It takes the place of one that was not
/// asked for since all four were (the clock algorithm with one bit: Corbató, "A Paging Experiment with the Multics System", 1968).
private struct MessageTable {
    /// What is asked of a set before any message is looked at, apart from these so that most misses touch nothing else.
    private struct Tags {
        /// Sixteen bits of the hash of each, 0 for an empty slot.
        var lanes: UInt64 = 0
        /// The same of what was wanted last.
        var wanted: UInt16 = 0
        /// A bit for each that was asked for.
        var used: UInt8 = 0
    }

    /// Behind it the ranges, then the text.
    private struct Head {
        var entry: RecentMessages.Entry
        var rangeCount: UInt8
        var byteCount: UInt8
        var form: RecentMessages.Form
    }
    private static let rangesOffset = 12
    private static let wayCount = 4

    let slotCount: Int
    private let slotByteCount: Int
    private let slots: UnsafeMutableRawPointer
    private let tags: UnsafeMutablePointer<Tags>
    /// Slots that hold a message; they never become empty again.
    private var usedCount = 0

    /// `slotCount` is a power of two.
    init(slotCount: Int, slotByteCount: Int) {
        precondition(MemoryLayout<Head>.size <= Self.rangesOffset, "the ranges begin behind the head")
        precondition(slotCount >= Self.wayCount && slotCount & (slotCount - 1) == 0, "a mask finds the set")
        self.slotCount = slotCount
        self.slotByteCount = slotByteCount
        slots = .allocate(byteCount: slotCount * slotByteCount, alignment: 64)
        tags = .allocate(capacity: slotCount / Self.wayCount)
        tags.initialize(repeating: Tags(), count: slotCount / Self.wayCount)
    }

    func deallocate() {
        slots.deallocate()
        tags.deallocate()
    }

    var byteCount: Int { usedCount * slotByteCount + slotCount / Self.wayCount * MemoryLayout<Tags>.stride }

    @inline(__always)
    func find(_ message: ByteView, hash: UInt64, _ form: RecentMessages.Form) -> RecentMessages.Entry? {
        let set = set(of: hash)
        guard let bytes = message.baseAddress, let (way, slot) = findSlot(bytes, message.count, form, set, hash) else {
            return nil
        }
        if tags[set].used >> UInt8(way) & 1 == 0 { tags[set].used |= 1 << UInt8(way) }
        return head(at: slot).pointee.entry
    }

    @inline(__always)
    private func findSlot(
        _ bytes: UnsafePointer<UInt8>,
        _ count: Int,
        _ form: RecentMessages.Form,
        _ set: Int,
        _ hash: UInt64
    ) -> (way: Int, slot: UnsafeMutableRawPointer)? {
        var candidates = Self.lanes(tags[set].lanes, equalTo: Self.tag(hash))
        while candidates != 0 {
            let way = candidates.trailingZeroBitCount >> 4
            let slot = slot(set, way)
            if holds(slot, bytes, count, form) { return (way, slot) }
            candidates &= candidates &- 1  // not zero
        }
        return nil
    }

    /// Whether the message in a slot is like this one in all that mattered.
    @inline(__always)
    private func holds(
        _ slot: UnsafeMutableRawPointer,
        _ bytes: UnsafePointer<UInt8>,
        _ count: Int,
        _ form: RecentMessages.Form
    ) -> Bool {
        let head = head(at: slot)
        let rangeCount = Int(head.pointee.rangeCount)
        guard Int(head.pointee.byteCount) == count, head.pointee.form == form,
            Self.matches(bytes, text(in: slot, rangeCount), count)
        else {
            return false
        }
        let ranges = ranges(in: slot)
        var next = 0
        while next < rangeCount {
            guard ranges[next].holds(bytes) else { return false }
            next &+= 1  // below the count
        }
        return true
    }

    @inline(__always)
    func wants(_ hash: UInt64) -> Bool {
        let set = set(of: hash)
        let tag = Self.tag(hash)
        let lanes = tags[set].lanes
        if Self.lanes(lanes, equalTo: 0) != 0 || tags[set].wanted == tag || Self.lanes(lanes, equalTo: tag) != 0 {
            return true
        }
        tags[set].wanted = tag
        return false
    }

    mutating func insert(
        _ message: ByteView,
        hash: UInt64,
        _ form: RecentMessages.Form,
        _ entry: RecentMessages.Entry,
        _ conditions: DigitConditions
    ) {
        guard let bytes = message.baseAddress else { return }
        let count = message.count
        for index in 0..<count where bytes[index] == ShapeBlock.anyDigit { return }
        let set = set(of: hash)
        let way = place(for: bytes, count, form, set, hash)
        let slot = slot(set, way)
        // What does not fit: the digits asked about have to be the same.
        let rangeCount = min(conditions.rangeCount, (slotByteCount - Self.rangesOffset - count) / 4)
        for index in rangeCount..<conditions.rangeCount { conditions.needDigits(of: conditions.range(index)) }
        let text = text(in: slot, rangeCount)
        for index in 0..<count {
            let byte = bytes[index]
            let isFree = byte &- UInt8(ascii: "0") < 10 && !conditions.isExact(index)
            text[index] = isFree ? ShapeBlock.anyDigit : byte
        }
        let ranges = ranges(in: slot)
        for index in 0..<rangeCount { ranges[index] = conditions.range(index) }
        head(at: slot).initialize(
            to: Head(entry: entry, rangeCount: UInt8(rangeCount), byteCount: UInt8(count), form: form)
        )
        let shift = UInt64(way) * 16
        if tags[set].lanes >> shift & 0xFFFF == 0 { usedCount += 1 }
        tags[set].lanes = tags[set].lanes & ~(0xFFFF << shift) | UInt64(Self.tag(hash)) << shift
        tags[set].used |= 1 << UInt8(way)
        tags[set].wanted = 0
    }

    /// The slot of the same message, whose pattern became another, or an empty one, or one not asked for of late.
    private func place(
        for bytes: UnsafePointer<UInt8>,
        _ count: Int,
        _ form: RecentMessages.Form,
        _ set: Int,
        _ hash: UInt64
    ) -> Int {
        if let found = findSlot(bytes, count, form, set, hash) { return found.way }
        let empty = Self.lanes(tags[set].lanes, equalTo: 0)
        if empty != 0 { return empty.trailingZeroBitCount >> 4 }
        if tags[set].used == 0b1111 { tags[set].used = 0 }
        return (~tags[set].used).trailingZeroBitCount
    }

    @inline(__always)
    private func set(of hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash >> 40) & (slotCount / Self.wayCount &- 1)  // a power of two less one
    }

    @inline(__always)
    private static func tag(_ hash: UInt64) -> UInt16 { UInt16(truncatingIfNeeded: hash) | 1 }

    /// The highest bit of each lane that holds `tag`; perhaps also of one above it that holds a neighbouring value (Hacker's
    /// Delight, 6-1), so the lowest is right and the others are to be looked at.
    @inline(__always)
    private static func lanes(_ lanes: UInt64, equalTo tag: UInt16) -> UInt64 {
        let difference = lanes ^ UInt64(tag) &* 0x0001_0001_0001_0001
        return (difference &- 0x0001_0001_0001_0001) & ~difference & 0x8000_8000_8000_8000
    }

    @inline(__always)
    private func slot(_ set: Int, _ way: Int) -> UnsafeMutableRawPointer {
        slots + (set &* Self.wayCount &+ way) &* slotByteCount  // inside the table
    }

    @inline(__always)
    private func head(at slot: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Head> {
        slot.assumingMemoryBound(to: Head.self)
    }

    @inline(__always)
    private func ranges(in slot: UnsafeMutableRawPointer) -> UnsafeMutablePointer<DigitConditions.Range> {
        (slot + Self.rangesOffset).assumingMemoryBound(to: DigitConditions.Range.self)
    }

    @inline(__always)
    private func text(in slot: UnsafeMutableRawPointer, _ rangeCount: Int) -> UnsafeMutablePointer<UInt8> {
        (slot + Self.rangesOffset + rangeCount &* 4).assumingMemoryBound(to: UInt8.self)  // sixteen at most
    }

    /// Sixteen bytes at a time, the last sixteen perhaps in part for the second time.
    @inline(__always)
    private static func matches(_ text: UnsafePointer<UInt8>, _ kept: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var matches = ShapeBlock(last: text, count).matches(ShapeBlock(last: kept, count))
        var index = 0
        while index &+ ShapeBlock.byteCount < count {
            matches &= ShapeBlock(at: text + index).matches(ShapeBlock(at: kept + index))
            index &+= ShapeBlock.byteCount  // below `count`
        }
        return matches[0] & matches[1] == .max
    }
}
