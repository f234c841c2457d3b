import Foundation
import PipelineTesting
import Testing

/// What the daemon answers to requests that are broken, compressed or made to hurt, over a real socket.
@Suite struct HostileRequestTests {
    private static let object = Array(#"{"message":"pump 7 started"}"#.utf8)

    /// Python's standard library as the other side: its compression is not ours.
    private func compressed(_ code: String) throws -> [UInt8] {
        let python = try #require(Programs.installed("python3"))
        let result = try ChildProcess.run([python, "-c", "import sys,zlib,gzip\nprint((\(code)).hex())"])
        let text = Array(result.output.utf8)
        return stride(from: 0, to: text.count - 1, by: 2).compactMap { place in
            UInt8(String(decoding: text[place..<min(place + 2, text.count)], as: UTF8.self), radix: 16)
        }
    }

    private func post(_ daemon: DaemonProcess, _ body: [UInt8], _ coding: String) throws -> HTTPTestAnswer {
        try daemon.request("POST", "/ingest", body, headers: ["Content-Encoding": coding])
    }

    @Test func `compressed bodies are read, in each form`() throws {
        try withDaemon { daemon in
            let source = #"b'{"message":"pump 7 started"}'"#
            let bodies = [
                ("gzip", "gzip.compress(\(source))"), ("x-gzip", "gzip.compress(\(source))"),
                ("GZIP", "gzip.compress(\(source))"),
                ("deflate", "zlib.compress(\(source))"), ("deflate", "zlib.compress(\(source))[2:-4]"),
            ]
            for (coding, code) in bodies {
                let answer = try post(daemon, try compressed(code), coding)
                #expect(answer.integer("accepted") == 1, "\(coding) \(code): \(answer.text)")
            }
            #expect(try post(daemon, Self.object, "identity").integer("accepted") == 1)
            #expect(try daemon.storedPatterns().map(\.count) == [6])
        }
    }

    @Test func `a compressed body that is damaged, too large or of another coding is refused and costs nothing`() throws
    {
        try withDaemon { daemon in
            let whole = try compressed("gzip.compress(b'{\"message\":\"a\"}')")
            for body in [Array(whole.dropLast()), whole + [0], whole + whole, Self.object, []] {
                let answer = try post(daemon, body, "gzip")
                #expect(answer.status == 400, "\(answer.text)")
                #expect(answer.isJSON)
            }
            for coding in ["br", "zstd", "gzip, gzip", "compress"] {
                let answer = try post(daemon, whole, coding)
                #expect(answer.status == 415)
                #expect(answer.headers["accept-encoding"] == "gzip, deflate, identity")
            }
            for code in ["gzip.compress(b' ' * (64 << 20))", "zlib.compress(b' ' * (64 << 20))"] {
                let bomb = try compressed(code)
                let peakBefore = try peakByteCount(daemon)
                let answer = try post(daemon, bomb, code.hasPrefix("gzip") ? "gzip" : "deflate")
                #expect(answer.status == 413, "\(answer.text)")
                // The bound is 8 MiB. The body itself has 65 kB, and none is kept of what comes out.
                #expect(try peakByteCount(daemon) - peakBefore < 3 << 20, "\(code)")
            }
            #expect(try daemon.get("/stats").integer("records.accepted") == 0)
        }
    }

    /// The most memory that was resident since the daemon began (proc_pid_status(5)).
    private func peakByteCount(_ daemon: DaemonProcess) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(daemon.child.processID)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }) * 1024
    }

    /// Each is read as one request or none, whatever a proxy in front would make of it; the second request in it is never seen.
    @Test func `a request within a request is not let through`() throws {
        let inner = "POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}"
        let shapes = [
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            "Content-Length: 0\r\nContent-Length: 44\r\n\r\n", "Content-Length: +0\r\n\r\n",
            "Content-Length: 0,0\r\n\r\n",
            "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding:\u{B}chunked\r\n\r\n0\r\n\r\n",
            "X: a\r\n Content-Length: 5\r\n\r\n", "X: a\rContent-Length: 5\r\n\r\n", "X: a\nContent-Length: 5\r\n\r\n",
            "Host: b\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0;\u{0}\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n 0\r\n\r\n",
        ]
        try withDaemon { daemon in
            for shape in shapes {
                let connection = try HTTPTestConnection(daemon.address)
                try connection.write(Array("POST /ingest HTTP/1.1\r\nHost: localhost\r\n\(shape)\(inner)".utf8))
                let answer = try connection.readAnswer()
                #expect(answer.status == 400, "\(shape.debugDescription): \(answer.text)")
                #expect(answer.isJSON)
                #expect(answer.headers["connection"] == "close")
                #expect(throws: TestingError.self) { try connection.readAnswer() }
            }
            #expect(try daemon.get("/stats").integer("records.accepted") == 0)
        }
    }

    @Test func `two thousand connections that say nothing keep nobody out`() throws {
        try withDaemon { daemon in
            var idle: [HTTPTestConnection] = []
            for _ in 0..<2000 { idle.append(try HTTPTestConnection(daemon.address)) }
            #expect(try daemon.post("/ingest", #"{"message":"a"}"#).integer("accepted") == 1)
            let page = try daemon.get("/metrics").text
            func figure(_ name: String) -> Int {
                page.split(separator: "\n").first { $0.hasPrefix(name + " ") }.flatMap {
                    Int($0.split(separator: " ")[1])
                } ?? -1
            }
            #expect(figure("logboom_http_connections") == 1024)
            #expect(figure("logboom_http_connections_evicted_total") >= 2000 - 1024)
            #expect(figure("logboom_http_connections_refused_total") == 0)
            #expect(idle.count == 2000)
        }
    }
}
