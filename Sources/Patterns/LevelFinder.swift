public import LogModel

extension Severity {
    /// The level found in the text of a message when its sender stated none; `nil` when the text states none either.
    ///
    /// Looks for a *statement* of a level, not for a word that sounds bad: a kernel priority (`<3>`), a klog head
    /// (`E1121 12:00`), a key (`level=warn`, `"severity":"ERROR"`), a word set off by its form (`[error]`, `ERROR`,
    /// `warning:`) or the first line of a crash. So `0 errors`, `failover`, `error_count=0` state nothing. The first
    /// statement wins. Reads at most 1 KiB and costs some twenty instructions a byte; never allocates.
    public static func found(in message: UnsafeBufferPointer<UInt8>) -> Severity? {
        found(in: message, noting: nil)
    }

    /// The same; what was asked about the values of digits is noted.
    static func found(in message: UnsafeBufferPointer<UInt8>, noting conditions: DigitConditions?) -> Severity? {
        guard let bytes = message.baseAddress, message.count > 0 else { return nil }
        let finder = LevelFinder(
            bytes: bytes,
            end: min(message.count, LevelFinder.byteCountMax),
            conditions: conditions
        )
        return finder.priorityPrefix() ?? finder.klogPrefix() ?? finder.statement()
    }
}

/// One search for a level.
private struct LevelFinder {
    static let byteCountMax = 1024
    /// A bare capital word counts only near the head of a message, where loggers print the level.
    static let bareWordOffsetMax = 128

    let bytes: UnsafePointer<UInt8>
    let end: Int
    let conditions: DigitConditions?

    /// `<3>` as the kernel and syslog print it: the level is the priority modulo 8 (RFC 5424, section 6.2.1).
    func priorityPrefix() -> Severity? {
        guard end >= 3, bytes[0] == UInt8(ascii: "<") else { return nil }
        var priority = 0
        var index = 1
        while index < end, index <= 3, isDigit(index) {
            priority = priority * 10 + Int(bytes[index] & 0x0F)
            index += 1
        }
        guard index > 1, index < end, bytes[index] == UInt8(ascii: ">") else { return nil }
        conditions?.needDigits(from: 1, to: index)
        guard priority <= 191 else { return nil }
        return Severity(syslogPriority: priority & 7)
    }

    /// `E1121 12:00:00.000000` (Google's logging library, Kubernetes).
    func klogPrefix() -> Severity? {
        guard end >= 8, bytes[5] == UInt8(ascii: " "), isDigit(1), isDigit(2), isDigit(3), isDigit(4), isDigit(6) else {
            return nil
        }
        switch bytes[0] {
        case UInt8(ascii: "I"): return .info
        case UInt8(ascii: "W"): return .warn
        case UInt8(ascii: "E"): return .error
        case UInt8(ascii: "F"): return .fatal
        default: return nil
        }
    }

    func statement() -> Severity? {
        var index = 0
        while index < end {
            guard isLetter(value: bytes[index]) else {
                index &+= 1  // below `end`: cannot overflow
                continue
            }
            let start = index
            while index < end, isLetter(value: bytes[index]) { index &+= 1 }
            let length = index - start
            guard length >= 3, length <= 40 else { continue }
            if let found = statement(start, index) { return found }
        }
        return nil
    }

    private func statement(_ start: Int, _ wordEnd: Int) -> Severity? {
        // Ordered by cost: most words are no candidate for anything.
        let level = level(start, wordEnd)
        let isKey = isLevelKey(start, wordEnd)
        let crash = crash(start, wordEnd)
        guard level != nil || isKey || crash != nil, !joins(start - 1), !continues(wordEnd) else { return nil }
        if isKey { return keyedLevel(after: wordEnd) }
        if let crash { return crash }
        guard let level else { return nil }
        return isSetOff(start, wordEnd) && !isCounted(start, wordEnd) ? level : nil
    }

    /// Whether the form of the word says that it is a level.
    private func isSetOff(_ start: Int, _ wordEnd: Int) -> Bool {
        let before = byte(start - 1)
        let after = byte(wordEnd)
        // `[error]`, `(WARN)`, `<info>`, `|debug|`.
        switch (before, after) {
        case (UInt8(ascii: "["), UInt8(ascii: "]")), (UInt8(ascii: "("), UInt8(ascii: ")")),
            (UInt8(ascii: "<"), UInt8(ascii: ">")), (UInt8(ascii: "|"), UInt8(ascii: "|")):
            return true
        default: break
        }
        guard
            isBlank(start - 1) || before == UInt8(ascii: "]") || before == UInt8(ascii: "[")
                || (before == UInt8(ascii: ":") && start <= Self.bareWordOffsetMax)
        else { return false }
        let isCapital = isAllCapitals(start, wordEnd)
        // `error: text`, `Warning: text`; a colon inside a name (`error:0A000086`) says nothing.
        if after == UInt8(ascii: ":") { return isCapital || (isBlank(wordEnd + 1) && beginsClause(start, wordEnd)) }
        guard start <= Self.bareWordOffsetMax else { return false }
        // `ERROR text`, `WARN  [main]`, `npm ERR! text`, `[WARNING - x]`.
        if isCapital { return isBlank(wordEnd) || after == UInt8(ascii: "!") || after == UInt8(ascii: "]") }
        // `Zigbee2MQTT:error  2026-…`: the level ends the tag at the head.
        if before == UInt8(ascii: ":") { return isBlank(wordEnd) && isFirstChunk(start) }
        // `error opening file`: in lower case only as the first word, and only words that no sentence begins with
        // otherwise (`info`, `debug`, `alert` do).
        return start == 0 && isBlank(wordEnd)
            && (hasWord("error", 0, wordEnd) || hasWord("warning", 0, wordEnd) || hasWord("fatal", 0, wordEnd))
    }

