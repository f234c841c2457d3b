import JSONBytes
import LogModel
import Patterns

/// Why a line becomes the pattern it becomes: its parts in order, those that stay and those that a placeholder stands for.
///
/// The engine keeps no account of what it masks, so the template is laid beside the line: literal parts must match byte for
/// byte, and where that leaves a choice, the values are taken that the engine itself masks as the placeholder says.
struct PatternExplanation {
    struct Part: Equatable {
        /// Bytes of the line.
        var bytes: [UInt8]
        /// As in the template; `nil`: the bytes stay.
        var placeholder: String?
    }

    /// Its secrets replaced.
    var line: [UInt8]
    var masked: [UInt8]
    var pattern: [UInt8]
    var id: UInt64
    var level: Severity?
    /// Values of the line that were replaced before anything else was done.
    var redactionCount: Int
    /// Of the pattern, or of the masked form where only that can be laid beside the line; empty when neither can.
    var parts: [Part]

    init(_ line: ByteView, counter: inout PatternCounter) {
        level = Severity.found(in: line)
        let before = counter.redactionCount
        let explained = counter.explain(line)
        redactionCount = counter.redactionCount - before
        self.line = explained.redacted
        (masked, pattern, id) = (explained.masked, explained.pattern, explained.id)
        var normalizer = Normalizer()
        parts = []
        for template in [pattern, masked] where parts.isEmpty {
            var alignment = Alignment(line: explained.redacted, template: template)
            parts = alignment.parts { value in
                value.withUnsafeBufferPointer { Array(normalizer.normalize($0)) }
            }
        }
    }

    /// What each placeholder stands for, a sentence part each.
    static func meaning(of placeholder: String) -> String? {
        switch placeholder {
        case "<ID>": "an identifier: letters mixed with digits, or the number of something that is counted through"
        case "<TIME>": "a date, a time of day, or a span of time after a word that says so"
        case "<PATH>": "a path of a file or folder"
        case "<NUM>": "a number"
        case "<HEX>": "a hexadecimal number: an address, a hash, a mask"
        case "<UUID>": "a UUID (RFC 9562)"
        case "<IP>": "an IPv4 or IPv6 address, with its port or prefix length"
        case "<MAC>": "a hardware address"
        case "<URL>": "a URL"
        case "<EMAIL>": "an e-mail address"
        case "<SIZE>": "a number of bytes with its unit"
        case "<DURATION>": "a span of time with its unit"
        case "<VERSION>": "a version number"
        case "<STRING>": "quoted text that is a value"
        case "<TOPIC>": "an MQTT topic"
        case "<BOOL>": "true or false"
        case "<REDACTED>": "a secret; it is replaced before anything is stored"
        case "<MORE>": "the rest: past the bound of a pattern"
        case "<*>": "words that differed in other lines of this pattern"
        default: nil
        }
    }

    // MARK: Printing

    func lines(style: Style) -> [String] {
        func clean(_ bytes: [UInt8]) -> String { DisplayText.clean(PatternsReport.visible(bytes)) }
        var lines = [
            "line     " + clean(line),
            "masked   " + clean(masked),
            "level    " + (level.map { "\($0.name), stated in the text" } ?? "none stated in the text"),
            "secrets  " + (redactionCount == 0 ? "none found" : "replaced before anything else: \(redactionCount)"),
            "pattern  " + style.header(clean(pattern)),
            "id       " + Figures.hex(id),
            "",
        ]
        if parts.isEmpty, !masked.isEmpty {
            lines.append("The parts cannot be told: the masked form does not lie beside the line.")
            return lines
        }
        let rows = parts.map { part in
            [
                part.placeholder ?? "", clean(part.bytes),
                part.placeholder.map { Self.meaning(of: $0) ?? "a value" } ?? "stays",
            ]
        }
        let table = Table(
            columns: [
                Table.Column(title: "MASKED AS", widthMax: 12),
                Table.Column(title: "TEXT", widthMax: 60),
                Table.Column(title: "WHY", widthMax: nil),
            ],
            rows: rows
        )
        return lines
            + table.lines(width: Output.standard.columnCount()) { cell, row, _ in row == nil ? style.header(cell) : cell
            }
    }

    func json() -> [UInt8] {
        var writer = JSONWriter()
        func text(_ key: StaticString, _ bytes: [UInt8]) {
            writer.key(key)
            bytes.withUnsafeBufferPointer { writer.string(bytes: $0) }
        }
        writer.beginObject()
        text("line", line)
        text("masked", masked)
        text("pattern", pattern)
        writer.key("id")
        writer.string(Figures.hex(id))
        writer.key("level")
        if let level { writer.string(static: level.name) } else { writer.null() }
        writer.key("secrets")
        writer.integer(redactionCount)
        writer.key("parts")
        writer.beginArray()
        for part in parts {
            writer.beginObject()
            text("text", part.bytes)
            writer.key("placeholder")
            if let placeholder = part.placeholder { writer.string(placeholder) } else { writer.null() }
            if let meaning = part.placeholder.flatMap(Self.meaning) {
                writer.key("meaning")
                writer.string(meaning)
            }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        writer.endLine()
        return writer.bytes
    }
}

/// A template laid beside the line it was made from.
private struct Alignment {
    /// One literal part, then the placeholder after it; the last piece may have none.
    private struct Piece {
        var literal: [UInt8]
        var placeholder: [UInt8]?
    }

