internal import LogModel

/// The patterns themselves: their numbers, texts and words, and the indexes that find them.
///
/// A number is *free*, a *root* (a pattern), or an *alias* (merged into another; kept while a caller may still hold it).
/// Owns everything it points to. All indexes are bounded by the capacity, and what is evicted leaves all of them.
struct PatternStore: ~Copyable {
    /// A part of a pattern, as a member of the chain of its hash. Parts of different rank may meet in one chain.
    struct PartLink: Equatable {
        private let code: Int32

        static let none = PartLink(number: -1, part: 0)

        init(number: Int, part: Int) { code = Int32(truncatingIfNeeded: number * 3 + part) }

        var number: Int { Int(code) / 3 }
        var part: Int { Int(code) % 3 }
    }

    enum State: UInt8 { case free, root, alias }

    /// What every message of a pattern looks at and writes: apart from the rest, so that thousands of patterns in use fit
    /// the processor's cache.
    struct Use {
        var epoch: UInt64 = 0
        /// Changes when the number stops being what it was.
        var stamp: UInt32 = 0
        var state: State = .free
    }

    struct Slot {
        /// Words (32 bits each, ``word(_:flags:)``), then the text.
        var block: UnsafeMutableRawPointer?
        var blockByteCount: Int32 = 0
        var textCount: UInt16 = 0
        var wordCount: UInt16 = 0
        var key: UInt64 = 0
        var id: UInt64 = 0
        /// Messages that the text is known to cover already (``MinerTokens/shapes()``): the last one, and any with values
        /// in its places.
        var exactShape: UInt64 = 0
        var anyShape: UInt64 = 0
        /// Of an alias the pattern it leads to; of a free number the next free one.
        var parent: Int32 = -1
        var next = InlineArray<3, PartLink>(repeating: .none)
        var previous = InlineArray<3, PartLink>(repeating: .none)
        var masks = InlineArray<8, UInt16>(repeating: 0)
        var maskCount: UInt8 = 0

        /// Words kept for comparison; patterns of more words are only ever found whole.
        var comparedWordCount: Int { wordCount <= MinerTokens.wildWordCountMax ? Int(wordCount) : 0 }

        func hasMask(_ mask: Int) -> Bool {
            for index in 0..<Int(maskCount) where Int(masks[index]) == mask { return true }
            return false
        }
    }

    /// Slots looked at for one eviction, so that a full store costs a constant.
    private static let evictionLookMax = 64

    let slots: UnsafeMutablePointer<Slot>
    /// Of the same number.
    let uses: UnsafeMutablePointer<Use>
    private(set) var slotCount = 0
    private(set) var liveCount = 0
    private(set) var evictionCount = 0
    var byteCountMax = Int.max
    var masks: MaskTable
    private let capacity: Int
    private let slotCountMax: Int
    /// Key to number + 1; open addressing, at most half full.
    private let keyTable: UnsafeMutablePointer<Int32>
    /// Hash of a part to the first of its chain.
    private let partTable: UnsafeMutablePointer<PartLink>
    private let tableMask: Int
    private var blockByteCount = 0
    private var freeNumber: Int32 = -1
    private var hand = 0

    init(capacity: Int) {
        self.capacity = capacity
        // Two merged numbers for each pattern: a merge makes one, and most are free again two epochs later.
        slotCountMax = 3 * capacity
        slots = .allocate(capacity: slotCountMax)
        uses = .allocate(capacity: slotCountMax)
        var tableCount = 64
        while tableCount < 2 * capacity { tableCount *= 2 }
        tableMask = tableCount - 1
        keyTable = .allocate(capacity: tableCount)
        keyTable.initialize(repeating: 0, count: tableCount)
        partTable = .allocate(capacity: tableCount)
        partTable.initialize(repeating: .none, count: tableCount)
        masks = MaskTable(capacity: max(64, min(1024, capacity / 4)))
    }

    deinit {
        for number in 0..<slotCount { slots[number].block?.deallocate() }
        slots.deallocate()
        uses.deallocate()
        keyTable.deallocate()
        partTable.deallocate()
        masks.deallocate()
    }

