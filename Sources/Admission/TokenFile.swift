internal import LogModel

/// The tokens file as text: a token a line, `NAME SHA256 SCOPES [source=…] [rate=…] [burst=…]`, blanks between; lines that
/// are empty or start with `#` are comments. docs/formats/tokens.md.
package enum TokenFile {
    /// Of the whole file: 256 lines with room for comments.
    package static let byteCountMax = 256 * 1024
    /// Bytes of a name, and of a source: of the latter more would be cut when records are counted.
    package static let nameByteCountMax = 64
    package static let sourceByteCountMax = 255

    /// What is wrong with one line. Never holds the line's hash.
    package struct Problem: Error, Sendable, Equatable {
        /// From 1; 0 for the file as a whole.
        package var line: Int
        package var what: String
    }

    /// Reads a whole file, or says everything that is wrong with it. Linear in its length, but for names and hashes, which are
    /// compared with each other.
    package static func parse(_ bytes: [UInt8]) -> Result<TokenSet, Problems> {
        guard bytes.count <= byteCountMax else {
            return .failure(Problems([Problem(line: 0, what: "the file is larger than \(byteCountMax) bytes")]))
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return .failure(Problems([Problem(line: 0, what: "the file is not UTF-8 text")]))
        }
        var tokens: [(token: AccessToken, line: Int)] = []
        var problems: [Problem] = []
        // By bytes, not characters: to Swift, CR LF is one character, and neither of the two.
        for (index, bytes) in text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            let words = Self.words(Substring(bytes))
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            do throws(Problem) {
                let token = try Self.token(words, line: index + 1)
                if let earlier = tokens.first(where: { $0.token.name == token.name }) {
                    throw Problem(line: index + 1, what: "the name \(token.name) is on line \(earlier.line) already")
                }
                if let earlier = tokens.first(where: { $0.token.digest == token.digest }) {
                    throw Problem(line: index + 1, what: "the hash is the one of line \(earlier.line)")
                }
                tokens.append((token, index + 1))
            } catch {
                problems.append(error)
            }
        }
        if tokens.count > TokenSet.countMax {
            problems.append(Problem(line: 0, what: "\(tokens.count) tokens are more than \(TokenSet.countMax)"))
        }
        return problems.isEmpty ? .success(TokenSet(tokens.map(\.token))) : .failure(Problems(problems))
    }

    /// All that is wrong with a file; never empty.
    package struct Problems: Error, Sendable, Equatable {
        package let all: [Problem]

        init(_ all: [Problem]) { self.all = all }
    }

    /// The line for a token, without its end; ``parse(_:)`` reads it back.
    package static func line(_ token: AccessToken) -> String {
        var line = "\(token.name) \(token.digest.hexadecimal) \(token.scopes)"
        if let source = token.source { line += " source=\(source)" }
        if let rate = token.rate {
            line += " rate=\(rate.perSecond)"
            if rate != RateLimit(perSecond: rate.perSecond) { line += " burst=\(rate.burst)" }
        }
        return line
    }

    /// The text without the line of that name; `nil` when there is none. Every other byte stays.
    package static func removing(_ name: String, from bytes: [UInt8]) -> [UInt8]? {
        var kept: [UInt8] = []
        var isFound = false
        for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
            let words = Self.words(Substring(decoding: line, as: UTF8.self))
            if words.first.map(String.init) == name {
                isFound = true
                continue
            }
            kept += line + [0x0A]
        }
        // The split found a line behind the last line feed, and gave it one too.
        if !kept.isEmpty { kept.removeLast() }
        return isFound ? kept : nil
    }

    /// Whether a token may be called so: letters, digits, `.`, `_`, `-`, at most ``nameByteCountMax``.
    package static func isName(_ text: some StringProtocol) -> Bool {
        (1...nameByteCountMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }

    /// Whether a token may fix this source: no blanks and no control characters, which would not survive the file.
    package static func isSource(_ text: some StringProtocol) -> Bool {
        (1...sourceByteCountMax).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }

    private static func words(_ line: Substring) -> [Substring] {
        line.utf8.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }.map { Substring($0) }
    }

    private static func token(_ words: [Substring], line: Int) throws(Problem) -> AccessToken {
        func problem(_ what: String) -> Problem { Problem(line: line, what: what) }
        guard isName(words[0]) else {
            throw problem(
                "the name takes 1 to \(nameByteCountMax) letters, digits, points, hyphens and underscores of ASCII"
            )
        }
        guard words.count >= 3 else { throw problem("name, SHA-256 and scopes are needed, with blanks between them") }
        guard let digest = TokenDigest(hexadecimal: words[1]) else {
            throw problem("the second word is no SHA-256, which has 64 hexadecimal digits")
        }
        var scopes: [AccessScope] = []
        for word in words[2].split(separator: ",", omittingEmptySubsequences: false) {
            guard let scope = AccessScope(rawValue: String(word)) else {
                throw problem("the third word takes ingest, read and admin, with commas between them")
            }
            scopes.append(scope)
        }
        var source: String?
        var rate: Int?
        var burst: Int?
        for word in words.dropFirst(3) {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count == 2 ? parts[1] : ""
            switch parts[0] {
            case "source" where source == nil && isSource(value): source = String(value)
            case "rate" where rate == nil:
                rate = Self.number(value, in: RateLimit.perSecondBounds)
                guard rate != nil else { throw problem("rate takes 1 to \(RateLimit.perSecondBounds.upperBound)") }
            case "burst" where burst == nil:
                burst = Self.number(value, in: RateLimit.burstBounds)
                guard burst != nil else { throw problem("burst takes 1 to \(RateLimit.burstBounds.upperBound)") }
            default:
                throw problem("after the scopes there may be source=NAME, rate=N and burst=N, each once")
            }
        }
        guard burst == nil || rate != nil else { throw problem("burst has no meaning without rate") }
        return AccessToken(
            name: String(words[0]),
            digest: digest,
            scopes: AccessScopes(scopes),
            source: source,
            rate: rate.map { RateLimit(perSecond: $0, burst: burst) }
        )
    }

    private static func number(_ text: Substring, in bounds: ClosedRange<Int>) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text) else {
            return nil
        }
        return bounds.contains(number) ? number : nil
    }
}
