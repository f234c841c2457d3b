import Foundation
import HTTPClient
import NIOCore
import NIOPosix
import Testing

private let okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

@Suite(.timeLimit(.minutes(10)))
struct HTTPClientTests {
    @Test(arguments: [
        okay,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ])
    func `an answer is whole however it is framed or cut up, and the connection is used again`(_ answer: String)
        async throws
    {
        let server = try ScriptedServer { number in
            number % 2 == 1 ? [.send(answer)] : answer.map { .send(String($0)) }
        }
        let client = makeClient(server)
        for _ in 1...4 {
            let got = try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get()
            #expect(got.status == 200)
            #expect(got.body == Array("ok".utf8))
            #expect(!got.bodyIsCut)
        }
        #expect(server.connectionCount == 1)
        try await client.close().get()
    }

    @Test(arguments: [
        "HTTP/1.0 200 OK\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
    ])
    func `an answer that ends with its connection is whole`(_ answer: String) async throws {
        let server = try ScriptedServer { _ in [.send(answer), .close] }
        let client = makeClient(server)
        for number in 1...3 {
            let got = try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get()
            #expect(got.body == Array("ok".utf8))
            #expect(server.connectionCount == number)
        }
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ])
    func `a connection the server will not keep is not used again`(_ answer: String) async throws {
        let server = try ScriptedServer { _ in [.send(answer)] }
        let client = makeClient(server)
        for _ in 1...3 { _ = try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get() }
        #expect(server.connectionCount == 3)
        #expect(try await client.connectionCount.get() == 3)
    }

    @Test func `a request says what it is, once`() async throws {
        let server = try ScriptedServer { _ in [.send(okay)] }
        var options = HTTPClient.Options()
        options.userAgent = "logboom-test"
        let client = HTTPClient(
            try HTTPAddress(url: "http://127.0.0.1:\(server.port)/base/"),
            on: MultiThreadedEventLoopGroup.singleton,
            options: options
        )
        let call = HTTPCall("POST", "/a?b=c", headers: [(name: "X-One", value: "1")], body: Array("hello".utf8))
        _ = try await client.send(call, timeout: .seconds(120)).get()
        _ = try await client.send(HTTPCall("POST", "/empty"), timeout: .seconds(120)).get()
        _ = try await client.send(HTTPCall("GET", "/get"), timeout: .seconds(120)).get()
        #expect(
            server.requests == [
                "POST /base/a?b=c HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nUser-Agent: logboom-test\r\nX-One: 1\r\n"
                    + "Content-Length: 5\r\n\r\nhello",
                "POST /base/empty HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nUser-Agent: logboom-test\r\n"
                    + "Content-Length: 0\r\n\r\n",
                "GET /base/get HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nUser-Agent: logboom-test\r\n\r\n",
            ]
        )
    }

    @Test func `an answer cut after any byte is a lost connection, begun`() async throws {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: b\r\n\r\nbody"
        let bytes = Array(answer.utf8)
        let server = try ScriptedServer { number in
            [.send(String(decoding: bytes[..<(number - 1)], as: UTF8.self)), .close]
        }
        let client = makeClient(server)
        for cut in 0..<bytes.count {
            let error = await outcome(client.send(HTTPCall("POST", "/", body: [1]), timeout: .seconds(120))).error
            #expect(error?.kind == .connectionClosed, "cut after \(cut)")
            #expect(error?.requestWasBegun == true, "cut after \(cut)")
        }
        // A call that failed was not silently tried again.
        #expect(server.requests.count == bytes.count)
    }

    @Test(arguments: [
        "\u{16}\u{3}\u{1}\u{2}\u{0}", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/9.9 200 OK\r\n\r\n", "220 mail ESMTP\r\n",
    ])
    func `what is not HTTP is said to be malformed`(_ text: String) async throws {
        let server = try ScriptedServer { _ in [.send(text)] }
        let error = await outcome(makeClient(server).send(HTTPCall("GET", "/"), timeout: .seconds(120))).error
        #expect(error?.kind == .malformedAnswer)
        #expect(error?.requestWasBegun == true)
    }

    @Test(arguments: [0, 1, 99, 100, 101])
    func `a body is kept to its bound and not a byte further`(_ bound: Int) async throws {
        let server = try ScriptedServer { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + String(repeating: "x", count: 100))]
        }
        let client = makeClient(server)
        let answer = try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120), answerByteCountMax: bound)
            .get()
        #expect(answer.body.count == min(bound, 100))
        #expect(answer.bodyIsCut == (bound < 100))
        // What was cut is not left lying in the connection for the next answer.
        let next = try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get()
        #expect(next.body.count == 100)
    }

    @Test(arguments: [
        HTTPCall("GET", "no-slash"), HTTPCall("GET", "/a b"), HTTPCall("GET", "/a\r\nX: y"), HTTPCall("GET", "/ü"),
        HTTPCall("", "/"), HTTPCall("GET /x", "/"), HTTPCall("get", "/"),
        HTTPCall("GET", "/", headers: [(name: "X", value: "a\r\nB: c")]),
        HTTPCall("GET", "/", headers: [(name: "X: y", value: "a")]),
        HTTPCall("GET", "/", headers: [(name: "", value: "")]),
        HTTPCall("GET", "/", headers: [(name: "X", value: "a\u{0}b")]),
    ])
    func `a call that would not be one request is refused before anything is sent`(_ call: HTTPCall) async throws {
        let server = try ScriptedServer { _ in [.send(okay)] }
        let error = await outcome(makeClient(server).send(call, timeout: .seconds(120))).error
        #expect(error?.kind == .malformedCall)
        #expect(error?.requestWasBegun == false)
        #expect(server.connectionCount == 0)
    }

    @Test func `no answer in time is a timeout, begun, and the next call gets a new connection`() async throws {
        let server = try ScriptedServer { number in number == 1 ? [] : [.send(okay)] }
        let client = makeClient(server)
        let error = await outcome(client.send(HTTPCall("GET", "/"), timeout: .milliseconds(50))).error
        #expect(error?.kind == .timedOut)
        #expect(error?.requestWasBegun == true)
        #expect(error?.description.contains("0.05 s") == true)
        #expect(try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get().status == 200)
        #expect(server.connectionCount == 2)
    }

    @Test func `half an answer and then silence is a timeout`() async throws {
        let server = try ScriptedServer { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")] }
        let error = await outcome(makeClient(server).send(HTTPCall("GET", "/"), timeout: .milliseconds(50))).error
        #expect(error?.kind == .timedOut)
    }

    @Test func `a refused connection names the errno and was not begun`() async throws {
        // Bound and not listening: refused, and no other test can be given the port meanwhile.
        let reserved = try LocalSocket(backlog: nil)
        defer { reserved.close() }
        let port = reserved.port
        let client = HTTPClient(HTTPAddress(host: "127.0.0.1", port: port), on: MultiThreadedEventLoopGroup.singleton)
        let error = await outcome(client.send(HTTPCall("GET", "/"), timeout: .seconds(120))).error
        #expect(error?.kind == .connectFailed)
        #expect(error?.code == "ECONNREFUSED")
        #expect(error?.requestWasBegun == false)
        #expect(error?.description == "connect to 127.0.0.1:\(port): ECONNREFUSED")
        #expect(try await client.probe(timeout: .seconds(2)).get() == false)
    }

    @Test func `a missing unix socket names the errno`() async throws {
        let client = HTTPClient(
            HTTPAddress(unixSocketPath: "/nonexistent/logboom.sock"),
            on: MultiThreadedEventLoopGroup.singleton
        )
        let error = await outcome(client.send(HTTPCall("GET", "/"), timeout: .seconds(120))).error
        #expect(error?.code == "ENOENT")
        #expect(error?.kind == .connectFailed)
    }

    @Test func `a host by name is resolved`() async throws {
        let server = try ScriptedServer { _ in [.send(okay)] }
        let client = HTTPClient(
            try HTTPAddress(url: "http://localhost:\(server.port)"),
            on: MultiThreadedEventLoopGroup.singleton
        )
        #expect(try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get().status == 200)
    }

    @Test func `a connection that never comes about is a connect timeout, not begun`() async throws {
        let full = try LocalSocket(backlog: 0)
        defer { full.close() }
        var options = HTTPClient.Options()
        options.connectTimeout = .milliseconds(100)
        let client = HTTPClient(
            HTTPAddress(host: "127.0.0.1", port: full.port),
            on: MultiThreadedEventLoopGroup.singleton,
            options: options
        )
        let error = await outcome(client.send(HTTPCall("GET", "/"), timeout: .seconds(120))).error
        #expect(error?.kind == .connectTimedOut)
        #expect(error?.requestWasBegun == false)
        // The whole call's bound counts while connecting, too.
        let other = await outcome(client.send(HTTPCall("GET", "/"), timeout: .milliseconds(20))).error
        #expect(other?.kind == .timedOut)
        #expect(other?.requestWasBegun == false)
        #expect(try await client.probe(timeout: .milliseconds(50)).get() == false)
    }

    @Test func `calls that overlap get a connection each, up to the bound`() async throws {
        let server = try ScriptedServer { _ in [.pause(.milliseconds(200)), .send(okay)] }
        let client = makeClient(server) {
            $0.callCountMax = 4
        }
        let futures = (1...5).map { _ in client.send(HTTPCall("GET", "/"), timeout: .seconds(120)) }
        var statuses: [Int] = []
        var codes: [String] = []
        for future in futures {
            switch await outcome(future) {
            case .success(let answer): statuses.append(answer.status)
            case .failure(let error): codes.append(error.code)
            }
        }
        #expect(statuses == [200, 200, 200, 200])
        #expect(codes == ["BUSY"])
        // One of the four is kept and serves the next call.
        _ = try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get()
        #expect(server.connectionCount == 4)
    }

    @Test func `many threads each get the answer to their own question`() async throws {
        let server = try ScriptedServer { number in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: \(String(number).utf8.count)\r\n\r\n\(number)")]
        }
        let client = makeClient(server) { $0.callCountMax = 64 }
        let bodies = SharedSet()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 1...60 {
                group.addTask {
                    let answer = try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get()
                    bodies.insert(String(decoding: answer.body, as: UTF8.self))
                }
            }
            try await group.waitForAll()
        }
        #expect(bodies.count == 60)
    }

    @Test func `a connection idle for too long is replaced before it is used`() async throws {
        let server = try ScriptedServer { _ in [.send(okay)] }
        let client = makeClient(server) { $0.idleMax = .zero }
        for _ in 1...3 { _ = try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get() }
        #expect(server.connectionCount == 3)
    }

    @Test func `an answer nobody asked for ends its connection and harms nothing`() async throws {
        let server = try ScriptedServer { number in number == 1 ? [.send(okay + okay)] : [.send(okay)] }
        let client = makeClient(server)
        #expect(try await client.send(HTTPCall("GET", "/"), timeout: .seconds(120)).get().body.count == 2)
        #expect(
            await eventually {
                await outcome(client.send(HTTPCall("GET", "/"), timeout: .seconds(120))).error == nil
            }
        )
    }

    @Test func `closing fails what is under way and what comes later`() async throws {
        let server = try ScriptedServer { _ in [] }
        let client = makeClient(server)
        let future = client.send(HTTPCall("GET", "/"), timeout: .seconds(120))
        #expect(await eventually { server.requests.count == 1 })
        try await client.close().get()
        let error = await outcome(future).error
        #expect(error?.kind == .clientClosed)
        #expect(error?.requestWasBegun == true)
        let later = await outcome(client.send(HTTPCall("GET", "/"), timeout: .seconds(120))).error
        #expect(later?.kind == .clientClosed)
        #expect(later?.requestWasBegun == false)
        try await client.close().get()
    }

    @Test func `the blocking form answers and throws like the other`() async throws {
        let server = try ScriptedServer { number in number == 1 ? [.send(okay)] : [.close] }
        let client = makeClient(server)
        let status = await onOwnThread { try? client.sendAndWait(HTTPCall("GET", "/"), timeout: .seconds(120)).status }
        let kind = await onOwnThread { () -> HTTPClientError.Kind? in
            do throws(HTTPClientError) {
                _ = try client.sendAndWait(HTTPCall("GET", "/"), timeout: .seconds(120))
                return nil
            } catch {
                return error.kind
            }
        }
        #expect(status == 200)
        #expect(kind == .connectionClosed)
    }
}

/// A port of 127.0.0.1 that nobody serves: without a backlog it refuses, with one its queue is filled at once, so that the
/// kernel leaves further connections without an answer.
private struct LocalSocket {
    let port: Int
    private var descriptors: [CInt] = []

    struct Unavailable: Error {}

    init(backlog: CInt?) throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let size = length
        func with<Result>(_ body: (UnsafeMutablePointer<sockaddr>) -> Result) -> Result {
            withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body)
            }
        }
        guard listener >= 0, with({ bind(listener, $0, size) }) == 0,
            with({ getsockname(listener, $0, &length) }) == 0
        else { throw Unavailable() }
        port = Int(UInt16(bigEndian: address.sin_port))
        descriptors = [listener]
        guard let backlog else { return }
        guard listen(listener, backlog) == 0 else { throw Unavailable() }
        // A backlog of 0 takes one; a few more for kernels that round up. Non-blocking: the last ones never connect.
        for _ in 1...4 {
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
            _ = with { connect(descriptor, $0, size) }
            descriptors.append(descriptor)
        }
    }

    func close() {
        for descriptor in descriptors { _ = Glibc.close(descriptor) }
    }
}