    private static var numberByteCount: Int { MemoryLayout<Slot>.stride + MemoryLayout<Use>.stride }

    /// Slots never used are not touched, so they are not in memory.
    var byteCount: Int {
        blockByteCount + slotCount * Self.numberByteCount + 8 * (tableMask + 1) + masks.byteCount
    }

    // MARK: Reading

    @inline(__always)
    func isRoot(_ number: Int) -> Bool { uses[number].state == .root }

    @inline(__always)
    func isLive(_ number: Int, stamp: UInt32) -> Bool { uses[number].stamp == stamp && uses[number].state == .root }

    func text(of number: Int) -> UnsafeBufferPointer<UInt8> {
        guard let block = slots[number].block else { return UnsafeBufferPointer(start: nil, count: 0) }
        let start = (block + 4 * slots[number].comparedWordCount).assumingMemoryBound(to: UInt8.self)
        return UnsafeBufferPointer(start: start, count: Int(slots[number].textCount))
    }

    /// Words as compared; valid while the pattern is not changed. `nil` when it has none that are.
    func words(of number: Int) -> UnsafePointer<UInt32>? {
        guard slots[number].comparedWordCount > 0, let block = slots[number].block else { return nil }
        return UnsafePointer(block.assumingMemoryBound(to: UInt32.self))
    }

    /// Follows merges, and shortens the way for the next time.
    func root(of number: Int) -> Int {
        precondition(number >= 0 && number < slotCount, "a pattern number that was never given out")
        var root = number
        while uses[root].state == .alias { root = Int(slots[root].parent) }
        var step = number
        while uses[step].state == .alias, Int(slots[step].parent) != root {
            let next = Int(slots[step].parent)
            slots[step].parent = Int32(root)
            step = next
        }
        return root
    }

    func number(ofKey key: UInt64) -> Int? {
        var place = Int(truncatingIfNeeded: WordKey.spread(key)) & tableMask
        while keyTable[place] != 0 {
            let number = Int(keyTable[place]) - 1
            if slots[number].key == key { return number }
            place = (place + 1) & tableMask
        }
        return nil
    }

    // MARK: Changing

    /// Adds a pattern; `nil` when there is no room and nothing may be forgotten.
    mutating func add(
        _ text: UnsafeBufferPointer<UInt8>,
        key: UInt64,
        _ tokens: MinerTokens,
        epoch: UInt64
    ) -> Int? {
        let wordCount = tokens.wordCount <= MinerTokens.wildWordCountMax ? tokens.wordCount : 0
        let need = Self.blockCost(4 * wordCount + text.count) + Self.numberByteCount
        var tries = 4
        while liveCount >= capacity || byteCount + need > byteCountMax {
            guard tries > 0, evict(epoch: epoch) else { return nil }
            tries -= 1
        }
        guard let number = takeNumber(epoch: epoch) else { return nil }
        uses[number].state = .root
        uses[number].epoch = epoch
        slots[number].maskCount = 0
        liveCount += 1
        fill(number, text, key: key, tokens)
        return number
    }

    /// Gives a pattern other words: those of `tokens`.
    mutating func rekey(_ number: Int, _ text: UnsafeBufferPointer<UInt8>, key: UInt64, _ tokens: MinerTokens) {
        unlink(number)
        // The new text may point into the old block.
        let old = slots[number].block
        blockByteCount -= Self.blockCost(Int(slots[number].blockByteCount))
        fill(number, text, key: key, tokens)
        old?.deallocate()
    }

    mutating func replaceText(of number: Int, _ text: UnsafeBufferPointer<UInt8>) {
        let wordBytes = 4 * slots[number].comparedWordCount
        if wordBytes + text.count > Int(slots[number].blockByteCount) {
            let block = UnsafeMutableRawPointer.allocate(byteCount: wordBytes + text.count, alignment: 8)
            if let old = slots[number].block {
                block.copyMemory(from: old, byteCount: wordBytes)
                old.deallocate()
            }
            blockByteCount += Self.blockCost(wordBytes + text.count) - Self.blockCost(Int(slots[number].blockByteCount))
            slots[number].block = block
            slots[number].blockByteCount = Int32(wordBytes + text.count)
        }
        if let source = text.baseAddress, let block = slots[number].block {
            (block + wordBytes).copyMemory(from: source, byteCount: text.count)
        }
        slots[number].textCount = UInt16(text.count)
        slots[number].id = XXH64.hash(text)
    }

