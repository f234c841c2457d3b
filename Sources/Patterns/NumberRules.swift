/// Numbers, and what their surroundings make of them: amounts with a unit, moments, identifiers, versions.
extension MessageReader {
    /// The digits `start..<digitsEnd` stand alone: nothing is joined to them.
    func integer(from start: Int, to digitsEnd: Int) -> MessagePart {
        if let amount = amountWithUnit(digitsEnd) { return amount }
        let previous = start > 0 ? bytes[start - 1] : UInt8(ascii: " ")
        // `#123` is how people and programs write a reference.
        if previous == UInt8(ascii: "#") { return .value(.id, to: digitsEnd) }
        // `sshd[1234]`, `item[3]`: the brackets hang on the thing they number.
        if previous == UInt8(ascii: "["), start > 1, byte(digitsEnd) == UInt8(ascii: "]"), isWord(start - 2) {
            return .value(.id, to: digitsEnd)
        }
        let count = digitsEnd - start
        // A register or address printed with a fixed width (`00100758`): its column shows letters on other days.
        if count == 8 || count == 16 || count == 32, isZero(start) {
            return .value(.hex, to: digitsEnd)
        }
        let context = kindsBefore(start)
        if isEpoch(start, count), context.contains(.timeKey) { return .value(.time, to: digitsEnd) }
        return .value(context.contains(.noun) ? .id : .num, to: digitsEnd)
    }

    /// A value that begins with a digit and is more than an integer between stops.
    func numberOrName(at start: Int, digitsEnd: Int, in chunk: MessageChunk) -> MessagePart {
        let name = nameRun(at: start, in: chunk)
        var groups = 1
        var end = digitsEnd
        while byte(end) == UInt8(ascii: "."), isDigit(end + 1) {
            groups += 1
            end = endOfRun(of: .digit, from: end + 1)
        }
        if !name.classes.touches([.letter, .underscore]) {
            // `1.2.3-4` as a whole; `2.5-3` is two numbers.
            if groups >= 3 { return .value(.version, to: name.end) }
            return groups == 1 ? integer(from: start, to: end) : decimal(from: start, to: end)
        }
        if groups >= 3 {
            // `1.24.0-1ubuntu2`, `2.0.0rc1`; but `82.68.222.194.dsl.example.org` is the name of a host.
            return byte(end) == UInt8(ascii: ".") ? self.name(at: start, name) : .value(.version, to: name.end)
        }
        if groups == 1, digitsEnd == start + 1, byte(digitsEnd) | 0x20 == UInt8(ascii: "x"), isZero(start) {
            let hexEnd = endOfRun(of: .hexDigit, from: digitsEnd + 1)
            if hexEnd > digitsEnd + 1, !isWord(hexEnd) { return .value(.hex, to: hexEnd) }
        }
        let exponent = exponentEnd(after: end)
        if exponent > 0 { return .value(.num, to: exponent) }
        if isLetter(end), let amount = amountWithGluedUnit(from: start, to: end, isDecimal: groups == 2) {
            return amount
        }
        if groups == 2, !isWord(end) { return decimal(from: start, to: end) }
        return self.name(at: start, name)
    }

    private func decimal(from start: Int, to end: Int) -> MessagePart {
        if let amount = amountWithUnit(end) { return amount }
        // `HTTP/1.1`, `Mozilla/5.0`: a product and its version (RFC 9110, section 10.1.5).
        if start > 1, bytes[start - 1] == UInt8(ascii: "/"), isWord(start - 2) { return .value(.version, to: end) }
        let whole = digitCount(at: start, max: 20)
        if isEpoch(start, whole), kindsBefore(start).contains(.timeKey) { return .value(.time, to: end) }
        return .value(.num, to: end)
    }

    /// Ten digits are seconds, 13 milliseconds, 16 and 19 micro- and nanoseconds since 1970, from 2001 to 2286.
    private func isEpoch(_ start: Int, _ count: Int) -> Bool {
        (count == 10 || count == 13 || count == 16 || count == 19) && !isZero(start)
    }

