/// Which names are names of secrets.
///
/// The lists hold what programs and standards call them; a name is compared from its end, in any case, over `_`, `-`, `.`
/// and blanks, so that `db_password`, `DB-PASSWORD`, `db.password` and `dbPassword` are one.
enum SecretKeys {
    /// How far a name says that its value is secret.
    enum Meaning: UInt8 {
        case none
        /// Always.
        case strong
        /// Unless the value is a path: shells call the working directory `PWD`, and keys are often said to be in a file.
        case unlessPath
        /// `token`, `pass`: parsers say `unexpected token: x` and tests `pass: 12`, so after a colon and a blank the value must
        /// look made up.
        case token
        /// `session`, `auth`: only a value that looks made up.
        case opaque
        /// `signature`: only a long value that looks made up.
        case signature
        /// The header of RFC 9110 section 11.6.2: a scheme, then credentials.
        case authorization
        /// The headers of RFC 6265: all of the line.
        case cookie
        /// `response` of HTTP Digest (RFC 7616): a hash in quotes.
        case digest
        /// A code that is used once: digits.
        case code
        /// `key`, where a wireless network is spoken of.
        case wireless
    }

    private struct Entry {
        var name: StaticString
        var meaning: Meaning
        /// The name must stand alone or at a seam (`db_pass`, `dbPass`), because other words end like it (`bypass`).
        var needsSeam: Bool
        /// The last three or four letters, the last one highest.
        var lastLetters: UInt32

        init(_ name: StaticString, _ meaning: Meaning = .strong, seam: Bool = false) {
            self.name = name
            self.meaning = meaning
            needsSeam = seam
            let count = name.utf8CodeUnitCount
            // Of `apikey` only three: a mark may stand before them (`api_key`).
            let last = name.utf8Start[count - 1] == UInt8(ascii: "y") ? 3 : 4
            lastLetters = (max(0, count - last)..<count).reversed().reduce(0) {
                $0 << 8 | UInt32(name.utf8Start[$1] | 0x20)
            }
        }
    }

    // Ordered only where one name ends with another: the longer first.
    private static let entries: [Entry] = [
        Entry("password"), Entry("passwort"), Entry("passphrase"), Entry("passcode"), Entry("pincode"),
        Entry("passwd", seam: true), Entry("dbpasswd"), Entry("userpasswd"), Entry("rootpasswd"),
        Entry("pwd", .unlessPath, seam: true), Entry("userpwd"), Entry("dbpwd"),
        Entry("dbpass"), Entry("userpass"), Entry("rootpass"), Entry("pass", .token, seam: true),
        Entry("passin", seam: true), Entry("passout", seam: true),
        Entry("clientsecret"), Entry("appsecret"), Entry("apisecret"), Entry("sharedsecret"), Entry("jwtsecret"),
        Entry("consumersecret"), Entry("secret", seam: true),
        Entry("accesstoken"), Entry("authtoken"), Entry("refreshtoken"), Entry("idtoken"), Entry("apitoken"),
        Entry("bearertoken"), Entry("sessiontoken"), Entry("usertoken"), Entry("csrftoken"), Entry("xsrftoken"),
        Entry("bottoken"), Entry("securitytoken"), Entry("secrettoken"), Entry("token", .token, seam: true),
        Entry("apikey"), Entry("accesskey"), Entry("secretkey"), Entry("privatekey", .unlessPath),
        Entry("encryptionkey", .unlessPath), Entry("signingkey", .unlessPath), Entry("authkey"), Entry("sharedkey"),
        Entry("masterkey"), Entry("sessionkey"),
        Entry("networkkey"), Entry("wifikey"), Entry("wlankey"), Entry("wepkey"), Entry("wpakey"), Entry("accountkey"),
        Entry("hmackey"), Entry("aeskey"), Entry("consumerkey"), Entry("subscriptionkey"), Entry("storagekey"),
        Entry("key", .wireless, seam: true),
        Entry("psk", seam: true), Entry("wpapsk"), Entry("jwt", seam: true),
        Entry("credentials", .unlessPath, seam: true), Entry("credential", .unlessPath, seam: true),
        Entry("authorization", .authorization), Entry("auth", .opaque, seam: true),
        Entry("cookie", .cookie, seam: true),
        Entry("sessionid", .opaque), Entry("session_id", .opaque), Entry("session-id", .opaque),
        Entry("session.id", .opaque), Entry("session id", .opaque), Entry("sessid", .opaque),
        Entry("session", .opaque, seam: true),
        Entry("signature", .signature), Entry("sig", .signature, seam: true),
        Entry("response", .digest, seam: true),
        Entry("totp", .code, seam: true), Entry("otp", .code, seam: true),
    ]