    /// Makes a pattern an alias of another one.
    mutating func lead(_ number: Int, to root: Int) {
        unlink(number)
        releaseBlock(number)
        releaseMasks(number)
        uses[number].state = .alias
        slots[number].parent = Int32(root)
        uses[number].stamp &+= 1  // told apart from the last few uses, not from all
        uses[root].epoch = max(uses[root].epoch, uses[number].epoch)
        liveCount -= 1
    }

    /// Frees an alias nobody knows the number of.
    mutating func forget(_ number: Int) {
        guard uses[number].state == .alias else { return }
        free(number)
    }

    /// Remembers that `mask` leads to a pattern; when there is no room, its messages are new patterns that merge again.
    mutating func addMask(_ mask: Int?, to number: Int) {
        guard let mask, !slots[number].hasMask(mask), Int(slots[number].maskCount) < slots[number].masks.count else {
            return
        }
        slots[number].masks[Int(slots[number].maskCount)] = UInt16(mask)
        slots[number].maskCount += 1
        masks.retain(mask)
    }

    // MARK: Rooms

    /// What an allocation of `count` bytes costs with glibc: 8 bytes more, in steps of 16, at least 32.
    private static func blockCost(_ count: Int) -> Int { count == 0 ? 0 : max(32, (count + 8 + 15) & ~15) }

