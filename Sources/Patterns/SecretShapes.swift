/// Secrets by their shape, whatever stands before them. The prefixes are those that their makers document so that scanners
/// can find leaked ones; docs/formats/redaction.md has the table with sources.
extension SecretReader {
    /// The token in the run of letters, digits, `_` and `-` that `position` lies in.
    mutating func word(at position: Int) -> SecretFinding {
        guard position >= wordsDone, position >= floor, position < end else { return .none }
        let start = max(floor, startOfRun(of: .run, before: position))
        let finish = endOfRun(of: .run, from: position)
        wordsDone = finish
        guard finish - start >= Self.runByteCountMin else { return .none }
        let before = byte(start - 1)
        if before == UInt8(ascii: ".") {
            let found = dottedToken(at: start, end: finish)
            if found.isFound { return found }
        } else if before == UInt8(ascii: " ") {
            let found = schemeBefore(start)
            if found.isFound { return found }
        }
        // A token begins where the run does, or at a seam in it (`backup-AKIA…`, `%3DeyJ…`).
        if before == UInt8(ascii: "%"), finish - start > 2 {
            let found = prefixedToken(at: start + 2, end: finish)
            if found.isFound { return found }
        }
        var index = start
        while index < finish {
            let found = prefixedToken(at: index, end: finish)
            if found.isFound { return found }
            while index < finish, kinds[Int(bytes[index])].touches(.alphanumeric) { index += 1 }
            index += 1
        }
        return .none
    }

    /// The mark for words (`SecretTriggers`) finds every run of 23 bytes; some shorter ones are met as well.
    private static var runByteCountMin: Int { 15 }

    /// A token with a prefix of its own at `start`, in a run that ends at `finish`.
    private func prefixedToken(at start: Int, end finish: Int) -> SecretFinding {
        let count = finish - start
        guard count >= Self.runByteCountMin else { return .none }
        var found = false
        switch bytes[start] {
        case UInt8(ascii: "e"):
            if has("eyJ", at: start) { return webToken(at: start, headEnd: finish) }
        case UInt8(ascii: "A"):
            if has("AGE-SECRET-KEY-", at: start) { conditions.needAll() }
            found = has("AIza", at: start) && count >= 35 || has("AGE-SECRET-KEY-1", at: start)
        case UInt8(ascii: "g"):
            if has("gh", at: start) {
                found = byte(start + 3) == UInt8(ascii: "_") && "pousr".utf8.contains(byte(start + 2)) && count >= 20
            } else {
                found = has("github_pat_", at: start) && count >= 30 || isGitLabToken(start) && count >= 20
            }
        case UInt8(ascii: "x"):
            found = has("xapp-", at: start) || has("xox", at: start) && byte(start + 4) == UInt8(ascii: "-")
        case UInt8(ascii: "s"), UInt8(ascii: "r"):
            found =
                has("k_live_", at: start + 1) || has("k_test_", at: start + 1)
                || has("sk-", at: start) && count >= 20 && looksMade(start..<finish, byteCountMin: 20)
                || has("shpat_", at: start)
        case UInt8(ascii: "n"): found = has("npm_", at: start) && count >= 30
        case UInt8(ascii: "p"): found = has("pypi-", at: start) && count >= 30
        case UInt8(ascii: "d"):
            if has("dop_v", at: start) { conditions.needAll() }
            found = has("dop_v1_", at: start) || has("dckr_pat_", at: start)
        case UInt8(ascii: "h"): found = has("hf_", at: start) && count >= 30
        case UInt8(ascii: "w"): found = has("whsec_", at: start)
        // Our own (`logboom token new`).
        case UInt8(ascii: "l"): found = has("lbt_", at: start) && count >= 30
        default: return .none
        }
        guard found else { return .none }
        // Base64 padding and the dots of newer GitLab and PyPI tokens belong to it.
        return finding(from: start, to: endOfDottedRun(from: finish))
    }

    /// `glpat-`, `gldt-`, `glrt-`, `glcbt-` …: GitLab's prefixes are `gl`, up to five letters and a dash.
    private func isGitLabToken(_ start: Int) -> Bool {
        guard has("gl", at: start) else { return false }
        let end = endOfRun(of: .lower, from: start)
        return (4...7).contains(end - start) && byte(end) == UInt8(ascii: "-")
            && (has("glp", at: start) || byte(end - 1) == UInt8(ascii: "t"))
            && looksMade((end + 1)..<endOfRun(of: .run, from: end + 1), byteCountMin: 16)
    }

    private func endOfDottedRun(from position: Int) -> Int {
        var index = position
        while index < end {
            let kind = kinds[Int(bytes[index])]
            if kind.touches(.run) || bytes[index] == UInt8(ascii: ".") && self.kind(index + 1).touches(.run) {
                index += 1
            } else {
                break
            }
        }
        while byte(index) == UInt8(ascii: "=") { index += 1 }
        return index
    }

    /// A JSON Web Token (RFC 7519; compact forms of RFC 7515 and 7516): base64url of `{"`, a dot, and at least one more
    /// part. The last part is empty when nothing is signed, and may be missing when the message is cut.
    private func webToken(at start: Int, headEnd: Int) -> SecretFinding {
        guard headEnd - start >= Self.runByteCountMin, byte(headEnd) == UInt8(ascii: ".") else { return .none }
        let bodyEnd = endOfRun(of: .run, from: headEnd + 1)
        guard bodyEnd - headEnd > 8 || byte(headEnd + 1) == UInt8(ascii: ".") else { return .none }
        var index = headEnd
        while index < end, kinds[Int(bytes[index])].touches(.run) || bytes[index] == UInt8(ascii: ".") { index += 1 }
        // A full stop ends the sentence.
        while bytes[index - 1] == UInt8(ascii: ".") { index -= 1 }
        return finding(from: start, to: index)
    }

