/// Words: which stay, and which are identifiers.
extension MessageReader {
    /// A run of word bytes joined by `-` or `.` (`part-00190`, `ns1.example.org`): one name, one decision.
    struct NameRun {
        var end: Int
        var classes: ByteClass
    }

    @inline(__always)
    func nameRun(at start: Int) -> NameRun {
        var index = start
        var found: ByteClass = []
        while true {
            let kind = byteClass(index)
            if !kind.touches(.word) {
                guard kind == .joiner, isWord(index + 1) || isEmptyPart(at: index) else { break }
            }
            found.formUnion(kind)
            index &+= 1  // a blank stands at the end
        }
        return NameRun(end: index, classes: found)
    }

    /// The same, without another look when a chunk of nothing but word bytes begins at `start`.
    @inline(__always)
    func nameRun(at start: Int, in chunk: MessageChunk) -> NameRun {
        start == chunk.start && chunk.flags.isSubset(of: .word)
            ? NameRun(end: chunk.end, classes: chunk.flags) : nameRun(at: start)
    }

    /// `~~` inside the identity of a package (`x~0f1e2d3c~arm64~~2.4.0`): the part between is empty.
    private func isEmptyPart(at index: Int) -> Bool {
        bytes[index] == UInt8(ascii: "~") && byte(index + 1) == UInt8(ascii: "~") && isWord(index + 2)
    }

    /// The name at `start`: text, an identifier, or something with a shape of its own.
    func name(at start: Int, in chunk: MessageChunk) -> MessagePart {
        name(at: start, nameRun(at: start, in: chunk))
    }

    func name(at start: Int, _ run: NameRun) -> MessagePart {
        if byte(run.end) == UInt8(ascii: ":"), run.classes.touches(.joiner), isDigit(run.end + 1),
            let end = fileEnd(from: start, to: run.end), end > run.end
        {
            // `main.swift:12:30`. Without a position or a digit, a file's name is as good as any word.
            return .value(.path, to: end)
        }
        guard run.classes.touches(.digit) else { return word(from: start, to: run.end, classes: run.classes) }
        if kindsOfName(from: start, to: run.end).contains(.technology) { return .literal(to: run.end) }
        if !run.classes.touches([.plainLetter, .underscore, .joiner]) {
            // Letters and digits, all hexadecimal: short ones are as likely a word with a number.
            if run.end - start >= 6 { return .value(.hex, to: run.end) }
        }
        if isISODuration(start, run.end) { return .value(.duration, to: run.end) }
        if run.classes.touches(.joiner) {
            if let end = fileEnd(from: start, to: run.end) { return .value(.path, to: end) }
            if let prefixEnd = prefixOfNumberedName(start, run.end) { return .literal(to: prefixEnd) }
        }
        let opaque = opaqueEnd(at: start)
        if opaque > 0 { return .value(.id, to: opaque) }
        if isFunctionOrKey(start, run.end) {
            // The mark goes along, so that no bound can part the two.
            return .literal(to: run.end + (byte(run.end) == UInt8(ascii: ":") ? 2 : 1))
        }
        if keepsDigits(start, run.end) { return .literal(to: run.end) }
        return .value(.id, to: run.classes.touches(.joiner) ? portEnd(after: run.end) : run.end)
    }

    /// A name without digits stays, unless it is the name of a host or eight and more hexadecimal digits that happen to
    /// be letters (`ffffffff`).
    private func word(from start: Int, to end: Int, classes: ByteClass) -> MessagePart {
        if isHexWord(start, end, classes) { return .value(.hex, to: end) }
        if classes.touches(.joiner), isDomain(start, end) { return .value(.id, to: portEnd(after: end)) }
        return .literal(to: end)
    }

    private func isHexWord(_ start: Int, _ end: Int, _ classes: ByteClass) -> Bool {
        classes == .hexLetter && end - start >= 8
    }

    /// The port of a host belongs to it, for the reason given at `ipv4End`.
    private func portEnd(after index: Int) -> Int {
        guard byte(index) == UInt8(ascii: ":") else { return index }
        let count = digitCount(at: index + 1, max: 6)
        return (2...5).contains(count) && !isWord(index + 1 + count) ? index + 1 + count : index
    }

    /// `example.org`, `nas.home.lan`, `ns.example.co.uk`: lower-case labels up to a top-level domain. Of the two-letter
    /// ones (ISO 3166) a third label is asked for, because file extensions look alike.
    private func isDomain(_ start: Int, _ end: Int) -> Bool {
        var labels = 1
        var labelStart = start
        for index in start..<end {
            let byte = bytes[index]
            if byte == UInt8(ascii: ".") {
                labels += 1
                labelStart = index + 1
            } else if byte >= UInt8(ascii: "A"), byte <= UInt8(ascii: "Z") || byte == UInt8(ascii: "_") {
                return false
            }
        }
        let last = kinds(from: labelStart, to: end)
        if labels >= 2, last.contains(.topLevelDomain) { return true }
        // `job.task.id` is a setting's key, whatever hosts there may be in Indonesia.
        return labels >= 3 && end - labelStart == 2 && !last.touches([.fileExtension, .noun])
    }

