import LogModel
import Patterns
import PipelineTesting
import Testing

@Suite struct TemplateMinerBoundTests {
    @Test func `a flood of random words gets an outcome for every message and stays within its bounds`() {
        let seed = SeededGenerator.seed(of: "flood")
        var words = RandomWords(generator: SeededGenerator(seed: seed))
        let capacity = 400
        var rig = MiningRig(capacity: capacity)
        var known = 0
        var new = 0
        var full = 0
        for round in 0..<6_000 {
            if round % 500 == 0 { rig.epoch += 1 }
            switch rig.learn(words.line()) {
            case .known: known += 1
            case .new: new += 1
            case .full: full += 1
            }
            if round % 500 == 0 { rig.check(capacity: capacity) }
        }
        #expect(known + new + full == 6_000)
        #expect(full == rig.miner.overflowCount)
        #expect(full > 3_000, "the growth limiter turns most of it away")
        rig.check(capacity: capacity)
    }

    @Test func `what was known before a flood is known after it`() {
        let seed = SeededGenerator.seed(of: "flood beside work")
        var words = RandomWords(generator: SeededGenerator(seed: seed))
        var rig = MiningRig(capacity: 400)
        let work = (0..<50).map { _ in words.line() }
        var numbers = work.map { rig.learn($0).number }
        for _ in 0..<12 {
            rig.epoch += 1
            for _ in 0..<600 { _ = rig.learn(words.line()) }
            for (index, line) in work.enumerated() {
                let outcome = rig.learn(line)
                let before = numbers[index].map { rig.miner.survivor(of: $0) }
                #expect(outcome == before.map { .known($0) }, "\(line)")
                numbers[index] = outcome.number
            }
        }
        #expect(rig.miner.evictionCount > 0)
    }

    @Test func `a flood in one epoch forgets nothing, because a batch may name it`() {
        let seed = SeededGenerator.seed(of: "one epoch")
        var words = RandomWords(generator: SeededGenerator(seed: seed))
        var rig = MiningRig(capacity: 128)
        var texts: [Int: String] = [:]
        for _ in 0..<5_000 {
            let line = words.line(words: 5...9)
            if case .new(let number) = rig.learn(line) {
                #expect(texts[number] == nil, "a number is given out once")
                texts[number] = line
            }
        }
        #expect(rig.miner.evictionCount == 0)
        #expect(rig.miner.patternCount <= 128)
        for (number, text) in texts { #expect(rig.text(of: number) == text) }
    }

    @Test func `a pattern of the last epoch stays, one of the epoch before makes way`() {
        var rig = MiningRig(capacity: 128)
        var words = RandomWords(generator: SeededGenerator(of: "epochs"))
        guard case .new(let old) = rig.learn("the old statement of yesterday") else {
            Issue.record("new")
            return
        }
        rig.epoch += 1
        for _ in 0..<600 { _ = rig.learn(words.line(words: 5...9)) }
        #expect(rig.text(of: old) == "the old statement of yesterday")
        #expect(rig.learn("the old statement of yesterday") == .known(old))
        for _ in 0..<30 {
            rig.epoch += 1
            for _ in 0..<600 { _ = rig.learn(words.line(words: 5...9)) }
        }
        #expect(!rig.catalogue.contains { $0.text == Array("the old statement of yesterday".utf8) })
        rig.check(capacity: 128)
    }

    @Test func `values without end make one pattern, not one each`() {
        let seed = SeededGenerator.seed(of: "values")
        var words = RandomWords(generator: SeededGenerator(seed: seed))
        var rig = MiningRig(capacity: 200)
        for round in 0..<6_000 {
            if round % 500 == 0 { rig.epoch += 1 }
            #expect(rig.learn("session of \(words.word()) closed by its owner").number != nil)
        }
        rig.miner.settle()
        #expect(rig.catalogue.map(\.text) == [Array("session of <*> closed by its owner".utf8)])
        #expect(rig.miner.overflowCount == 0)
        rig.check(capacity: 200)
    }

    @Test(arguments: [PlaceholderStyle.angle, .braces])
    func `any bytes at all get an outcome, and a template leads to its own pattern`(style: PlaceholderStyle) {
        let seed = SeededGenerator.seed(of: "hostile bytes, \(style)")
        var messages = HostileMessages(seed: seed, corpus: [])
        let capacity = 300
        var rig = MiningRig(capacity: capacity, style: style)
        for round in 0..<6_000 {
            if round % 200 == 0 { rig.epoch += 1 }
            let message = messages.next()
            // Unmasked text as well: the miner does not rely on what comes before it.
            let outcome = round % 3 == 0 ? rig.learn(template: Array(message.prefix(1024))) : rig.learn(message)
            if round % 500 == 0 { rig.check(capacity: capacity) }
            guard let number = outcome.number else { continue }
            var text: [UInt8] = []
            rig.miner.withTemplate(of: number) { text = Array($1) }
            #expect(text.count <= Normalizer.templateByteCountMax, "seed \(seed), round \(round)")
        }
        rig.check(capacity: capacity)
    }

    @Test func `merges nobody takes are dropped oldest first, and counted`() {
        var rig = MiningRig(capacity: 500)
        var words = RandomWords(generator: SeededGenerator(of: "merge log"))
        for _ in 0..<1200 {
            let head = words.line(words: 4...4)
            for value in ["state=\(words.word())", "state=\(words.word())"] { _ = rig.learn("\(head) \(value)") }
            rig.epoch += 1
        }
        var taken = 0
        rig.miner.takeMerges { _, _ in taken += 1 }
        #expect(taken == 500)
        #expect(rig.miner.mergeDropCount > 0)
        rig.miner.takeMerges { _, _ in Issue.record("taken once") }
    }

    @Test func `the longest templates merge within the bound of one`() {
        var rig = MiningRig(capacity: 200)
        let rest = (0..<50).map { _ in "abcdefghijklmnop" }.joined(separator: " ")
        for value in 0..<20 {
            let word = String(repeating: ["p", "q", "r", "s"][value % 4], count: 10 + value)
            _ = rig.learn("head of \(word) \(rest) and a=\(word)")
        }
        rig.check(capacity: 200)
        #expect(rig.miner.patternCount < 20)
    }

    @Test func `nothing is a message too`() {
        var rig = MiningRig()
        guard case .new(let number) = rig.learn("") else {
            Issue.record("new")
            return
        }
        #expect(rig.learn("") == .known(number))
        #expect(rig.text(of: number) == "")
    }

    @Test func `a miner of the default size takes less than a kibibyte a pattern`() {
        var rig = MiningRig(capacity: 5000)
        var words = RandomWords(generator: SeededGenerator(of: "size"))
        // Learned from what they are worth to somebody: each is used again.
        for _ in 0..<6000 {
            let line = words.line(words: 6...14) + " at 12:00:00 from 10.0.0.1"
            for _ in 0..<6 { _ = rig.learn(line) }
        }
        #expect(rig.miner.patternCount == 5000)
        print("5000 patterns of about 80 bytes: \(rig.miner.byteCount / 5000) bytes each, tables included")
        #expect(rig.miner.byteCount < 5000 * 640)
    }
}
