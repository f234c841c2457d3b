import Compression
import PipelineTesting
import Testing

@Suite struct DeflateTests {
    /// Text that repeats itself, text that does not, and anything between.
    private static func bytes(using generator: inout SeededGenerator) -> [UInt8] {
        let alphabet = Int.random(in: 1...256, using: &generator)
        return (0..<Int.random(in: 0...5000, using: &generator)).map { _ in
            UInt8(Int.random(in: 0..<alphabet, using: &generator))
        }
    }

    private static func compressed(_ bytes: [UInt8]) -> [UInt8]? {
        bytes.withUnsafeBufferPointer { Deflate.compressed($0, level: 4) }
    }

    private static func expanded(_ bytes: [UInt8], byteCount: Int) -> [UInt8]? {
        bytes.withUnsafeBufferPointer { Deflate.expanded($0, byteCount: byteCount) }
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 100, fresh: 50))
    func `what was compressed is smaller and expands to what it was`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let bytes = Self.bytes(using: &generator)
        guard let small = Self.compressed(bytes) else { return }
        #expect(small.count < bytes.count)
        #expect(Self.expanded(small, byteCount: bytes.count) == bytes, "LOGBOOM_TEST_SEED=\(seed)")
    }

    @Test func `what does not get smaller is not compressed`() {
        var generator = SeededGenerator(seed: 1)
        let noise = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &generator) }
        #expect(Self.compressed(noise) == nil)
        #expect(Self.compressed([]) == nil)
        #expect(Self.compressed([7]) == nil)
        #expect(Self.compressed([UInt8](repeating: 7, count: 4096)) != nil)
    }

    @Test func `a wrong length gives nothing, and a huge one is never written`() throws {
        let bytes = [UInt8](repeating: 65, count: 100_000)
        let small = try #require(Self.compressed(bytes))
        for wrong in [0, 1, bytes.count - 1, bytes.count + 1, -1, Int.max] {
            #expect(Self.expanded(small, byteCount: wrong) == nil, "\(wrong)")
        }
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 30, fresh: 10))
    func `cut or damaged bytes give nothing, or as many bytes as were asked for`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let bytes = (0..<500).map { UInt8($0 % 7) }
        let small = try #require(Self.compressed(bytes))
        for count in 0..<small.count { #expect(Self.expanded(Array(small[..<count]), byteCount: bytes.count) == nil) }
        for _ in 0..<200 {
            var damaged = small
            damaged[Int.random(in: 0..<damaged.count, using: &generator)] ^=
                1 << UInt8.random(in: 0..<8, using: &generator)
            if let result = Self.expanded(damaged, byteCount: bytes.count) { #expect(result.count == bytes.count) }
        }
    }
}
