internal import LogModel

/// Whole messages seen lately, as they came, with what was found out about them: programs repeat themselves word for word,
/// and a message that is the same byte for byte needs neither redacting nor masking again.
///
/// A direct-mapped table of ``slotCount`` messages of at most ``messageByteCountMax`` bytes, 64 KiB in all; a newer message
/// takes the place of an older one. Exact: a hit was compared byte for byte. Holds only messages in which no secret was
/// found, because the caller says what may be kept.
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
        /// 0: the slot is empty.
        var byteCount: UInt8
    }

    /// Two in five lines of eight systems' logs were the same as one of the last 512; 2,048 found one in eight more.
    static let slotCount = 512
    private static let slotByteCount = 128
    private static let textOffset = 20
    static let messageByteCountMax = slotByteCount - textOffset

    private let slots: UnsafeMutableRawPointer

    init() {
        precondition(MemoryLayout<Head>.size <= Self.textOffset, "the text begins behind the head")
        slots = .allocate(byteCount: Self.slotCount * Self.slotByteCount, alignment: 64)
        clear()
    }

    func deallocate() { slots.deallocate() }

    var byteCount: Int { Self.slotCount * Self.slotByteCount }

    /// Whether a message may be kept at all. An empty one needs no help.
    @inline(__always)
    static func fits(_ message: ByteView) -> Bool {
        message.count &- 1 < messageByteCountMax  // wraps for none: below every bound but zero's
            && message.count > 0
    }

    func clear() {
        for slot in 0..<Self.slotCount {
            head(at: slots + slot * Self.slotByteCount).initialize(
                to: Head(hash: 0, entry: Entry(number: 0, stamp: 0, level: 0), byteCount: 0)
            )
        }
    }

    /// What was remembered of this very message. `hash` is ``TextHash`` of it, and it ``fits(_:)``.
    @inline(__always)
    func find(_ message: ByteView, hash: UInt64) -> Entry? {
        let slot = place(hash)
        let head = head(at: slot)
        guard head.pointee.hash == hash, Int(head.pointee.byteCount) == message.count,
            let bytes = message.baseAddress,
            Self.isEqual(UnsafeRawPointer(bytes), UnsafeRawPointer(slot + Self.textOffset), message.count)
        else { return nil }
        return head.pointee.entry
    }

    func insert(_ message: ByteView, hash: UInt64, _ entry: Entry) {
        guard let bytes = message.baseAddress else { return }
        let slot = place(hash)
        head(at: slot).pointee = Head(hash: hash, entry: entry, byteCount: UInt8(message.count))
        (slot + Self.textOffset).copyMemory(from: bytes, byteCount: message.count)
    }

    @inline(__always)
    private func place(_ hash: UInt64) -> UnsafeMutableRawPointer {
        slots + (Int(truncatingIfNeeded: hash >> 40) & (Self.slotCount - 1)) * Self.slotByteCount
    }

    @inline(__always)
    private func head(at slot: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Head> {
        slot.assumingMemoryBound(to: Head.self)
    }

    /// Eight bytes at a time, the last eight perhaps for the second time.
    @inline(__always)
    private static func isEqual(_ left: UnsafeRawPointer, _ right: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count >= 8 else {
            var index = 0
            while index < count {
                if left.load(fromByteOffset: index, as: UInt8.self) != right.load(fromByteOffset: index, as: UInt8.self)
                {
                    return false
                }
                index &+= 1  // below `count`
            }
            return true
        }
        var difference: UInt64 = 0
        var index = 0
        while index &+ 8 < count {
            difference |=
                left.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                ^ right.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            index &+= 8  // below `count`
        }
        difference |=
            left.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            ^ right.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        return difference == 0
    }
}
