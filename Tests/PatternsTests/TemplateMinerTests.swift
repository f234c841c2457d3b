import LogModel
import Patterns
import PipelineTesting
import Testing

@Suite struct TemplateMinerTests {
    @Test func `early numbers lead to the pattern they were merged into`() {
        var rig = MiningRig()
        var numbers: [Int] = []
        for name in ["plum", "pear", "fig", "kiwi", "lime", "quince", "medlar", "sloe", "currant"] {
            if let number = rig.learn("basket filled with \(name) today").number { numbers.append(number) }
        }
        rig.miner.settle()
        #expect(numbers.count == 9)
        #expect(Set(numbers.map { rig.miner.survivor(of: $0) }).count == 1)
        for number in numbers { #expect(rig.text(of: number) == "basket filled with <*> today") }
        #expect(rig.miner.patternCount == 1)
        #expect(rig.miner.mergeCount > 0)
    }

    @Test func `the merges lead every id ever given out to one that is left`() {
        let seed = SeededGenerator.seed(of: "ids")
        var words = RandomWords(generator: SeededGenerator(seed: seed))
        var rig = MiningRig(capacity: 3000)
        var ids: Set<UInt64> = []
        var leads: [UInt64: UInt64] = [:]
        for _ in 0..<60 {
            let head = words.line(words: 4...6)
            for _ in 0..<12 {
                guard let number = rig.learn("\(head) for \(words.word()) state=\(words.word())").number else {
                    continue
                }
                ids.insert(rig.id(of: number))
                rig.miner.takeMerges { leads[$0] = $1 }
            }
        }
        rig.miner.settle()
        rig.miner.takeMerges { leads[$0] = $1 }
        let left = Set(rig.catalogue.map(\.id))
        for id in ids {
            var step = id
            for _ in 0..<200 where !left.contains(step) { step = leads[step] ?? step }
            #expect(left.contains(step), "seed \(seed)")
        }
    }

    @Test(arguments: [
        // A name behind `user`, two of them and one in the shape of an identifier.
        (
            [
                "unknown user admin from 10.0.0.1", "unknown user oracle from 10.0.0.2",
                "unknown user a1b2c3 from 10.0.0.1",
            ],
            ["unknown user <*> from <IP>"]
        ),
        // Present or missing, of this type or that: one statement.
        (
            ["visit from 10.0.0.1 () at 12:00:00", "visit from 10.0.0.1 (a1.example.org) at 12:00:00"],
            ["visit from <IP> (<*>) at <TIME>"]
        ),
        (["from 00204060 upto 0a1b2c3d", "from 12345 upto 67890"], ["from <HEX> upto <HEX>"]),
        // The value of a key.
        (["retry tag=\"alpha\" n=1", "retry tag=\"two words\" n=2"], ["retry tag=\"<*>\" n=<NUM>"]),
        (["login ok tty=ssh x", "login ok tty=console x"], ["login ok tty=<*> x"]),
        (["setPumpRunning(true)", "setPumpRunning(false)"], ["setPumpRunning(<BOOL>)"]),
        // A unit that changes with the value.
        (["closed, lifetime <1 sec", "closed, lifetime 00:15"], ["closed, lifetime <*>"]),
        // Capitals tell statements apart.
        (
            ["Pump Started (by hand)", "Pump Stopped (by hand)"],
            ["Pump Started (by hand)", "Pump Stopped (by hand)"]
        ),
        (
            ["fault on rail b+ side", "fault on rail b- side"],
            ["fault on rail b+ side", "fault on rail b- side"]
        ),
        // What stands before a sign is a key, also where it could be a value.
        (
            ["auth failure rhost=10.0.0.1", "auth failure rhost=10.0.0.1 user=root"],
            ["auth failure rhost=<IP>", "auth failure rhost=<IP> user=root"]
        ),
        (
            ["ledger == null?yes it is", "ledger == null?no it is"],
            ["ledger == null?no it is", "ledger == null?yes it is"]
        ),
        (["session closed for user alice"], ["session closed for user <*>"]),
        (["a user session of this kind"], ["a user session of this kind"]),
    ])
    func `statements are told from values`(lines: [String], expected: [String]) {
        for order in [lines, lines.reversed()] {
            var rig = MiningRig()
            _ = rig.templates(of: order)
            #expect(rig.catalogue.map { String(decoding: $0.text, as: UTF8.self) } == expected.sorted())
        }
    }

    @Test func `the order of the messages does not change what is learned`() {
        let seed = SeededGenerator.seed(of: "order")
        var generator = SeededGenerator(seed: seed)
        var words = RandomWords(generator: SeededGenerator(seed: seed ^ 1))
        var lines: [String] = []
        for _ in 0..<12 {
            let head = words.line(words: 3...5)
            let tail = words.line(words: 2...3)
            for _ in 0..<10 { lines.append("\(head) \(words.word()) \(tail) in 5 ms, state=\(words.word())") }
        }
        var expected: [String]?
        for round in 0..<8 {
            lines.shuffle(using: &generator)
            var rig = MiningRig()
            _ = rig.templates(of: lines)
            let found = rig.catalogue.map { String(decoding: $0.text, as: UTF8.self) }
            #expect(found == expected ?? found, "seed \(seed), round \(round)")
            expected = found
        }
        #expect(expected?.count == 12)
    }

    @Test func `a restored catalogue has the same ids, and its wild places take new values at once`() {
        var first = MiningRig()
        let names = ["plum", "pear", "fig", "kiwi", "lime", "quince", "medlar", "sloe"]
        _ = first.templates(of: names.map { "basket filled with \($0) today" } + ["nothing else 17", "", "<*>"])
        var second = MiningRig()
        for entry in first.catalogue { entry.text.withUnsafeBufferPointer { second.miner.restore(template: $0) } }
        #expect(first.catalogue.map(\.id) == second.catalogue.map(\.id))
        let number = second.learn("basket filled with rhubarb today").number
        #expect(number.map { second.text(of: $0) } == "basket filled with <*> today")
        #expect(second.miner.patternCount == first.miner.patternCount)
        guard case .known = second.learn("nothing else 18") else {
            Issue.record("known")
            return
        }
    }

    @Test func `restoring twice, or too much, or too long a text does no harm`() {
        var rig = MiningRig(capacity: 128)
        var words = RandomWords(generator: SeededGenerator(of: "restore"))
        for _ in 0..<1000 {
            let text = Array(words.line().utf8)
            for _ in 0..<2 { text.withUnsafeBufferPointer { rig.miner.restore(template: $0) } }
        }
        Array(repeating: UInt8(ascii: "g"), count: 5000).withUnsafeBufferPointer { rig.miner.restore(template: $0) }
        rig.check(capacity: 128)
        // The restored ones are of epoch 0: they make way.
        rig.epoch = 2
        #expect(rig.learn("something that happens today").number != nil)
    }

    @Test func `equal templates have equal ids, and the id is the hash of the text`() {
        var first = MiningRig()
        var second = MiningRig()
        for line in ["one line of text", "two lines of text", "user 5 logged in"] {
            guard let left = first.learn(line).number, let right = second.learn(line).number else {
                Issue.record("room")
                return
            }
            #expect(first.id(of: left) == second.id(of: right))
            let hash = Array(first.text(of: left).utf8).withUnsafeBufferPointer { XXH64.hash($0) }
            #expect(first.id(of: left) == hash)
            _ = second.learn("something between")
        }
    }

    @Test func `with braces the miner writes braces`() {
        var rig = MiningRig(style: .braces)
        #expect(
            rig.templates(of: ["login tty=ssh is true", "login tty=console is false"])
                == Array(repeating: "login tty={*} is {BOOL}", count: 2)
        )
    }

    @Test func `masking a mined template gives the same template`() {
        var rig = MiningRig(capacity: 5000)
        for line in loghubLines(suffix: ".log").prefix(40_000) { _ = rig.learn(line) }
        rig.miner.settle()
        for entry in rig.catalogue {
            #expect(template(of: entry.text) == entry.text, "\(String(decoding: entry.text, as: UTF8.self))")
        }
    }

    @Test func `a mined template leads to its own pattern`() {
        var rig = MiningRig(capacity: 5000)
        for line in loghubLines(suffix: ".log") { _ = rig.learn(line) }
        rig.miner.settle()
        let before = rig.catalogue
        for entry in before {
            let outcome = rig.learn(entry.text)
            #expect(outcome == .known(entry.number), "\(String(decoding: entry.text, as: UTF8.self))")
        }
        #expect(rig.catalogue.map(\.id) == before.map(\.id))
    }
}
