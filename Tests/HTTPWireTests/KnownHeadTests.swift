import HTTPWire
import PipelineTesting
import Testing

/// What is known of a head must change nothing but the time it takes.
@Suite struct KnownHeadTests {
    private static let common = [
        "Content-Type: application/json", "User-Agent: node-red", "Accept: */*", "Accept-Encoding: gzip, br",
        "Connection: keep-alive",
    ]

    private func post(_ length: String, _ body: String) -> [UInt8] {
        let lines = ["POST /ingest HTTP/1.1", "Host: pi:8004", "Content-Length: \(length)"] + Self.common + ["", body]
        return Array(lines.joined(separator: "\r\n").utf8)
    }

    @Test func `requests are read the same with a head that is known and without, whatever is wrong with them`() {
        let known = KnownHeads()
        for seed in SeededGenerator.seeds(fixed: 50, fresh: 20) {
            var maker = RequestMaker(seed: seed)
            let bounds = RequestBounds(bodyByteCountMax: 400)
            for round in 0..<10 {
                let body = String(repeating: "b", count: Int.random(in: 0...420, using: &maker.random))
                let first = round % 2 == 0 ? maker.request() : post("\(body.utf8.count)", body)
                for bytes in [first, maker.mutated(first), first + first, maker.mutated(first), first] {
                    for pieces in [[bytes], maker.pieces(bytes)] {
                        let reading = read(pieces, bounds, known: known)
                        #expect(
                            reading == read(pieces, bounds),
                            "LOGBOOM_TEST_SEED=\(seed), round \(round): \(String(decoding: bytes, as: UTF8.self))"
                        )
                    }
                }
            }
        }
        // The test is worth something only while heads are known, and others take their place.
        #expect(known.useCount > 200 && known.keepCount > 200, "\(known.useCount) of \(known.keepCount)")
    }

    @Test func `a head that differs in the digits of its length alone is known, and its length is read anew`() {
        let known = KnownHeads()
        #expect(read([post("12", "hello, world")], known: known).only?.body == Array("hello, world".utf8))
        #expect(read([post("05", "hello")], known: known).only?.body == Array("hello".utf8))
        #expect(read([post("11", "hello world")], known: known).only?.body == Array("hello world".utf8))
        #expect(known.useCount == 2 && known.keepCount == 1)
        // Another number of digits moves what stands behind them.
        #expect(read([post("5", "hello")], known: known).only?.body == Array("hello".utf8))
        #expect(known.useCount == 2 && known.keepCount == 2)
    }

    @Test(arguments: ["1x", "+5", " 5", "5 ", "-1", "5,"])
    func `what is no length is none in a head that is known either`(_ length: String) {
        let known = KnownHeads()
        _ = read([post("12", "hello, world")], known: known)
        let bytes = post(length, "hello")
        #expect(read([bytes], known: known) == read([bytes]))
        #expect(known.useCount == 0)
    }

    @Test func `a body past the bound is refused behind a head that is known`() {
        let known = KnownHeads()
        let bounds = RequestBounds(bodyByteCountMax: 50)
        #expect(read([post("12", "hello, world")], bounds, known: known).only != nil)
        #expect(read([post("51", "")], bounds, known: known).fault == .bodyTooLarge)
        #expect(known.useCount == 0)
    }

    @Test(arguments: [
        "Authorization: Bearer abc", "Cookie: a=b", "X-Api-Key: abc", "X-Scope-OrgID: a", "Idempotency-Key: 1",
        "Origin: http://a", "Sec-Fetch-Site: none", "Expect: 100-continue", "Transfer-Encoding: chunked",
        "Content-Encoding: gzip", "X-Long: \(String(repeating: "x", count: 400))",
        "User-Agent: \(String(repeating: "x", count: 400))",
    ])
    func `a head that may tell who sends, is long or asks for more is not kept`(_ field: String) {
        let known = KnownHeads()
        let text = "POST /ingest HTTP/1.1\r\nHost: a\r\n\(field)\r\n\r\n"
        let keeps = field.hasPrefix("Content-Encoding")
        for _ in 0..<2 { _ = read([Array(text.utf8)], known: known) }
        #expect(known.keepCount == (keeps ? 1 : 0) && known.useCount == (keeps ? 1 : 0))
    }

    @Test func `a query is not kept, as it may hold a token`() {
        let known = KnownHeads()
        for _ in 0..<2 { _ = read([Array("GET /stats?token=abc HTTP/1.1\r\nHost: a\r\n\r\n".utf8)], known: known) }
        #expect(known.keepCount == 0)
    }
}