    /// Whether a small word before a colon stands where a level would: at the head, or after a mark or a stamp. In the
    /// middle of a sentence only the words for trouble count (`got error: timeout`, not `build info: x`).
    private func beginsClause(_ start: Int, _ wordEnd: Int) -> Bool {
        var index = start
        while index > 0, isBlank(index - 1) { index -= 1 }
        if index > 0 { conditions?.needLetters() }
        if index == 0 || !isLetter(index - 1) { return true }
        return hasWord("error", start, wordEnd) || hasWord("warning", start, wordEnd)
            || hasWord("fatal", start, wordEnd)
    }

    /// `no error`, `0 ERROR`, `last error: x`, `error count 5`, `error: none`: talk about errors, not one.
    private func isCounted(_ start: Int, _ wordEnd: Int) -> Bool {
        var index = start
        while index > 0, isBlank(index - 1) { index -= 1 }
        if index < start, index > 0 {
            if isDigit(index - 1) {
                // `0 ERROR`; but the end of a stamp (`12:00:00 ERROR`) is no count.
                var digits = index
                while digits > 0, isDigit(digits - 1) { digits -= 1 }
                if isBlank(digits - 1) && index - digits <= 6 {
                    conditions?.needLetters()
                    return isBlank(wordEnd) && !startsText(after: wordEnd)
                }
            }
            let previousEnd = index
            while index > 0, isLetter(index - 1) { index -= 1 }
            for word: StaticString in ["no", "last", "without", "any", "previous", "zero"]
            where hasWord(word, index, previousEnd) {
                return true
            }
        }
        var next = wordEnd
        if byte(next) == UInt8(ascii: ":") { next += 1 }
        while next < end, isBlank(next) { next += 1 }
        let nextStart = next
        while next < end, isLetter(next) { next += 1 }
        if next == nextStart {
            conditions?.needDigits(from: next, to: next + 1)
            return byte(next) == UInt8(ascii: "0") && !isWord(next + 1) && byte(wordEnd) == UInt8(ascii: ":")
        }
        for word: StaticString in [
            "count", "counts", "counter", "rate", "code", "level", "handler", "handling", "budget", "none", "nil",
            "null",
        ] where hasWord(word, nextStart, next) {
            return true
        }
        return false
    }

    /// Whether a word, not a comma or the end, follows: `5 ERROR disk full` is a numbered line.
    private func startsText(after index: Int) -> Bool {
        isBlank(index) && isLetter(index + 1)
    }

    /// Crashes announce themselves without a level.
    private func crash(_ start: Int, _ wordEnd: Int) -> Severity? {
        switch bytes[start] {
        case UInt8(ascii: "p"):
            return hasWord("panic", start, wordEnd) && byte(wordEnd) == UInt8(ascii: ":") ? .fatal : nil
        case UInt8(ascii: "K"):
            return hasText("Kernel panic - not syncing", start) ? .fatal : nil
        case UInt8(ascii: "T") where start == 0 || isBlank(start - 1):
            if hasText("Traceback (most recent call last)", start) { return .error }
        case UInt8(ascii: "O") where hasText("Oops:", start), UInt8(ascii: "B") where hasText("BUG:", start):
            return .fatal
        case UInt8(ascii: "s") where hasText("segfault at ", start):
            return .error
        case UInt8(ascii: "O") where hasText("Out of memory: Kill", start):
            return .error
        default: break
        }
        // `ValueError: x`, `java.io.IOException: x`: how Python, JavaScript and Java print what was thrown.
        guard byte(wordEnd) == UInt8(ascii: ":"), isBlank(wordEnd + 1), bytes[start] & 0x20 == 0 else { return nil }
        if wordEnd - start > 5, hasText("Error", wordEnd - 5), isLowerCase(wordEnd - 6) { return .error }
        if wordEnd - start > 9, hasText("Exception", wordEnd - 9), isLetter(wordEnd - 10) { return .error }
        return nil
    }

    /// `level`, `lvl`, `severity`, `loglevel`, `log_level`, `levelname`, `priority`.
    private func isLevelKey(_ start: Int, _ wordEnd: Int) -> Bool {
        switch bytes[start] | 0x20 {
        case UInt8(ascii: "l"):
            hasWord("level", start, wordEnd) || hasWord("lvl", start, wordEnd) || hasWord("loglevel", start, wordEnd)
                || hasWord("levelname", start, wordEnd)
        case UInt8(ascii: "s"): hasWord("severity", start, wordEnd)
        case UInt8(ascii: "p"): hasWord("priority", start, wordEnd)
        default: false
        }
    }

