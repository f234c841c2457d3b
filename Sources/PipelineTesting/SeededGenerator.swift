internal import Glibc

/// Random numbers that one integer repeats: SplitMix64 (S. Vigna, prng.di.unimi.it/splitmix64.c).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    public let seed: UInt64
    private var state: UInt64

    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// With the ``seed(of:)`` of a test.
    public init(of test: String) {
        self.init(seed: Self.seed(of: test))
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// What a failure says to be repeated.
    public var repeatHint: String { "\(Self.seedVariable)=\(seed)" }

    public static let seedVariable = "LOGBOOM_TEST_SEED"

    /// The seed of one test: the one in `LOGBOOM_TEST_SEED`, to repeat a failure, else a new one. Printed, so that a failure can be
    /// repeated.
    public static func seed(of test: String) -> UInt64 {
        if let seed = number(in: seedVariable) { return seed }
        var source = source(for: test)
        let seed = source.next()
        print("\(test): \(seedVariable)=\(seed)")
        return seed
    }

    /// The seeds of a test run: `fixed` and `fresh` more, or only the one in the environment's `variable`, to repeat a failure.
    public static func seeds(
        fixed: Int,
        fresh: Int,
        variable: String = seedVariable,
        of test: String = #fileID
    ) -> [UInt64] {
        if let seed = number(in: variable) { return [seed] }
        var source = source(for: test)
        return (0..<fixed).map(UInt64.init)
            + (0..<fresh).map { _ in UInt64.random(in: 1_000_000..<1_000_000_000, using: &source) }
    }

    /// Where new seeds come from: chance, or `LOGBOOM_TEST_RUN`, which makes a run of all tests the same each time.
    private static func source(for test: String) -> SeededGenerator {
        guard let run = number(in: "LOGBOOM_TEST_RUN") else {
            return SeededGenerator(seed: .random(in: 0 ... .max))
        }
        // As FNV-1a (draft-eastlake-fnv), from the number on: the hash of the standard library is another in each process.
        return SeededGenerator(seed: test.utf8.reduce(run) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
    }

    private static func number(in variable: String) -> UInt64? {
        getenv(variable).flatMap { UInt64(String(cString: $0)) }
    }
}
