internal import LogModel

/// Keeps byte strings once and names them by small numbers: the origins of records.
///
/// Owns copies of the bytes. Holds at most `capacity` strings; when full, one that the open batch does not use makes way
/// (second chance: the hand passes over those used lately), and when every one looked at is in use, ``intern`` says so and
/// the caller counts under `<other>`. A look-up is one hash and, as a rule, one comparison; no allocation unless new.
struct InternTable: ~Copyable {
    struct Entry {
        /// The bytes as they came, for comparison.
        var key: [UInt8]
        /// The bytes as they may be stored: repaired. Shares memory with `key` where nothing was wrong.
        var text: [UInt8]
        /// XXH64 of `text`.
        var id: UInt64
        var hash: UInt64
        /// The epoch (open batch) that used it last.
        var epoch: UInt64
    }

    enum Outcome {
        case found(Int)
        case added(Int)
        case full
    }

    private(set) var entries: [Entry] = []
    private(set) var evictionCount = 0
    private(set) var byteCount = 0
    private let capacity: Int
    private let textByteCountMax: Int
    /// Open addressing with linear probing; a slot holds index + 1, and 0 is empty. At most half full.
    private var slots: [Int32]
    private var hand = 0

    init(capacity: Int, textByteCountMax: Int) {
        precondition(capacity > 0 && capacity < 1 << 24, "an intern table names strings with 24 bits")
        self.capacity = capacity
        self.textByteCountMax = textByteCountMax
        var slotCount = 1024
        while slotCount < min(capacity, 8192) * 2 { slotCount *= 2 }
        slots = [Int32](repeating: 0, count: slotCount)
    }

    /// Finds or adds `key`. `epoch` marks it as used by the open batch of that number.
    mutating func intern(_ key: ByteView, epoch: UInt64) -> Outcome {
        let hash = TextHash.hash(key)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let index = Int(slots[slot]) - 1
            if entries[index].hash == hash, Self.isEqual(entries[index].key, key) {
                entries[index].epoch = epoch
                return .found(index)
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        return add(key, hash: hash, epoch: epoch)
    }

    private mutating func add(_ key: ByteView, hash: UInt64, epoch: UInt64) -> Outcome {
        var index = entries.count
        if index == capacity {
            guard let victim = evict(epoch: epoch) else { return .full }
            index = victim
        }
        let copy = Array(key)
        var text = copy
        if !UTF8Repair.isClean(key) || key.count > textByteCountMax {
            text = []
            UTF8Repair.append(key, to: &text, byteCountMax: textByteCountMax)
        }
        let entry = Entry(
            key: copy,
            text: text,
            id: text.withUnsafeBufferPointer { XXH64.hash($0) },
            hash: hash,
            epoch: epoch
        )
        byteCount += copy.count + MemoryLayout<Entry>.stride
        if index == entries.count {
            entries.append(entry)
        } else {
            entries[index] = entry
        }
        if entries.count * 2 > slots.count {
            rebuild(slotCount: slots.count * 2)
        } else {
            place(index)
        }
        return .added(index)
    }

    /// Frees one entry that the open batch does not use; looks at no more than 64, so a full table costs a constant.
    private mutating func evict(epoch: UInt64) -> Int? {
        for _ in 0..<min(64, entries.count) {
            hand = hand + 1 < entries.count ? hand + 1 : 0
            // Two epochs of grace: a pattern of the last batch is likely to come again.
            if entries[hand].epoch + 1 < epoch {
                byteCount -= entries[hand].key.count + MemoryLayout<Entry>.stride
                remove(hand)
                evictionCount += 1
                return hand
            }
        }
        return nil
    }

    private mutating func place(_ index: Int) {
        var slot = Int(truncatingIfNeeded: entries[index].hash) & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = Int32(index + 1)
    }

    private mutating func rebuild(slotCount: Int) {
        slots = [Int32](repeating: 0, count: slotCount)
        for index in entries.indices { place(index) }
    }

    /// Takes an entry's slot out and closes the gap, so that no probe chain ends early (Knuth, TAOCP 3, 6.4, algorithm R).
    private mutating func remove(_ index: Int) {
        let mask = slots.count - 1
        var gap = Int(truncatingIfNeeded: entries[index].hash) & mask
        while slots[gap] != Int32(index + 1) { gap = (gap + 1) & mask }
        var next = gap
        while true {
            slots[gap] = 0
            while true {
                next = (next + 1) & mask
                guard slots[next] != 0 else { return }
                let home = Int(truncatingIfNeeded: entries[Int(slots[next]) - 1].hash) & mask
                // May the string at `next` move to the gap? Only if its home is not between the two.
                let isBetween = gap <= next ? home > gap && home <= next : home > gap || home <= next
                if !isBetween { break }
            }
            slots[gap] = slots[next]
            gap = next
        }
    }

    /// Eight bytes at a time: most look-ups succeed, and compare a whole template.
    private static func isEqual(_ stored: [UInt8], _ view: ByteView) -> Bool {
        guard stored.count == view.count else { return false }
        guard let right = UnsafeRawPointer(view.baseAddress) else { return true }
        return stored.withUnsafeBytes { bytes in
            guard let left = bytes.baseAddress else { return true }
            var offset = 0
            while offset + 8 <= view.count {
                let first = left.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                guard first == right.loadUnaligned(fromByteOffset: offset, as: UInt64.self) else { return false }
                offset += 8
            }
            while offset < view.count {
                guard bytes[offset] == view[offset] else { return false }
                offset += 1
            }
            return true
        }
    }
}
