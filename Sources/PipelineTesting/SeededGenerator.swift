internal import Glibc

/// Random numbers that one integer repeats: SplitMix64 (S. Vigna, prng.di.unimi.it/splitmix64.c).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) {
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// The seeds of a test run: `fixed` and `fresh` more, or only the one in the environment's `variable`, to repeat a failure.
    public static func seeds(
        fixed: Int,
        fresh: Int,
        variable: String = "LOGBOOM_TEST_SEED"
    ) -> [UInt64] {
        if let text = getenv(variable), let seed = UInt64(String(cString: text)) { return [seed] }
        var system = SystemRandomNumberGenerator()
        return (0..<fixed).map(UInt64.init)
            + (0..<fresh).map { _ in UInt64.random(in: 1_000_000..<1_000_000_000, using: &system) }
    }
}
