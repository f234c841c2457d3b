/// Numbers of cards and accounts, which carry a check digit: only a number that passes it, and that somebody could have
/// issued, is taken.
extension SecretReader {
    /// Bytes looked back for the beginning of a number in groups: the longest IBAN has 34 and eight blanks.
    private static var lookBackMax: Int { 48 }

    /// The card or account number, or access key, that the word of four at `position` belongs to.
    mutating func number(at position: Int) -> SecretFinding {
        guard position >= numbersDone, kind(position).touches(.capitalOrDigit) else { return .none }
        let first = startOfRun(of: .capitalOrDigit, before: position, max: Self.lookBackMax)
        let last = endOfRun(of: .capitalOrDigit, from: position, max: Self.lookBackMax)
        numbersDone = last
        if last - first >= 13 {
            if kind(first) == .digit { return card(at: first) }
            let found = accessKey(at: first, end: last)
            return found.isFound ? found : account(at: first)
        }
        // A group: four, or the six and five of American Express; with a neighbour.
        guard (4...6).contains(last - first), isGroup(last + 1, after: last) || isGroup(first - 2, after: first - 1)
        else {
            return .none
        }
        return groupedNumber(at: position)
    }

    /// The number in groups that one of its groups at `position` belongs to.
    private func groupedNumber(at position: Int) -> SecretFinding {
        // Back over groups, to the first that could begin a number.
        var start = position
        let limit = max(floor, position - Self.lookBackMax)
        while start > limit {
            if kind(start - 1).touches(.capitalOrDigit) {
                start -= 1
            } else if isGroupMark(start - 1), start - 2 >= limit, kind(start - 2).touches(.capitalOrDigit) {
                start -= 1
            } else {
                break
            }
        }
        while start <= position {
            let found = isDigit(start) ? card(at: start) : account(at: start)
            if found.isFound { return found }
            // To the next group.
            start = endOfRun(of: .capitalOrDigit, from: start, max: Self.lookBackMax)
            guard isGroupMark(start) else { break }
            start += 1
        }
        return .none
    }

    private func isGroup(_ index: Int, after mark: Int) -> Bool {
        isGroupMark(mark) && kind(index).touches(.capitalOrDigit)
    }

    /// The identifier of an AWS access key (IAM, "Unique identifiers"): four letters and 16 of base32's alphabet.
    private func accessKey(at first: Int, end last: Int) -> SecretFinding {
        guard last - first >= 20, first >= floor, !kind(last).touches(.word) else { return .none }
        let isKey = has("AKIA", at: first) || has("ASIA", at: first) || has("ABIA", at: first) || has("ACCA", at: first)
        return isKey ? finding(from: first, to: last) : .none
    }

    private func isGroupMark(_ index: Int) -> Bool {
        byte(index) == UInt8(ascii: " ") && index >= 0 && index < end || byte(index) == UInt8(ascii: "-")
    }

