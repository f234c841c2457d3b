internal import LogModel

/// Learns, one after the other, which normalised messages are the same statement of a program, and gives each statement a
/// number: the *pattern*.
///
/// Masking knows a value by its shape; this finds the values that look like words (`user alice logged in`). The key of a
/// pattern is the sequence of its literal words, placeholders and punctuation left out. When patterns turn out to differ in
/// one word only, and often enough, that word becomes `<*>` and they become one; a number given out earlier leads to the
/// one that is left (``survivor(of:)``). Bools are written `<BOOL>`, and what comes in several types `<*>`.
///
/// Guarantees: at most `capacity` patterns, `capacity` KiB of memory and 1024 bytes a template; every message gets an
/// outcome; text and id of a template follow from the messages alone, never from a seed; a pattern used in this epoch or the
/// last is not forgotten. Not guaranteed: that two orders of the same messages end in the same patterns, though they
/// mostly do.
///
/// Cost: of a template seen lately, one hash over its bytes and one look-up; else a few look-ups and, for a new pattern,
/// a comparison with at most some hundred others. Allocates for new patterns only. Not safe to share between threads.
public struct TemplateMiner: ~Copyable {
    /// What became of a message.
    public enum Outcome: Equatable, Sendable {
        /// A pattern met before, or one that this message was merged into.
        case known(Int)
        case new(Int)
        /// No room, or too much that is new at once: to be counted under `<other>`.
        case full
    }

    var store: PatternStore
    let scan: MinerScan
    /// The message, and the pattern it is compared with.
    var message = MinerTokens()
    var other = MinerTokens()
    var join = TemplateJoin()
    let powers = WordKey.makePowers()
    var values: ValueMemory
    var merges: MergeLog
    private var recent: RecentTexts
    private var growth: GrowthLimiter
    /// Patterns still to be looked at again since something was learned, and the next of them.
    var reviewCount = 0
    var reviewHand = 0

    /// Texts that no pattern had before: of new patterns, and of those that became more general.
    public internal(set) var textChangeCount = 0
    /// Messages for which there was no room.
    public private(set) var overflowCount = 0
    /// Patterns that were merged into another one.
    public internal(set) var mergeCount = 0

    public var patternCount: Int { store.liveCount }
    public var evictionCount: Int { store.evictionCount }
    /// Merges nobody asked for in time (``takeMerges(_:)``).
    public var mergeDropCount: Int { merges.dropCount }

    /// Bytes held, allocator overhead included.
    public var byteCount: Int { store.byteCount + fixedByteCount }

    private var fixedByteCount: Int {
        2 * MinerTokens.byteCount + TemplateJoin.byteCount + (MinerTokens.tokenCountMax + 1) * 8 + values.byteCount
            + merges.byteCount + recent.byteCount
    }

    /// - Parameter capacity: `MAX_PATTERNS`, 1 to 2^20.
    public init(capacity: Int, style: PlaceholderStyle) {
        precondition(capacity > 0 && capacity <= 1 << 20, "a miner keeps 1 to 2^20 patterns")
        scan = MinerScan(style: style)
        values = ValueMemory()
        merges = MergeLog(capacity: max(64, min(4096, capacity)))
        recent = RecentTexts(capacity: capacity)
        growth = GrowthLimiter(capacity: capacity)
        store = PatternStore(capacity: capacity)
        // Small ones may take what the tables take in any case.
        store.byteCountMax = max(capacity * 1024 - fixedByteCount, 32 * 1024)
    }

    deinit {
        message.deallocate()
        other.deallocate()
        join.deallocate()
        powers.deallocate()
        values.deallocate()
        merges.deallocate()
        recent.deallocate()
    }

    /// Finds or makes the pattern of a message. `normalized` is valid during the call; `epoch` is the open batch, and never
    /// goes back.
    public mutating func learn(_ normalized: UnsafeBufferPointer<UInt8>, epoch: UInt64) -> Outcome {
        learn(normalized, hash: TextHash.hash(normalized), epoch: epoch)
    }

    /// The same with the ``TextHash`` of the text, which the caller needs as well.
    @inline(__always)
    mutating func learn(_ normalized: UnsafeBufferPointer<UInt8>, hash: UInt64, epoch: UInt64) -> Outcome {
        if let found = recent.find(hash), store.isLive(found.number, stamp: found.stamp) {
            store.uses[found.number].epoch = epoch
            growth.patternWasUsed()
            return .known(found.number)
        }
        return learnSlowly(normalized, hash: hash, epoch: epoch)
    }

    /// Marks a pattern as used, as ``learn(_:epoch:)`` would, if it still is what it was when it had this stamp.
    @inline(__always)
    mutating func use(_ number: Int, stamp: UInt32, epoch: UInt64) -> Bool {
        guard store.isLive(number, stamp: stamp) else { return false }
        store.uses[number].epoch = epoch
        growth.patternWasUsed()
        return true
    }

    func stamp(of number: Int) -> UInt32 { store.uses[number].stamp }

    /// What ``keep(level:ofText:)`` was given for a text that was learned not long ago, by its hash.
    @inline(__always)
    func level(ofText hash: UInt64) -> UInt8? { recent.level(hash) }

    func keep(level: UInt8, ofText hash: UInt64) { recent.keep(level, hash) }