    /// Choices looked at; past it the shortest values are taken. Keeps the longest line to some milliseconds.
    private static let choiceCountMax = 20_000

    private let line: [UInt8]
    private let pieces: [Piece]
    /// Where the literal of a piece was tried and what came after it failed.
    private var failures: Set<Int> = []
    private var choiceCount = 0

    init(line: [UInt8], template: [UInt8]) {
        self.line = line
        var pieces: [Piece] = []
        var literal: [UInt8] = []
        var index = 0
        while index < template.count {
            if let end = Self.placeholderEnd(template, index) {
                pieces.append(Piece(literal: literal, placeholder: Array(template[index..<end])))
                literal = []
                index = end
            } else {
                literal.append(template[index])
                index += 1
            }
        }
        if !literal.isEmpty || pieces.isEmpty { pieces.append(Piece(literal: literal, placeholder: nil)) }
        self.pieces = pieces
    }

    /// `masked` is the engine: what it makes of a value alone.
    mutating func parts(masked: ([UInt8]) -> [UInt8]) -> [PatternExplanation.Part] {
        // First only values that the engine masks alone as it did in the line; what a value is may depend on the word
        // before it (`user 17`), so then any.
        for isStrict in [true, false] {
            failures = []
            choiceCount = 0
            var ends: [(literal: Range<Int>, value: Range<Int>)] = []
            if match(0, at: 0, isStrict, masked, &ends) { return parts(ends.reversed()) }
        }
        return []
    }

    /// Lays the pieces from `index` on beside the line from `start` on; collects them from the last to the first.
    private mutating func match(
        _ index: Int,
        at start: Int,
        _ isStrict: Bool,
        _ masked: ([UInt8]) -> [UInt8],
        _ found: inout [(literal: Range<Int>, value: Range<Int>)]
    ) -> Bool {
        guard index < pieces.count else { return start == line.count }
        guard failures.insert(index * (line.count + 1) + start).inserted else { return false }
        let piece = pieces[index]
        guard var valueStart = literalEnd(piece.literal, at: start) else { return false }
        // Blanks that pad a number to its column are not in the template.
        while piece.placeholder != nil, piece.literal.last == 0x20, valueStart < line.count, line[valueStart] == 0x20 {
            valueStart += 1
        }
        guard let placeholder = piece.placeholder else {
            guard valueStart == line.count else { return false }
            found.append((start..<valueStart, valueStart..<valueStart))
            return true
        }
        let isLast = index + 1 == pieces.count
        // A whole value has at least one byte; the rest of a cut line may have none.
        var end = isLast ? line.count : valueStart + 1
        while end <= line.count {
            let isCandidate = isLast || literalEnd(pieces[index + 1].literal, at: end) != nil
            if isCandidate {
                choiceCount += 1
                let value = valueStart..<end
                let isPlausible =
                    !isStrict || choiceCount > Self.choiceCountMax || masked(Array(line[value])) == placeholder
                    || Self.isAnything(placeholder)
                if isPlausible, match(index + 1, at: end, isStrict, masked, &found) {
                    found.append((start..<valueStart, value))
                    return true
                }
            }
            end += 1
        }
        return false
    }

    private func literalEnd(_ literal: [UInt8], at start: Int) -> Int? {
        let end = start + literal.count
        guard end <= line.count, line[start..<end].elementsEqual(literal) else { return nil }
        return end
    }

    private func parts(_ found: [(literal: Range<Int>, value: Range<Int>)]) -> [PatternExplanation.Part] {
        var parts: [PatternExplanation.Part] = []
        for (piece, place) in zip(pieces, found) {
            if !place.literal.isEmpty {
                parts.append(PatternExplanation.Part(bytes: Array(line[place.literal]), placeholder: nil))
            }
            if let placeholder = piece.placeholder {
                let text = String(decoding: placeholder, as: UTF8.self)
                parts.append(PatternExplanation.Part(bytes: Array(line[place.value]), placeholder: text))
            }
        }
        return parts
    }

    private static func isAnything(_ placeholder: [UInt8]) -> Bool {
        placeholder.elementsEqual("<MORE>".utf8) || placeholder.elementsEqual("<*>".utf8)
    }

    /// The end of a placeholder that this program knows the meaning of.
    private static func placeholderEnd(_ template: [UInt8], _ start: Int) -> Int? {
        guard template[start] == UInt8(ascii: "<") else { return nil }
        guard let close = template[start...].prefix(16).firstIndex(of: UInt8(ascii: ">")) else { return nil }
        let text = String(decoding: template[start...close], as: UTF8.self)
        return PatternExplanation.meaning(of: text) == nil ? nil : close + 1
    }
}
