public import LogModel

/// Finds what a pattern is about from the words of its template and the name of its source.
///
/// Adds up the weights of the words and two-word phrases of ``ClassificationTable``, each counted once; the category with
/// the highest sum wins. Between the two words of a phrase, small words and placeholders are passed over, so `link down` is
/// found in `Link is Down` and in `link <ID> down`. A template is classified when it is new, so this is no per-record
/// cost: about twenty instructions a byte of the first KiB.
///
/// Deterministic: the same template and source have the same classification everywhere. Owns about 20 KiB, allocates only
/// in `init`; a value that may be shared.
public struct Classifier: Sendable {
    /// Below this sum, no category is sure.
    private static let scoreMin = 2
    private static let byteCountMax = 1024
    private static let wordByteCountMax = 24

    private let phrases: ClassificationIndex
    private let sources: ClassificationIndex

    public init() {
        phrases = ClassificationIndex(ClassificationTable.phrases)
        sources = ClassificationIndex(ClassificationTable.sources, firstNumber: ClassificationTable.phrases.count)
    }

    /// The classification of a template whose records come from `source` (empty: not known).
    public func classify(
        template: UnsafeBufferPointer<UInt8>,
        source: UnsafeBufferPointer<UInt8>
    ) -> Classification {
        var sum = ClassificationSum()
        Self.scan(template, phrases, &sum)
        // A source says what its patterns are about where their words do not.
        Self.scan(source, sources, &sum)
        return sum.result(scoreMin: Self.scoreMin)
    }

    private static func scan(
        _ text: UnsafeBufferPointer<UInt8>,
        _ index: ClassificationIndex,
        _ sum: inout ClassificationSum
    ) {
        var position = 0
        let end = min(text.count, byteCountMax)
        var previous: UInt64 = 0
        while position < end {
            let placeholder = placeholderEnd(text, position, end)
            if placeholder > 0 {
                position = placeholder
                continue
            }
            guard isWord(text[position]) else {
                position += 1
                continue
            }
            let start = position
            var hash = previous == 0 ? 0 : ClassificationIndex.extended(previous, UInt8(ascii: " "))
            var alone = ClassificationIndex.emptyHash
            while position < end, isWord(text[position]) {
                let byte = lowercased(text[position])
                alone = ClassificationIndex.extended(alone, byte)
                if previous != 0 { hash = ClassificationIndex.extended(hash, byte) }
                position += 1
            }
            guard position - start <= wordByteCountMax else {
                previous = 0
                continue
            }
            if index.isSmallWord(alone) { continue }
            index.add(alone, to: &sum)
            if previous != 0 { index.add(hash, to: &sum) }
            previous = alone
        }
    }

    /// The position after the placeholder at `start`, in either style; 0 when there is none. Its name is no word of the text.
    private static func placeholderEnd(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        let closing: UInt8
        switch text[start] {
        case UInt8(ascii: "<"): closing = UInt8(ascii: ">")
        case UInt8(ascii: "{"): closing = UInt8(ascii: "}")
        default: return 0
        }
        var index = start + 1
        while index < end, index - start < 20, text[index] >= UInt8(ascii: "A") && text[index] <= UInt8(ascii: "Z") {
            index += 1
        }
        return index > start + 1 && index < end && text[index] == closing ? index + 1 : 0
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
            || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }
}

/// The weights found so far.
struct ClassificationSum {
    private var scores = InlineArray<16, Int>(repeating: 0)
    private var tags: Classification.Tags = []
    /// Which rules were counted: a word said twice is no stronger.
    private var seen = InlineArray<8, UInt64>(repeating: 0)

    mutating func add(_ rule: ClassificationRule, number: Int) {
        let (word, bit) = (number / 64, UInt64(1) << UInt64(number % 64))
        guard seen[word] & bit == 0 else { return }
        seen[word] |= bit
        tags.formUnion(rule.tags)
        if let category = rule.category { scores[Int(category.rawValue)] += rule.weight }
    }

    func result(scoreMin: Int) -> Classification {
        var best = Classification.Category.application
        var bestScore = scoreMin - 1
        for category in Classification.Category.allCases where scores[Int(category.rawValue)] > bestScore {
            best = category
            bestScore = scores[Int(category.rawValue)]
        }
        return Classification(category: best, tags: tags)
    }
}

/// Phrases by their hash: one open-addressing table.
struct ClassificationIndex: Sendable {
    /// The offset basis of FNV-1a, 64 bits.
    static let emptyHash: UInt64 = 0xcbf2_9ce4_8422_2325
    private static let slotCount = 2048
    /// Rules that ``ClassificationSum`` can tell apart.
    static let ruleCountMax = 512

    private let rules: [ClassificationRule]
    private let firstNumber: Int
    private var hashes: [UInt64]
    private var numbers: [UInt16]
    private let smallWords: [UInt64]

    /// - Parameter firstNumber: the rules of both tables are counted in one sum, each under a number of its own.
    init(_ rules: [ClassificationRule], firstNumber: Int = 0) {
        precondition(firstNumber + rules.count <= Self.ruleCountMax, "a sum has a bit for each rule")
        self.rules = rules
        self.firstNumber = firstNumber
        hashes = [UInt64](repeating: 0, count: Self.slotCount)
        numbers = [UInt16](repeating: 0, count: Self.slotCount)
        smallWords = ClassificationTable.phrases(in: ClassificationTable.smallWords).map(Self.hash)
        var count = 0
        for (number, rule) in rules.enumerated() {
            for phrase in ClassificationTable.phrases(in: rule.phrases) {
                let hash = Self.hash(phrase)
                var slot = Self.slot(hash)
                while hashes[slot] != 0, hashes[slot] != hash { slot = (slot + 1) & (Self.slotCount - 1) }
                precondition(hashes[slot] == 0, "a phrase stands in one rule")
                hashes[slot] = hash
                numbers[slot] = UInt16(number)
                count += 1
            }
        }
        precondition(count * 2 <= Self.slotCount, "the table is at most half full")
    }

    func add(_ hash: UInt64, to sum: inout ClassificationSum) {
        var slot = Self.slot(hash)
        while hashes[slot] != 0 {
            if hashes[slot] == hash {
                let number = Int(numbers[slot])
                sum.add(rules[number], number: firstNumber + number)
                return
            }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
    }

    func isSmallWord(_ hash: UInt64) -> Bool { smallWords.contains(hash) }

    static func extended(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
        // Wrapping is the definition of the hash.
        (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
    }

    private static func hash(_ phrase: ArraySlice<UInt8>) -> UInt64 {
        phrase.reduce(emptyHash, extended)
    }

    private static func slot(_ hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash >> 32) & (slotCount - 1)
    }
}
