/// Points in time. All become <TIME> as a whole, zone and fraction included: no part of them tells two events apart.
extension MessageReader {
    /// A date, a date with a time, or a time of day, beginning with a digit at `start`.
    ///
    /// Forms: ISO 8601 / RFC 3339 (extended and basic), `2026-03-01 12:00:00,123`, `2026/03/01`, `01.03.2026`,
    /// `3/1/2026`, `01/Mar/2026:12:00:00 +0000`, `1 Mar 2026`, `2026-03-01-12.30.45.123456` (DB2), `12:00`, `12:00:00.5`.
    func timestampEnd(at start: Int) -> Int {
        let count = digitCount(at: start, max: 9)
        let dateEnd: Int
        switch count {
        case 1, 2:
            if byte(start + count) == UInt8(ascii: ":") { return clockEnd(at: start) }
            dateEnd = dayFirstDateEnd(at: start, dayCount: count)
        case 4: dateEnd = yearFirstDateEnd(at: start)
        case 8: return basicTimestampEnd(at: start)
        default: return 0
        }
        guard dateEnd > 0 else { return 0 }
        let end = clockAfterDate(at: dateEnd)
        return isWord(end) ? 0 : end
    }

    /// `1 Mar` or `01 March`: the only value that begins with an integer and a blank.
    @inline(__always)
    func isDayBeforeMonth(at start: Int, digitsEnd: Int) -> Bool {
        guard digitsEnd - start <= 2, byte(digitsEnd) == UInt8(ascii: " "), isLetter(digitsEnd + 1) else {
            return false
        }
        let wordEnd = endOfRun(of: .letter, from: digitsEnd + 1)
        return wordEnd - digitsEnd > 3 && kinds(from: digitsEnd + 1, to: wordEnd).contains(.month)
    }

    /// A date that begins with the name of a month or of a weekday: `Mar  1 12:00:00` (RFC 3164),
    /// `Wed Jun 29 14:44:35 2005` (asctime), `Wed, 29 Jun 2005 14:44:35 GMT` (RFC 9110), `March 1, 2026`.
    func namedDateEnd(at start: Int, wordEnd: Int) -> Int {
        let wordKinds = kinds(from: start, to: wordEnd)
        if wordKinds.contains(.month) { return monthFirstEnd(after: wordEnd) }
        guard wordKinds.contains(.weekday) else { return 0 }
        var next = wordEnd
        if byte(next) == UInt8(ascii: ",") { next += 1 }
        guard byte(next) == UInt8(ascii: " ") else { return 0 }
        next += 1
        if isDigit(next) {
            let end = timestampEnd(at: next)
            // A weekday and a bare time of day are two things (`Sun 12:00` stays readable as one, though).
            return end
        }
        let monthEnd = endOfRun(of: .letter, from: next)
        guard monthEnd - next >= 3, kinds(from: next, to: monthEnd).contains(.month) else { return 0 }
        return monthFirstEnd(after: monthEnd)
    }

    /// ` 1 12:00:00`, ` 29 14:44:35 2005`, ` 1, 2026` after a month's name; a lone day (`May 5 retries`) is no date.
    private func monthFirstEnd(after monthEnd: Int) -> Int {
        var next = monthEnd
        guard byte(next) == UInt8(ascii: " ") else { return 0 }
        next += byte(next + 1) == UInt8(ascii: " ") ? 2 : 1
        let dayCount = digitCount(at: next, max: 3)
        guard dayCount == 1 || dayCount == 2, isNumber(at: next, count: dayCount, in: 1...31) else { return 0 }
        next += dayCount
        if byte(next) == UInt8(ascii: ",") { next += 1 }
        guard byte(next) == UInt8(ascii: " ") else { return 0 }
        let clock = clockEnd(at: next + 1)
        if clock > 0 { return yearEnd(after: clock) ?? clock }
        guard let year = yearEnd(after: next) else { return 0 }
        let end = clockAfterDate(at: year)
        return isWord(end) ? 0 : end
    }

    /// ` 2005` after a time: only a plausible year, so that `12:00:00 4711 rows` keeps its number.
    private func yearEnd(after index: Int) -> Int? {
        guard byte(index) == UInt8(ascii: " "), digitCount(at: index + 1, max: 5) == 4, !isWord(index + 5) else {
            return nil
        }
        return isNumber(at: index + 1, count: 2, in: 19...20) ? index + 5 : nil
    }

