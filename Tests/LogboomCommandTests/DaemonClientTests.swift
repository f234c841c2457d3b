import ArgumentParser
import Foundation
import Glibc
import JSONBytes
import LogModel
import Synchronization
import Testing

@testable import LogboomCommand

struct DaemonClientTests {
    private func find(_ option: String?, _ environment: [String: String], sockets: Set<String> = []) -> String {
        DaemonLocation.find(option: option, environment: environment, isSocket: sockets.contains)
    }

    @Test func `the daemon is looked for where it was said, then at its sockets, then on the loopback address`() {
        let environment = ["LOGBOOM_URL": "http://b", "RUNTIME_DIRECTORY": "/run/user/1:/x"]
        let sockets: Set = ["/run/user/1/logboom.sock", "/run/logboom/logboom.sock"]
        #expect(find("http://a", environment, sockets: sockets) == "http://a")
        #expect(find(nil, environment, sockets: sockets) == "http://b")
        #expect(
            find(nil, ["LOGBOOM_URL": "", "RUNTIME_DIRECTORY": "/run/user/1"], sockets: sockets)
                == "unix:/run/user/1/logboom.sock"
        )
        #expect(find(nil, [:], sockets: sockets) == "unix:/run/logboom/logboom.sock")
        #expect(find(nil, ["RUNTIME_DIRECTORY": "/none"]) == "http://127.0.0.1:8004")
    }

    @Test func `a file in the place of the socket is not taken for one`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("logboom-\(UUID().uuidString)").path
        #expect(!DaemonLocation.isSocket(path))
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(!DaemonLocation.isSocket(path))
    }

    @Test(arguments: ["ftp://x", "nonsense", "https://x", "unix:relative", "http://user:hunter2@x"])
    func `an address that cannot be used is misuse, and is not repeated`(url: String) {
        let failure = #expect(throws: CommandFailure.self) { try DaemonClient(url) }
        #expect(failure?.status == .misused)
        #expect(failure?.message.contains("hunter2") == false)
    }

    @Test func `no daemon is unavailable, with what to do`() throws {
        let port = try CannedServer.freePort()
        for url in ["http://127.0.0.1:\(port)", "unix:/nonexistent/logboom.sock"] {
            let client = try DaemonClient(url)
            let failure = #expect(throws: CommandFailure.self) { try client.get("/health") }
            #expect(failure?.status == .unavailable)
            for part in ["systemctl status logboomd", "packaging/quickstart", "--url", url] {
                #expect(failure?.message.contains(part) == true)
            }
        }
    }

    @Test func `an answer is JSON with its status`() throws {
        let server = try CannedServer(status: "503 Service Unavailable", body: #"{"status":"unhealthy"}"#)
        let answer = try DaemonClient(server.url).get("/health", query: [("q", "a b&c=d")])
        #expect(answer.status == 503)
        #expect(answer.json["status"]?.string == "unhealthy")
        #expect(server.requestLine() == "GET /health?q=a%20b%26c%3Dd HTTP/1.1")
    }

    @Test func `something that is not JSON is said to be no daemon`() throws {
        let server = try CannedServer(status: "200 OK", body: "<html>")
        let client = try DaemonClient(server.url)
        let failure = #expect(throws: CommandFailure.self) { try client.get("/health") }
        #expect(failure?.status == .failed)
        #expect(failure?.message.contains("is it logboomd?") == true)
    }

    @Test func `a connection that ends before the answer is unavailable`() throws {
        let server = try CannedServer(raw: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        let client = try DaemonClient(server.url)
        let failure = #expect(throws: CommandFailure.self) { try client.get("/health") }
        #expect(failure?.status == .unavailable)
    }

    @Test func `a refusal repeats the daemon's reason, cleaned`() throws {
        let body = #"{"title":"Bad","detail":"level \u001b[2Jis unknown\n"}"#
        let server = try CannedServer(status: "400 Bad Request", body: body)
        let client = try DaemonClient(server.url)
        let answer = try client.get("/v1/patterns")
        let failure = client.refusal("/v1/patterns", status: answer.status, json: answer.json)
        #expect(failure.message == "\(server.url) answered 400 to /v1/patterns: level is unknown\\n")
    }

    @Test func `a stream is handed on until it ends`() throws {
        let server = try CannedServer(
            raw: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\ndata: 2\n\n"
        )
        let taken = Mutex<[[UInt8]]>([])
        let events = Mutex(EventStream())
        try DaemonClient(server.url).stream("/v1/tail", query: [("level", "error")]) { bytes in
            let new = events.withLock { $0.take(bytes) }
            taken.withLock { $0 += new }
            return true
        }
        #expect(taken.withLock { $0 } == [Array("1".utf8), Array("2".utf8)])
        #expect(server.requestLine() == "GET /v1/tail?level=error HTTP/1.1")
    }

    @Test func `a stream that is refused is a failure`() throws {
        let server = try CannedServer(status: "404 Not Found", body: "{}")
        let client = try DaemonClient(server.url)
        let failure = #expect(throws: CommandFailure.self) { try client.stream("/v1/tail", query: []) { _ in true } }
        #expect(failure?.status == .failed)
    }

    @Test func `the options of top become a query`() throws {
        let top = try Top.parse([
            "--since", "-1h", "--level", "WARNING", "--source", "a b", "--search", "<ID>", "--sort", "last_seen",
            "--limit", "5",
        ])
        let now = try #require(DateText.rfc3339("2025-01-15T10:30:45Z"))
        let query = try top.query(DateText(now: now) { _ in 0 })
        #expect(query.map(\.name) == ["since", "level", "source", "q", "sort", "limit"])
        #expect(query.map(\.value) == ["2025-01-15T09:30:45.000000Z", "warn", "a b", "<ID>", "last_seen", "5"])
    }

    @Test(arguments: [
        ["top", "--limit", "0"], ["top", "--limit", "1001"], ["top", "--since", "soon"], ["top", "--level", "loud"],
        ["top", "--sort", "size"], ["top", "--color", "blue"], ["tail", "--level", ""], ["status", "--wait", "0"],
        ["status", "--wait", "3601"], ["config", "file"], ["config", "--check", "file", "--set", "A=1"], ["nothing"],
    ])
    func `misused options are refused before anything is asked`(arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try LogboomCommand.parseAsRoot(arguments) }
        #expect(error.map { LogboomCommand.exitCode(for: $0).rawValue } == 64)
    }

    @Test(arguments: [
        ["top", "--limit", "1000"], ["top", "--since=-2d"], ["tail"], ["status", "--wait", "3600"],
        ["flush", "--json"],
        ["config", "--check"], ["config", "--check", "a", "b"], ["version"],
    ])
    func `proper options are taken`(arguments: [String]) throws {
        _ = try LogboomCommand.parseAsRoot(arguments)
    }
}

