import Glibc
import LogModel
import Patterns

// The fuzz target of the pattern engine: what packaging/fuzz builds and libFuzzer calls with bytes of its choice
// (llvm.org/docs/LibFuzzer.html). The first byte chooses the style and the key; the rest are messages with 0xFF, which is in
// no UTF-8 text, between them. A promise that is broken ends the process, and libFuzzer keeps the input.

private let hexDigits = Array("0123456789abcdef".utf8)

/// Ends the process with the sentence and the messages in question, unless `holds`.
private func check(_ holds: Bool, _ promise: StaticString, _ texts: [[UInt8]]) {
    guard !holds else { return }
    var report = "BROKEN PROMISE: \(promise)\n"
    for text in texts { report += "  \(String(decoding: text, as: UTF8.self).debugDescription)\n" }
    _ = Array(report.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    abort()
}

/// One engine for a style and a key, used for all inputs: redacting and masking know nothing of earlier messages, and an
/// engine that has seen many is harder on them than a fresh one. What is learned is an input's own, so that each
/// crash can be had again from its input alone.
private struct Subject: ~Copyable {
    /// The pattern's number; `nil` when there was no room.
    private static func number(_ outcome: TemplateMiner.Outcome) -> Int? {
        switch outcome {
        case .known(let number), .new(let number): number
        case .full: nil
        }
    }

    /// Small, so that inputs reach eviction and `.full`.
    static let capacity = 8
    static let messageCountMax = 64

    private var engine: PatternEngine
    private let style: PlaceholderStyle

    init(style: PlaceholderStyle, redactionKey: [UInt8]?) {
        self.style = style
        engine = PatternEngine(capacity: Self.capacity, style: style, redactionKey: redactionKey)
    }

    mutating func run(_ messages: [[UInt8]]) {
        // A few, so that an input stays quick; libFuzzer has many.
        for (index, message) in messages.prefix(4).enumerated() {
            checkSecret(index + message.count, in: message, before: messages[(index + 1) % messages.count])
        }
        var miner = TemplateMiner(capacity: Self.capacity, style: style)
        for (index, message) in messages.enumerated() {
            let template = template(of: message)
            // Three messages an epoch: patterns grow old within one input.
            learn(template, by: &miner, epoch: UInt64(1 + index / 3))
        }
        miner.settle()
        checkCatalogue(miner)
        checkRecall(messages.prefix(8))
    }

    /// Each message twice and then with other digits, also hexadecimal ones: what is recalled is what redacting, masking and
    /// learning say.
    private mutating func checkRecall(_ messages: ArraySlice<[UInt8]>) {
        var learning = PatternEngine(capacity: Self.capacity, style: style)
        for message in messages {
            let other = message.enumerated().map { index, byte in
                byte &- UInt8(ascii: "0") < 10
                    ? UInt8(ascii: "0") + UInt8((Int(byte & 0x0F) * 7 + index) % 10) : byte
            }
            let hexadecimal = message.enumerated().map { index, byte in
                byte &- UInt8(ascii: "0") < 10 && byte != UInt8(ascii: "0") || byte &- UInt8(ascii: "a") < 6
                    ? hexDigits[(Int(byte) * 7 + index) % 16] : byte
            }
            for text in [message, message, other, hexadecimal, message] {
                text.withUnsafeBufferPointer { text in
                    if let recalled = learning.recall(text, epoch: 1) {
                        let redacted = engine.redact(text)
                        check(
                            redacted.baseAddress == text.baseAddress,
                            "a message with a secret is not recalled",
                            [message]
                        )
                        let masked = engine.mask(redacted)
                        let number = Self.number(
                            learning.learn(masked: masked, hash: PatternEngine.hash(ofMasked: masked), epoch: 1)
                        )
                        check(
                            number.map { learning.miner.survivor(of: $0) }
                                == learning.miner.survivor(of: recalled.number),
                            "a message recalled has the pattern that it would be learned to have",
                            [message, Array(text)]
                        )
                        let level = Severity.found(in: text)?.rawValue ?? 0
                        check(recalled.level == level, "a message recalled has its level", [message, Array(text)])
                        return
                    }
                    let redacted = learning.redact(text)
                    let level = learning.level(in: redacted)?.rawValue ?? 0
                    guard let number = Self.number(learning.learn(redacted, epoch: 1)) else { return }
                    if redacted.baseAddress == text.baseAddress, redacted.count == text.count {
                        learning.remember(text, number: number, level: level)
                    }
                }
            }
        }
    }

    /// Plants a secret of one of the kinds behind any bytes and before any others: nothing of it may be left.
    private mutating func checkSecret(_ choice: Int, in message: [UInt8], before rest: [UInt8]) {
        let (before, secret, after) = PlantedSecrets.all[choice % PlantedSecrets.all.count]
        // Shorter than what is looked at, so that nothing is cut.
        var line = Array(message.prefix(512))
        line += Array((before + secret + after).utf8)
        line += Array(rest.prefix(128))
        let redacted = line.withUnsafeBufferPointer { Array(engine.redact($0)) }
        check(
            !PlantedSecrets.isLeft(secret, in: redacted, of: line),
            "a planted secret is redacted",
            [line, redacted]
        )
    }

    private mutating func template(of message: [UInt8]) -> [UInt8] {
        let redacted = message.withUnsafeBufferPointer { Array(engine.redact($0)) }
        let redactedAgain = redacted.withUnsafeBufferPointer { Array(engine.redact($0)) }
        check(redacted == redactedAgain, "redacting the result changes nothing", [message, redacted, redactedAgain])
        check(
            redacted.count <= max(Redactor.messageByteCountMax, message.count),
            "a redacted message stays within its bound",
            [message]
        )
        let template = redacted.withUnsafeBufferPointer { Array(engine.mask($0)) }
        let templateAgain = template.withUnsafeBufferPointer { Array(engine.mask($0)) }
        check(template == templateAgain, "masking a template changes nothing", [redacted, template, templateAgain])
        check(
            template.count <= Normalizer.templateByteCountMax,
            "a template stays within its bound",
            [redacted, template]
        )
        if String(validating: message, as: UTF8.self) != nil {
            check(
                String(validating: template, as: UTF8.self) != nil,
                "valid text gives a valid template",
                [message, template]
            )
        }
        return template
    }

    private func learn(_ template: [UInt8], by miner: inout TemplateMiner, epoch: UInt64) {
        let first = template.withUnsafeBufferPointer { miner.learn($0, epoch: epoch) }
        let second = template.withUnsafeBufferPointer { miner.learn($0, epoch: epoch) }
        check(miner.patternCount <= Self.capacity, "there are no more patterns than the bound", [template])
        switch (first, second) {
        case (.full, _): break
        case (.known(let number), .known(let again)), (.new(let number), .known(let again)):
            check(
                miner.survivor(of: number) == miner.survivor(of: again),
                "the same message twice is one pattern",
                [template]
            )
        default: check(false, "a pattern just learned is known", [template])
        }
    }

    private func checkCatalogue(_ miner: borrowing TemplateMiner) {
        var ids: Set<UInt64> = []
        var texts: [[UInt8]] = []
        miner.forEachTemplate { _, id, text in
            let bytes = Array(text)
            check(text.count <= Normalizer.templateByteCountMax, "a learned template stays within its bound", [bytes])
            check(id == XXH64.hash(text), "an id is the hash of its text", [bytes])
            check(ids.insert(id).inserted, "no two patterns have one text", [bytes])
            texts.append(bytes)
        }
        check(texts.count == miner.patternCount, "each pattern has a text", texts)
    }
}

/// Secrets with what stands around them: one of each family of rules. A blank or a line feed comes first, because a name
/// that is glued to other bytes is another name. The bytes of a secret are put together here, so that no scanner takes this
/// file for a leak.
private enum PlantedSecrets {
    private static let password = "q9" + "XvK2mT7wZ4Lp"
    private static let token =
        "ey" + "JhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5NXgL0n3I9PlFUP0THsR8U"

    static let all: [(before: String, secret: String, after: String)] = [
        (" password=", password, " "),
        (" db_password: \"", password, "\" "),
        (" {\"apiKey\":\"", password, "\"} "),
        (" --token ", password, " "),
        ("\nAuthorization: Bearer ", password, "\n"),
        (" https://bob:", password, "@db.example.org/x "),
        (" ", token, " "),
    ]

    /// Whether eight bytes of the secret in a row are in the text more often than the fuzzer put them there itself.
    static func isLeft(_ secret: String, in text: [UInt8], of line: [UInt8]) -> Bool {
        let bytes = Array(secret.utf8)
        for start in stride(from: 0, through: bytes.count - 8, by: 3) {
            let piece = bytes[start..<(start + 8)]
            if count(of: piece, in: text) > 0, count(of: piece, in: text) >= count(of: piece, in: line) { return true }
        }
        return false
    }

    private static func count(of piece: ArraySlice<UInt8>, in text: [UInt8]) -> Int {
        guard text.count >= piece.count else { return 0 }
        return (0...(text.count - piece.count)).count {
            text[$0] == piece[piece.startIndex] && text[$0...].starts(with: piece)
        }
    }
}

nonisolated(unsafe) private var subjects = SubjectTable()

/// One of each, made when first asked for. libFuzzer calls from one thread.
private struct SubjectTable: ~Copyable {
    private static let key = Array(UInt8(0)..<16)
    private var angle = Subject(style: .angle, redactionKey: nil)
    private var anglesKeyed = Subject(style: .angle, redactionKey: key)
    private var braces = Subject(style: .braces, redactionKey: nil)

    mutating func run(_ choice: UInt8, _ messages: [[UInt8]]) {
        switch choice % 4 {
        case 1: anglesKeyed.run(messages)
        case 2: braces.run(messages)
        default: angle.run(messages)
        }
    }
}

/// - Returns: always 0; other values are reserved by libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzPatternEngine(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let bytes, count > 0 else { return 0 }
    let input = UnsafeBufferPointer(start: bytes + 1, count: count - 1)
    let messages = input.split(
        separator: 0xFF,
        maxSplits: Subject.messageCountMax - 1,
        omittingEmptySubsequences: false
    )
    subjects.run(bytes[0], messages.map(Array.init))
    return 0
}
