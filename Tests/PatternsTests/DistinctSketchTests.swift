import LogModel
import Patterns
import PipelineTesting
import Testing

private func sketch(_ values: Range<Int>, seed: UInt64 = 0) -> DistinctSketch {
    var result = DistinctSketch()
    for value in values { result.add(hash: hash(value, seed)) }
    return result
}

private func hash(_ value: Int, _ seed: UInt64) -> UInt64 {
    withUnsafeBytes(of: value) { XXH64.hash($0.bindMemory(to: UInt8.self), seed: seed) }
}

@Suite struct DistinctSketchTests {
    /// Bound on the root mean square error over 200 independent sketches.
    @Test(arguments: [
        (1, 0.01), (2, 0.1), (10, 0.08), (30, 0.08), (100, 0.09), (170, 0.11), (300, 0.16), (1_000, 0.16),
        (5_000, 0.16),
    ])
    func `the error is what the papers say`(count: Int, bound: Double) {
        let rounds = 200
        var squares = 0.0
        var sum = 0.0
        for seed in 0..<rounds {
            let error = Double(sketch(0..<count, seed: UInt64(seed)).estimate) / Double(count) - 1
            squares += error * error
            sum += error
        }
        let rms = (squares / Double(rounds)).squareRoot()
        print("distinct \(count): rms error \(rms), bias \(sum / Double(rounds))")
        #expect(rms <= bound)
        #expect(abs(sum) / Double(rounds) <= bound / 2 + 0.01)
    }

    @Test func `no value is none, one is one, and the same again is no more`() {
        var one = DistinctSketch()
        #expect(one.estimate == 0)
        for _ in 0..<1000 { one.add(hash: hash(5, 0)) }
        #expect(one.estimate == 1)
        #expect(MemoryLayout<DistinctSketch>.size == 64)
    }

    @Test(arguments: [(10, 5), (200, 100), (5_000, 4_000)])
    func `merging is the sketch of all values, in any order and as often as one likes`(count: Int, overlap: Int) {
        let left = sketch(0..<count)
        let right = sketch(count - overlap..<2 * count)
        let third = sketch(7 * count..<8 * count)
        var merged = left
        merged.merge(right)
        #expect(merged == sketch(0..<2 * count))
        var turned = right
        turned.merge(left)
        #expect(turned == merged)
        merged.merge(right)
        #expect(turned == merged)
        merged.merge(third)
        var grouped = right
        grouped.merge(third)
        var outer = left
        outer.merge(grouped)
        #expect(outer == merged)
    }

    @Test func `the bytes bring the sketch back`() {
        for count in [0, 1, 50, 10_000] {
            let original = sketch(0..<count)
            let bytes = original.withBytes(Array.init)
            #expect(bytes.count == DistinctSketch.byteCount)
            #expect(bytes.withUnsafeBufferPointer { DistinctSketch(bytes: $0) } == original)
        }
        // Fixed once: stored sketches must be read by every later version.
        let golden = sketch(0..<3).withBytes { XXH64.hash($0) }
        #expect(golden == 7_528_813_806_048_214_718)
    }

    @Test func `bytes that are no sketch are refused`() {
        #expect([UInt8](repeating: 0, count: 63).withUnsafeBufferPointer { DistinctSketch(bytes: $0) } == nil)
        #expect([UInt8](repeating: 255, count: 64).withUnsafeBufferPointer { DistinctSketch(bytes: $0) } == nil)
        #expect([UInt8]().withUnsafeBufferPointer { DistinctSketch(bytes: $0) } == nil)
    }

    @Test func `extreme hashes are counted`() {
        var extreme = DistinctSketch()
        for value: UInt64 in [0, .max, 1, 1 << 63, 1 << 58] { extreme.add(hash: value) }
        // Of the five, three share the low bits.
        #expect((2...5).contains(extreme.estimate))
        #expect(extreme.withBytes { DistinctSketch(bytes: $0) } == extreme)
    }
}

@Suite struct NumberRangeTests {
    private func number(_ text: String) -> Double? {
        var range = NumberRange()
        let isNumber = Array(text.utf8).withUnsafeBufferPointer { range.add(text: $0) }
        return isNumber ? range.minimum : nil
    }

    @Test(arguments: [
        "0", "-0", "12", "+7", "-26", "0.05", "21.5", ".5", "5.", "1e3", "1E+3", "1.5e-05", "-1.25e2", "1700000000123",
        "1e22",
        "123456789012345", "9007199254740993", "0.1", "0.3", "100.25", "00012",
    ])
    func `a number is read as Swift reads it`(text: String) {
        let swift = Double(text.hasSuffix(".") ? text + "0" : text.hasPrefix(".") ? "0" + text : text)
        #expect(number(text) == swift)
    }

    @Test(arguments: [
        "1e300", "1.7976931348623157e308", "5e-324", "1e-310", "12345678901234567890123", "0.00000000000000000000001",
    ])
    func `far numbers are near enough`(text: String) {
        let swift = Double(text) ?? 0
        let mine = number(text) ?? .nan
        #expect(abs(mine - swift) <= abs(swift) * 1e-14 + .leastNonzeroMagnitude, "\(mine)")
    }

    @Test(arguments: [
        "", "-", "+", ".", "e5", "1e", "1e+", "12ms", "0x10", "1,234", "NaN", "inf", "Infinity", " 1", "1 ", "1.2.3",
        "--1", "1e5.5",
        "1e999999", "1e400", "١٢", "123456789012345678901234567890123",
    ])
    func `other text is no number`(text: String) {
        #expect(number(text) == nil)
    }

    @Test func `the ends are kept, in any order`() {
        let seed = SeededGenerator.seed(of: "range")
        var generator = SeededGenerator(seed: seed)
        let values = (0..<200).map { _ in Double.random(in: -1000...1000, using: &generator) }
        var all = NumberRange()
        for value in values { all.add(value) }
        var left = NumberRange()
        var right = NumberRange()
        for (index, value) in values.shuffled(using: &generator).enumerated() {
            if index % 3 == 0 { left.add(value) } else { right.add(value) }
        }
        var merged = left
        merged.merge(right)
        var turned = right
        turned.merge(left)
        #expect(merged == all && turned == all)
        #expect(all.minimum == values.min() && all.maximum == values.max() && all.count == 200)
        all.add(.nan)
        all.add(.infinity)
        #expect(merged == all)
        merged.merge(NumberRange())
        #expect(merged == all)
    }
}
