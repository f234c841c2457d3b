/// Secrets by the name before them: `password=…`, `"token": "…"`, `--api-key …`, `IDENTIFIED BY '…'`.
extension SecretReader {
    /// Whether the mark at `position` needs a rule at all: its neighbours turn most away.
    @inline(__always)
    func mayMatter(_ position: Int) -> Bool {
        switch bytes[position] {
        case UInt8(ascii: "="): return mayFollowName(position)
        case UInt8(ascii: ":"):
            let next = byte(position + 1)
            return next == UInt8(ascii: "/") || next == UInt8(ascii: "A") || mayFollowName(position)
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            let before = byte(position - 1)
            return before == UInt8(ascii: " ") || before == UInt8(ascii: "(")
        case UInt8(ascii: "B"):
            let next = kind(position + 1)
            return next.touches(.capitalOrDigit) || byte(position + 1) == UInt8(ascii: "e")
                || byte(position + 1) == UInt8(ascii: "a")
        case UInt8(ascii: ">"): return position >= 3 && SecretKeys.mayEndName(self, position)
        case UInt8(ascii: " "), UInt8(ascii: "("), UInt8(ascii: ","): return !isBlank(position + 2)
        case UInt8(ascii: ";"), UInt8(ascii: "<"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "&"): return false
        case UInt8(ascii: "@"), UInt8(ascii: "-"): return true
        default: return mayBeNumber(position)
        }
    }

    /// Whether the word of four at `position` is part of a longer run, or has a group beside it: what `number(at:)` asks.
    @inline(__always)
    private func mayBeNumber(_ position: Int) -> Bool {
        if kind(position - 1).touches(.capitalOrDigit) || kind(position + 4).touches(.capitalOrDigit) { return true }
        let after = byte(position + 4)
        if after == UInt8(ascii: " ") || after == UInt8(ascii: "-") {
            if kind(position + 5).touches(.capitalOrDigit) { return true }
        }
        let before = byte(position - 1)
        return (before == UInt8(ascii: " ") || before == UInt8(ascii: "-"))
            && kind(position - 2).touches(.capitalOrDigit)
    }

    @inline(__always)
    private func mayFollowName(_ position: Int) -> Bool {
        guard position >= 3 else { return false }
        let before = kinds[Int(bytes[position - 1])]
        if before.touches(.letter) { return SecretKeys.mayEndName(self, position) }
        // A quote, a bracket or a blank may stand between, or a number belong to the name.
        if before == .digit { return bytes[position] == UInt8(ascii: "=") }
        return !before.touches([.run, .highByte])
    }

    /// What the mark at `position` (see `SecretTriggers`) is part of.
    mutating func finding(at position: Int) -> SecretFinding {
        switch bytes[position] {
        case UInt8(ascii: "="), UInt8(ascii: ":"):
            return separated(at: position)
        case UInt8(ascii: "@"):
            return position >= addressesDone ? email(at: position) : .none
        case UInt8(ascii: ">"):
            return element(at: position)
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            return quoted(at: position)
        case UInt8(ascii: "-"), UInt8(ascii: " "), UInt8(ascii: "("), UInt8(ascii: ","):
            return dashed(at: position)
        case UInt8(ascii: "B"):
            let found = schemed(at: position)
            return found.isFound ? found : number(at: position)
        default:
            return number(at: position)
        }
    }

    // MARK: Name, separator, value

    /// The value after the `:` or `=` at `separator`, when a name before it says that it is secret.
    private mutating func separated(at separator: Int) -> SecretFinding {
        let isColon = bytes[separator] == UInt8(ascii: ":")
        if isColon {
            if byte(separator + 1) == UInt8(ascii: "/"), byte(separator + 2) == UInt8(ascii: "/") {
                return url(at: separator)
            }
            if byte(separator + 1) == UInt8(ascii: "A"), isDigit(separator - 1) {
                let bot = telegramToken(at: separator)
                if bot.isFound { return bot }
            }
        }
        let name = nameEnd(before: separator)
        let meaning = SecretKeys.meaning(of: self, endingAt: name)
        guard meaning != .none else { return .none }
        var start = separator + 1
        // `=>` (Ruby, PHP), `==`, `:=`
        if byte(start) == UInt8(ascii: ">") || byte(start) == UInt8(ascii: "=") { start += 1 }
        let isProse = isColon && isBlank(start) && name == separator
        return value(at: start, of: meaning, isProse: isProse, name: name)
    }