    /// `85%`, `30 ms`, `12 MB`: a number that ended at `end`, with its unit behind it.
    private func amountWithUnit(_ end: Int) -> MessagePart? {
        let next = byte(end)
        if next == UInt8(ascii: "%") { return isWord(end + 1) ? nil : .value(.num, to: end + 1) }
        guard next == UInt8(ascii: " ") else {
            // `30µs`: the sign is not ASCII, so the digits ended before it.
            return isMicroSign(end) && byte(end + 2) == UInt8(ascii: "s") && !isWord(end + 3)
                ? .value(.time, to: end) : nil
        }
        if isMicroSign(end + 1), byte(end + 3) == UInt8(ascii: "s"), !isWord(end + 4) { return .value(.time, to: end) }
        guard isLetter(end + 1) else { return nil }
        let unitEnd = endOfRun(of: .letter, from: end + 1)
        guard unitEnd - end <= 13, !isWord(unitEnd) else { return nil }
        let unit = kinds(from: end + 1, to: unitEnd)
        if unit.contains(.timeUnit) { return .value(.time, to: end) }
        // Programs scale sizes, so the unit varies with the value and belongs to it. The word `bytes` does not.
        guard unit.contains(.sizeUnit), unitEnd - end > 2 || byte(end + 1) == UInt8(ascii: "B") else { return nil }
        return .value(.size, to: unitEnd)
    }

    /// `U+00B5` or `U+03BC` in UTF-8.
    private func isMicroSign(_ index: Int) -> Bool {
        (byte(index) == 0xC2 && byte(index + 1) == 0xB5) || (byte(index) == 0xCE && byte(index + 1) == 0xBC)
    }

    /// `0.05s`, `4.5GiB`, `1h30m`, `230V`, `3rd`: letters directly after the number that ended at `end`.
    private func amountWithGluedUnit(from start: Int, to end: Int, isDecimal: Bool) -> MessagePart? {
        let unitEnd = endOfRun(of: .letter, from: end)
        guard unitEnd - end <= 12 else { return nil }
        // Nobody counts a hundred thousand days: `4178036d` is an address whose other digits happen to be decimal.
        if unitEnd - end == 1, end - start >= 6, byte(end) == UInt8(ascii: "d") { return nil }
        let unit = kinds(from: end, to: unitEnd)
        if isDigit(unitEnd) {
            guard unit.touches(.anyTimeUnit) else { return nil }
            let compound = compoundDurationEnd(at: start)
            return compound > 0 ? .value(.duration, to: compound) : nil
        }
        guard !isWord(unitEnd) else { return nil }
        if unit.touches(.gluedSizeUnit) {
            // `512M` and `10k`; a small `m`, `g` or `t` is something else.
            let letter = byte(end)
            if letter < UInt8(ascii: "a") || letter == UInt8(ascii: "k") { return .value(.size, to: unitEnd) }
        }
        if byte(end) == UInt8(ascii: "M"), unitEnd == end + 1 { return .value(.size, to: unitEnd) }
        // The unit of a time stays in the text: `Query took <TIME>s`.
        if unit.touches(.anyTimeUnit) { return .value(.time, to: end) }
        if unit.contains(.sizeUnit), unitEnd - end > 1 || byte(end) == UInt8(ascii: "B") {
            return .value(.size, to: unitEnd)
        }
        if unit.contains(.measure) { return .value(.num, to: end) }
        if unit.contains(.ordinal), !isDecimal { return .value(.num, to: unitEnd) }
        return isDecimal && isTemperature(end, unitEnd) ? .value(.num, to: end) : nil
    }

    /// One letter that is a unit only after a decimal, because after an integer it may be a hexadecimal digit: `48.3C`.
    private func isTemperature(_ start: Int, _ end: Int) -> Bool {
        end == start + 1
            && (byte(start) == UInt8(ascii: "C") || byte(start) == UInt8(ascii: "F")
                || byte(start) == UInt8(ascii: "A"))
    }

    /// After a placeholder: the end of the unit that stays literal (`<TIME>` + `ms`), or 0.
    func unitEnd(afterPlaceholder start: Int) -> Int {
        let end = endOfRun(of: .letter, from: start)
        guard end > start, end - start <= 12, !isWord(end) else { return 0 }
        let unit = kinds(from: start, to: end)
        return unit.touches(.anyTimeUnit) || unit.contains(.measure) || isTemperature(start, end) ? end : 0
    }

    /// `1h30m`, `2d4h`, `1m30.5s`: at least two numbers, each with a unit of time.
    private func compoundDurationEnd(at start: Int) -> Int {
        var next = start
        var pairs = 0
        while isDigit(next), pairs < 8 {
            next = endOfRun(of: .digit, from: next)
            if byte(next) == UInt8(ascii: "."), isDigit(next + 1) { next = endOfRun(of: .digit, from: next + 1) }
            let unitEnd = endOfRun(of: .letter, from: next)
            guard unitEnd > next, kinds(from: next, to: unitEnd).touches(.anyTimeUnit) else { return 0 }
            next = unitEnd
            pairs += 1
        }
        return pairs >= 2 && !isWord(next) ? next : 0
    }