/// Answers one connection on the loopback address with bytes given beforehand, then closes it. Its thread ends with the
/// connection.
final class CannedServer: Sendable {
    let url: String
    private let listener: Int32
    private let request: Mutex<String>

    convenience init(status: String, body: String) throws {
        try self.init(
            raw: "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)"
        )
    }

    init(raw: String) throws {
        let (listener, port) = try Self.listen()
        self.listener = listener
        url = "http://127.0.0.1:\(port)"
        request = Mutex("")
        let thread = Thread { [self] in
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 4096)
            while !String(decoding: bytes, as: UTF8.self).contains("\r\n\r\n") {
                let count = read(connection, &chunk, chunk.count)
                if count <= 0 { break }
                bytes += chunk[..<count]
            }
            request.withLock { $0 = String(decoding: bytes, as: UTF8.self) }
            let answer = Array(raw.utf8)
            _ = write(connection, answer, answer.count)
            shutdown(connection, Int32(SHUT_WR))
            // Wait for the client's end, so that closing does not reset what it has not read yet.
            while read(connection, &chunk, chunk.count) > 0 {}
            close(connection)
            close(listener)
        }
        thread.start()
    }

    /// The first line of the request that came.
    func requestLine() -> String {
        request.withLock { $0.prefix { $0 != "\r\n" }.description }
    }

    /// A port on which nobody listens: taken, looked at, given back.
    static func freePort() throws -> UInt16 {
        let (listener, port) = try listen()
        close(listener)
        return port
    }

    private static func listen() throws -> (listener: Int32, port: UInt16) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && Glibc.listen(listener, 1) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        try #require(isBound)
        return (listener, UInt16(bigEndian: address.sin_port))
    }
}