    /// Where the name ends whose separator stands at `separator`: before a blank or two, a quote, a bracket.
    private func nameEnd(before separator: Int) -> Int {
        var index = separator
        if byte(index - 1) == UInt8(ascii: ":") { index -= 1 }
        var blanks = 0
        while blanks < 2, byte(index - 1) == UInt8(ascii: " "), index > 0 {
            index -= 1
            blanks += 1
        }
        // `user[password]=`, `"user[password]"=>`, `user['password']=`
        index = beforeQuote(index)
        if byte(index - 1) == UInt8(ascii: "]") { index = beforeQuote(index - 1) }
        // `password2=`
        if bytes[separator] == UInt8(ascii: "="), isDigit(index - 1) {
            index = startOfRun(of: .digit, before: index, max: 2)
        }
        return max(index, 0)
    }

    /// The position of the quote that ends before `position`, or of the backslashes before it; `position` when none does.
    private func beforeQuote(_ position: Int) -> Int {
        guard isQuote(position - 1) else { return position }
        var index = position - 1
        while index > position - 5, byte(index - 1) == UInt8(ascii: "\\") { index -= 1 }
        return index
    }

    /// The secret in the value that begins at or after `position`. `isProse`: what stands before could be a sentence and
    /// a colon. `name` is where the name ends.
    func value(at position: Int, of meaning: SecretKeys.Meaning, isProse: Bool, name: Int) -> SecretFinding {
        conditions.needAll()
        var start = position
        // A value may stand in a column; 64 blanks are a wide one. It does not stand in another line.
        let limit = min(end, start + 64)
        while start < limit, bytes[start] == UInt8(ascii: " ") || bytes[start] == UInt8(ascii: "\t") { start += 1 }
        guard start < end, !startsPrivateKey(start) else { return .none }
        if meaning == .authorization, bytes[start] != UInt8(ascii: "[") {
            return credentials(from: start, isProse: isProse)
        }

        var extent = start..<start
        var isQuoted = false
        let quote = openingQuote(at: start)
        if quote.end > 0 {
            extent = quote.end..<quoteEnd(from: quote.end, mark: bytes[quote.end - 1], escapes: quote.escapes)
            isQuoted = true
            guard !startsPrivateKey(extent.lowerBound) else { return .none }
        } else if bytes[start] == UInt8(ascii: "[") {
            // `"network_key": [1, 3, 5]`, `map[Authorization:[Bearer x]]`
            guard Self.isPlain(meaning) else { return .none }
            extent = (start + 1)..<bracketEnd(from: start + 1)
            isQuoted = true
        } else if bytes[start] == UInt8(ascii: "{") || bytes[start] == UInt8(ascii: "(") {
            // An object: its own names decide. `${NAME}` begins otherwise.
            return .none
        }
        if meaning == .cookie { return cookies(from: start, in: extent, isQuoted: isQuoted) }
        if !isQuoted {
            let first = valueEnd(from: start, max: Self.judgedByteCountMax)
            start = isScheme(from: start, to: first) ? endOfSchemeBlanks(first) : start
            extent = start..<valueEnd(from: start, max: Self.judgedByteCountMax)
        }
        guard !extent.isEmpty, !isHarmless(extent, isProse: isProse && !isQuoted) else { return .none }
        guard isSecret(extent, meaning: meaning, isProse: isProse, isQuoted: isQuoted, name: name) else { return .none }
        let finish = isQuoted ? extent.upperBound : beforeSeparator(valueEnd(from: start))
        return finding(from: extent.lowerBound, to: finish)
    }

    /// Where a value without quotes ends that is itself the name of the next one: `password: db_password: x`. Its colon is left, so that
    /// what follows is found too.
    private func beforeSeparator(_ finish: Int) -> Int {
        byte(finish - 1) == UInt8(ascii: ":") && SecretKeys.meaning(of: self, endingAt: finish - 1) != .none
            ? finish - 1 : finish
    }

    /// Bytes of a value that are looked at to decide about it: a hostile message of names without values would else be
    /// read once for each of them.
    private static var judgedByteCountMax: Int { 512 }

    /// Meanings under which a list of values is secret as a whole.
    private static func isPlain(_ meaning: SecretKeys.Meaning) -> Bool {
        switch meaning {
        case .strong, .unlessPath, .token, .authorization, .cookie: true
        case .none, .opaque, .signature, .digest, .code, .wireless: false
        }
    }

