/// Decides which records of a series are kept as samples: the first, the last, and between them `k` drawn so that each had
/// the same chance, whatever their number.
///
/// Algorithm R of J. S. Vitter, Random Sampling with a Reservoir, ACM TOMS 11 (1985): the n-th record replaces one of
/// the `k` kept with probability k/n. The chance is an argument; ``chance(series:record:)`` makes it from the series and the
/// record's number, so that the same records give the same samples in every run.
///
/// Holds a count and no bytes: 8 bytes a series. Slot 0 is the first record, slot 1 the last, slots 2 ..< 2 + k the
/// reservoir. The first record is not drawn again; the last may be in the reservoir too.
public struct SampleChoice: Sendable, Equatable {
    /// Where a record goes. Both may be asked of one record.
    public struct Slots: Sendable, Equatable {
        /// Slot 0, only for the first record.
        public var isFirst: Bool
        /// The slot of the reservoir that this record takes, counted from 0; `nil` leaves the reservoir as it is.
        public var reservoir: Int?
    }

    /// Records seen. Stops at 2^63, which nobody reaches.
    public private(set) var count: Int

    public init() {
        count = 0
    }

    /// Counts one record and says where it goes. `chance` is any number whose bits are spread evenly; about ten instructions.
    public mutating func add(reservoirCountMax k: Int, chance: UInt64) -> Slots {
        count += 1
        guard count > 1 else { return Slots(isFirst: true, reservoir: nil) }
        guard k > 0 else { return Slots(isFirst: false, reservoir: nil) }
        // The reservoir is drawn from all records but the first.
        let number = count - 1
        if number <= k { return Slots(isFirst: false, reservoir: number - 1) }
        // The high word of the product is even over 0 ..< number, but for less than number/2^64 (Lemire 2019).
        let drawn = Int(truncatingIfNeeded: chance.multipliedFullWidth(by: UInt64(number)).high)
        return Slots(isFirst: false, reservoir: drawn < k ? drawn : nil)
    }

    /// Takes the count of a series that `other` chose for, after ``SampleReservoir/merge(_:chance:)`` or the like.
    public mutating func addCount(of other: SampleChoice) {
        count += other.count
    }