    private func yearFirstDateEnd(at start: Int) -> Int {
        let separator = byte(start + 4)
        guard separator == UInt8(ascii: "-") || separator == UInt8(ascii: "/") || separator == UInt8(ascii: ".") else {
            return 0
        }
        if isLetter(start + 5) {
            guard byte(start + 8) == separator, kinds(from: start + 5, to: start + 8).contains(.month),
                digitCount(at: start + 9, max: 3) == 2
            else { return 0 }
            return start + 11
        }
        // One digit only between slashes: `2026.3.1` is a version, `2026-3-1` as likely three numbers.
        let monthCount = digitCount(at: start + 5, max: 3)
        let dayStart = start + 6 + monthCount
        let dayCount = digitCount(at: dayStart, max: 3)
        guard (1...2).contains(monthCount), (1...2).contains(dayCount), byte(dayStart - 1) == separator,
            (monthCount == 2 && dayCount == 2) || separator == UInt8(ascii: "/"),
            isNumber(at: start + 5, count: monthCount, in: Self.months),
            isNumber(at: dayStart, count: dayCount, in: Self.days)
        else { return 0 }
        return dayStart + dayCount
    }

    private func dayFirstDateEnd(at start: Int, dayCount: Int) -> Int {
        let separator = byte(start + dayCount)
        let next = start + dayCount + 1
        let isSlash = separator == UInt8(ascii: "/")
        let isSpaced = separator == UInt8(ascii: " ")
        guard isSlash || isSpaced || separator == UInt8(ascii: "-") || separator == UInt8(ascii: ".") else { return 0 }
        if isLetter(next) {
            let monthEnd = endOfRun(of: .letter, from: next)
            guard isNumber(at: start, count: dayCount, in: Self.days), monthEnd - next >= 3, monthEnd - next <= 9,
                kinds(from: next, to: monthEnd).contains(.month)
            else { return 0 }
            // `1 Mar 12:00:00 - [info]` (Node-RED's console) has no year.
            if isSpaced, clockEnd(at: monthEnd + 1) > 0, byte(monthEnd) == separator { return monthEnd }
            guard byte(monthEnd) == separator, digitCount(at: monthEnd + 1, max: 5) == 4 else { return 0 }
            return monthEnd + 5
        }
        guard !isSpaced else { return 0 }
        let secondCount = digitCount(at: next, max: 3)
        guard secondCount == 1 || secondCount == 2, byte(next + secondCount) == separator else { return 0 }
        guard isNumber(at: start, count: dayCount, in: Self.days),
            isNumber(at: next, count: secondCount, in: Self.days),
            isNumber(at: start, count: dayCount, in: Self.months)
                || isNumber(at: next, count: secondCount, in: Self.months)
        else { return 0 }
        let yearStart = next + secondCount + 1
        let yearCount = digitCount(at: yearStart, max: 5)
        // Two digits of a year only between slashes: `1.2.26` is a version.
        guard yearCount == 4 || (yearCount == 2 && isSlash && secondCount == 2) else { return 0 }
        return yearStart + yearCount
    }

    private static let months = 1...12
    private static let days = 1...31

    /// `20260301T120000Z` and `20260301-120000`. Eight digits alone may be any number.
    private func basicTimestampEnd(at start: Int) -> Int {
        guard isNumber(at: start, count: 2, in: 19...20), isNumber(at: start + 4, count: 2, in: Self.months),
            isNumber(at: start + 6, count: 2, in: Self.days)
        else { return 0 }
        let separator = byte(start + 8)
        guard separator == UInt8(ascii: "T") || separator == UInt8(ascii: "-") || separator == UInt8(ascii: "_"),
            digitCount(at: start + 9, max: 7) == 6
        else { return 0 }
        let end = zoneEnd(after: fractionEnd(after: start + 15))
        return isWord(end) ? 0 : end
    }