    private func isSecret(
        _ extent: Range<Int>,
        meaning: SecretKeys.Meaning,
        isProse: Bool,
        isQuoted: Bool,
        name: Int
    ) -> Bool {
        switch meaning {
        case .none: return false
        case .strong, .authorization, .cookie: return !isProgramTag(extent, name: name)
        case .unlessPath: return !isPath(extent)
        case .token:
            // Not of `pass`, which has the same meaning: people choose short passwords.
            if !isQuoted, hasWord("token", at: name - 5), isHandle(extent) { return false }
            return !isProse || isQuoted || looksMade(extent, byteCountMin: 8)
        case .opaque: return looksMade(extent, byteCountMin: 8)
        case .signature: return looksMade(extent, byteCountMin: 16)
        case .digest:
            // MD5 and SHA-256 in hexadecimal (RFC 7616 section 3.4.1); `response=200` is something else.
            return isQuoted && extent.count >= 32
                && endOfRun(of: .alphanumeric, from: extent.lowerBound) >= extent.upperBound
        case .code:
            return (4...10).contains(extent.count) && endOfRun(of: .digit, from: extent.lowerBound) == extent.upperBound
        case .wireless: return speaksOfWireless(before: name)
        }
    }

    /// `pam_unix(passwd:chauthtok)` and `passwd: password changed for …`: the name of a program.
    private func isProgramTag(_ extent: Range<Int>, name: Int) -> Bool {
        guard hasWord("passwd", at: name - 6) else { return false }
        if byte(name - 7) == UInt8(ascii: "("), byte(name) == UInt8(ascii: ":") {
            // The four kinds of a PAM service, pam.conf(5).
            return hasWord("auth)", at: extent.lowerBound) || hasWord("account)", at: extent.lowerBound)
                || hasWord("session)", at: extent.lowerBound) || hasWord("chauthtok)", at: extent.lowerBound)
                || hasWord("setcred)", at: extent.lowerBound)
        }
        return startOfRun(of: .blank, before: name - 6, max: 64) == 0
            && (hasWord("password ", at: extent.lowerBound) || hasWord("pam_", at: extent.lowerBound))
    }

    /// `token=Token{a64f992 …`, `token=a64f992`: an object printed with its type, or its address in a process. Tokens that
    /// open a door have at least 64 bits, hence 16 hexadecimal digits (OWASP, Session Management Cheat Sheet).
    private func isHandle(_ extent: Range<Int>) -> Bool {
        let start = extent.lowerBound
        let typeEnd = endOfRun(of: .letter, from: start, max: 64)
        if kind(start) == .upper, typeEnd - start >= 2, typeEnd < extent.upperBound, bytes[typeEnd] == UInt8(ascii: "{")
        {
            return true
        }
        guard extent.count < 16 else { return false }
        var found: Kind = []
        for index in extent {
            let kind = kind(index)
            guard kind == .digit || kind == .lower && bytes[index] <= UInt8(ascii: "f") else { return false }
            found.formUnion(kind)
        }
        return found == [.digit, .lower]
    }

    private func isPath(_ extent: Range<Int>) -> Bool {
        let start = extent.lowerBound
        switch byte(start) {
        case UInt8(ascii: "/"): return true
        case UInt8(ascii: "~"), UInt8(ascii: "."): return byte(start + 1) == UInt8(ascii: "/")
        default: return byte(start + 1) == UInt8(ascii: ":") && byte(start + 2) == UInt8(ascii: "\\")
        }
    }

    /// Whether the bytes look made by a machine: only those of tokens, letters and digits both (or, at 20 bytes, capitals
    /// among small letters), and enough of them.
    func looksMade(_ extent: Range<Int>, byteCountMin: Int) -> Bool {
        guard extent.count >= byteCountMin else { return false }
        var found: Kind = []
        for index in extent {
            let kind = kind(index)
            // Percent signs: the value may be encoded for a URL.
            guard kind.touches(.token68) || bytes[index] == UInt8(ascii: "%") else { return false }
            found.formUnion(kind)
        }
        return found.touches(.letter) && found.touches(.digit) || extent.count >= 20 && found.isSuperset(of: .letter)
    }

    /// Whether a name of wireless networking stands at most 96 bytes before `position`.
    private func speaksOfWireless(before position: Int) -> Bool {
        for index in max(0, position - 96)..<max(0, position) {
            switch bytes[index] | 0x20 {
            case UInt8(ascii: "s"):
                if hasWord("ssid", at: index) { return true }
            case UInt8(ascii: "w"):
                if hasWord("wifi", at: index) || hasWord("wlan", at: index) || hasWord("wpa", at: index)
                    || hasWord("wep", at: index)
                {
                    return true
                }
            default: continue
            }
        }
        return false
    }

    // MARK: Headers

