/// Late merging: patterns that differ in one or two words become one when enough of them did.
///
/// How many are enough depends on the place and on what stands there. A name behind `user` varies by nature, so two will
/// do; capitals and first words tell statements apart (`Started`, `Stopped`), so it takes many.
extension TemplateMiner {
    /// The distinct words a place must have shown to count as a value.
    enum EnoughWords {
        static let ordinary = 7
        static let firstOrCapital = 14
        /// Words that look like identifiers (`camelCase`, `a_b`, `x.y`), and words in quotes.
        static let identifier = 3
        /// After a noun or a colon, and words known as values from elsewhere.
        static let named = 2
        static let never = Int.max
    }

    /// Chain entries looked at for a merge, of each third of a pattern; the counts above need far fewer.
    private static var lookMax: Int { 256 }

    struct MergePlan {
        var positions: UInt64
        var members: [Int]
    }

    /// Merges a pattern with others like it for as long as there are any; returns what it is part of then.
    mutating func merge(_ number: Int) -> Int {
        var root = number
        // Each round takes at least one word away.
        for _ in 0..<8 {
            guard let plan = plan(root), let next = apply(plan, to: root) else { break }
            root = next
        }
        return root
    }

    // MARK: Deciding

    private mutating func plan(_ number: Int) -> MergePlan? {
        let wordCount = store.slots[number].comparedWordCount
        guard wordCount >= 2 else { return nil }
        message.cut(store.text(of: number), with: scan)
        guard message.wordCount == wordCount, message.key(without: 0, powers: powers) == store.slots[number].key else {
            return nil
        }
        let near = neighbours(of: number)
        var tallies = [PlaceTally](repeating: PlaceTally(), count: wordCount)
        guard let words = store.words(of: number) else { return nil }
        for place in 0..<wordCount {
            tallies[place].count(words[place], isKnown: isKnown(words[place]))
            tallies[place].extra = valueCountOfShorter(than: number, without: place)
        }
        for neighbour in near where neighbour.second < 0 {
            guard let theirs = store.words(of: neighbour.number) else { continue }
            let word = theirs[neighbour.first]
            tallies[neighbour.first].count(word, isKnown: isKnown(word))
        }
        var best = (place: -1, share: 0.0)
        for place in 0..<wordCount where tallies[place].words > 1 || tallies[place].extra > 0 {
            let needed = enough(at: place, tallies[place])
            let seen = tallies[place].words + tallies[place].extra
            guard needed != EnoughWords.never, seen >= needed else { continue }
            let share = Double(seen) / Double(needed)
            if share > best.share { best = (place, share) }
        }
        if best.place >= 0 {
            let members = near.filter { $0.second < 0 && $0.first == best.place }.map(\.number)
            return MergePlan(positions: 1 << UInt64(best.place), members: members + [number])
        }
        return planOfTwo(number, near, words)
    }

    /// Two words that vary together: each new user comes with a new host.
    private func planOfTwo(_ number: Int, _ near: [Neighbour], _ words: UnsafePointer<UInt32>) -> MergePlan? {
        guard store.slots[number].comparedWordCount >= 4 else { return nil }
        var tried: [(Int, Int)] = []
        for neighbour in near where neighbour.second >= 0 {
            let pair = (neighbour.first, neighbour.second)
            guard tried.count < 8, !tried.contains(where: { $0 == pair }) else { continue }
            tried.append(pair)
            let members = near.filter { $0.first == pair.0 && $0.second == pair.1 }.map(\.number)
            var first = PlaceTally()
            var second = PlaceTally()
            var firstSeen: [UInt32] = []
            var secondSeen: [UInt32] = []
            for member in members.prefix(64) + [number] {
                guard let theirs = store.words(of: member) else { continue }
                if !firstSeen.contains(theirs[pair.0]) {
                    firstSeen.append(theirs[pair.0])
                    first.count(theirs[pair.0], isKnown: isKnown(theirs[pair.0]))
                }
                if !secondSeen.contains(theirs[pair.1]) {
                    secondSeen.append(theirs[pair.1])
                    second.count(theirs[pair.1], isKnown: isKnown(theirs[pair.1]))
                }
            }
            let firstNeeded = enough(at: pair.0, first)
            let secondNeeded = enough(at: pair.1, second)
            if first.words >= firstNeeded, second.words >= secondNeeded,
                members.count + 1 >= max(3, firstNeeded, secondNeeded)
            {
                return MergePlan(positions: 1 << UInt64(pair.0) | 1 << UInt64(pair.1), members: members + [number])
            }
        }
        return nil
    }

