import HTTPServing
import PipelineTesting
import Testing

/// What one client sees of one connection.
@Suite(.timeLimit(.minutes(10))) struct ConnectionTests {
    @Test func `requests sent together are answered in order, also when one takes its time`() throws {
        let server = try TestServer()
        let client = try server.connect()
        try client.write(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\noneGET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                + "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\nGET /d HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        #expect(try client.readAnswer().text == "POST /a one")
        #expect(try server.onLoop { $0.seen.count } == 2)
        try server.onLoop { $0.letGo() }
        #expect(try client.readAnswer().text == "GET /later ")
        #expect(try client.readAnswer().text == "POST /c three")
        #expect(try client.readAnswer().text == "GET /d ")
    }

    @Test func `answers of any size keep their order, together or one by one, to a client that reads late`() throws {
        let server = try TestServer()
        for seed in SeededGenerator.seeds(fixed: 4, fresh: 2) {
            var random = SeededGenerator(seed: seed)
            let client = try server.connect()
            for round in 0..<3 {
                var wanted: [String] = []
                for number in 0..<Int.random(in: 1...12, using: &random) {
                    let isBig = Int.random(in: 0..<4, using: &random) == 0
                    let request = "GET \(isBig ? "/big" : "/\(number)") HTTP/1.1\r\nHost: a\r\n\r\n"
                    wanted.append(isBig ? String(repeating: "x", count: 1 << 20) : "GET /\(number) ")
                    // With a part of the next request behind it now and then.
                    let cut = Int.random(in: 0..<3, using: &random) == 0 ? request.count / 2 : 0
                    try client.write(String(request.prefix(cut)))
                    try client.write(String(request.dropFirst(cut)))
                }
                for text in wanted {
                    let isSame = try client.readAnswer().text == text
                    #expect(isSame, "LOGBOOM_TEST_SEED=\(seed), round \(round): \(text.prefix(10))")
                }
            }
        }
    }

    @Test func `a request is the same in one piece and byte by byte`() throws {
        let server = try TestServer()
        let client = try server.connect()
        for text in [
            "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
        ] {
            try client.write(text)
            #expect(try client.readAnswer().text == "POST /p hello")
            for byte in text.utf8 { try client.write([byte]) }
            #expect(try client.readAnswer().text == "POST /p hello")
        }
    }

    @Test(arguments: [1, 1000, 16_384, 65_536, 300_000, 1_048_576])
    func `a body of any size arrives whole, and the connection goes on`(_ count: Int) throws {
        let server = try TestServer()
        let client = try server.connect()
        for _ in 0..<3 {
            let answer = try client.send("POST", "/count", [UInt8](repeating: 97, count: count))
            #expect(answer.text == "\(count)")
        }
    }

    @Test func `an answer has a length, says that the connection is kept, and how long`() throws {
        let server = try TestServer()
        let answer = try server.connect().send("GET", "/x")
        #expect(answer.headers["content-length"] == "7")
        #expect(answer.headers["connection"] == "keep-alive")
        #expect(answer.headers["keep-alive"] == "timeout=70")
        #expect(answer.headers["content-type"] == "application/json")
        #expect(answer.headers["x-content-type-options"] == "nosniff")
        #expect(answer.headers["date"]?.hasSuffix(" GMT") == true)
    }

    @Test(arguments: [
        "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /x HTTP/1.0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
    ])
    func `a connection ends with the answer when the client says so`(_ text: String) throws {
        let server = try TestServer()
        let client = try server.connect()
        try client.write(text + "GET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        let answer = try client.readAnswer()
        #expect(answer.status == 200)
        #expect(answer.headers["connection"] == "close")
        #expect(client.isAtEnd())
        #expect(try server.onLoop { $0.seen.count } == 1)
    }

    @Test func `a client that has closed its side still gets its answer`() throws {
        let server = try TestServer()
        for path in ["/x", "/big", "/later"] {
            let client = try server.connect()
            try client.write("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
            client.closeOutput()
            if path == "/later" {
                try Wait.until("the request", .seconds(10), holds: { try server.onLoop { $0.held.count } == 1 })
                try server.onLoop { $0.letGo() }
            }
            #expect(try client.readAnswer().status == 200, "\(path)")
            #expect(client.isAtEnd())
        }
        try server.wait("connections to end") { $0.connectionCount == 0 }
    }

    @Test func `HEAD is answered with the head alone`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let answer = try client.send("HEAD", "/big")
        #expect(answer.headers["content-length"] == "1048576")
        #expect(answer.body.isEmpty)
        #expect(try client.send("GET", "/x").text == "GET /x ")
    }

    @Test func `100 Continue is sent when the body is waited for, not when it is there`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let head = "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        try client.write(head)
        #expect(try client.readInterim() == 100)
        try client.write("hi")
        #expect(try client.readAnswer().text == "POST /x hi")
        try client.write(head + "hi")
        #expect(try client.readInterim() == nil)
        #expect(try client.readAnswer().text == "POST /x hi")
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", 400), ("\u{16}\u{3}\u{1}\u{2}\u{0}", 400), ("GET / HTTP/2.0\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1\r\n", 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 17_000))\r\n", 431),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: a\r\n\r\n", 417),
    ])
    func `what is no request gets one answer as a problem in JSON, and the connection ends`(
        _ text: String,
        _ status: Int
    ) throws {
        let server = try TestServer()
        let client = try server.connect()
        try client.write(text + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        let answer = try client.readAnswer()
        #expect(answer.status == status)
        #expect(answer.headers["content-type"] == "application/problem+json")
        #expect(answer.headers["connection"] == "close")
        #expect(answer.integer("status") == status, "\(answer.text)")
        #expect(client.isAtEnd())
        #expect(try server.onLoop { $0.seen } == [])
        #expect(try server.onLoop { $0.serverAnswers } == [status])
    }

    @Test func `a sender of a body that is too large reads the answer while it still sends`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let answer = try client.send("POST", "/x", [UInt8](repeating: 97, count: 8 << 20))
        #expect(answer.status == 413)
    }

    @Test func `a request that is turned away costs no body, and the connection goes on behind a short one`() throws {
        let server = try TestServer()
        let client = try server.connect()
        let short = try client.send("POST", "/closed", [UInt8](repeating: 97, count: 60_000))
        #expect(short.status == 429)
        #expect(short.headers["retry-after"] == "1")
        #expect(try client.send("POST", "/x", [97]).text == "POST /x a")
        #expect(try client.send("GET", "/closed").status == 429)
        #expect(try client.send("GET", "/x").text == "GET /x ")
        let long = try client.send("POST", "/closed", [UInt8](repeating: 97, count: 70_000))
        #expect(long.status == 429)
        #expect(long.headers["connection"] == "close")
        #expect(client.isAtEnd())
        let chunked = try server.connect()
        try chunked.write("POST /closed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        #expect(try chunked.readAnswer().headers["connection"] == "close")
        // It may leave the body out now that it knows: where the next request begins is not known.
        let asking = try server.connect()
        try asking.write("POST /closed HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        let refused = try asking.readAnswer()
        #expect(refused.status == 429)
        #expect(refused.headers["connection"] == "close")
        #expect(try server.onLoop { $0.seen } == ["POST /x a", "GET /x "])
        #expect(try server.onLoop { $0.serverAnswers } == [429, 429, 429, 429, 429])
    }

    @Test func `who sends ahead without reading answers is not read without end`() throws {
        let server = try TestServer()
        let client = try server.connect(.seconds(1))
        let request = Array("GET /later HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        let ahead = (0..<20_000).flatMap { _ in request }
        try client.write(ahead)
        #expect(try server.onLoop { $0.seen.count } == 1)
        // Everything that was sent is answered in the end, one after the other.
        try server.onLoop { $0.letGo() }
        #expect(try client.readAnswer().status == 200)
        try Wait.until("the next one", .seconds(10), holds: { try server.onLoop { $0.held.count } == 1 })
    }

    @Test func `a lasting grant is given once for each head, until it does not hold any more`() throws {
        let server = try TestServer()
        func judged() throws -> [String] { try server.onLoop { $0.judged } }
        let client = try server.connect()
        for _ in 0..<2 { _ = try client.send("POST", "/a", [1]) }
        #expect(try judged() == ["/a", "/a"], "no grant lasts")
        try server.onLoop { $0.edition = 1 }
        for count in 1...9 {
            #expect(try client.send("POST", "/a", [UInt8](repeating: 97, count: count)).text.count == 8 + count)
        }
        #expect(try judged() == ["/a", "/a", "/a"])
        try server.onLoop { $0.edition = 2 }
        for _ in 0..<2 { _ = try client.send("POST", "/a", [1]) }
        #expect(try judged().count == 4, "the old grant does not hold, the new one does")
        // Another head, one with a field that may tell who sends, and one that is refused.
        for _ in 0..<2 { _ = try client.send("POST", "/b", [1]) }
        #expect(try judged().suffix(1) == ["/b"])
        for _ in 0..<2 { _ = try client.send("POST", "/b", [1], headers: ["Authorization": "x"]) }
        for _ in 0..<2 { _ = try client.send("POST", "/closed", [1]) }
        #expect(try judged().suffix(4) == ["/b", "/b", "/closed", "/closed"])
    }

    @Test func `a head that is known by one door is judged at another`() throws {
        let server = try TestServer()
        try server.onLoop { $0.edition = 1 }
        let port = try server.listen(door: .network)
        for _ in 0..<8 { _ = try server.connect().send("GET", "/a") }
        let known = try server.onLoop { $0.judged.count }
        #expect(known <= 8)
        let stranger = try HTTPTestConnection(.port(port))
        for _ in 0..<3 { _ = try stranger.send("GET", "/a") }
        #expect(try server.onLoop { $0.judged.count } == known + 1)
    }

    @Test func `an answer to a client that is gone goes nowhere`() throws {
        let server = try TestServer()
        do {
            let client = try server.connect()
            try client.write("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
            try Wait.until("the request", .seconds(10), holds: { try server.onLoop { $0.held.count } == 1 })
            client.resetAtEnd()
        }
        try server.wait("the connection to end") { $0.connectionCount == 0 }
        try server.onLoop { $0.letGo() }
        #expect(try server.connect().send("GET", "/x").status == 200)
    }
}