    /// `e-05` after a number; 0 when there is none.
    private func exponentEnd(after index: Int) -> Int {
        guard byte(index) | 0x20 == UInt8(ascii: "e") else { return 0 }
        var next = index + 1
        if byte(next) == UInt8(ascii: "-") || byte(next) == UInt8(ascii: "+") { next += 1 }
        let count = digitCount(at: next, max: 4)
        guard count > 0, count < 4, !isWord(next + count) else { return 0 }
        return next + count
    }

    /// `-26`, `+0.5`, `-1.5e-05`, `-70dBm` (up to the unit); 0 when no number follows the sign.
    func signedNumberEnd(at start: Int) -> Int {
        guard isDigit(start + 1) else { return 0 }
        var next = endOfRun(of: .digit, from: start + 1)
        if byte(next) == UInt8(ascii: "."), isDigit(next + 1) { next = endOfRun(of: .digit, from: next + 1) }
        let exponent = exponentEnd(after: next)
        if exponent > 0 { return exponent }
        if isLetter(next) { return unitEnd(afterPlaceholder: next) > 0 ? next : 0 }
        if isWord(next) || (byteClass(next) == .joiner && isWord(next + 1)) { return 0 }
        return next
    }

    func signedNumber(at start: Int, end: Int) -> MessagePart {
        if let amount = amountWithUnit(end) { return amount }
        if isLetter(end), kinds(from: end, to: endOfRun(of: .letter, from: end)).touches(.anyTimeUnit) {
            return .value(.time, to: end)
        }
        return .value(.num, to: end)
    }

    /// The kinds of the word that introduces the value at `start`: `user 12`, `uid=12`, `"pid": 12`, `order_id: 12`.
    ///
    /// Reads backwards over at most four marks and one word; compound names count by their last part (`task_id`,
    /// `sessionId`), and a noun with `id` glued to it is one (`jobid`).
    func kindsBefore(_ start: Int) -> Vocabulary.Kinds {
        guard let word = wordBefore(start) else { return [] }
        let count = word.upperBound - word.lowerBound
        var found = kinds(from: word.lowerBound, to: word.upperBound)
        guard found.isDisjoint(with: [.noun, .timeKey]), count > 2 else { return found }
        let tail = bytes + word.upperBound
        if tail[-1] | 0x20 == UInt8(ascii: "d"), tail[-2] | 0x20 == UInt8(ascii: "i") {
            let isCamel = tail[-2] == UInt8(ascii: "I") && tail[-3] >= UInt8(ascii: "a")
            if isCamel || kinds(from: word.lowerBound, to: word.upperBound - 2).contains(.noun) { found.insert(.noun) }
        } else if count > 4, has("Time", at: word.upperBound - 4) || has("time", at: word.upperBound - 4) {
            found.insert(.timeKey)
        }
        return found
    }

    /// The ASCII word before `start`, with at most four of the marks between a name and its value in between.
    func wordBefore(_ start: Int) -> Range<Int>? {
        var index = start
        marks: while index > 0, start - index <= 4 {
            switch bytes[index - 1] {
            case UInt8(ascii: " "), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "\""), UInt8(ascii: "'"),
                UInt8(ascii: "["), UInt8(ascii: "#"):
                index -= 1
            case UInt8(ascii: "("):
                // `uid(0)` names; `device (0000 -> 0002)` begins a remark.
                guard index > 1, classes[Int(bytes[index - 2])].touches(.letter) else { break marks }
                index -= 1
            default: break marks
            }
        }
        guard index < start else { return nil }
        let end = index
        while index > 0, end - index <= Vocabulary.wordByteCountMax, classes[Int(bytes[index - 1])].touches(.letter) {
            index -= 1
        }
        return index < end ? index..<end : nil
    }
}

extension Vocabulary.Kinds {
    static let anyTimeUnit: Vocabulary.Kinds = [.timeUnit, .gluedTimeUnit]

    @inline(__always)
    func touches(_ other: Vocabulary.Kinds) -> Bool {
        rawValue & other.rawValue != 0
    }
}