    /// Not inlined: its frame is large, and the usual way needs none.
    @inline(never)
    private mutating func learnSlowly(
        _ normalized: UnsafeBufferPointer<UInt8>,
        hash: UInt64,
        epoch: UInt64
    ) -> Outcome {
        growth.epochBegan(epoch)
        message.cut(normalized, with: scan)
        // A template without words is its own key.
        let key = message.isEmpty ? XXH64.hash(normalized) | 1 : message.key(without: 0, powers: powers)
        rememberValues()
        if let number = knownNumber(key) {
            store.uses[number].epoch = epoch
            growth.patternWasUsed()
            recent.insert(hash, number, store.uses[number].stamp)
            if reviewCount > 0 { reviewNext() }
            return .known(number)
        }
        guard growth.allows(liveCount: store.liveCount) else {
            overflowCount += 1
            return .full
        }
        guard join.copy(message, scan), let number = store.add(join.view, key: key, message, epoch: epoch) else {
            overflowCount += 1
            return .full
        }
        growth.patternWasAdded()
        reviewCount = store.liveCount
        let root = merge(number)
        recent.insert(hash, root, store.uses[root].stamp)
        if reviewCount > 0 { reviewNext() }
        guard root == number else {
            store.forget(number)
            return .known(root)
        }
        textChangeCount += 1
        return .new(number)
    }

    /// The pattern with the words of the message, or with all but those that are known to vary there.
    private mutating func knownNumber(_ key: UInt64) -> Int? {
        if let number = store.number(ofKey: key) {
            if !message.isEmpty { generalise(number) }
            return number
        }
        var next = store.masks.first(wordCount: message.wordCount)
        while let mask = next {
            let positions = store.masks.positions(mask)
            if let number = store.number(ofKey: message.key(without: positions, powers: powers)),
                store.slots[number].hasMask(mask)
            {
                remember(positions)
                message.fold(positions)
                generalise(number)
                return number
            }
            next = store.masks.next(mask)
        }
        return nil
    }

    /// Takes the gaps of the message into the template of a pattern with the same words.
    private mutating func generalise(_ number: Int) {
        let shapes = message.shapes()
        guard store.slots[number].exactShape != shapes.exact, store.slots[number].anyShape != shapes.anonymous else {
            return
        }
        other.cut(store.text(of: number), with: scan)
        guard other.wordCount == message.wordCount, join.join(other, message, scan) else { return }
        replaceText(of: number)
        store.slots[number].exactShape = shapes.exact
        if !join.hasValue { store.slots[number].anyShape = shapes.anonymous }
    }

    /// Whether the text in `join` is not that of the pattern.
    private func differs(from number: Int) -> Bool {
        let old = store.text(of: number)
        guard let left = old.baseAddress, old.count == join.count else { return true }
        return !TemplateJoin.isEqual(left, join.text, join.count)
    }

    /// Gives a pattern the text in `join`.
    private mutating func replaceText(of number: Int) {
        guard differs(from: number) else { return }
        let before = store.slots[number].id
        store.replaceText(of: number, join.view)
        textChangeCount += 1
        merges.append(from: before, to: store.slots[number].id)
    }

    /// Looks at patterns again that something learned later may have made mergeable, so that order matters less. Called at
    /// the end of an input and, if wanted, at a seal; each pattern at most `roundCountMax` times.
    public mutating func settle() {
        if values.hasNew { reviewCount = store.liveCount }
        values.hasNew = false
        var steps = 4 * store.slotCount
        while reviewCount > 0, steps > 0 {
            reviewNext()
            steps -= 1
        }
    }

    private mutating func reviewNext() {
        reviewCount -= 1
        reviewHand = reviewHand + 1 < store.slotCount ? reviewHand + 1 : 0
        guard store.isRoot(reviewHand) else {
            // Numbers that are free or merged do not count.
            if reviewHand != 0 { reviewCount += 1 }
            return
        }
        _ = merge(reviewHand)
    }

    // MARK: Reading

    /// The pattern a number given out before leads to now. Valid for numbers used in this epoch or the last.
    public func survivor(of number: Int) -> Int { store.root(of: number) }

    /// Id and text of the pattern `number` leads to; the id is XXH64 of the text.
    public func withTemplate(of number: Int, _ body: (_ id: UInt64, _ text: UnsafeBufferPointer<UInt8>) -> Void) {
        let root = store.root(of: number)
        body(store.slots[root].id, store.text(of: root))
    }

    /// Every pattern, by number.
    public func forEachTemplate(_ body: (_ number: Int, _ id: UInt64, _ text: UnsafeBufferPointer<UInt8>) -> Void) {
        for number in 0..<store.slotCount where store.isRoot(number) {
            body(number, store.slots[number].id, store.text(of: number))
        }
    }

    /// The ids that became others since the last call, in order: of patterns merged into another, and of those whose text
    /// became more general. When too many came, the oldest are lost and counted.
    public mutating func takeMerges(_ body: (_ from: UInt64, _ to: UInt64) -> Void) { merges.take(body) }

    /// Makes known a template of an earlier run, as if of epoch 0.
    public mutating func restore(template: UnsafeBufferPointer<UInt8>) {
        guard template.count <= Normalizer.templateByteCountMax else { return }
        let hash = TextHash.hash(template)
        message.cut(template, with: scan)
        let key = message.isEmpty ? XXH64.hash(template) | 1 : message.key(without: 0, powers: powers)
        guard store.number(ofKey: key) == nil, let number = store.add(template, key: key, message, epoch: 0) else {
            return
        }
        recent.insert(hash, number, store.uses[number].stamp)
    }

    // MARK: Values

    private mutating func rememberValues() {
        for index in 0..<message.count where message.tokens[index].kind == .value {
            values.insert(message.tokens[index].hash)
        }
    }

    private mutating func remember(_ positions: UInt64) {
        var rest = positions
        while rest != 0 {
            values.insert(message.hash(ofWord: rest.trailingZeroBitCount))
            rest &= rest &- 1
        }
    }
}
