import HTTPClient
import Testing

struct HTTPAddressTests {
    @Test(arguments: [
        ("http://node.local", "node.local", 80, "", "node.local"),
        ("http://node.local/", "node.local", 80, "", "node.local"),
        ("HTTP://node.local:9000", "node.local", 9000, "", "node.local:9000"),
        ("http://127.0.0.1:8005/base", "127.0.0.1", 8005, "/base", "127.0.0.1:8005"),
        ("http://127.0.0.1:8005/a/b//", "127.0.0.1", 8005, "/a/b", "127.0.0.1:8005"),
        ("http://[::1]:8005/x", "::1", 8005, "/x", "[::1]:8005"),
        ("http://[fe80::1]", "fe80::1", 80, "", "[fe80::1]"),
        ("http://h:1", "h", 1, "", "h:1"),
        ("http://h:65535", "h", 65535, "", "h:65535"),
    ])
    func `an http address gives host, port, base path and Host header`(
        _ url: String,
        _ host: String,
        _ port: Int,
        _ base: String,
        _ header: String
    ) throws {
        let address = try HTTPAddress(url: url)
        #expect(address.endpoint == .tcp(host: host, port: port))
        #expect(address.basePath == base)
        #expect(address.hostHeader == header)
    }

    @Test(arguments: [("unix:/run/a.sock", "/run/a.sock"), ("unix:///run/a.sock", "/run/a.sock")])
    func `a unix address gives the socket's path`(_ url: String, _ path: String) throws {
        let address = try HTTPAddress(url: url)
        #expect(address.endpoint == .unix(path: path))
        #expect(address.hostHeader == "localhost")
        #expect(address.description == "unix:\(path)")
    }

    @Test(arguments: [
        ("", HTTPAddressError.unknownScheme), ("node.local", .unknownScheme), ("node.local:80", .unknownScheme),
        ("ftp://node", .unknownScheme), ("https://node", .encryptionUnsupported),
        ("HTTPS://node", .encryptionUnsupported),
        ("http:", .missingHost), ("http://", .missingHost), ("http:///base", .missingHost),
        ("http://:80", .missingHost),
        ("http://[::1", .missingHost), ("http://[]:80", .missingHost), ("http://h:", .invalidPort),
        ("http://h:0", .invalidPort), ("http://h:65536", .invalidPort), ("http://h:+1", .invalidPort),
        ("http://h:99999999999999999999", .invalidPort), ("http://[::1]x", .invalidPort), ("http://::1", .missingHost),
        ("http://user:secret@h", .containsCredentials), ("http://secret@h:80/x", .containsCredentials),
        ("http://h/x?y=1", .containsQuery), ("http://h?y", .containsQuery), ("http://h/#a", .containsQuery),
        ("http://h/a b", .invalidCharacter), ("http://h/\r\nX: y", .invalidCharacter),
        ("http://hä/", .invalidCharacter),
        ("unix:", .unixPathNotAbsolute), ("unix:/", .unixPathNotAbsolute), ("unix:run/a.sock", .unixPathNotAbsolute),
    ])
    func `a text that is no usable address is refused with its reason`(_ url: String, _ error: HTTPAddressError) {
        #expect(throws: error) { try HTTPAddress(url: url) }
    }

    @Test func `a unix path may have 107 bytes and not 108`() throws {
        _ = try HTTPAddress(url: "unix:/" + String(repeating: "a", count: 106))
        #expect(throws: HTTPAddressError.unixPathTooLong) {
            try HTTPAddress(url: "unix:/" + String(repeating: "a", count: 107))
        }
    }

    @Test func `a refusal never repeats a password`() {
        do {
            _ = try HTTPAddress(url: "http://user:hunter2@h")
            Issue.record("accepted")
        } catch {
            #expect(!"\(error)".contains("hunter2"))
        }
    }

    @Test func `a query is percent-encoded`() {
        #expect(
            HTTPCall.path("/v1/patterns", query: [(name: "search", value: "a b&c=ü/%"), (name: "limit", value: "5")])
                == "/v1/patterns?search=a%20b%26c%3D%C3%BC%2F%25&limit=5"
        )
        #expect(HTTPCall.path("/v1/patterns", query: []) == "/v1/patterns")
        #expect(HTTPCall.path("/x", query: [(name: "a", value: "\u{1}")]) == "/x?a=%01")
    }
}