    /// How many words the place must have shown, in the pattern that `message` holds.
    private func enough(at place: Int, _ tally: PlaceTally) -> Int {
        let others = message.wordCount - 1
        let before = message.gap(place)
        let after = message.gap(place + 1)
        // What stands before a sign is the name of a value.
        if mark(after.first) == UInt8(ascii: "=") { return EnoughWords.never }
        guard others > 0 else { return EnoughWords.never }
        let isAfterBlank = before.count == 1 && mark(before.first) == UInt8(ascii: " ")
        let isAfterNoun = place > 0 && isAfterBlank && scan.isNoun(message.hash(ofWord: place - 1))
        let isQuoted =
            !before.isEmpty && mark(before.last) == mark(after.first)
            && (mark(before.last) == UInt8(ascii: "\"") || mark(before.last) == UInt8(ascii: "'"))
        var needed = EnoughWords.ordinary
        if place == 0 {
            // A first word in small letters before a whole sentence is as likely a name (`queue: limit of 3 was reached`).
            needed = others >= 4 && !tally.hasCapital ? EnoughWords.ordinary : EnoughWords.firstOrCapital
        } else if before.count == 1, mark(before.first) == UInt8(ascii: ":") {
            needed = EnoughWords.named
        } else if tally.areIdentifiers || isQuoted || (others >= 5 && isField(before, after)) {
            needed = EnoughWords.identifier
        } else if isAfterNoun, others >= 2 {
            needed = EnoughWords.named
        } else if tally.hasCapital {
            needed = EnoughWords.firstOrCapital
        }
        let isAfterPreposition = place > 0 && isAfterBlank && scan.isPreposition(message.hash(ofWord: place - 1))
        if place > 0, tally.areKnown, others >= 2,
            isAfterPreposition || isAfterNoun || !isAfterBlank
        {
            needed = min(needed, EnoughWords.named)
        }
        // Of two words one is half of the statement.
        return others < 2 ? max(needed, EnoughWords.ordinary) : needed
    }

    /// Between two marks that are no blanks, alone in a field of a longer list: `…, LOOKING (state), …`, `[RUNNING]`.
    private func isField(_ before: Range<Int>, _ after: Range<Int>) -> Bool {
        before.contains { mark($0) != UInt8(ascii: " ") && mark($0) != 0 }
            && after.prefix(2).contains { mark($0) != UInt8(ascii: " ") && mark($0) != 0 }
    }

    private func mark(_ index: Int?) -> UInt8 {
        guard let index, message.tokens[index].kind == .mark else { return 0 }
        return message.bytes[Int(message.tokens[index].start)]
    }

    private func isKnown(_ word: UInt32) -> Bool { values.contains(word) }

    /// What a pattern with the same words but one, and a placeholder in its place, says about that place: a typed
    /// placeholder is one more value, a wild one proof. The rest of the gap must be the same.
    private mutating func valueCountOfShorter(than number: Int, without place: Int) -> Int {
        guard let shorter = store.number(ofKey: message.key(without: 1 << UInt64(place), powers: powers)),
            shorter != number
        else { return 0 }
        other.cut(store.text(of: shorter), with: scan)
        guard other.wordCount == message.wordCount - 1 else { return 0 }
        let before = message.gap(place)
        let after = message.gap(place + 1)
        let gap = other.gap(place)
        guard gap.count == before.count + 1 + after.count else { return 0 }
        let value = other.tokens[gap.lowerBound + before.count].kind
        guard value == .placeholder || value == .wild else { return 0 }
        for (offset, index) in before.enumerated() where !isAlike(index, gap.lowerBound + offset) { return 0 }
        for (offset, index) in after.enumerated() where !isAlike(index, gap.lowerBound + before.count + 1 + offset) {
            return 0
        }
        return value == .wild ? EnoughWords.firstOrCapital : 1
    }

    /// Whether a token of `message` and one of `other` are the same mark, or both values.
    private func isAlike(_ index: Int, _ otherIndex: Int) -> Bool {
        let left = message.tokens[index]
        let right = other.tokens[otherIndex]
        guard left.kind == .mark || right.kind == .mark else { return true }
        guard left.kind == right.kind, left.end - left.start == right.end - right.start else { return false }
        return TemplateJoin.isEqual(
            message.bytes + Int(left.start),
            other.bytes + Int(right.start),
            Int(left.end - left.start)
        )
    }

    /// A pattern of as many words that differs in one place, or in two.
    struct Neighbour {
        var number: Int
        var first: Int
        /// -1 when only one differs.
        var second: Int
    }

    /// Through the chains of the three parts: at most two words differ, so one part is the same.
    private func neighbours(of number: Int) -> [Neighbour] {
        let wordCount = store.slots[number].comparedWordCount
        guard let words = store.words(of: number) else { return [] }
        var found: [Neighbour] = []
        for part in 0..<3 {
            guard let bucket = store.bucket(number, part) else { continue }
            var looks = Self.lookMax
            var next = store.first(inBucket: bucket)
            while next != .none, looks > 0 {
                looks -= 1
                let link = next
                let candidate = link.number
                next = store.slots[candidate].next[link.part]
                guard link.part == part, candidate != number, store.slots[candidate].comparedWordCount == wordCount,
                    let theirs = store.words(of: candidate),
                    let difference = Self.difference(words, theirs, wordCount)
                else { continue }
                // Counted where the first part is that both have in common.
                guard Self.firstCommonPart(difference, wordCount) == part else { continue }
                found.append(Neighbour(number: candidate, first: difference.0, second: difference.1))
            }
        }
        return found
    }

