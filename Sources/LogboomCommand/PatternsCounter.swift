import Glibc
import LogModel
import Patterns

/// Records to counted patterns: the one place of the command that knows the pattern engine.
///
/// Owns the engine and the counts. Memory grows with the patterns, at most `patternCountMax` of them; records that fit under
/// none are counted under ``otherNumber``, so the sum of the counts is always ``recordCount``. A record costs redacting
/// and masking its message and one look-up; allocates only for what is new.
struct PatternCounter: ~Copyable {
    /// The daemon's `MAX_PATTERNS` by default, so that the command shows what the daemon would make of the same records.
    static let patternCountDefault = 5000
    /// What stands for the patterns that do not fit.
    static let otherText: StaticString = "<other>"
    static let otherNumber: Int32 = 0
    /// Names of sources kept, and told apart for one pattern; further ones are not listed.
    static let sourceCountMax = 4096
    static let sourceCountMaxOfPattern = 8
    /// Everything is one epoch, so that no pattern is forgotten and every number given out stays valid.
    private static let epoch: UInt64 = 1

    private var engine: PatternEngine
    private var sources = SourceNames()
    /// By number, which is the miner's and 1. Room for all that it may give out; what is not used yet is not touched.
    private let tallies: UnsafeMutablePointer<Tally>
    private let tallyCountMax: Int
    private var tallyCount = 0

    private(set) var recordCount = 0

    init(patternCountMax: Int) {
        engine = PatternEngine(capacity: patternCountMax, style: .angle)
        // A miner keeps two merged numbers for each pattern.
        tallyCountMax = 3 * patternCountMax + 1
        tallies = UnsafeMutableRawPointer.allocate(
            byteCount: tallyCountMax * MemoryLayout<Tally>.stride,
            alignment: 64
        ).bindMemory(to: Tally.self, capacity: tallyCountMax)
        // Number ``otherNumber``. Not by `use`: Swift 6.2.3 takes the constants for changed by what is mutating, here.
        tallies.initialize(to: Tally())
        tallyCount = 1
    }

    deinit {
        tallies.deinitialize(count: tallyCount)
        tallies.deallocate()
    }

    /// Values that were replaced because they are secrets.
    var redactionCount: Int { engine.redactionCount }

    /// Counts one record. The number leads to its pattern once ``finish()`` was called.
    mutating func count(_ record: LogRecord) -> Int32 {
        recordCount += 1
        let number: Int32
        let level: UInt8
        if let recalled = engine.recall(record.message, epoch: Self.epoch) {
            number = Int32(recalled.number + 1)
            level = recalled.level
        } else {
            (number, level) = learn(record.message)
        }
        tallies[Int(number)].add(
            place: recordCount,
            level: Int(record.severity.map { LevelIndex($0).rawValue } ?? level),
            timestamp: record.timestamp,
            source: record.source.isEmpty ? nil : sources.number(of: record.source)
        )
        return number
    }

    /// The number of a message and the ``LevelIndex`` of the level that its text states.
    private mutating func learn(_ text: ByteView) -> (Int32, level: UInt8) {
        let message = engine.redact(text)
        let masked = engine.mask(message)
        let hash = PatternEngine.hash(ofMasked: masked)
        let number: Int32
        switch engine.learn(masked: masked, hash: hash, epoch: Self.epoch) {
        case .known(let found): number = Int32(found + 1)
        case .new(let found):
            number = Int32(found + 1)
            use(number)
        case .full: number = Self.otherNumber
        }
        if tallies[Int(number)].count == 0 { tallies[Int(number)].keep(sample: message) }
        let level = level(in: message, maskedHash: hash)
        // Only what was not redacted: a message with a secret in it is kept nowhere.
        if number != Self.otherNumber, message.baseAddress == text.baseAddress, message.count == text.count {
            engine.remember(text, number: Int(number) - 1, level: level)
        }
        return (number, level)
    }