    /// What the name that ends before `finish` says of its value. Almost every name is turned away by its last letters.
    static func meaning(of reader: SecretReader, endingAt finish: Int) -> Meaning {
        guard finish >= 3, mayEndName(reader, finish) else { return .none }
        let letters = finish >= 4 ? lastLetters(reader, finish) : 0
        for entry in entries {
            // The last letter is the highest byte of four, and of three.
            guard letters == 0 || entry.lastLetters == letters || entry.lastLetters == letters >> 8 else { continue }
            if matches(entry, reader, finish) { return entry.meaning }
        }
        return .none
    }

    /// A bit for each hash of the last letters of a name, four or (of names of three letters) three: one look turns away
    /// nearly all names. 4,096 bits.
    static func makeEndings() -> UnsafeMutablePointer<UInt64> {
        let bits = UnsafeMutablePointer<UInt64>.allocate(capacity: 64)
        bits.initialize(repeating: 0, count: 64)
        for entry in entries {
            let slot = slot(entry.lastLetters)
            bits[slot >> 6] |= 1 << UInt64(slot & 63)
        }
        return bits
    }

    @inline(__always)
    private static func slot(_ letters: UInt32) -> Int {
        // Multiplicative hashing (Knuth, TAOCP 3, 6.4); the product is taken modulo 2^32.
        Int(truncatingIfNeeded: (letters &* 0x9E37_79B1) >> 20)
    }

    /// The four bytes before `finish` with capitals made small, the last one highest.
    @inline(__always)
    private static func lastLetters(_ reader: SecretReader, _ finish: Int) -> UInt32 {
        UInt32(littleEndian: UnsafeRawPointer(reader.bytes + (finish - 4)).loadUnaligned(as: UInt32.self)) | 0x2020_2020
    }

    /// Whether one of the names may end before `finish`.
    @inline(__always)
    static func mayEndName(_ reader: SecretReader, _ finish: Int) -> Bool {
        // A name of three letters at the very beginning: rare enough to let all pass.
        guard finish >= 4 else { return finish == 3 }
        let letters = lastLetters(reader, finish)
        let long = slot(letters)
        let short = slot(letters >> 8)
        return (reader.endings[long >> 6] >> UInt64(long & 63) | reader.endings[short >> 6] >> UInt64(short & 63)) & 1
            != 0
    }

    private static func matches(_ entry: Entry, _ reader: SecretReader, _ finish: Int) -> Bool {
        let name = entry.name.utf8Start
        var left = entry.name.utf8CodeUnitCount
        var index = finish
        while left > 0 {
            guard index > 0 else { return false }
            let byte = reader.lowered(index - 1)
            if byte == name[left - 1] {
                left -= 1
            } else {
                // Marks inside the name only, not after its end.
                guard index < finish, isMark(byte), left < entry.name.utf8CodeUnitCount else { return false }
            }
            index -= 1
        }
        return !entry.needsSeam || isSeam(reader, index)
    }

    private static func isMark(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: " ")
    }

    /// Whether a word begins at `index`: after anything but a letter, or with a capital after a small letter.
    private static func isSeam(_ reader: SecretReader, _ index: Int) -> Bool {
        guard index > 0 else { return true }
        let before = reader.kind(index - 1)
        if !before.touches([.letter, .highByte]) { return true }
        return before == .lower && reader.kind(index) == .upper
    }
}
