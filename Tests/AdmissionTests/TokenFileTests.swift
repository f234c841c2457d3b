import Hashing
import LogModel
import Testing

@testable import Admission

/// A hash whose every byte is `byte`.
func digest(_ byte: UInt8) -> TokenDigest {
    guard let digest = TokenDigest(bytes: Array(repeating: byte, count: 32)) else {
        preconditionFailure("32 bytes are a digest")
    }
    return digest
}

/// The tokens file as text, what it refuses, and what is written back.
struct TokenFileTests {
    private static let one = String(repeating: "0a", count: 32)
    private static let two = String(repeating: "B1", count: 32)

    private func parse(_ text: String) -> Result<TokenSet, TokenFile.Problems> {
        TokenFile.parse(Array(text.utf8))
    }

    private func problems(_ text: String) -> [TokenFile.Problem] {
        if case .failure(let problems) = parse(text) { problems.all } else { [] }
    }

    @Test func `a file with comments, blanks and carriage returns is read line by line`() throws {
        let text =
            "# tokens\r\n\n garage \(Self.one)\tingest\r\nnode-red.2 \(Self.two) read,admin source=küche rate=5 burst=9"
        let tokens = try parse(text).get().tokens
        #expect(
            tokens == [
                AccessToken(name: "garage", digest: digest(0x0A), scopes: AccessScopes([.ingest])),
                AccessToken(
                    name: "node-red.2",
                    digest: digest(0xB1),
                    scopes: AccessScopes([.read, .admin]),
                    source: "küche",
                    rate: RateLimit(perSecond: 5, burst: 9)
                ),
            ]
        )
    }

    @Test func `an empty file has no tokens`() throws {
        #expect(try parse("").get().tokens.isEmpty)
        #expect(try parse("# nobody yet\n").get().tokens.isEmpty)
    }

    @Test func `a line that is written is read back as it was`() throws {
        let tokens = [
            AccessToken(name: "a", digest: digest(1), scopes: AccessScopes([.ingest])),
            AccessToken(name: "b", digest: digest(2), scopes: .all, source: "s"),
            AccessToken(name: "c", digest: digest(3), scopes: AccessScopes([.read]), rate: RateLimit(perSecond: 7)),
            AccessToken(
                name: "d",
                digest: digest(0xF0),
                scopes: AccessScopes([.ingest, .read]),
                source: "x=y",
                rate: RateLimit(perSecond: 7, burst: 1)
            ),
        ]
        #expect(try parse(tokens.map(TokenFile.line).joined(separator: "\n")).get().tokens == tokens)
    }

    @Test(arguments: [
        ("garage", "name, SHA-256 and scopes"), ("garage \(one)", "name, SHA-256 and scopes"),
        ("gar/age \(one) read", "the name takes"),
        ("\(String(repeating: "n", count: 65)) \(one) read", "the name takes"),
        ("a \(one)0 read", "64 hexadecimal digits"), ("a \(one.dropLast())g read", "64 hexadecimal digits"),
        ("a \(one) write", "ingest, read and admin"), ("a \(one) read,", "ingest, read and admin"),
        ("a \(one) read rate=0", "rate takes"), ("a \(one) read rate=1000001", "rate takes"),
        ("a \(one) read rate=-1", "rate takes"), ("a \(one) read rate=5 burst=0", "burst takes"),
        ("a \(one) read burst=5", "without rate"), ("a \(one) read source=", "each once"),
        ("a \(one) read rate=1 rate=2", "each once"), ("a \(one) read colour=red", "each once"),
        ("a \(one) read\nb \(one) read", "the hash is the one of line 1"),
        ("a \(one) read\na \(two) read", "on line 1 already"),
    ])
    func `a line that cannot be right is refused with its number and a reason, and its hash is not repeated`(
        _ text: String,
        _ reason: String
    ) throws {
        let found = problems("# first\n" + text.replacing("line 1", with: "line 2"))
        let problem = try #require(found.first)
        #expect(found.count == 1)
        #expect(problem.line == text.split(separator: "\n").count + 1)
        #expect(problem.what.contains(reason.replacing("line 1", with: "line 2")), "\(problem.what)")
        #expect(!problem.what.contains("0a0a"))
    }

    @Test func `everything that is wrong is said at once`() {
        #expect(problems("a\nb\nc \(Self.one) read\n?").map(\.line) == [1, 2, 4])
    }

    @Test func `what is no text, too long, or too much is refused as a whole`() {
        #expect(TokenFile.parse([0x61, 0xFF]) == .failure(.init([.init(line: 0, what: "the file is not UTF-8 text")])))
        let long = [UInt8](repeating: 0x23, count: TokenFile.byteCountMax + 1)
        guard case .failure(let problems) = TokenFile.parse(long) else {
            Issue.record("it is too long")
            return
        }
        #expect(problems.all.map(\.line) == [0])
        func lines(_ count: Int) -> String {
            (0..<count).map { "n\($0) \(Self.hash($0)) read\n" }.joined()
        }
        #expect(throws: Never.self) { try self.parse(lines(TokenSet.countMax)).get() }
        #expect(self.problems(lines(TokenSet.countMax + 1)).map(\.what) == ["257 tokens are more than 256"])
    }

    private static func hash(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 64 - digits.count) + digits
    }

    @Test func `removing a token leaves every other byte as it was`() {
        func removing(_ name: String, _ text: String) -> String? {
            TokenFile.removing(name, from: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(removing("b", "# c\r\na 1\n b 2\nc 3") == "# c\r\na 1\nc 3")
        #expect(removing("a", "a 1\n") == "")
        #expect(removing("c", "a 1\nc 3\n\n") == "a 1\n\n")
        #expect(removing("d", "a 1\n") == nil)
    }

    @Test func `admin is good for everything, the others for what they name`() {
        let expected: [AccessScope: [AccessScope]] = [
            .ingest: [.ingest], .read: [.read], .admin: [.ingest, .read, .admin],
        ]
        for (scope, allowed) in expected {
            #expect(AccessScope.allCases.filter(AccessScopes([scope]).allows) == allowed)
        }
        #expect("\(AccessScopes([.admin, .ingest]))" == "ingest,admin")
    }

    /// FIPS 180-4's own examples, as NIST publishes them.
    @Test func `the hash is SHA-256`() throws {
        func hash(_ text: String) -> String? {
            var text = text
            return TokenDigest(bytes: text.withUTF8 { SHA256.hash($0) })?.hexadecimal
        }
        #expect(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        )
    }

    @Test func `a digest survives being written, and two that differ in one bit differ`() throws {
        let bytes = (0..<32).map { UInt8($0 * 7) }
        let digest = try #require(TokenDigest(bytes: bytes))
        #expect(TokenDigest(hexadecimal: digest.hexadecimal) == digest)
        #expect(TokenDigest(hexadecimal: digest.hexadecimal.uppercased()) == digest)
        for bit in 0..<256 {
            var other = bytes
            other[bit / 8] ^= 1 << (bit % 8)
            #expect(TokenDigest(bytes: other) != digest)
        }
        #expect(TokenDigest(bytes: bytes + [0]) == nil)
    }
}
