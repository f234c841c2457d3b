import LogModel
import Patterns
import PipelineTesting
import Testing

/// A miner with the normaliser before it, as the aggregator has them.
struct MiningRig: ~Copyable {
    var normalizer: Normalizer
    var miner: TemplateMiner
    var epoch: UInt64 = 1

    init(capacity: Int = 1000, style: PlaceholderStyle = .angle) {
        normalizer = Normalizer(style: style)
        miner = TemplateMiner(capacity: capacity, style: style)
    }

    mutating func learn(_ text: String) -> TemplateMiner.Outcome { learn(Array(text.utf8)) }

    mutating func learn(_ bytes: [UInt8]) -> TemplateMiner.Outcome {
        bytes.withUnsafeBufferPointer { message in miner.learn(normalizer.normalize(message), epoch: epoch) }
    }

    /// Learns without masking.
    mutating func learn(template: [UInt8]) -> TemplateMiner.Outcome {
        template.withUnsafeBufferPointer { miner.learn($0, epoch: epoch) }
    }

    /// Learns all, settles, and returns the template each line ended in; `<other>` where there was no room.
    mutating func templates(of lines: [String]) -> [String] {
        let numbers = lines.map { learn($0).number }
        miner.settle()
        return numbers.map { $0.map { text(of: $0) } ?? "<other>" }
    }

    func text(of number: Int) -> String {
        var result = ""
        miner.withTemplate(of: number) { _, text in result = String(decoding: text, as: UTF8.self) }
        return result
    }

    func id(of number: Int) -> UInt64 {
        var result: UInt64 = 0
        miner.withTemplate(of: number) { id, _ in result = id }
        return result
    }

    /// Every pattern, sorted by text.
    var catalogue: [(number: Int, id: UInt64, text: [UInt8])] {
        var all: [(number: Int, id: UInt64, text: [UInt8])] = []
        miner.forEachTemplate { all.append(($0, $1, Array($2))) }
        return all.sorted { String(decoding: $0.text, as: UTF8.self) < String(decoding: $1.text, as: UTF8.self) }
    }

    /// What must hold at any moment.
    func check(capacity: Int, sourceLocation: SourceLocation = #_sourceLocation) {
        let all = catalogue
        #expect(all.count == miner.patternCount, sourceLocation: sourceLocation)
        #expect(miner.patternCount <= capacity, sourceLocation: sourceLocation)
        #expect(miner.byteCount <= capacity * 1024, sourceLocation: sourceLocation)
        for entry in all {
            #expect(entry.text.count <= Normalizer.templateByteCountMax, sourceLocation: sourceLocation)
            #expect(entry.id == entry.text.withUnsafeBufferPointer { XXH64.hash($0) }, sourceLocation: sourceLocation)
            #expect(miner.survivor(of: entry.number) == entry.number, sourceLocation: sourceLocation)
        }
    }
}

extension TemplateMiner.Outcome {
    var number: Int? {
        switch self {
        case .known(let number), .new(let number): number
        case .full: nil
        }
    }
}

/// Lower-case words without digits, which no rule masks.
struct RandomWords {
    var generator: SeededGenerator

    mutating func word(length: ClosedRange<Int> = 4...9) -> String {
        let letters = Array("ghijklmnopqrstuvwxyz")
        return String(
            (0..<Int.random(in: length, using: &generator)).map { _ in
                letters.randomElement(using: &generator) ?? "g"
            }
        )
    }

    mutating func line(words: ClosedRange<Int> = 3...10) -> String {
        (0..<Int.random(in: words, using: &generator)).map { _ in word() }.joined(separator: " ")
    }
}