    /// Whether nothing before `start` makes the number part of a name, a path, a fraction or a longer number.
    private func mayBegin(_ start: Int) -> Bool {
        let before = kind(start - 1)
        if before.touches([.word, .dash, .highByte]) { return false }
        switch byte(start - 1) {
        case UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "#"), UInt8(ascii: "\\"), UInt8(ascii: "+"):
            return false
        default: return true
        }
    }

    private func mayEnd(_ finish: Int) -> Bool {
        let next = kind(finish)
        if next.touches([.word, .highByte]) { return false }
        switch byte(finish) {
        case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "/"):
            return !kind(finish + 1).touches(.word)
        default: return true
        }
    }

    // MARK: Cards

    /// 13 to 19 digits (ISO/IEC 7812-1), in one piece or as they are printed: 4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4.
    private func card(at start: Int) -> SecretFinding {
        guard mayBegin(start) else { return .none }
        let first = endOfRun(of: .digit, from: start, max: 20)
        if (13...19).contains(first - start) {
            return mayEnd(first) && isCard(from: start, to: first) ? finding(from: start, to: first) : .none
        }
        guard first - start == 4, isGroupMark(first) else { return .none }
        let mark = bytes[first]
        var groups = InlineArray<5, Int>(repeating: 0)
        var ends = InlineArray<5, Int>(repeating: 0)
        var count = 1
        groups[0] = 4
        ends[0] = first
        while count < 5, byte(ends[count - 1]) == mark {
            let groupEnd = endOfRun(of: .digit, from: ends[count - 1] + 1, max: 8)
            guard groupEnd > ends[count - 1] + 1 else { break }
            groups[count] = groupEnd - ends[count - 1] - 1
            ends[count] = groupEnd
            count += 1
        }
        if groups[1] == 4, groups[2] == 4, groups[3] == 4 {
            if groups[4] == 3, mayEnd(ends[4]), isCard(from: start, to: ends[4]) {
                return finding(from: start, to: ends[4])
            }
            // One of a row of numbers of four digits is no card.
            guard groups[4] != 4, !isFourDigitsBefore(start) else { return .none }
            return mayEnd(ends[3]) && isCard(from: start, to: ends[3]) ? finding(from: start, to: ends[3]) : .none
        }
        if groups[1] == 6, groups[2] == 5 || groups[2] == 4 {
            return mayEnd(ends[2]) && isCard(from: start, to: ends[2]) ? finding(from: start, to: ends[2]) : .none
        }
        return .none
    }

    private func isFourDigitsBefore(_ start: Int) -> Bool {
        guard isGroupMark(start - 1) else { return false }
        return startOfRun(of: .digit, before: start - 1, max: 5) == start - 5 && !kind(start - 6).touches(.word)
    }

    /// Whether the digits pass the check of ISO/IEC 7812-1 Annex B (Luhn) and begin as an issuer's do.
    private func isCard(from start: Int, to finish: Int) -> Bool {
        // Most numbers of this length are moments and identifiers, and begin as no card does.
        let prefix = leadingDigits(from: start)
        conditions.needDigits(from: start, to: start + 4)
        guard
            isIssued(prefix: prefix, count: 13) || isIssued(prefix: prefix, count: 14)
                || isIssued(prefix: prefix, count: 15) || isIssued(prefix: prefix, count: 16)
        else { return false }
        conditions.needDigits(from: start, to: finish)
        var sum = 0
        var count = 0
        var isAllSame = true
        var index = finish
        while index > start {
            index -= 1
            guard isDigit(index) else { continue }
            let digit = Int(bytes[index] & 0x0F)
            if bytes[index] != bytes[start] { isAllSame = false }
            let doubled = digit * 2
            sum += count % 2 == 0 ? digit : (doubled > 9 ? doubled - 9 : doubled)
            count += 1
        }
        return sum % 10 == 0 && !isAllSame && isIssued(prefix: prefix, count: count)
    }

    private func leadingDigits(from start: Int) -> Int {
        var value = 0
        for index in start..<(start + 4) { value = value * 10 + Int(bytes[index] & 0x0F) }
        return value
    }

    /// The ranges of the networks, by the first four digits and the length. Times since 1970 in milli-, micro- and
    /// nanoseconds have 13, 16 and 19 digits too: they begin with 1, which no network does.
    private func isIssued(prefix: Int, count: Int) -> Bool {
        switch prefix {
        case 4000...4999: count == 13 || count == 16 || count == 19  // Visa
        case 5100...5599, 2221...2720: count == 16  // Mastercard
        case 3400...3499, 3700...3799: count == 15  // American Express
        case 6011, 6440...6599: count >= 16  // Discover
        case 3000...3059, 3600...3699, 3800...3999: count == 14 || count == 16  // Diners Club
        case 3528...3589: count >= 16  // JCB
        case 6200...6299: count >= 16  // UnionPay
        case 2200...2204: count >= 16  // Mir
        case 5018, 5020, 5038, 5893, 6304, 6759, 6761...6763: true  // Maestro
        default: false
        }
    }

    // MARK: Accounts

    /// An IBAN (ISO 13616): country, two check digits and the account, in one piece or in groups of four.
    private func account(at start: Int) -> SecretFinding {
        guard kind(start + 1) == .upper, isDigit(start + 2), isDigit(start + 3), !kind(start - 1).touches(.word) else {
            return .none
        }
        let count = ibanByteCount(bytes[start], bytes[start + 1])
        guard count > 0 else { return .none }
        conditions.needAll()
        var index = start
        var seen = 0
        // A single pass: the remainder of the number that ISO 7064 makes of the text, with the first four at the end.
        var remainder = 0
        var tail = 0
        var tailFactor = 1
        let isGrouped = isGroupMark(start + 4)
        while seen < count {
            if isGrouped, seen > 0, seen % 4 == 0 {
                guard isGroupMark(index), bytes[index] == bytes[start + 4] else { return .none }
                index += 1
            }
            guard kind(index).touches(.capitalOrDigit) else { return .none }
            let byte = bytes[index]
            let value = kind(index) == .digit ? Int(byte & 0x0F) : Int(byte) - 55
            let factor = value > 9 ? 100 : 10
            if seen < 4 {
                tail = tail * factor + value
                tailFactor *= factor
            } else {
                remainder = (remainder * factor + value) % 97
            }
            seen += 1
            index += 1
        }
        guard (remainder * tailFactor + tail) % 97 == 1, !kind(index).touches([.word, .highByte]) else { return .none }
        return finding(from: start, to: index)
    }

    /// The length of a country's IBAN (SWIFT, IBAN Registry), 0 when it has none.
    private func ibanByteCount(_ first: UInt8, _ second: UInt8) -> Int {
        let table = Self.ibanCountries.utf8Start
        var index = 0
        while index < Self.ibanCountries.utf8CodeUnitCount {
            if table[index] == first, table[index + 1] == second {
                return Int(table[index + 2] & 0x0F) * 10 + Int(table[index + 3] & 0x0F)
            }
            index += 4
        }
        return 0
    }

    private static let ibanCountries: StaticString =
        """
        AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27\
        GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19\
        MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23\
        TN24TR26UA29VA22VG24XK20YE30
        """
}