    private mutating func fill(
        _ number: Int,
        _ text: UnsafeBufferPointer<UInt8>,
        key: UInt64,
        _ tokens: MinerTokens
    ) {
        let wordCount = tokens.wordCount <= MinerTokens.wildWordCountMax ? tokens.wordCount : 0
        let byteCount = 4 * wordCount + text.count
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 1), alignment: 8)
        let words = block.assumingMemoryBound(to: UInt32.self)
        for index in 0..<wordCount { words[index] = ComparedWord.of(tokens, index) }
        if let source = text.baseAddress {
            (block + 4 * wordCount).copyMemory(from: source, byteCount: text.count)
        }
        slots[number].block = block
        slots[number].blockByteCount = Int32(byteCount)
        slots[number].textCount = UInt16(text.count)
        slots[number].wordCount = UInt16(tokens.wordCount)
        slots[number].key = key
        slots[number].id = XXH64.hash(text)
        slots[number].exactShape = 0
        slots[number].anyShape = 0
        blockByteCount += Self.blockCost(byteCount)
        link(number)
    }

    private mutating func releaseBlock(_ number: Int) {
        slots[number].block?.deallocate()
        blockByteCount -= Self.blockCost(Int(slots[number].blockByteCount))
        slots[number].block = nil
        slots[number].blockByteCount = 0
        slots[number].textCount = 0
        slots[number].wordCount = 0
    }

    private mutating func releaseMasks(_ number: Int) {
        for index in 0..<Int(slots[number].maskCount) { masks.release(Int(slots[number].masks[index])) }
        slots[number].maskCount = 0
    }

    private mutating func takeNumber(epoch: UInt64) -> Int? {
        if freeNumber < 0, slotCount == slotCountMax {
            // All numbers are out: look for merged ones that nobody can hold any more.
            for _ in 0..<Self.evictionLookMax where freeNumber < 0 { freeOldAlias(epoch: epoch) }
        }
        if freeNumber >= 0 {
            let number = Int(freeNumber)
            freeNumber = slots[number].parent
            return number
        }
        guard slotCount < slotCountMax else { return nil }
        (slots + slotCount).initialize(to: Slot())
        (uses + slotCount).initialize(to: Use())
        slotCount += 1
        return slotCount - 1
    }

    private mutating func freeOldAlias(epoch: UInt64) {
        hand = hand + 1 < slotCount ? hand + 1 : 0
        if uses[hand].state == .alias, uses[hand].epoch + 1 < epoch { free(hand) }
    }

    /// Forgets one pattern that neither this epoch nor the last used. Each look moves the hand, so those used meanwhile get
    /// their second chance.
    private mutating func evict(epoch: UInt64) -> Bool {
        for _ in 0..<min(Self.evictionLookMax, slotCount) {
            freeOldAlias(epoch: epoch)
            guard uses[hand].state == .root, uses[hand].epoch + 1 < epoch else { continue }
            unlink(hand)
            releaseBlock(hand)
            releaseMasks(hand)
            liveCount -= 1
            evictionCount += 1
            free(hand)
            return true
        }
        return false
    }

    private mutating func free(_ number: Int) {
        uses[number].state = .free
        uses[number].stamp &+= 1
        slots[number].parent = freeNumber
        freeNumber = Int32(number)
    }

    // MARK: Indexes

    private mutating func link(_ number: Int) {
        var place = Int(truncatingIfNeeded: WordKey.spread(slots[number].key)) & tableMask
        while keyTable[place] != 0 { place = (place + 1) & tableMask }
        keyTable[place] = Int32(number + 1)
        for part in 0..<3 {
            guard let bucket = bucket(number, part) else { continue }
            let link = PartLink(number: number, part: part)
            let first = partTable[bucket]
            slots[number].next[part] = first
            slots[number].previous[part] = .none
            if first != .none { slots[first.number].previous[first.part] = link }
            partTable[bucket] = link
        }
    }

    private mutating func unlink(_ number: Int) {
        for part in 0..<3 {
            guard let bucket = bucket(number, part) else { continue }
            let next = slots[number].next[part]
            let previous = slots[number].previous[part]
            if next != .none { slots[next.number].previous[next.part] = previous }
            if previous != .none {
                slots[previous.number].next[previous.part] = next
            } else {
                partTable[bucket] = next
            }
        }
        removeKey(number)
    }

    /// Closes the gap in the table, so that no probe ends early (Knuth, TAOCP 3, 6.4, algorithm R).
    private mutating func removeKey(_ number: Int) {
        var gap = Int(truncatingIfNeeded: WordKey.spread(slots[number].key)) & tableMask
        while keyTable[gap] != Int32(number + 1) {
            precondition(keyTable[gap] != 0, "every pattern is in the table of keys")
            gap = (gap + 1) & tableMask
        }
        var next = gap
        while true {
            keyTable[gap] = 0
            while true {
                next = (next + 1) & tableMask
                guard keyTable[next] != 0 else { return }
                let home = Int(truncatingIfNeeded: WordKey.spread(slots[Int(keyTable[next]) - 1].key)) & tableMask
                let isBetween = gap <= next ? home > gap && home <= next : home > gap || home <= next
                if !isBetween { break }
            }
            keyTable[gap] = keyTable[next]
            gap = next
        }
    }

    /// Words `lower..<upper` of the third `part` of a pattern. Two patterns that differ in at most two words have a third in
    /// common.
    static func partRange(_ part: Int, wordCount: Int) -> Range<Int> {
        wordCount * part / 3..<wordCount * (part + 1) / 3
    }

    /// Where the chain of a part hangs; `nil` for an empty part. Parts of different patterns may share a chain by chance.
    func bucket(_ number: Int, _ part: Int) -> Int? {
        let count = slots[number].comparedWordCount
        let range = Self.partRange(part, wordCount: count)
        guard !range.isEmpty, let words = words(of: number) else { return nil }
        var hash = UInt64(count) &* 3 &+ UInt64(part)  // any mixing will do, wrapping included
        for index in range { hash = (hash ^ UInt64(words[index])) &* WordKey.base }
        return Int(truncatingIfNeeded: hash >> 32) & tableMask
    }

    func first(inBucket bucket: Int) -> PartLink { partTable[bucket] }
}

/// A word as patterns are compared by: 30 bits of its hash, and what the merge policy asks of it.
enum ComparedWord {
    static let identifier: UInt32 = 1
    static let capital: UInt32 = 2

