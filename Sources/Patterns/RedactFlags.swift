/// Secrets in XML elements, after flags of commands, and in quotes after a word of SQL.
extension SecretReader {
    /// `<password>…</password>`: the text after the `>` at `position`.
    func element(at position: Int) -> SecretFinding {
        let start = startOfRun(of: .run, before: position, max: 64)
        guard start < position, byte(start - 1) == UInt8(ascii: "<") || byte(start - 1) == UInt8(ascii: ":") else {
            return .none
        }
        switch SecretKeys.meaning(of: self, endingAt: position) {
        case .strong, .token, .unlessPath: break
        case .none, .opaque, .signature, .authorization, .cookie, .digest, .code, .wireless: return .none
        }
        conditions.needAll()
        guard markerEnd(at: position + 1) == 0 else { return .none }
        // Only when the element is closed: `<password>` also stands for a value in a usage text.
        var close = position + 1
        while close < end, bytes[close] != UInt8(ascii: "<") { close += 1 }
        guard byte(close + 1) == UInt8(ascii: "/"), !startsPrivateKey(position + 1) else { return .none }
        return finding(from: position + 1, to: close)
    }

    /// At a dash that follows a dash or a blank: a flag and its value, or the head of a private key.
    func dashed(at position: Int) -> SecretFinding {
        var start = bytes[position] == UInt8(ascii: "-") ? position : position + 1
        guard byte(start) == UInt8(ascii: "-") else { return .none }
        if startsPrivateKey(start) { return privateKey(at: start) }
        if byte(start + 1) == UInt8(ascii: "-") { start += 1 }
        start += 1
        let flagEnd = endOfRun(of: .run, from: start, max: 64)
        guard flagEnd > start, byte(start) != UInt8(ascii: "-") else { return .none }
        if flagEnd - start <= 2 || bytes[start] == UInt8(ascii: "p") {
            let found = shortFlag(at: start, end: flagEnd)
            if found.isFound { return found }
        }
        guard byte(flagEnd) == UInt8(ascii: " "), byte(flagEnd + 1) != UInt8(ascii: "-") else { return .none }
        let meaning = SecretKeys.meaning(of: self, endingAt: flagEnd)
        switch meaning {
        // A flag is no prose: what follows it is its value, whatever it looks like, unless a sentence is about the flag.
        case .strong, .token, .unlessPath:
            return value(at: flagEnd, of: meaning == .token ? .strong : meaning, isProse: true, name: flagEnd)
        case .none, .opaque, .signature, .authorization, .cookie, .digest, .code, .wireless: return .none
        }
    }

    /// `mysql -pX`, `sshpass -p X`, `curl -u user:X`: only after those programs, because elsewhere `-p` is a port.
    private func shortFlag(at start: Int, end flagEnd: Int) -> SecretFinding {
        switch bytes[start] {
        case UInt8(ascii: "p"):
            if flagEnd == start + 1, isBlank(flagEnd) {
                guard isCommand("sshpass", before: start) else { return .none }
                return value(at: flagEnd, of: .strong, isProse: false, name: flagEnd)
            }
            guard isCommand("mysql", before: start) || isCommand("mariadb", before: start) else { return .none }
            let isLong = SecretKeys.meaning(of: self, endingAt: flagEnd) != .none || hasWord("port", at: start)
            return isLong ? .none : value(at: start + 1, of: .strong, isProse: false, name: start)
        case UInt8(ascii: "u"):
            guard flagEnd == start + 1, byte(flagEnd) == UInt8(ascii: " "), isCommand("curl", before: start) else {
                return .none
            }
            var colon = flagEnd + 1
            while colon < min(end, flagEnd + 128), !isBlank(colon), bytes[colon] != UInt8(ascii: ":") { colon += 1 }
            guard byte(colon) == UInt8(ascii: ":") else { return .none }
            return value(at: colon + 1, of: .strong, isProse: false, name: colon)
        default: return .none
        }
    }

    private func isCommand(_ name: StaticString, before position: Int) -> Bool {
        for index in max(0, position - 128)..<position where hasWord(name, at: index) { return true }
        return false
    }

    /// `IDENTIFIED BY '…'`, `PASSWORD '…'`, `PASSWORD('…')`, `key "…"` of a wireless network: a quote right after the word.
    func quoted(at position: Int) -> SecretFinding {
        var wordEnd = position
        if byte(wordEnd - 1) == UInt8(ascii: "(") { wordEnd -= 1 }
        while wordEnd > 0, byte(wordEnd - 1) == UInt8(ascii: " "), position - wordEnd < 3 { wordEnd -= 1 }
        guard wordEnd < position, kind(wordEnd - 1).touches(.letter) else { return .none }
        switch bytes[wordEnd - 1] | 0x20 {
        case UInt8(ascii: "y"):
            if hasWord(" by", at: wordEnd - 3) {
                // MySQL: `IDENTIFIED [WITH plugin] BY`; Oracle, MariaDB: `IDENTIFIED BY`.
                for index in max(0, wordEnd - 80)..<(wordEnd - 3) where hasWord("identified", at: index) {
                    return value(at: position, of: .strong, isProse: false, name: wordEnd)
                }
                return .none
            }
        case UInt8(ascii: "d"), UInt8(ascii: "e"), UInt8(ascii: "k"): break
        default: return .none
        }
        let meaning = SecretKeys.meaning(of: self, endingAt: wordEnd)
        switch meaning {
        case .strong, .wireless: return value(at: position, of: meaning, isProse: false, name: wordEnd)
        case .none, .unlessPath, .token, .opaque, .signature, .authorization, .cookie, .digest, .code: return .none
        }
    }
}
