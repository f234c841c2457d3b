/// A piece of a template, as the miner sees it.
struct MinerToken {
    enum Kind: UInt8 {
        /// A blank run, punctuation, or a unit: stays, but does not tell two statements apart.
        case mark
        /// A typed placeholder, as written.
        case placeholder
        /// A value that masking left as text: out of the key, wild as soon as a second one is seen.
        case value
        /// Written as `<BOOL>`.
        case bool
        /// Written as `<*>`.
        case wild
        /// A word of the statement: part of the key.
        case word
    }

    var start: UInt16
    var end: UInt16
    var kind: Kind
    /// Of the bytes, for words and values.
    var hash: UInt64
}

/// A template cut into tokens, with the hash of its literal words: the *key*.
///
/// Placeholders, punctuation, units and values are out of the key, so a value that is there or missing, of this type or
/// that, in brackets or not, makes no new pattern. Owns its token memory (24 KiB); made once and used for every template.
struct MinerTokens {
    /// One token a byte at most.
    static let tokenCountMax = Normalizer.templateByteCountMax
    /// Words past these are in the key, but never vary: positions are kept as bits of one machine word.
    static let wildWordCountMax = 64

    let tokens: UnsafeMutablePointer<MinerToken>
    /// Token indexes of the words.
    let words: UnsafeMutablePointer<UInt16>
    /// `prefixes[i]` is the polynomial hash of the first `i` words.
    let prefixes: UnsafeMutablePointer<UInt64>
    private(set) var count = 0
    private(set) var wordCount = 0
    /// The text the tokens point into; valid as long as the caller's.
    private(set) var bytes: UnsafePointer<UInt8>

    init() {
        tokens = .allocate(capacity: Self.tokenCountMax)
        words = .allocate(capacity: Self.tokenCountMax)
        prefixes = .allocate(capacity: Self.tokenCountMax + 1)
        bytes = UnsafePointer(UnsafeRawPointer(tokens).assumingMemoryBound(to: UInt8.self))
    }

    func deallocate() {
        tokens.deallocate()
        words.deallocate()
        prefixes.deallocate()
    }

    static var byteCount: Int {
        tokenCountMax * (MemoryLayout<MinerToken>.stride + 2) + (tokenCountMax + 1) * 8
    }

    var isEmpty: Bool { wordCount == 0 }

    @inline(__always)
    func hash(ofWord word: Int) -> UInt64 { tokens[Int(words[word])].hash }

    /// Cuts `text`, at most `templateByteCountMax` bytes, and finds its words.
    mutating func cut(_ text: UnsafeBufferPointer<UInt8>, with scan: borrowing MinerScan) {
        guard let base = text.baseAddress else {
            (count, wordCount) = (0, 0)
            return
        }
        bytes = base
        count = scan.cut(base, min(text.count, Normalizer.templateByteCountMax), into: tokens)
        count = scan.markValues(base, tokens, count)
        findWords()
    }

    /// Lists the words and hashes them; again after words have become wild.
    private mutating func findWords() {
        var found = 0
        var hash: UInt64 = 0
        prefixes[0] = 0
        for index in 0..<count where tokens[index].kind == .word {
            words[found] = UInt16(index)
            found += 1
            hash = hash &* WordKey.base &+ tokens[index].hash  // wrapping is the definition of the hash
            prefixes[found] = hash
        }
        wordCount = found
    }

    /// The key of all words but those of `positions`.
    func key(without positions: UInt64, powers: UnsafePointer<UInt64>) -> UInt64 {
        var hash: UInt64 = 0
        var start = 0
        var rest = positions
        while rest != 0 {
            let position = rest.trailingZeroBitCount
            rest &= rest &- 1
            hash = WordKey.joined(hash, segment(start, position, powers), powers[position - start])
            start = position + 1
        }
        return WordKey.joined(hash, segment(start, wordCount, powers), powers[wordCount - start])
    }

    @inline(__always)
    func segment(_ start: Int, _ end: Int, _ powers: UnsafePointer<UInt64>) -> UInt64 {
        prefixes[end] &- prefixes[start] &* powers[end - start]
    }

    /// Makes the words of `positions` wild.
    mutating func fold(_ positions: UInt64) {
        var rest = positions
        while rest != 0 {
            tokens[Int(words[rest.trailingZeroBitCount])].kind = .wild
            rest &= rest &- 1
        }
        findWords()
    }

    /// Hashes of what stands between the words: with the values, and without.
    func shapes() -> (exact: UInt64, anonymous: UInt64) {
        var exact: UInt64 = 1
        var anonymous: UInt64 = 2
        for index in 0..<count {
            let token = tokens[index]
            let isText = token.kind == .mark || token.kind == .placeholder
            // Texts of gaps are short: eight bytes and the length tell placeholders and marks apart.
            let content = isText ? leadingBytes(token) : UInt64(token.kind.rawValue)
            // Wrapping: a hash.
            anonymous = (anonymous ^ content) &* WordKey.base
            anonymous ^= anonymous >> 29
            exact = (exact ^ (token.kind == .value ? token.hash : content)) &* WordKey.base
            exact ^= exact >> 29
        }
        return (exact, anonymous)
    }

    @inline(__always)
    private func leadingBytes(_ token: MinerToken) -> UInt64 {
        var value = UInt64(token.end - token.start) << 56
        for index in 0..<min(7, Int(token.end - token.start)) {
            value ^= UInt64(bytes[Int(token.start) + index]) << UInt64(8 * index)
        }
        return value
    }

    /// The tokens between word `gap - 1` and word `gap`.
    @inline(__always)
    func gap(_ gap: Int) -> Range<Int> {
        let start = gap == 0 ? 0 : Int(words[gap - 1]) + 1
        return start..<(gap == wordCount ? count : Int(words[gap]))
    }
}

/// The arithmetic of keys: a polynomial over the word hashes modulo 2^64, so that a key with words left out costs a few
/// multiplications. Internal to a process; ids of patterns are hashes of their text.
enum WordKey {
    static let base: UInt64 = 0x9E37_79B9_7F4A_7C15

    @inline(__always)
    static func joined(_ left: UInt64, _ right: UInt64, _ power: UInt64) -> UInt64 { left &* power &+ right }

    /// Spreads a key over a table: the low bits of a polynomial are weak.
    @inline(__always)
    static func spread(_ key: UInt64) -> UInt64 {
        var value = key ^ key >> 32
        value = value &* 0xD6E8_FEB8_6659_FD93
        return value ^ value >> 32
    }

    static func makePowers() -> UnsafeMutablePointer<UInt64> {
        let powers = UnsafeMutablePointer<UInt64>.allocate(capacity: MinerTokens.tokenCountMax + 1)
        var power: UInt64 = 1
        for index in 0...MinerTokens.tokenCountMax {
            powers[index] = power
            power = power &* base
        }
        return powers
    }

    /// The hash of a word: eight bytes a step, no seed.
    @inline(__always)
    static func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
        let raw = UnsafeRawPointer(bytes)
        var hash = UInt64(truncatingIfNeeded: count) &* 0xA076_1D64_78BD_642F
        var offset = 0
        while offset + 8 <= count {
            let lane = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            hash = (hash ^ lane) &* 0xE703_7ED1_A0B4_28DB
            hash ^= hash >> 29
            offset += 8
        }
        var tail: UInt64 = 0
        while offset < count {
            tail = tail << 8 | UInt64(bytes[offset])
            offset += 1
        }
        hash = (hash ^ tail) &* 0x8EBC_6AF0_9C88_C6E3
        return hash ^ hash >> 32
    }
}