    /// The time of day that belongs to a date that ended at `dateEnd`, or `dateEnd`.
    private func clockAfterDate(at dateEnd: Int) -> Int {
        var next = dateEnd
        switch byte(next) {
        case UInt8(ascii: "T"), UInt8(ascii: "t"), UInt8(ascii: " "), UInt8(ascii: ":"): next += 1
        case UInt8(ascii: ","):
            guard byte(next + 1) == UInt8(ascii: " ") else { return dateEnd }
            next += 2
        case UInt8(ascii: "-"):
            guard digitCount(at: next + 1, max: 3) == 2, byte(next + 3) == UInt8(ascii: "."),
                digitCount(at: next + 4, max: 3) == 2, byte(next + 6) == UInt8(ascii: "."),
                digitCount(at: next + 7, max: 3) == 2
            else { return dateEnd }
            return fractionEnd(after: next + 9)
        default: return dateEnd
        }
        let end = clockEnd(at: next)
        return end > 0 ? end : dateEnd
    }

    /// `12:00`, `12:00:00`, `12:00:00.123456`, `12:00:00,123`, each with an optional zone.
    func clockEnd(at start: Int) -> Int {
        let hourCount = digitCount(at: start, max: 3)
        guard hourCount == 1 || hourCount == 2, byte(start + hourCount) == UInt8(ascii: ":"),
            isNumber(at: start, count: hourCount, in: 0...24)
        else { return 0 }
        var next = start + hourCount + 1
        guard digitCount(at: next, max: 3) == 2, isNumber(at: next, count: 2, in: 0...59) else { return 0 }
        next += 2
        if byte(next) == UInt8(ascii: ":"), isDigit(next + 1) {
            // 60 is a leap second.
            guard digitCount(at: next + 1, max: 3) == 2, isNumber(at: next + 1, count: 2, in: 0...60) else { return 0 }
            next = fractionEnd(after: next + 3)
        } else if hourCount == 1 {
            // `1:30` is as likely a ratio.
            return 0
        }
        let end = zoneEnd(after: next)
        // More of the same (`00:11:22:33:44:55`) is an address.
        if isWord(end) || (byte(end) == UInt8(ascii: ":") && isWord(end + 1)) { return 0 }
        return end
    }

    /// `.5`, `.123456789` or `,123`; a comma needs three digits, because commas also part lists.
    private func fractionEnd(after index: Int) -> Int {
        let mark = byte(index)
        let count = digitCount(at: index + 1, max: 10)
        if mark == UInt8(ascii: "."), (1...9).contains(count) { return index + 1 + count }
        if mark == UInt8(ascii: ","), count == 3 || count == 6 || count == 9 { return index + 1 + count }
        return index
    }

    /// `Z`, `+01:00`, ` +0100`, ` UTC`, ` PM`, or nothing.
    private func zoneEnd(after index: Int) -> Int {
        var next = index
        if byte(next) == UInt8(ascii: "Z") || byte(next) == UInt8(ascii: "z") {
            return isWord(next + 1) ? index : next + 1
        }
        let isSpaced = byte(next) == UInt8(ascii: " ")
        if isSpaced { next += 1 }
        if byte(next) == UInt8(ascii: "+") || byte(next) == UInt8(ascii: "-") {
            let count = digitCount(at: next + 1, max: 5)
            var end = index
            if count == 4 { end = next + 5 }
            if count == 2, byte(next + 3) == UInt8(ascii: ":"), digitCount(at: next + 4, max: 3) == 2 { end = next + 6 }
            if count == 2, !isSpaced { end = max(end, next + 3) }
            return isWord(end) ? index : end
        }
        guard isSpaced, isLetter(next) else { return index }
        let wordEnd = endOfRun(of: .letter, from: next)
        guard !isWord(wordEnd), wordEnd - next <= 4, byte(next) < UInt8(ascii: "a") else { return index }
        if wordEnd - next == 2, byte(next) == UInt8(ascii: "A") || byte(next) == UInt8(ascii: "P"),
            byte(next + 1) == UInt8(ascii: "M")
        {
            return wordEnd
        }
        return kinds(from: next, to: wordEnd).contains(.zone) ? wordEnd : index
    }

    /// The kernel's `[12345.678901]`, from the bracket on; returns the position of the closing bracket (printk pads the
    /// seconds with blanks and prints six digits of fraction).
    func kernelTimeEnd(at bracket: Int) -> Int {
        var next = bracket + 1
        while next < bracket + 8, byte(next) == UInt8(ascii: " ") { next += 1 }
        let count = digitCount(at: next, max: 9)
        guard count > 0, byte(next + count) == UInt8(ascii: "."), digitCount(at: next + count + 1, max: 7) == 6,
            byte(next + count + 7) == UInt8(ascii: "]")
        else { return 0 }
        return next + count + 7
    }
}