    private static func difference(
        _ left: UnsafePointer<UInt32>,
        _ right: UnsafePointer<UInt32>,
        _ count: Int
    ) -> (Int, Int)? {
        var first = -1
        var second = -1
        for index in 0..<count where left[index] != right[index] {
            if first < 0 {
                first = index
            } else if second < 0 {
                second = index
            } else {
                return nil
            }
        }
        return first < 0 ? nil : (first, second)
    }

    private static func firstCommonPart(_ difference: (Int, Int), _ wordCount: Int) -> Int {
        for part in 0..<3 {
            let range = PatternStore.partRange(part, wordCount: wordCount)
            if !range.isEmpty, !range.contains(difference.0), !range.contains(difference.1) { return part }
        }
        return -1
    }

    // MARK: Doing

    /// Makes the words at the positions wild and the members one pattern; returns its number, or `nil` when the text would
    /// be too long.
    private mutating func apply(_ plan: MergePlan, to number: Int) -> Int? {
        message.cut(store.text(of: number), with: scan)
        let wordCount = message.wordCount
        message.fold(plan.positions)
        let key = message.isEmpty ? store.slots[number].key : message.key(without: 0, powers: powers)
        let target = store.number(ofKey: key)
        guard let root = target ?? plan.members.filter({ $0 != number }).min() else { return nil }

        // The common text grows in `text`, while the parts are cut from where they are.
        let text = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: Normalizer.templateByteCountMax)
        defer { text.deallocate() }
        var count = 0
        if let target {
            count = text.update(fromContentsOf: store.text(of: target))
        } else {
            guard join.copy(message, scan) else { return nil }
            count = text.update(fromContentsOf: join.view)
        }
        for member in plan.members where member != target {
            message.cut(store.text(of: member), with: scan)
            guard message.wordCount == wordCount else { continue }
            message.fold(plan.positions)
            other.cut(UnsafeBufferPointer(start: text.baseAddress, count: count), with: scan)
            guard other.wordCount == message.wordCount, join.join(other, message, scan) else { continue }
            count = text.update(fromContentsOf: join.view)
        }
        let joined = UnsafeBufferPointer(start: UnsafePointer(text.baseAddress), count: count)

        let mask = store.masks.entry(wordCount: wordCount, positions: plan.positions)
        store.addMask(mask, to: root)
        for member in plan.members {
            if member != root {
                for index in 0..<Int(store.slots[member].maskCount) {
                    let inner = Int(store.slots[member].masks[index])
                    store.addMask(composed(inner, plan.positions), to: root)
                }
            }
            values.insert(word: store.words(of: member), plan.positions)
        }
        var oldIDs: [UInt64] = []
        if target == nil {
            // The root is a member that gets other words; its own masks are composed too.
            let inner = (0..<Int(store.slots[root].maskCount)).map { Int(store.slots[root].masks[$0]) }
            for entry in inner where store.masks.wordCount(entry) != wordCount || entry != mask {
                store.addMask(composed(entry, plan.positions), to: root)
            }
        }
        oldIDs.append(store.slots[root].id)
        for member in plan.members where member != root {
            oldIDs.append(store.slots[member].id)
            store.lead(member, to: root)
            mergeCount += 1
        }
        if target == nil {
            message.cut(joined, with: scan)
            if message.key(without: 0, powers: powers) == key || message.wordCount > 0 {
                store.rekey(root, joined, key: key, message)
            }
        } else {
            store.replaceText(of: root, joined)
        }
        if !oldIDs.contains(store.slots[root].id) { textChangeCount += 1 }
        if let mask { store.masks.removeIfUnused(mask) }
        for id in oldIDs { merges.append(from: id, to: store.slots[root].id) }
        reviewCount = store.liveCount
        return root
    }

    /// The positions of `inner`, and of those it leaves the ones in `outer`.
    private func composed(_ inner: Int, _ outer: UInt64) -> Int? {
        let wordCount = store.masks.wordCount(inner)
        var positions = store.masks.positions(inner)
        let taken = positions
        var rank = 0
        for place in 0..<wordCount where taken & (1 << UInt64(place)) == 0 {
            if rank < 64, outer & (1 << UInt64(rank)) != 0 { positions |= 1 << UInt64(place) }
            rank += 1
        }
        return store.masks.entry(wordCount: wordCount, positions: positions)
    }
}

/// What was seen in one place of patterns that are the same elsewhere.
struct PlaceTally {
    var words = 0
    var areIdentifiers = true
    var knownWords = 0
    var hasCapital = false
    /// Values that a pattern with a placeholder in this place adds.
    var extra = 0

    /// Half of them at least are values elsewhere, and two.
    var areKnown: Bool { knownWords * 2 >= words && knownWords + min(extra, 1) >= 2 }

    mutating func count(_ word: UInt32, isKnown: Bool) {
        words += 1
        areIdentifiers = areIdentifiers && word & ComparedWord.identifier != 0
        hasCapital = hasCapital || word & ComparedWord.capital != 0
        if isKnown { knownWords += 1 }
    }
}
