import LogModel
import Patterns
import PipelineTesting
import Testing

extension SampleReservoir {
    fileprivate mutating func add(_ text: String) {
        Array(text.utf8).withUnsafeBufferPointer { add($0) }
    }

    fileprivate var texts: [String] {
        var result: [String] = []
        forEach { result.append(String(decoding: $0, as: UTF8.self)) }
        return result
    }
}

@Suite struct SampleReservoirTests {
    @Test func `nothing seen, nothing kept`() {
        let empty = SampleReservoir(series: 1)
        #expect(empty.texts.isEmpty)
        #expect(empty.count == 0)
        #expect(empty.byteCount == 0)
    }

    @Test(arguments: 1...5)
    func `few records are all kept, each once`(count: Int) {
        var samples = SampleReservoir(series: 9, reservoirCountMax: 4)
        for index in 0..<count { samples.add("r\(index)") }
        #expect(Set(samples.texts) == Set((0..<count).map { "r\($0)" }))
        #expect(samples.texts.count == count)
        #expect(samples.texts.first == "r0")
        #expect(samples.texts.last == "r\(count - 1)")
    }

    @Test func `the first and the last are always among the samples`() {
        var samples = SampleReservoir(series: 3, reservoirCountMax: 3)
        for index in 0..<1000 {
            samples.add("r\(index)")
            #expect(samples.texts.first == "r0")
            #expect(samples.texts.last == "r\(index)")
            #expect(samples.texts.count <= 5)
        }
        #expect(samples.count == 1000)
    }

    @Test func `equal records are shown once`() {
        var samples = SampleReservoir(series: 3)
        for _ in 0..<100 { samples.add("same") }
        #expect(samples.texts == ["same"])
    }

    @Test func `every record has the same chance to be kept`() {
        var kept = [Int](repeating: 0, count: 100)
        for series in 0..<4000 {
            var choice = SampleChoice()
            var slots = [Int](repeating: 0, count: 4)
            for record in 0..<100 {
                let chance = SampleChoice.chance(series: UInt64(series), record: record)
                let place = choice.add(reservoirCountMax: 4, chance: chance)
                #expect(place.isFirst == (record == 0))
                if let slot = place.reservoir { slots[slot] = record }
            }
            for record in slots { kept[record] += 1 }
        }
        #expect(kept[0] == 0)
        // 4000 × 4/99 = 161.6 are expected, with a standard deviation of 12.5; six of them either way.
        for record in 1..<100 { #expect((87...236).contains(kept[record]), "\(record): \(kept[record])") }
    }

    @Test func `the same records give the same samples`() {
        func texts(series: UInt64) -> [String] {
            var samples = SampleReservoir(series: series)
            for index in 0..<500 { samples.add("r\(index)") }
            return samples.texts
        }
        #expect(texts(series: 7) == texts(series: 7))
        #expect(texts(series: 7) != texts(series: 8))
    }

    @Test(arguments: 0...4)
    func `a long text is cut between scalars`(shift: Int) {
        var samples = SampleReservoir(series: 1, textByteCountMax: 16)
        samples.add(String(repeating: "a", count: 11 + shift) + "🙂🙂")
        let text = samples.texts[0]
        #expect(text.utf8.count <= 16)
        #expect(!text.contains("\u{FFFD}"))
        #expect(samples.byteCount == 5 * 16 + 5 * 4)
    }

    @Test func `a reservoir of none keeps the ends`() {
        var samples = SampleReservoir(series: 1, reservoirCountMax: 0)
        for index in 0..<10 { samples.add("r\(index)") }
        #expect(samples.texts == ["r0", "r9"])
    }

    @Test func `merging keeps the ends, the counts and samples of both in proportion`() {
        var fromEarlier = 0
        var total = 0
        for series in 0..<500 {
            var earlier = SampleReservoir(series: UInt64(series))
            var later = SampleReservoir(series: UInt64(series) &+ 77_777)
            for index in 0..<300 { earlier.add("a\(index)") }
            for index in 0..<100 { later.add("b\(index)") }
            earlier.merge(later, chance: UInt64(series) &* 0x9E37_79B9_7F4A_7C15)
            #expect(earlier.count == 400)
            let texts = earlier.texts
            #expect(texts.first == "a0")
            #expect(texts.last == "b99")
            let between = texts.dropFirst().dropLast()
            total += between.count
            fromEarlier += between.count { $0.hasPrefix("a") }
        }
        // Three quarters of about 1500; the standard deviation is 17.
        #expect(abs(Double(fromEarlier) / Double(total) - 0.75) < 0.07, "\(fromEarlier) of \(total)")
    }

    @Test func `merging with nothing changes nothing`() {
        var samples = SampleReservoir(series: 1)
        for index in 0..<20 { samples.add("r\(index)") }
        let before = samples.texts
        samples.merge(SampleReservoir(series: 2), chance: 5)
        #expect(samples.texts == before)
        var empty = SampleReservoir(series: 2)
        empty.merge(samples, chance: 5)
        #expect(empty.texts == before)
        #expect(empty.count == 20)
    }

    @Test func `merging few records keeps them all`() {
        var left = SampleReservoir(series: 1)
        var right = SampleReservoir(series: 1)
        left.add("a")
        left.add("b")
        right.add("c")
        right.add("d")
        left.merge(right, chance: 11)
        #expect(Set(left.texts) == ["a", "b", "c", "d"])
        var alone = SampleReservoir(series: 1)
        alone.add("a")
        var other = SampleReservoir(series: 1)
        other.add("z")
        alone.merge(other, chance: 3)
        #expect(alone.texts == ["a", "z"])
    }
}