    static func of(_ tokens: MinerTokens, _ word: Int) -> UInt32 {
        let token = tokens.tokens[Int(tokens.words[word])]
        var value = UInt32(truncatingIfNeeded: token.hash >> 32) & ~3
        var previous: UInt8 = 0
        for index in Int(token.start)..<Int(token.end) {
            let byte = tokens.bytes[index]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "/"),
                UInt8(ascii: "$"), UInt8(ascii: "-"), UInt8(ascii: "@"), UInt8(ascii: "\\"):
                value |= identifier
            case UInt8(ascii: "A")...UInt8(ascii: "Z"):
                if index == Int(token.start) { value |= capital }
                if previous >= UInt8(ascii: "a"), previous <= UInt8(ascii: "z") { value |= identifier }
            default: break
            }
            previous = byte
        }
        return value
    }
}

/// Sets of word positions that were found to vary, by the number of words of the message. A message that fits no key is
/// tried with each set of its length left out.
struct MaskTable {
    private struct Entry {
        var positions: UInt64 = 0
        var wordCount: Int32 = 0
        var useCount: Int32 = 0
        var next: Int32 = -1
    }

    /// Sets tried for one length: bounds the cost of a message that is unlike all others.
    private static let lengthMax = 24

    private let entries: UnsafeMutablePointer<Entry>
    private let heads: UnsafeMutablePointer<Int32>
    private let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        entries = .allocate(capacity: capacity)
        entries.initialize(repeating: Entry(), count: capacity)
        heads = .allocate(capacity: MinerTokens.wildWordCountMax + 1)
        heads.initialize(repeating: -1, count: MinerTokens.wildWordCountMax + 1)
    }

    func deallocate() {
        entries.deallocate()
        heads.deallocate()
    }

    var byteCount: Int { capacity * MemoryLayout<Entry>.stride + (MinerTokens.wildWordCountMax + 1) * 4 }

    @inline(__always)
    func first(wordCount: Int) -> Int? {
        guard wordCount <= MinerTokens.wildWordCountMax, heads[wordCount] >= 0 else { return nil }
        return Int(heads[wordCount])
    }

    @inline(__always)
    func next(_ mask: Int) -> Int? { entries[mask].next >= 0 ? Int(entries[mask].next) : nil }

    @inline(__always)
    func positions(_ mask: Int) -> UInt64 { entries[mask].positions }

    func wordCount(_ mask: Int) -> Int { Int(entries[mask].wordCount) }

    /// The entry of a set, made if there is room. Not yet in use: ``retain(_:)`` says so.
    func entry(wordCount: Int, positions: UInt64) -> Int? {
        guard wordCount <= MinerTokens.wildWordCountMax else { return nil }
        var length = 0
        var next = heads[wordCount]
        while next >= 0 {
            if entries[Int(next)].positions == positions { return Int(next) }
            length += 1
            next = entries[Int(next)].next
        }
        guard length < Self.lengthMax else { return nil }
        for mask in 0..<capacity where entries[mask].useCount == 0 && entries[mask].wordCount == 0 {
            entries[mask] = Entry(
                positions: positions,
                wordCount: Int32(wordCount),
                useCount: 0,
                next: heads[wordCount]
            )
            heads[wordCount] = Int32(mask)
            return mask
        }
        return nil
    }

    func retain(_ mask: Int) { entries[mask].useCount += 1 }

    func release(_ mask: Int) {
        entries[mask].useCount -= 1
        if entries[mask].useCount == 0 { remove(mask) }
    }

    /// Takes an entry out that no pattern uses.
    func removeIfUnused(_ mask: Int) {
        if entries[mask].useCount == 0, entries[mask].wordCount > 0 { remove(mask) }
    }

    private func remove(_ mask: Int) {
        let wordCount = Int(entries[mask].wordCount)
        if heads[wordCount] == Int32(mask) {
            heads[wordCount] = entries[mask].next
        } else {
            var step = heads[wordCount]
            while step >= 0, entries[Int(step)].next != Int32(mask) { step = entries[Int(step)].next }
            if step >= 0 { entries[Int(step)].next = entries[mask].next }
        }
        entries[mask] = Entry()
    }
}
