/// SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein: "SipHash: a fast short-input PRF", 2012): without its key nobody can test
/// a guess at a short secret against its hash, which a plain hash would allow.
struct SipHash {
    private let key0: UInt64
    private let key1: UInt64

    /// - Parameter key: 16 random bytes are all that counts. A shorter key is filled up with zeros; a longer one is
    ///   hashed to 16 bytes.
    init(key: [UInt8]) {
        var bytes = key
        if bytes.count > 16 {
            let low = SipHash(key0: 0, key1: 0).hash(key)
            let high = SipHash(key0: 1, key1: low).hash(key)
            self.init(key0: low, key1: high)
            return
        }
        bytes.append(contentsOf: repeatElement(0, count: 16 - bytes.count))
        var words: (UInt64, UInt64) = (0, 0)
        for index in (0..<8).reversed() {
            words.0 = words.0 << 8 | UInt64(bytes[index])
            words.1 = words.1 << 8 | UInt64(bytes[index + 8])
        }
        self.init(key0: words.0, key1: words.1)
    }

    private init(key0: UInt64, key1: UInt64) {
        self.key0 = key0
        self.key1 = key1
    }

    private func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBufferPointer { hash($0) }
    }

    /// The hash of `bytes`. Linear, no allocation.
    func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var state = State(key0: key0, key1: key1)
        var offset = 0
        while offset + 8 <= bytes.count {
            state.absorb(Self.word(bytes, offset, 8))
            offset += 8
        }
        state.absorb(Self.word(bytes, offset, bytes.count - offset) | UInt64(bytes.count & 0xFF) << 56)
        return state.finish()
    }

    private static func word(_ bytes: UnsafeBufferPointer<UInt8>, _ offset: Int, _ count: Int) -> UInt64 {
        var word: UInt64 = 0
        for index in (0..<count).reversed() { word = word << 8 | UInt64(bytes[offset + index]) }
        return word
    }

    private struct State {
        var v0: UInt64
        var v1: UInt64
        var v2: UInt64
        var v3: UInt64

        init(key0: UInt64, key1: UInt64) {
            v0 = key0 ^ 0x736F_6D65_7073_6575
            v1 = key1 ^ 0x646F_7261_6E64_6F6D
            v2 = key0 ^ 0x6C79_6765_6E65_7261
            v3 = key1 ^ 0x7465_6462_7974_6573
        }

        mutating func absorb(_ word: UInt64) {
            v3 ^= word
            round()
            round()
            v0 ^= word
        }

        mutating func finish() -> UInt64 {
            v2 ^= 0xFF
            for _ in 0..<4 { round() }
            return v0 ^ v1 ^ v2 ^ v3
        }

        // The paper adds modulo 2^64, hence wrapping arithmetic.
        private mutating func round() {
            v0 = v0 &+ v1
            v2 = v2 &+ v3
            v1 = Self.rotate(v1, 13) ^ v0
            v3 = Self.rotate(v3, 16) ^ v2
            v0 = Self.rotate(v0, 32)
            v2 = v2 &+ v1
            v0 = v0 &+ v3
            v1 = Self.rotate(v1, 17) ^ v2
            v3 = Self.rotate(v3, 21) ^ v0
            v2 = Self.rotate(v2, 32)
        }

        private static func rotate(_ word: UInt64, _ count: UInt64) -> UInt64 {
            word << count | word >> (64 - count)
        }
    }
}