    /// Tokens with a dot before their first long part: `SG.` (SendGrid), `hvs.` (Vault), `ya29.` (Google OAuth), and web
    /// tokens whose head is short.
    private func dottedToken(at start: Int, end finish: Int) -> SecretFinding {
        // Heads and claims of more than this have long words of their own.
        var head = start
        while head > max(floor, start - 128), kind(head - 1).touches(.run) || bytes[head - 1] == UInt8(ascii: ".") {
            head -= 1
        }
        if has("eyJ", at: head) {
            let found = webToken(at: head, headEnd: endOfRun(of: .run, from: head))
            if found.isFound { return found }
        }
        if has("ya", at: head) { conditions.needAll() }
        guard has("SG.", at: head) || has("hvs.", at: head) || has("hvb.", at: head) || has("ya29.", at: head),
            finish - start >= 20
        else { return .none }
        return finding(from: head, to: endOfDottedRun(from: finish))
    }

    /// The word at `start` when `Bearer` or `Basic`, in any case, stands before it.
    private func schemeBefore(_ start: Int) -> SecretFinding {
        var wordEnd = start
        while wordEnd > 0, byte(wordEnd - 1) == UInt8(ascii: " "), start - wordEnd < 4 { wordEnd -= 1 }
        if hasWord("bearer", at: wordEnd - 6), !kind(wordEnd - 7).touches(.word) { return schemed(at: wordEnd - 6) }
        if hasWord("basic", at: wordEnd - 5), !kind(wordEnd - 6).touches(.word) { return schemed(at: wordEnd - 5) }
        return .none
    }

    /// `Bearer …` (RFC 6750 section 2.1) and `Basic …` (RFC 7617 section 2) without a header's name. What follows must look
    /// made, because sentences speak of bearer tokens and basic authentication too.
    func schemed(at start: Int) -> SecretFinding {
        let isBearer = hasWord("bearer", at: start)
        guard isBearer || hasWord("basic", at: start) else { return .none }
        var index = start + (isBearer ? 6 : 5)
        guard byte(index) == UInt8(ascii: " ") || byte(index) == UInt8(ascii: ":") else { return .none }
        while byte(index) == UInt8(ascii: " ") || byte(index) == UInt8(ascii: ":"), index < start + 12 { index += 1 }
        let finish = endOfRun(of: .token68, from: index)
        // `Bearer realm="…"` is a challenge; padding stands at the end only.
        guard finish - index >= 6, !isQuote(finish) else { return .none }
        var found: Kind = []
        var capitalsInside = 0
        for position in index..<finish {
            let byte = bytes[position]
            let kind = kinds[Int(byte)]
            if byte == UInt8(ascii: "="), position + 1 < finish, bytes[position + 1] != byte { return .none }
            if !isBearer, kind.touches([.underscore, .dash]) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "~") {
                return .none
            }
            if kind == .upper, position > index { capitalsInside += 1 }
            found.formUnion(kind)
        }
        let isMixed = found.touches(.letter) && found.touches(.digit) || found.touches(.lower) && capitalsInside > 0
        guard isMixed || finish - index >= 24 || bytes[finish - 1] == UInt8(ascii: "=") else { return .none }
        var last = finish
        while bytes[last - 1] == UInt8(ascii: "."), last > index + 6 { last -= 1 }
        return finding(from: index, to: last)
    }

    /// The token of a Telegram bot (core.telegram.org/bots/api): its number, the `:` at `colon`, and 35 bytes that begin
    /// with `AA`.
    func telegramToken(at colon: Int) -> SecretFinding {
        let start = startOfRun(of: .digit, before: colon, max: 12)
        let finish = endOfRun(of: .run, from: colon + 1)
        guard colon - start >= 6, byte(colon + 2) == UInt8(ascii: "A"), finish - colon > 30 else { return .none }
        return finding(from: start, to: finish)
    }

    // MARK: PEM

    /// Whether the head of a private key stands at `start` (RFC 7468 section 10, PKCS#1, SEC1, OpenSSH, PGP).
    func startsPrivateKey(_ start: Int) -> Bool {
        guard has("-----BEGIN ", at: start) else { return false }
        for index in (start + 11)..<min(end, start + 48) {
            if bytes[index] == UInt8(ascii: "-") { return false }
            if has("PRIVATE KEY", at: index) { return true }
        }
        return false
    }

    /// The whole block from its head at `start`, to the end of the message when its foot was cut off.
    func privateKey(at start: Int) -> SecretFinding {
        var index = start + 11
        while index < end {
            if bytes[index] == UInt8(ascii: "-"), has("-----END ", at: index) {
                var foot = index + 9
                while foot < end, bytes[foot] != UInt8(ascii: "-") { foot += 1 }
                let limit = min(end, foot + 5)
                while foot < limit, bytes[foot] == UInt8(ascii: "-") { foot += 1 }
                return finding(from: start, to: foot)
            }
            index += 1
        }
        return finding(from: start, to: end)
    }
}