    /// What follows `Authorization:`. The scheme stays: it says which program is at fault.
    private func credentials(from start: Int, isProse: Bool) -> SecretFinding {
        let quote = openingQuote(at: start)
        let isQuoted = quote.end > 0
        let first = isQuoted ? quote.end : start
        let close = isQuoted ? quoteEnd(from: first, mark: bytes[first - 1], escapes: quote.escapes) : end
        let wordEnd = isQuoted ? min(close, endOfRun(of: .run, from: first)) : valueEnd(from: first)
        if isScheme(from: first, to: wordEnd), endOfSchemeBlanks(wordEnd) < close {
            let rest = endOfSchemeBlanks(wordEnd)
            guard !startsPrivateKey(rest) else { return .none }
            // Schemes with parameters go to the end of the line; the others have one word (RFC 9110 section 11.4).
            let limit =
                if isQuoted { close } else if hasParameters(from: first, to: wordEnd) { lineEnd(from: rest) } else {
                    beforeSeparator(valueEnd(from: rest))
                }
            guard limit > rest, !isHarmless(rest..<limit, isProse: isProse) else { return .none }
            return finding(from: rest, to: limit)
        }
        let whole = first..<(isQuoted ? close : wordEnd)
        guard !whole.isEmpty, !isHarmless(whole, isProse: isProse && !isQuoted) else { return .none }
        // `Authorization: required` is no credential.
        guard isQuoted || !isProse || looksMade(whole, byteCountMin: 8) else { return .none }
        return finding(from: whole.lowerBound, to: whole.upperBound)
    }

    /// Authentication schemes (IANA's HTTP Authentication Scheme Registry, and the unregistered ones that are in use).
    private func isScheme(from start: Int, to finish: Int) -> Bool {
        guard (3...18).contains(finish - start), byte(finish) == UInt8(ascii: " "), !isBlank(endOfSchemeBlanks(finish))
        else { return false }
        return isWord("bearer", from: start, to: finish) || isWord("basic", from: start, to: finish)
            || isWord("token", from: start, to: finish) || isWord("apikey", from: start, to: finish)
            || isWord("negotiate", from: start, to: finish) || isWord("ntlm", from: start, to: finish)
            || isWord("bot", from: start, to: finish) || isWord("splunk", from: start, to: finish)
            || isWord("dpop", from: start, to: finish) || isWord("sharedkey", from: start, to: finish)
            || isWord("key", from: start, to: finish) || hasParameters(from: start, to: finish)
    }

    private func hasParameters(from start: Int, to finish: Int) -> Bool {
        isWord("digest", from: start, to: finish) || isWord("hawk", from: start, to: finish)
            || isWord("oauth", from: start, to: finish) || isWord("aws4-hmac-sha256", from: start, to: finish)
            || isWord("hoba", from: start, to: finish) || isWord("mutual", from: start, to: finish)
    }

    private func endOfSchemeBlanks(_ position: Int) -> Int {
        var index = position
        while index < min(end, position + 8), bytes[index] == UInt8(ascii: " ") { index += 1 }
        return index
    }

    /// A cookie header is secret to the end of the line; which of its cookies carries the session cannot be known.
    private func cookies(from start: Int, in extent: Range<Int>, isQuoted: Bool) -> SecretFinding {
        let first = isQuoted ? extent.lowerBound : start
        for index in first..<min(first + 256, isQuoted ? extent.upperBound : end)
        where bytes[index] == UInt8(ascii: "=") {
            let finish = isQuoted ? extent.upperBound : lineEnd(from: start)
            // The sign may stand in the next line.
            return index < finish ? finding(from: first, to: finish) : .none
        }
        let word = isQuoted ? extent : start..<valueEnd(from: start, max: Self.judgedByteCountMax)
        return looksMade(word, byteCountMin: 8) ? finding(from: word.lowerBound, to: word.upperBound) : .none
    }

    /// The end of the line, or a quote before it that closes what was opened before the header (`-H "Cookie: …"`).
    private func lineEnd(from start: Int) -> Int {
        var index = start
        while index < end {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") { return index }
            if isQuote(index), index > start, bytes[index - 1] != UInt8(ascii: "="), closesOuterQuote(index) {
                return index
            }
            index += 1
        }
        return end
    }

    /// Whether the quote at `index` is followed by the end or a blank, and was not opened by a parameter (`realm="x"`).
    private func closesOuterQuote(_ index: Int) -> Bool {
        guard isBlank(index + 1) else { return false }
        var back = index
        let limit = max(floor, index - 256)
        while back > limit {
            back -= 1
            if bytes[back] == bytes[index] { return byte(back - 1) != UInt8(ascii: "=") }
        }
        return true
    }
}