    /// The ``LevelIndex`` of the level that the message states, looked for once for a masked text, not once a record: looking
    /// costs half as much as masking.
    ///
    /// What can state a level and is masked is the letter before a klog stamp (`E1121 12:00`), so those are looked at each
    /// time. The level of `errors: 0` is that of the first of `errors: <NUM>`: levels in a text are for reading, no count
    /// depends on them.
    @inline(__always)
    private mutating func level(in message: ByteView, maskedHash: UInt64) -> UInt8 {
        let isStamp =
            message.count > 5 && message[5] == UInt8(ascii: " ") && message[0] >= 0x41 && message[1] &- 0x30 < 10
        if !isStamp, let level = engine.level(ofMasked: maskedHash) { return level }
        let level = LevelIndex(engine.level(in: message)).rawValue
        engine.keep(level: level, ofMasked: maskedHash)
        return level
    }

    private mutating func use(_ number: Int32) {
        precondition(Int(number) < tallyCountMax, "the miner gave out more numbers than it keeps")
        while tallyCount <= Int(number) {
            (tallies + tallyCount).initialize(to: Tally())
            tallyCount += 1
        }
    }

    /// What is made of one message, by what was learned so far, itself included.
    struct Explained {
        var redacted: [UInt8]
        var masked: [UInt8]
        var pattern: [UInt8]
        var id: UInt64
    }

    mutating func explain(_ text: ByteView) -> Explained {
        let message = engine.redact(text)
        let masked = engine.mask(message)
        let other = Self.bytes(Self.otherText)
        var result = Explained(
            redacted: Array(message),
            masked: Array(masked),
            pattern: other,
            id: other.withUnsafeBufferPointer { XXH64.hash($0) }
        )
        switch engine.learn(masked: masked, hash: PatternEngine.hash(ofMasked: masked), epoch: Self.epoch) {
        case .known(let number), .new(let number): (result.pattern, result.id) = template(of: number)
        case .full: break
        }
        return result
    }

    private func template(of number: Int) -> (text: [UInt8], id: UInt64) {
        var result: (text: [UInt8], id: UInt64) = ([], 0)
        engine.miner.withTemplate(of: number) { id, text in
            UTF8Repair.append(text, to: &result.text, byteCountMax: Normalizer.templateByteCountMax)
            result.id = id
        }
        return result
    }

    /// The patterns as they are now, and which of them each number leads to.
    mutating func finish() -> CountedPatterns {
        engine.settle()
        var result = CountedPatterns(rowOfNumber: [Int32](repeating: -1, count: tallyCount))
        var rowOfSurvivor: [Int: Int] = [:]
        for number in 0..<tallyCount where tallies[number].count > 0 {
            let survivor = number == 0 ? -1 : engine.miner.survivor(of: number - 1)
            let row = rowOfSurvivor[survivor] ?? result.patterns.count
            if row == result.patterns.count {
                rowOfSurvivor[survivor] = row
                if survivor < 0 {
                    result.patterns.append(CountedPattern(text: Self.bytes(Self.otherText), id: nil))
                } else {
                    let (text, id) = template(of: survivor)
                    result.patterns.append(CountedPattern(text: text, id: id))
                }
            }
            result.rowOfNumber[number] = Int32(row)
            result.patterns[row].add(tallies[number], sources)
        }
        return result
    }