    /// The word after `level=`, `level: ` or `"level":"`. Numbers are left alone: scales differ, and a lamp has a level
    /// as well.
    private func keyedLevel(after wordEnd: Int) -> Severity? {
        var index = wordEnd
        if byte(index) == UInt8(ascii: "\"") { index += 1 }
        guard byte(index) == UInt8(ascii: "=") || byte(index) == UInt8(ascii: ":") else { return nil }
        index += 1
        if byte(index) == UInt8(ascii: " ") { index += 1 }
        if byte(index) == UInt8(ascii: "\"") || byte(index) == UInt8(ascii: "'") { index += 1 }
        let start = index
        while index < end, isLetter(index) { index += 1 }
        guard index > start, !isWord(index) else { return nil }
        return Severity(word: UnsafeBufferPointer(start: bytes + start, count: index - start))
    }

    private func level(_ start: Int, _ wordEnd: Int) -> Severity? {
        let length = wordEnd - start
        guard length <= 11 else { return nil }
        // The first letter and the length reject nearly every word before the table is asked.
        let isCandidate =
            switch bytes[start] | 0x20 {
            case UInt8(ascii: "e"): length == 3 || length == 5 || length == 9
            case UInt8(ascii: "w"): length == 4 || length == 7
            case UInt8(ascii: "i"): length == 4
            case UInt8(ascii: "d"), UInt8(ascii: "f"), UInt8(ascii: "t"), UInt8(ascii: "a"), UInt8(ascii: "p"):
                length == 5
            case UInt8(ascii: "n"), UInt8(ascii: "s"): length == 6
            case UInt8(ascii: "c"): length == 4 || length == 8
            // PostgreSQL's `LOG:`; in small letters it is a file.
            case UInt8(ascii: "l"): length == 3 && isAllCapitals(start, wordEnd) && byte(wordEnd) == UInt8(ascii: ":")
            default: false
            }
        guard isCandidate, !hasWord("audit", start, wordEnd) else { return nil }
        return Severity(word: UnsafeBufferPointer(start: bytes + start, count: length))
    }

    // MARK: Bytes

    /// A blank outside the text, so that both ends are boundaries.
    private func byte(_ index: Int) -> UInt8 {
        index >= 0 && index < end ? bytes[index] : UInt8(ascii: " ")
    }

    private func isDigit(_ index: Int) -> Bool {
        let value = byte(index)
        return value >= UInt8(ascii: "0") && value <= UInt8(ascii: "9")
    }

    private func isLetter(_ index: Int) -> Bool {
        isLetter(value: byte(index))
    }

    @inline(__always)
    private func isLetter(value: UInt8) -> Bool {
        // Wrapping turns the two comparisons of a range into one.
        (value | 0x20) &- UInt8(ascii: "a") < 26
    }

    private func isLowerCase(_ index: Int) -> Bool {
        isLetter(index) && byte(index) & 0x20 != 0
    }

    private func isBlank(_ index: Int) -> Bool {
        let value = byte(index)
        return value == UInt8(ascii: " ") || (value >= 0x09 && value <= 0x0D)
    }

    /// Letters, digits, underscore and every byte of non-ASCII text.
    private func isWord(_ index: Int) -> Bool {
        let value = byte(index)
        return isLetter(index) || isDigit(index) || value == UInt8(ascii: "_") || value >= 0x80
    }

    /// Whether the byte before a word makes it the tail of a longer name (`non-error`, `x.error`); a dot does not, since
    /// `log.level` and `java.io.IOException` are read by their last part.
    private func joins(_ index: Int) -> Bool {
        isWord(index) || (byte(index) == UInt8(ascii: "-") && isWord(index - 1))
    }

    private func continues(_ index: Int) -> Bool {
        isWord(index) || ((byte(index) == UInt8(ascii: "-") || byte(index) == UInt8(ascii: ".")) && isWord(index + 1))
    }

    private func isAllCapitals(_ start: Int, _ wordEnd: Int) -> Bool {
        for index in start..<wordEnd where bytes[index] & 0x20 != 0 { return false }
        return true
    }

    private func isFirstChunk(_ start: Int) -> Bool {
        for index in 0..<start where isBlank(index) { return false }
        return true
    }

    /// Whether the word is `text` (lower case), in any case.
    private func hasWord(_ text: StaticString, _ start: Int, _ wordEnd: Int) -> Bool {
        guard wordEnd - start == text.utf8CodeUnitCount else { return false }
        for index in start..<wordEnd where bytes[index] | 0x20 != text.utf8Start[index - start] { return false }
        return true
    }

    private func hasText(_ text: StaticString, _ start: Int) -> Bool {
        guard start >= 0, start + text.utf8CodeUnitCount <= end else { return false }
        for index in 0..<text.utf8CodeUnitCount where bytes[start + index] != text.utf8Start[index] { return false }
        return true
    }
}
