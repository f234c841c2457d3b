/// Credentials in URLs, and the addresses of people.
extension SecretReader {
    /// The password in `scheme://user:password@host` (RFC 3986 section 3.2.1), whose `://` stands at `colon`. User and host
    /// stay: they say which account failed.
    mutating func url(at colon: Int) -> SecretFinding {
        let start = colon + 3
        // A userinfo longer than this is not one; a hostile message of nothing but `://` would else be read once for each.
        let limit = min(end, start + 1024)
        var index = start
        var firstColon = 0
        var at = 0
        while index < limit {
            let byte = bytes[index]
            if kinds[Int(byte)] == .blank || isQuote(index) { break }
            if byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") {
                // In a password nobody encoded; after a port or a host it ends what can hold one.
                guard firstColon > 0, at == 0 && !isPort(from: firstColon + 1, to: index) || at > 0 && at == index - 1
                else { break }
            }
            if byte == UInt8(ascii: ":"), firstColon == 0, at == 0 { firstColon = index }
            if byte == UInt8(ascii: "@") { at = index }
            index += 1
        }
        guard at > 0 else { return webhook(from: start) }
        conditions.needAll()
        addressesDone = max(addressesDone, endOfRun(of: .token68, from: at + 1, max: 256))
        if firstColon > 0 {
            let extent = (firstColon + 1)..<at
            return extent.isEmpty || isHarmless(extent, isProse: false) ? .none : finding(from: firstColon + 1, to: at)
        }
        // A token in the place of the user, as for Git over HTTPS; a name alone is no secret.
        return looksMade(start..<at, byteCountMin: 16) && !isName(start..<at) ? finding(from: start, to: at) : .none
    }

    /// Whether people chose the words: letters, with a number of up to four digits after them at most (`sparkDriver`,
    /// `backup-node-12`).
    private func isName(_ extent: Range<Int>) -> Bool {
        var index = extent.lowerBound
        while index < extent.upperBound {
            let lettersEnd = min(endOfRun(of: .letter, from: index), extent.upperBound)
            let digitsEnd = min(endOfRun(of: .digit, from: lettersEnd), extent.upperBound)
            guard digitsEnd - lettersEnd <= 4, digitsEnd > index else { return false }
            guard digitsEnd < extent.upperBound else { return true }
            guard kind(digitsEnd).touches([.dash, .underscore]) || bytes[digitsEnd] == UInt8(ascii: ".") else {
                return false
            }
            index = digitsEnd + 1
        }
        return false
    }

    private func isPort(from start: Int, to finish: Int) -> Bool {
        finish - start <= 5 && endOfRun(of: .digit, from: start, max: 6) == finish
    }

    /// URLs that are a secret by themselves: whoever knows them may post. Slack: `hooks.slack.com/services/T…/B…/…`;
    /// Discord: `/api/webhooks/ID/…`.
    private func webhook(from start: Int) -> SecretFinding {
        let path: Int
        if has("hooks.slack.com/services/", at: start) {
            path = start + 25
        } else if has("discord.com/api/webhooks/", at: start) {
            path = start + 25
        } else {
            return .none
        }
        return finding(from: path, to: endOfRun(of: .token68, from: path))
    }

    /// The mail address around the `@` at `position` (RFC 5321 section 4.1.2, without quoted local parts).
    func email(at position: Int) -> SecretFinding {
        var start = position
        while start > max(floor, position - 256), isLocalPart(start - 1) { start -= 1 }
        while start < position, bytes[start] == UInt8(ascii: ".") { start += 1 }
        guard start < position, start > floor || start == floor else { return .none }
        let domain: Kind = [.alphanumeric, .dash, .highByte]
        var finish = position + 1
        var labelStart = finish
        var labels = 0
        while finish < min(end, position + 256) {
            let labelEnd = endOfRun(of: domain, from: finish)
            guard labelEnd > finish else { break }
            labels += 1
            labelStart = finish
            finish = labelEnd
            guard byte(finish) == UInt8(ascii: "."), kind(finish + 1).touches(domain) else { break }
            finish += 1
        }
        if labels >= 2, byte(finish - 1) == UInt8(ascii: ".") { finish -= 1 }
        guard labels >= 2, isTopLevel(labelStart, finish), !isScp(start, position, finish) else { return .none }
        guard start >= floor else { return .none }
        return SecretFinding(start: start, end: finish, marker: .email)
    }

    private func isLocalPart(_ index: Int) -> Bool {
        if kind(index).touches([.run, .highByte]) { return true }
        switch bytes[index] {
        case UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "%"), UInt8(ascii: "!"), UInt8(ascii: "#"),
            UInt8(ascii: "&"), UInt8(ascii: "~"), UInt8(ascii: "*"):
            return true
        default: return false
        }
    }

    /// Whether the last label can be that of a mail domain: letters, and none of the suffixes that stand after an `@` in
    /// names of units (systemd.unit(5)), in host names of a home (RFC 6762, RFC 8375) and in names of files.
    private func isTopLevel(_ start: Int, _ finish: Int) -> Bool {
        guard finish - start >= 2 else { return false }
        for index in start..<finish where !kind(index).touches([.letter, .highByte]) {
            // Internationalised ones (RFC 5890).
            return hasWord("xn--", at: start)
        }
        for suffix in Self.otherSuffixes where isWord(suffix, from: start, to: finish) { return false }
        return true
    }

    private static let otherSuffixes: [StaticString] = [
        "service", "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope",
        "local", "lan", "localdomain", "internal", "home", "arpa",
        "png", "jpg", "jpeg", "gif", "svg", "webp", "js", "mjs", "css", "json", "conf", "tgz", "whl", "log",
    ]

    /// `git@github.com:group/project`: the address of a repository, whose user is the same for everybody.
    private func isScp(_ start: Int, _ at: Int, _ finish: Int) -> Bool {
        isWord("git", from: start, to: at) && (byte(finish) == UInt8(ascii: ":") || byte(finish) == UInt8(ascii: "/"))
    }
}