    private static func bytes(_ text: StaticString) -> [UInt8] {
        Array(ByteView(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}

/// The levels as places in an array of counts: 0 for none, then as ``Severity`` orders them.
struct LevelIndex {
    static let count = Severity.allCases.count + 1
    let rawValue: UInt8

    init(_ severity: Severity?) {
        rawValue =
            switch severity {
            case nil: 0
            case .trace: 1
            case .debug: 2
            case .info: 3
            case .notice: 4
            case .warn: 5
            case .error: 6
            case .fatal: 7
            }
    }

    /// The word of a place; `nil` for none.
    static func name(_ index: Int) -> String? {
        index == 0 ? nil : Severity.allCases[index - 1].name.description
    }
}

/// What is counted for one number of the engine: 128 bytes, its sample and sources beside it. What every record writes
/// comes first, in one line of the processor's cache for all but the two worst levels.
struct Tally {
    var count = 0
    /// Places among all records, from 1.
    var lastPlace = 0
    var levels = InlineArray<8, Int>(repeating: 0)
    var firstPlace = 0
    /// Of the records that have a stamp; empty range when none has.
    var firstTime = Int64.max
    var lastTime = Int64.min
    private let reserved = 0
    var sources: [(number: Int32, count: Int)] = []
    /// The first message, cut.
    var sample: [UInt8] = []

    @inline(__always)
    mutating func add(place: Int, level: Int, timestamp: Timestamp?, source: Int32?) {
        if count == 0 { firstPlace = place }
        count += 1
        lastPlace = place
        levels[level] += 1
        if let timestamp {
            firstTime = min(firstTime, timestamp.nanoseconds)
            lastTime = max(lastTime, timestamp.nanoseconds)
        }
        if let source { add(source: source) }
    }

    private mutating func add(source: Int32) {
        for index in sources.indices where sources[index].number == source {
            sources[index].count += 1
            return
        }
        if sources.count < PatternCounter.sourceCountMaxOfPattern { sources.append((source, 1)) }
    }

    mutating func keep(sample message: ByteView) {
        UTF8Repair.append(message, to: &sample, byteCountMax: Limits.sampleByteCountMax)
    }
}

/// Small numbers for the names of sources.
struct SourceNames {
    private(set) var names: [[UInt8]] = []
    private var numbers: [UInt64: Int32] = [:]
    /// Entries of one program often come one after the other.
    private var last: (hash: UInt64, number: Int32)?

    /// `nil` when there are too many already.
    mutating func number(of name: ByteView) -> Int32? {
        let hash = XXH64.hash(name)
        if let last, last.hash == hash { return last.number }
        if let number = numbers[hash] {
            last = (hash, number)
            return number
        }
        guard names.count < PatternCounter.sourceCountMax else { return nil }
        let number = Int32(names.count)
        names.append(Array(name.prefix(Limits.nameByteCountMax)))
        numbers[hash] = number
        last = (hash, number)
        return number
    }
}

/// One pattern with what was counted.
struct CountedPattern {
    /// As the engine wrote it; may hold what a terminal obeys.
    var text: [UInt8]
    /// XXH64 of the text, repaired; `nil` for `<other>`, which is no pattern.
    var id: UInt64?
    private(set) var tally = Tally()
    /// Names and counts, in the order of appearance.
    private(set) var sources: [(name: [UInt8], count: Int)] = []

    init(text: [UInt8], id: UInt64?) {
        self.text = text
        self.id = id
    }

    var count: Int { tally.count }
    var first: Timestamp? { tally.firstTime <= tally.lastTime ? Timestamp(nanoseconds: tally.firstTime) : nil }
    var last: Timestamp? { tally.firstTime <= tally.lastTime ? Timestamp(nanoseconds: tally.lastTime) : nil }

    /// The level most of its records have, the worse of two as frequent; `nil` when that is none.
    var level: String? {
        var best = 0
        for index in 1..<LevelIndex.count where tally.levels[index] > 0 && tally.levels[index] >= tally.levels[best] {
            best = index
        }
        return LevelIndex.name(best)
    }

    /// Counts of a number that leads to this pattern. Order does not matter but for the sample, which is the earliest.
    mutating func add(_ other: Tally, _ names: SourceNames) {
        if tally.count == 0 || other.firstPlace < tally.firstPlace {
            tally.firstPlace = other.firstPlace
            tally.sample = other.sample
        }
        tally.lastPlace = max(tally.lastPlace, other.lastPlace)
        tally.count += other.count
        tally.firstTime = min(tally.firstTime, other.firstTime)
        tally.lastTime = max(tally.lastTime, other.lastTime)
        for index in 0..<LevelIndex.count { tally.levels[index] += other.levels[index] }
        for (number, count) in other.sources {
            let name = names.names[Int(number)]
            if let index = sources.firstIndex(where: { $0.name == name }) {
                sources[index].count += count
            } else if sources.count < PatternCounter.sourceCountMaxOfPattern {
                sources.append((name, count))
            }
        }
    }
}

/// All patterns, in the order of their first records' numbers.
struct CountedPatterns {
    var patterns: [CountedPattern] = []
    /// The place in ``patterns`` of each number; -1 for numbers that nothing was counted for.
    var rowOfNumber: [Int32]
}
