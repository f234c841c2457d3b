/// Where a value begins and ends, and which values are none.
extension SecretReader {
    /// The quote that opens at `start`: behind backslashes (JSON inside JSON), or behind the letter of a Python or Rust
    /// literal. `end` is the position after it, 0 when there is none.
    func openingQuote(at start: Int) -> (end: Int, escapes: Int) {
        var index = start
        switch bytes[index] {
        case UInt8(ascii: "b"), UInt8(ascii: "u"), UInt8(ascii: "r"):
            guard isQuote(index + 1) else { return (0, 0) }
            index += 1
        case UInt8(ascii: "\\"):
            while index < min(end, start + 7), bytes[index] == UInt8(ascii: "\\") { index += 1 }
        default: break
        }
        return isQuote(index) ? (index + 1, byte(start) == UInt8(ascii: "\\") ? index - start : 0) : (0, 0)
    }

    /// The position of the quote (or of the backslashes before it) that closes what `mark` opened before `start`; the end
    /// of the message when none does: a cut message hides what it cut.
    func quoteEnd(from start: Int, mark: UInt8, escapes: Int) -> Int {
        var index = start
        var backslashes = 0
        while index < end {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\\") {
                backslashes += 1
            } else {
                if byte == mark {
                    let isClosing = escapes == 0 ? backslashes % 2 == 0 : backslashes <= escapes
                    if isClosing, !opensAnother(index, mark: index - backslashes, after: start) {
                        // SQL doubles a quote inside a string.
                        guard mark == UInt8(ascii: "'"), escapes == 0, index > start, self.byte(index + 1) == mark
                        else {
                            return escapes == 0 ? index : index - backslashes
                        }
                        index += 1
                    }
                }
                backslashes = 0
            }
            index += 1
        }
        return end
    }

    /// Whether the quote at `index` opens the next value instead of closing this one, which somebody cut or forgot to close:
    /// `psk="living room password: "x"`. `mark` is where its backslashes begin.
    private func opensAnother(_ index: Int, mark: Int, after start: Int) -> Bool {
        guard mark > start, kind(index + 1).touches(.alphanumeric) else { return false }
        switch bytes[mark - 1] {
        case UInt8(ascii: " "), UInt8(ascii: ":"), UInt8(ascii: "="): return true
        default: return false
        }
    }

    func bracketEnd(from start: Int) -> Int {
        var index = start
        while index < end, bytes[index] != UInt8(ascii: "]") { index += 1 }
        return index
    }

    /// The end of a value without quotes: a blank, or a mark that separates it from what follows. A comma, a bracket or
    /// a quote inside a password separates nothing.
    func valueEnd(from start: Int, max: Int = .max) -> Int {
        var index = start
        let limit = max < end - start ? start + max : end
        while index < limit {
            let byte = bytes[index]
            if kinds[Int(byte)] == .blank { return index }
            switch byte {
            case UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "&"), UInt8(ascii: ")"), UInt8(ascii: "}"),
                UInt8(ascii: "]"), UInt8(ascii: "|"):
                if separates(at: index) { return index }
            case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"):
                if index > start, !kind(index + 1).touches([.alphanumeric, .highByte]) {
                    // The backslashes belong to the quote.
                    var finish = index
                    while finish > start, bytes[finish - 1] == UInt8(ascii: "\\") { finish -= 1 }
                    return finish
                }
            case UInt8(ascii: "<"):
                // `<password>x</password>`, `password=x<br>`
                if index > start, self.byte(index + 1) == UInt8(ascii: "/") || markerEnd(at: index) > 0 { return index }
            default: break
            }
            index += 1
        }
        return limit
    }

    /// Whether the mark at `index` is followed by what may follow a value: no word, or the name of the next value.
    private func separates(at index: Int) -> Bool {
        guard kind(index + 1).touches([.word, .highByte]) else { return true }
        let nameEnd = endOfRun(of: .token68, from: index + 1, max: 64)
        for position in (index + 1)..<nameEnd where bytes[position] == UInt8(ascii: "=") { return true }
        return byte(nameEnd) == UInt8(ascii: ":")
    }

    /// Values that hide nothing: literals, stars, variables and, after a colon in a sentence, words that such sentences
    /// go on with (`password: must be…`).
    func isHarmless(_ extent: Range<Int>, isProse: Bool) -> Bool {
        let start = extent.lowerBound
        let count = extent.count
        if markerEnd(at: start) == extent.upperBound { return true }
        let first = bytes[start]
        if count == 1 { return first == UInt8(ascii: "0") || first == UInt8(ascii: "1") || !kind(start).touches(.word) }
        if first == UInt8(ascii: "*") || first == UInt8(ascii: "x") || first == UInt8(ascii: ".") {
            var index = start
            while index < extent.upperBound, bytes[index] == first { index += 1 }
            if index == extent.upperBound { return true }
        }
        if has("${", at: start), bytes[extent.upperBound - 1] == UInt8(ascii: "}") { return true }
        if has("${", at: start), byte(extent.upperBound) == UInt8(ascii: "}") {
            return endOfRun(of: .word, from: start + 2) == extent.upperBound
        }
        if isProse, first == UInt8(ascii: "<"), bytes[extent.upperBound - 1] == UInt8(ascii: ">") {
            // A usage text: `--token <token>`.
            return endOfRun(of: [.lower, .dash, .underscore], from: start + 1) == extent.upperBound - 1
        }
        guard count <= 14, kind(start).touches(.letter) else { return false }
        for word in Self.literals where isWord(word, from: start, to: extent.upperBound) { return true }
        guard isProse else { return false }
        for word in Self.sentenceWords where isWord(word, from: start, to: extent.upperBound) { return true }
        return false
    }

    private static let literals: [StaticString] = [
        "true", "false", "null", "nil", "none", "undefined", "yes", "no", "on", "off", "filtered", "redacted", "masked",
        "hidden",
    ]

    private static let sentenceWords: [StaticString] = [
        "must", "is", "was", "are", "has", "not", "cannot", "can", "could", "should", "will", "too", "the", "a", "an",
        "invalid", "expired", "missing", "required", "incorrect", "wrong", "failed", "failure", "changed", "updated",
        "ok", "error", "empty", "unset", "set", "valid", "denied", "accepted", "rejected", "and", "or", "for", "from",
        "in", "to", "of", "with", "option", "flag", "argument", "parameter", "permission", "unknown", "unable",
        "access", "authentication", "user",
    ]
}