    /// A chance that depends on the series and the record's number alone: the finaliser of SplitMix64 (S. Vigna,
    /// prng.di.unimi.it/splitmix64.c), whose output passes the tests for randomness on counting input.
    public static func chance(series: UInt64, record: Int) -> UInt64 {
        // Wrapping is the definition.
        var mixed = series &+ UInt64(truncatingIfNeeded: record) &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// The samples of one series with their bytes: the first, the last, and a reservoir of those between.
///
/// Owns at most `2 + reservoirCountMax` texts of ``textByteCountMax`` bytes each, in one block that is allocated with the
/// first record; keeping a further one copies its bytes and allocates nothing. Longer texts are cut between scalars.
/// Merging keeps each side's share by its count, so samples of joined windows are as fair as those of one.
public struct SampleReservoir: Sendable {
    public let reservoirCountMax: Int
    public let textByteCountMax: Int
    private var choice = SampleChoice()
    private let series: UInt64
    /// Slots of `textByteCountMax` bytes: first, last, reservoir.
    private var bytes: [UInt8] = []
    /// Length of each slot; -1 is empty.
    private var lengths: [Int32] = []

    /// - Parameter series: the identity from which the chances are made.
    public init(series: UInt64, reservoirCountMax: Int = 3, textByteCountMax: Int = 256) {
        precondition(reservoirCountMax >= 0 && reservoirCountMax <= 64, "a reservoir is a few samples")
        precondition(
            textByteCountMax >= 4 && textByteCountMax <= 1 << 20,
            "a sample holds a scalar, and is no document"
        )
        self.series = series
        self.reservoirCountMax = reservoirCountMax
        self.textByteCountMax = textByteCountMax
    }

    /// Records seen, kept or not.
    public var count: Int { choice.count }

    /// Bytes of memory, near enough.
    public var byteCount: Int { bytes.count + lengths.count * 4 }

    /// Counts one record and keeps it where the draw says.
    public mutating func add(_ text: UnsafeBufferPointer<UInt8>) {
        add(text, chance: SampleChoice.chance(series: series, record: choice.count))
    }

    public mutating func add(_ text: UnsafeBufferPointer<UInt8>, chance: UInt64) {
        let slots = choice.add(reservoirCountMax: reservoirCountMax, chance: chance)
        if slots.isFirst {
            reserve()
            store(text, in: 0)
            return
        }
        store(text, in: 1)
        if let slot = slots.reservoir { store(text, in: 2 + slot) }
    }

    /// Adds what `other` kept of the records that came after those of self. Each slot of the reservoir is filled from either
    /// side with the chance of that side's count.
    public mutating func merge(_ other: SampleReservoir, chance: UInt64) {
        precondition(
            other.reservoirCountMax == reservoirCountMax && other.textByteCountMax == textByteCountMax,
            "reservoirs of one shape are merged"
        )
        guard other.count > 0 else { return }
        guard count > 0 else {
            choice = other.choice
            bytes = other.bytes
            lengths = other.lengths
            return
        }
        let mine = candidates(chance)
        // Its first record is an end no more, and was not in its own draw.
        let theirs = other.candidates(chance) + (other.count > 1 ? [0] : [])
        let (myCount, theirCount) = (UInt64(count), UInt64(other.count))
        var merged = self
        merged.lengths = [Int32](repeating: -1, count: lengths.count)
        merged.copy(0, of: self, to: 0)
        merged.copy(other.lengths[1] >= 0 ? 1 : 0, of: other, to: 1)
        var (nextMine, nextTheirs) = (0, 0)
        for slot in 0..<reservoirCountMax {
            let draw = SampleChoice.chance(series: chance, record: slot)
            let isMine = draw.multipliedFullWidth(by: myCount + theirCount).high < myCount
            if nextMine < mine.count, isMine || nextTheirs == theirs.count {
                merged.copy(mine[nextMine], of: self, to: 2 + slot)
                nextMine += 1
            } else if nextTheirs < theirs.count {
                merged.copy(theirs[nextTheirs], of: other, to: 2 + slot)
                nextTheirs += 1
            }
        }
        merged.choice.addCount(of: other.choice)
        self = merged
    }

    /// Every sample kept, no text twice: the first, those of the reservoir, the last.
    public func forEach(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        guard count > 0 else { return }
        visit(0, body)
        for slot in lengths.indices.dropFirst(2)
        where !isEqual(slot, 0) && !isEqual(slot, 1) && !(2..<slot).contains(where: { isEqual($0, slot) }) {
            visit(slot, body)
        }
        if !isEqual(0, 1) { visit(1, body) }
    }

    // MARK: Slots

    /// The filled slots of the reservoir, from a drawn one on: which slot a record is in says a little about its number.
    private func candidates(_ chance: UInt64) -> [Int] {
        let filled = lengths.indices.dropFirst(2).filter { lengths[$0] >= 0 }
        guard !filled.isEmpty else { return [] }
        let start = Int(truncatingIfNeeded: chance % UInt64(filled.count))
        return Array(filled[start...] + filled[..<start])
    }

    private func isEqual(_ left: Int, _ right: Int) -> Bool {
        guard lengths[left] == lengths[right] else { return false }
        guard lengths[left] > 0 else { return true }
        let count = Int(lengths[left])
        let (first, second) = (left * textByteCountMax, right * textByteCountMax)
        return bytes[first..<first + count].elementsEqual(bytes[second..<second + count])
    }

    private mutating func reserve() {
        let slotCount = 2 + reservoirCountMax
        bytes = [UInt8](repeating: 0, count: slotCount * textByteCountMax)
        lengths = [Int32](repeating: -1, count: slotCount)
    }

    private mutating func store(_ text: UnsafeBufferPointer<UInt8>, in slot: Int) {
        let count = Self.visibleByteCount(text, textByteCountMax)
        let start = slot * textByteCountMax
        for index in 0..<count { bytes[start + index] = text[index] }
        lengths[slot] = Int32(count)
    }

    private mutating func copy(_ slot: Int, of other: SampleReservoir, to target: Int) {
        lengths[target] = other.lengths[slot]
        guard other.lengths[slot] > 0 else { return }
        let source = slot * textByteCountMax
        let start = target * textByteCountMax
        for index in 0..<Int(other.lengths[slot]) { bytes[start + index] = other.bytes[source + index] }
    }

    private func visit(_ slot: Int, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        guard lengths[slot] >= 0 else { return }
        bytes.withUnsafeBufferPointer { bytes in
            let start = slot * textByteCountMax
            body(UnsafeBufferPointer(rebasing: bytes[start..<start + Int(lengths[slot])]))
        }
    }

    /// How much of a text fits without cutting a scalar (RFC 3629: at most three bytes follow a lead byte).
    private static func visibleByteCount(_ text: UnsafeBufferPointer<UInt8>, _ max: Int) -> Int {
        guard text.count > max else { return text.count }
        var end = max
        while end > max - 4, text[end] & 0xC0 == 0x80 { end -= 1 }
        return end
    }
}