    /// `v1.2.3`, `V2`, `v18.19.0-rc.1`.
    func versionWordEnd(at start: Int) -> Int {
        guard byte(start) | 0x20 == UInt8(ascii: "v"), isDigit(start + 1) else { return 0 }
        var end = start + 1
        var groups = 0
        while isDigit(end) {
            groups += 1
            end = endOfRun(of: .digit, from: end)
            guard byte(end) == UInt8(ascii: "."), isDigit(end + 1) else { break }
            end += 1
        }
        let next = byteClass(end)
        if next.touches([.joiner, .plus]), isWord(end + 1) {
            // `v2-beta` could be anything.
            return groups >= 2 ? nameRun(at: end + 1).end : 0
        }
        if groups == 1, kindsOfName(from: start, to: end).contains(.technology) { return 0 }
        return next.touches(.word) ? 0 : end
    }

    /// `core.865`: text, a dot and a number that counts up. Returns the position of the number.
    private func prefixOfNumberedName(_ start: Int, _ end: Int) -> Int? {
        var index = end
        while index > start, isDigit(index - 1) { index -= 1 }
        guard index < end, index > start + 1, bytes[index - 1] == UInt8(ascii: ".") else { return nil }
        var classes: ByteClass = []
        for position in start..<(index - 1) { classes.formUnion(byteClass(position)) }
        // The prefix must be text by itself, or the template would be read otherwise than the message.
        guard !classes.touches(.digit), word(from: start, to: index - 1, classes: classes).placeholder == nil else {
            return nil
        }
        return index
    }

    /// The name of a function (`init2(`, `strtol10(`) or of a key (`r24=0x0`, `temp1=21.5`): it belongs to the statement,
    /// up to two digits included; `task4711(` is called after its number.
    private func isFunctionOrKey(_ start: Int, _ end: Int) -> Bool {
        let letterCountMin: Int
        switch byte(end) {
        case UInt8(ascii: "("): letterCountMin = 3
        case UInt8(ascii: "="):
            // Nothing or another sign behind it is the padding of base64.
            if byteClass(end + 1) == .blank || byte(end + 1) == UInt8(ascii: "=") { return false }
            letterCountMin = 1
        case UInt8(ascii: ":"):
            // A class and its member: `Chip43xx::powerOn`.
            guard byte(end + 1) == UInt8(ascii: ":") else { return false }
            letterCountMin = 3
        default: return false
        }
        var digits = 0
        for index in start..<end where isDigit(index) { digits += 1 }
        return digits <= 2 && end - start - digits >= letterCountMin
    }

    /// `PT1H30M`, `P2DT4H` (ISO 8601 durations).
    private func isISODuration(_ start: Int, _ end: Int) -> Bool {
        guard byte(start) == UInt8(ascii: "P"), end - start >= 3, end - start <= 24 else { return false }
        var hasUnit = false
        for index in (start + 1)..<end {
            switch byte(index) {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."): hasUnit = false
            case UInt8(ascii: "T"): guard index == start + 1 || hasUnit else { return false }
            case UInt8(ascii: "Y"), UInt8(ascii: "M"), UInt8(ascii: "W"), UInt8(ascii: "D"), UInt8(ascii: "H"),
                UInt8(ascii: "S"):
                guard isDigit(index - 1) else { return false }
                hasUnit = true
            default: return false
            }
        }
        return hasUnit
    }

    /// A fingerprint in base64 after the name of its hash (`SHA256:nThbg6k…`, 43 bytes or more): slashes and plus signs
    /// belong to it.
    private func opaqueEnd(at start: Int) -> Int {
        guard start > 0, bytes[start - 1] == UInt8(ascii: ":") else { return 0 }
        let runEnd = endOfRun(of: [.word, .plus, .slash], from: start)
        return runEnd - start >= 43 ? runEnd : 0
    }

    /// Whether the digits of the name belong to it: each part between joiners that has any must say so. The last part is
    /// asked first, because that is where most names have a number that does not.
    private func keepsDigits(_ start: Int, _ end: Int) -> Bool {
        guard end - start <= 40 else { return false }
        var partEnd = end
        var index = end
        while index >= start {
            if index == start || classes[Int(bytes[index &- 1])].touches([.underscore, .joiner]) {
                if index < partEnd, !partKeepsDigits(index, partEnd), !isPackageVersion(index, partEnd, end - start) {
                    return false
                }
                partEnd = index &- 1
            }
            index &-= 1  // `start` is at least 0
        }
        return true
    }

    /// `v2` inside a longer name, as in `org.example.api.v2.Client`.
    private func isPackageVersion(_ start: Int, _ end: Int, _ nameByteCount: Int) -> Bool {
        byte(start) == UInt8(ascii: "v") && end - start <= 3 && isDigit(start + 1) && isDigit(end - 1)
            && nameByteCount > 8
    }

    /// Words in which one number stands between letters are names that people chose (`zigbee2mqtt`, `Base64Decoder`);
    /// identifiers made by machines change between letters and digits more often, or end in digits.
    private func partKeepsDigits(_ start: Int, _ end: Int) -> Bool {
        var index = start
        while index < end, isLetter(index) { index += 1 }
        let before = index - start
        while index < end, isDigit(index) { index += 1 }
        let digits = index - start - before
        if digits == 0 { return index == end }
        var hasPlainLetter = false
        while index < end, isLetter(index) {
            hasPlainLetter = hasPlainLetter || byteClass(index) == .plainLetter
            index += 1
        }
        let after = end - start - before - digits
        if index == end, before >= 2, after >= 3, digits <= 2, hasPlainLetter { return true }
        return kindsOfName(from: start, to: end).contains(.technology)
    }
}
