import HTTPWire
import Testing

@Suite struct RequestHeadTests {
    @Test func `a request line, fields and the empty line are read as they stand`() throws {
        let request = try #require(
            read("GET /v1/patterns?limit=5&q=a?b HTTP/1.1\r\nHost: pi:8004\r\nX-Empty:\r\nX-Blank: \t b c\t \r\n\r\n")
                .only
        )
        #expect(request.method == .get)
        #expect(request.path == "/v1/patterns")
        #expect(request.query == "limit=5&q=a?b")
        #expect(request.fields.map(\.name) == ["Host", "X-Empty", "X-Blank"])
        #expect(request.fields.map(\.value) == ["pi:8004", "", "b c"])
        #expect(request.isKeptAlive)
        #expect(request.body.isEmpty)
    }

    @Test(arguments: [
        ("GET", RequestHead.Method.get), ("HEAD", .head), ("POST", .post), ("DELETE", .delete), ("PUT", .other),
        ("get", .other), ("M-SEARCH", .other), ("X!#$%&'*+-.^_`|~", .other),
    ])
    func `a method is any token`(_ text: String, _ method: RequestHead.Method) {
        #expect(read("\(text) / HTTP/1.1\r\nHost: a\r\n\r\n").only?.method == method)
    }

    @Test(
        arguments: [
            ("/", "/", nil), ("/?", "/", ""), ("*", "*", nil), ("http://pi:8004/stats?a", "/stats", "a"),
            ("http://pi", "", nil),
            ("https://[::1]/x", "/x", nil), ("//x", "//x", nil), ("/a#b", "/a#b", nil), ("/%00", "/%00", nil),
        ] as [(String, String, String?)]
    )
    func `a target is a path, a URL or a star`(_ target: String, _ path: String, _ query: String?) {
        let request = read("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n").only
        #expect(request?.path == path)
        #expect(request?.query == query)
    }

    @Test(arguments: ["ftp://a/", "stats", "http://", "http:///x", "?a", "\\"])
    func `another target is refused`(_ target: String) {
        #expect(read("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n").fault == .target)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\n", "GET /\r\n", "GET  / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", " GET / HTTP/1.1\r\n",
        "GET\t/ HTTP/1.1\r\n", "GET / HTTP/1.1\r\r\n", "GET / http/1.1\r\n", "GET / HTTP/1.a\r\n",
        "GET /a b HTTP/1.1\r\n",
        "GET /\u{0} HTTP/1.1\r\n", "GET /é HTTP/1.1\r\n", "\r\r\n", "\n", "{\"message\":\"a\"}\r\n",
        "\u{16}\u{3}\u{1}garbage\r\n",
        "GE(T / HTTP/1.1\r\n", "GET / HTTPS/1.1\r\n", "GET / HTTP/1.11\r\n",
    ])
    func `another first line is refused`(_ line: String) {
        #expect(read(line).fault == .requestLine)
    }

    @Test(arguments: ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3"])
    func `another version is refused by name`(_ version: String) {
        #expect(read("GET / \(version)\r\nHost: a\r\n\r\n").fault == .version)
    }

    @Test func `a request line is refused at the first wrong byte, before its end is there`() {
        #expect(read("\u{16}").fault == .requestLine)
        #expect(read("PRI * HTTP/2").fault == .version)
    }

    @Test func `empty lines in front of a request are passed over`() {
        #expect(read("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").only?.path == "/")
        #expect(read(String(repeating: "\r\n", count: 5000)).fault == .requestLineTooLong)
    }

    @Test(arguments: [
        "X : a", "X\t: a", ": a", "X", "X a: b", "X(: a", "X: a\u{0}b", "X: a\rb", "X: a\nb", "X: \u{7F}", "X: \u{1}",
        "X: \u{1B}[1m", "é: a",
    ])
    func `a field line of another form is refused`(_ line: String) {
        #expect(read(post(line)).fault == .fieldLine)
    }

    @Test func `values may hold tabs and bytes of any text`() {
        #expect(read(post("X: a\tb é")).only?.fields.last?.value == "a\tb é")
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: 12345678".utf8) + [0xFF, 0x80] + Array("\r\n\r\n".utf8)
        #expect(read([bytes]).requests.count == 1)
    }

    @Test(arguments: [0, 1, 7, 8, 9, 15, 16, 17, 40])
    func `a control character is found at each place of a value`(_ count: Int) {
        let padding = String(repeating: "v", count: count)
        for bad in ["\u{0}", "\u{1F}", "\u{7F}", "\n", "\r"] {
            #expect(read(post("X: \(padding)\(bad)\(padding)")).fault == .fieldLine, "\(bad.debugDescription)")
        }
        for good in ["\t", " ", "~", "\u{80}", "\u{FF}"] {
            #expect(read(post("X: x\(padding)\(good)\(padding)x")).only != nil, "\(good.debugDescription)")
        }
    }

    @Test func `folded lines are refused, also behind the first line`() {
        #expect(read(post("X: a", " b")).fault == .fold)
        #expect(read(post("X: a", "\tb")).fault == .fold)
        #expect(read("GET / HTTP/1.1\r\n Host: a\r\n\r\n").fault == .fold)
    }

    @Test func `HTTP/1_1 needs one Host, HTTP/1_0 none`() {
        #expect(read("GET / HTTP/1.1\r\n\r\n").fault == .host)
        #expect(read("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n").fault == .host)
        #expect(read("GET / HTTP/1.0\r\n\r\n").only != nil)
        #expect(read("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").fault == .host)
        for good in ["a", "127.0.0.1:8004", "[::1]:8004", "pi.local", "", "a%20b"] {
            #expect(read("GET / HTTP/1.1\r\nHost: \(good)\r\n\r\n").only != nil, "\(good)")
        }
        for bad in ["a b", "a/b", "a@b", "a, b", "<a>", "é", "a\\b", "a?b"] {
            #expect(read("GET / HTTP/1.1\r\nHost: \(bad)\r\n\r\n").fault == .host, "\(bad)")
        }
    }

    @Test(
        arguments: [
            ("HTTP/1.1", nil, true), ("HTTP/1.1", "close", false), ("HTTP/1.1", "Keep-Alive", true),
            ("HTTP/1.1", "upgrade, Close", false), ("HTTP/1.1", "closed", true),
            ("HTTP/1.1", "keep-alive, close", false),
            ("HTTP/1.0", nil, false), ("HTTP/1.0", "keep-alive", true), ("HTTP/1.0", "close, keep-alive", false),
            ("HTTP/1.1", ",, ,close,", false), ("HTTP/1.1", "", true),
        ] as [(String, String?, Bool)]
    )
    func `a connection is kept as its version and its field say`(_ version: String, _ value: String?, _ isKept: Bool) {
        let field = value.map { "CONNECTION: \($0)\r\n" } ?? ""
        #expect(read("GET / \(version)\r\nHost: a\r\n\(field)\r\n").only?.isKeptAlive == isKept)
    }

    @Test func `two Connection fields are one list`() {
        #expect(read(post("Connection: keep-alive", "Connection: close")).only?.isKeptAlive == false)
    }

    @Test func `100-continue is the only expectation`() {
        #expect(read(post("Expect: 100-Continue")).only?.expectsContinue == true)
        #expect(read("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").only?.expectsContinue == false)
        #expect(read(post("Expect: 200-ok")).fault == .expectation)
        #expect(read(post("Expect: 100-continue", "Expect: 100-continue")).fault == .repeated)
    }

    @Test(arguments: [
        "Content-Type", "Authorization", "Idempotency-Key", "Content-Encoding", "Content-Length", "Origin",
        "Sec-Fetch-Site",
    ])
    func `a field that means one thing comes once`(_ name: String) {
        #expect(read(post("\(name): 0", "\(name.lowercased()): 0")).fault == .repeated)
    }

    @Test func `fields are found by name in any case`() throws {
        let bytes = Array(post("CONTENT-type:application/json", "authorization: Bearer x", "X-Scope-OrgID: t").utf8)
        var reader = RequestReader(bounds: RequestBounds(bodyByteCountMax: 10))
        #expect(bytes.withUnsafeBytes { reader.read($0) } == .head)
        func text(_ place: RequestHead.Place?) -> String? {
            place.map { String(decoding: bytes[$0.range], as: UTF8.self) }
        }
        #expect(text(reader.head.place(of: .contentType)) == "application/json")
        #expect(text(reader.head.place(of: .authorization)) == "Bearer x")
        #expect(reader.head.place(of: .idempotencyKey).isAbsent)
        let named = bytes.withUnsafeBytes { reader.head.place(named: "x-scope-orgid", in: $0) }
        #expect(text(named) == "t")
        #expect(bytes.withUnsafeBytes { reader.head.place(named: "x-scope-org", in: $0) } == nil)
    }

    @Test func `the bounds hold at, above and below them`() {
        var bounds = RequestBounds(bodyByteCountMax: 10)
        bounds.requestLineByteCountMax = 40
        bounds.headByteCountMax = 100
        bounds.fieldCountMax = 3
        func line(_ count: Int) -> String {
            "GET /\(String(repeating: "a", count: count - 16)) HTTP/1.1\r\nHost: a\r\n\r\n"
        }
        #expect(read(line(39), bounds).only != nil)
        #expect(read(line(40), bounds).only != nil)
        #expect(read(line(41), bounds).fault == .requestLineTooLong)
        func head(_ count: Int) -> String {
            "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "v", count: count - 32))\r\n\r\n"
        }
        #expect(read(head(99), bounds).only != nil)
        #expect(read(head(100), bounds).only != nil)
        #expect(read(head(101), bounds).fault == .headTooLarge)
        #expect(read(post("A: 1", "B: 2"), bounds).only != nil)
        #expect(read(post("A: 1", "B: 2", "C: 3"), bounds).fault == .headTooLarge)
    }
}
