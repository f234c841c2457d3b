import Patterns
import PipelineTesting

extension Redactor {
    /// The text with its secrets replaced, copied out. The input sits in a block of exactly its size, so that a sanitizer
    /// or a guard page would notice a read past its end.
    mutating func redacted(_ bytes: [UInt8]) -> [UInt8] {
        let exact = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        defer { exact.deallocate() }
        _ = exact.initialize(from: bytes)
        return Array(redact(UnsafeBufferPointer(exact)))
    }

    mutating func redacted(_ text: String) -> String {
        String(decoding: redacted(Array(text.utf8)), as: UTF8.self)
    }

    func isSecret(_ key: String) -> Bool {
        Array(key.utf8).withUnsafeBufferPointer { isSecretKey($0) }
    }
}

/// A line with a secret in it. The secrets are put together at run time, so that no scanner takes this file for a leak.
struct PlantedSecret {
    var before: String
    var secret: String
    var after: String
    /// What must still be readable.
    var kept: String

    init(_ before: String, _ secret: String, _ after: String = "", kept: String = "") {
        self.before = before
        self.secret = secret
        self.after = after
        self.kept = kept
    }

    var line: String { before + secret + after }

    /// Whether a part of the secret that is worth having is in `text`: all of it, or six bytes in a row.
    func isIn(_ text: String) -> Bool {
        if secret.utf8.count < 6 { return text.contains(secret) }
        let bytes = Array(secret.utf8)
        return (0...(bytes.count - 6)).contains { text.contains(String(decoding: bytes[$0..<($0 + 6)], as: UTF8.self)) }
    }
}

/// Makes secrets: random bytes in the shape of each kind.
struct SecretMaker {
    var generator: SeededGenerator

    static let base62 = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
    static let base64url = base62 + Array("-_")
    static let base32 = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    static let hexadecimal = Array("0123456789abcdef")
    static let digits = Array("0123456789")

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    mutating func random(_ count: Int, of alphabet: [Character] = base62) -> String {
        String((0..<count).map { _ in alphabet.randomElement(using: &generator) ?? "x" })
    }

    /// A random word with a letter and a digit in it, as passwords have.
    mutating func password(_ count: Int = 12) -> String {
        "q" + random(count - 2) + "7"
    }

    mutating func webToken() -> String {
        let head = "eyJ" + random(33, of: Self.base64url)
        return head + "." + "eyJ" + random(60, of: Self.base64url) + "." + random(43, of: Self.base64url)
    }

    /// A number with its check digit (ISO/IEC 7812-1 Annex B).
    mutating func card(prefix: String, count: Int) -> String {
        let body = prefix + random(count - prefix.count - 1, of: Self.digits)
        var sum = 0
        for (index, character) in body.reversed().enumerated() {
            let digit = (character.wholeNumberValue ?? 0) * (index % 2 == 0 ? 2 : 1)
            sum += digit > 9 ? digit - 9 : digit
        }
        return body + String((10 - sum % 10) % 10)
    }

    /// An account number with its check digits (ISO 13616, ISO 7064 MOD 97-10).
    mutating func account(country: String, bank: String, count: Int) -> String {
        let body = bank + random(count - bank.count - 4, of: Self.digits)
        var remainder = 0
        for character in body + country + "00" {
            let value = character.wholeNumberValue ?? Int(character.asciiValue ?? 0) - 55
            remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
        }
        let check = 98 - remainder
        return country + (check < 10 ? "0" : "") + String(check) + body
    }
}

func grouped(_ text: String, _ sizes: [Int], by mark: String) -> String {
    var rest = Substring(text)
    var groups: [Substring] = []
    for size in sizes where !rest.isEmpty {
        groups.append(rest.prefix(size))
        rest = rest.dropFirst(size)
    }
    return groups.joined(separator: mark)
}
