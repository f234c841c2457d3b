/// Words that stood in a variable place somewhere: a name seen as a value once is likely one elsewhere too.
///
/// Owns 4096 slots of 32 bits; a newer word takes the place of an older one.
struct ValueMemory {
    private static let slotCount = 4096
    private let slots: UnsafeMutablePointer<UInt32>
    /// Whether a word was inserted that was not there.
    var hasNew = false

    init() {
        slots = .allocate(capacity: Self.slotCount)
        slots.initialize(repeating: 0, count: Self.slotCount)
    }

    func deallocate() { slots.deallocate() }

    var byteCount: Int { Self.slotCount * 4 }

    mutating func insert(_ hash: UInt64) { insert(compared: UInt32(truncatingIfNeeded: hash >> 32)) }

    /// The words of a pattern at `positions`, as it keeps them.
    mutating func insert(word words: UnsafePointer<UInt32>?, _ positions: UInt64) {
        guard let words else { return }
        var rest = positions
        while rest != 0 {
            insert(compared: words[rest.trailingZeroBitCount])
            rest &= rest &- 1
        }
    }

    /// A word as patterns keep it; its two lowest bits are not part of the hash.
    func contains(_ word: UInt32) -> Bool { slots[Int(word >> 2) & (Self.slotCount - 1)] == word | 3 }

    private mutating func insert(compared word: UInt32) {
        let place = Int(word >> 2) & (Self.slotCount - 1)
        if slots[place] != word | 3 {
            slots[place] = word | 3
            hasNew = true
        }
    }
}

/// Which pattern the texts seen lately belong to: a cache of two places for each hash, the newer one first.
///
/// A hash stands for its text; that two texts of 64 equal bits meet would count one message under a wrong pattern.
struct RecentTexts {
    struct Entry {
        var hash: UInt64
        /// The pattern's number and, in the lowest byte, the level that the caller keeps with the text: one line of the
        /// processor's cache for both.
        private var numberAndLevel: UInt32
        var stamp: UInt32

        static let levelUnknown: UInt8 = 0xFF

        init(hash: UInt64, number: Int, stamp: UInt32) {
            self.hash = hash
            self.stamp = stamp
            // Numbers are below 3 * 2^20 (``TemplateMiner/init(capacity:style:)``).
            numberAndLevel = UInt32(truncatingIfNeeded: number) << 8 | UInt32(Self.levelUnknown)
        }

        var number: Int { Int(numberAndLevel >> 8) }

        var level: UInt8 {
            get { UInt8(truncatingIfNeeded: numberAndLevel) }
            set { numberAndLevel = numberAndLevel & ~0xFF | UInt32(newValue) }
        }
    }

    private let entries: UnsafeMutablePointer<Entry>
    private let mask: Int

    /// Four texts a pattern, up to 32 Ki.
    init(capacity: Int) {
        var count = 64
        while count < min(4 * capacity, 32 * 1024) { count *= 2 }
        mask = count - 2
        // The two places of a hash lie in one line of the processor's cache.
        entries = UnsafeMutableRawPointer.allocate(byteCount: count * MemoryLayout<Entry>.stride, alignment: 64)
            .bindMemory(to: Entry.self, capacity: count)
        entries.initialize(repeating: Entry(hash: 0, number: 0, stamp: .max), count: count)
    }

    func deallocate() { entries.deallocate() }

    var byteCount: Int { (mask + 2) * MemoryLayout<Entry>.stride }

    @inline(__always)
    func find(_ hash: UInt64) -> (number: Int, stamp: UInt32)? {
        guard let place = place(of: hash) else { return nil }
        return (entries[place].number, entries[place].stamp)
    }

    func insert(_ hash: UInt64, _ number: Int, _ stamp: UInt32) {
        let place = Int(truncatingIfNeeded: hash) & mask
        if entries[place].hash != hash { entries[place + 1] = entries[place] }
        entries[place] = Entry(hash: hash, number: number, stamp: stamp)
    }

    @inline(__always)
    func level(_ hash: UInt64) -> UInt8? {
        guard let place = place(of: hash), entries[place].level != Entry.levelUnknown else { return nil }
        return entries[place].level
    }

    func keep(_ level: UInt8, _ hash: UInt64) {
        if let place = place(of: hash) { entries[place].level = level }
    }

    @inline(__always)
    private func place(of hash: UInt64) -> Int? {
        let place = Int(truncatingIfNeeded: hash) & mask
        if entries[place].hash == hash { return place }
        return entries[place + 1].hash == hash ? place + 1 : nil
    }
}

/// Ids that became others, until somebody takes them. A ring: the oldest is lost first.
struct MergeLog {
    private let pairs: UnsafeMutablePointer<(from: UInt64, to: UInt64)>
    private let capacity: Int
    private var start = 0
    private var count = 0
    private(set) var dropCount = 0

    init(capacity: Int) {
        self.capacity = capacity
        pairs = .allocate(capacity: capacity)
        pairs.initialize(repeating: (0, 0), count: capacity)
    }

    func deallocate() { pairs.deallocate() }

    var byteCount: Int { capacity * 16 }

    mutating func append(from: UInt64, to: UInt64) {
        guard from != to else { return }
        if count == capacity {
            start = (start + 1) % capacity
            count -= 1
            dropCount += 1
        }
        pairs[(start + count) % capacity] = (from, to)
        count += 1
    }

    mutating func take(_ body: (UInt64, UInt64) -> Void) {
        for offset in 0..<count {
            let pair = pairs[(start + offset) % capacity]
            body(pair.from, pair.to)
        }
        (start, count) = (0, 0)
    }
}

/// Stops taking new patterns when they come faster than known ones are used: garbage, or text that has no patterns, must
/// not push out what is worth keeping.
struct GrowthLimiter {
    private let capacity: Int
    private var epoch: UInt64 = 0
    private var added = 0
    private var used = 0

    init(capacity: Int) { self.capacity = capacity }

    mutating func epochBegan(_ current: UInt64) {
        guard current != epoch else { return }
        epoch = current
        added = 0
        used = 0
    }

    mutating func patternWasAdded() { added += 1 }

    @inline(__always)
    mutating func patternWasUsed() { used &+= 1 }  // would need 2^63 messages

    /// The first half of the room is free for all. After that an epoch may add an eighth of the room, and one for every four
    /// messages that fitted a known pattern.
    func allows(liveCount: Int) -> Bool {
        liveCount < capacity / 2 || added < max(16, capacity / 8) + used / 4
    }
}
