internal import LogModel

/// Messages seen lately, with what was found out about them: programs repeat themselves, word for word but for a few
/// numbers, and a message that differs from an earlier one in nothing that any rule asked about needs neither redacting nor
/// masking again.
///
/// A message is found by its shape, every digit taken for 0, and compared byte for byte with the one that was kept. Digits may
/// differ where ``DigitConditions`` says that no rule asked for their value, and have to lie in the same ranges where one
/// did. So a hit says what all the rules would have said. Holds only messages in which no secret was found, because the
/// caller says what may be kept.
///
/// A direct-mapped table of ``slotCount`` messages of at most ``messageByteCountMax`` bytes, 520 KiB in all, touched as it is
/// used. A message takes the place of another when it is wanted for the second time, and no third one was in between: a
/// flood of what never comes again leaves the table as it is, and costs no copies.
struct RecentMessages {
    struct Entry {
        var number: Int32
        var stamp: UInt32
        /// The caller's.
        var level: UInt8
    }

    private struct Head {
        var hash: UInt64
        var entry: Entry
        var rangeCount: UInt8
        var byteCount: UInt8
    }

    /// What is asked of a slot before its message is looked at, apart from it so that most misses touch nothing else.
    private struct Tag {
        /// Sixteen bits of the hash of what is there, 0 when nothing is.
        var current: UInt16 = 0
        /// The same of what was wanted last.
        var wanted: UInt16 = 0
    }

    /// Of the mixed lines of eight systems' logs 91 in 100 were like one of the last 2,048; with 512 it were 84, with 4,096 95.
    /// Only 45 were the same byte for byte as one of the last 512.
    static let slotCount = 2048
    private static let slotByteCount = 256
    private static let rangesOffset = 24
    private static let textOffset = rangesOffset + 4 * DigitConditions.rangeCountMax
    static let messageByteCountMax = slotByteCount - textOffset

    private let slots: UnsafeMutableRawPointer
    private let tags: UnsafeMutablePointer<Tag>
    /// Slots that hold a message; they never become empty again.
    private var usedCount = 0

    init() {
        precondition(MemoryLayout<Head>.size <= Self.rangesOffset, "the ranges begin behind the head")
        precondition(Self.messageByteCountMax <= DigitConditions.positionMax, "every position is noted")
        slots = .allocate(byteCount: Self.slotCount * Self.slotByteCount, alignment: 64)
        tags = .allocate(capacity: Self.slotCount)
        tags.initialize(repeating: Tag(), count: Self.slotCount)
    }

    func deallocate() {
        slots.deallocate()
        tags.deallocate()
    }

    /// What was touched of the table.
    var byteCount: Int { usedCount * Self.slotByteCount + Self.slotCount * MemoryLayout<Tag>.stride }

    /// Whether a message may be kept at all. An empty one needs no help.
    @inline(__always)
    static func fits(_ message: ByteView) -> Bool {
        message.count &- 1 < messageByteCountMax  // wraps for none: below every bound but zero's
            && message.count > 0
    }

    /// What was remembered of this message or of one like it. `hash` is ``TextHash/hashShape(_:_:)`` of it, and it
    /// ``fits(_:)``.
    @inline(__always)
    func find(_ message: ByteView, hash: UInt64) -> Entry? {
        let index = Self.index(hash)
        guard tags[index].current == Self.tag(hash), let bytes = message.baseAddress else { return nil }
        let slot = slots + index * Self.slotByteCount
        let head = head(at: slot)
        guard head.pointee.hash == hash, Int(head.pointee.byteCount) == message.count,
            Self.matches(bytes, (slot + Self.textOffset).assumingMemoryBound(to: UInt8.self), message.count)
        else { return nil }
        let ranges = (slot + Self.rangesOffset).assumingMemoryBound(to: DigitConditions.Range.self)
        var next = 0
        while next < Int(head.pointee.rangeCount) {
            guard ranges[next].holds(bytes) else { return nil }
            next &+= 1  // below the count
        }
        return head.pointee.entry
    }

    /// Whether a message with this hash gets its place now; when not, it is noted that it was wanted.
    @inline(__always)
    func wants(_ hash: UInt64) -> Bool {
        let index = Self.index(hash)
        let tag = Self.tag(hash)
        if tags[index].current == 0 || tags[index].current == tag || tags[index].wanted == tag { return true }
        tags[index].wanted = tag
        return false
    }

    /// Keeps a message that ``fits(_:)`` and is ``wants(_:)``ed, and what its outcome depended on.
    mutating func insert(_ message: ByteView, hash: UInt64, _ entry: Entry, _ conditions: DigitConditions) {
        guard let bytes = message.baseAddress else { return }
        let place = Self.index(hash)
        let slot = slots + place * Self.slotByteCount
        let text = (slot + Self.textOffset).assumingMemoryBound(to: UInt8.self)
        for index in 0..<message.count where bytes[index] == ShapeBlock.anyDigit { return }
        if tags[place].current == 0 { usedCount += 1 }
        for index in 0..<message.count {
            let byte = bytes[index]
            let isFree = byte &- UInt8(ascii: "0") < 10 && !conditions.isExact(index)
            text[index] = isFree ? ShapeBlock.anyDigit : byte
        }
        let ranges = (slot + Self.rangesOffset).assumingMemoryBound(to: DigitConditions.Range.self)
        let rangeCount = conditions.rangeCount
        for index in 0..<rangeCount { ranges[index] = conditions.range(index) }
        head(at: slot).initialize(
            to: Head(hash: hash, entry: entry, rangeCount: UInt8(rangeCount), byteCount: UInt8(message.count))
        )
        tags[place] = Tag(current: Self.tag(hash))
    }

    @inline(__always)
    private static func index(_ hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash >> 40) & (slotCount - 1)
    }

    @inline(__always)
    private static func tag(_ hash: UInt64) -> UInt16 { UInt16(truncatingIfNeeded: hash) | 1 }

    @inline(__always)
    private func head(at slot: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Head> {
        slot.assumingMemoryBound(to: Head.self)
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
