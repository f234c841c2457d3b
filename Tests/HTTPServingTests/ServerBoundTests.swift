import Foundation
import HTTPServing
import LogModel
import NIOCore
import NIOTLS
import PipelineTesting
import Synchronization
import Testing

/// What many clients together can do to the server.
@Suite(.timeLimit(.minutes(10))) struct ServerBoundTests {
    private func bounds(_ change: (inout HTTPServerBounds) -> Void) -> HTTPServerBounds {
        var bounds = HTTPServerBounds(bodyByteCountMax: 1 << 20)
        change(&bounds)
        return bounds
    }

    @Test func `past the bound the connection idle longest makes room`() throws {
        let server = try TestServer(bounds { $0.connectionCountMax = 4 })
        let clients = try (0..<4).map { _ in try server.connect() }
        // The first one is used last.
        for client in clients.dropFirst() + [clients[0]] { #expect(try client.send("GET", "/x").status == 200) }
        let fifth = try server.connect()
        #expect(try fifth.send("GET", "/x").status == 200)
        #expect(clients[1].isAtEnd())
        for client in [clients[0], clients[2], clients[3], fifth] {
            #expect(try client.send("GET", "/x").status == 200)
        }
        let figures = try server.figures
        #expect(figures.connectionCount == 4)
        #expect(figures.connectionEvictedCount == 1)
        #expect(figures.connectionRefusedCount == 0)
    }

    @Test func `a flood of handshakes takes no place from a sender whose own is done`() throws {
        let server = try TestServer(
            bounds { $0.connectionCountMax = 24 },
            wrap: { channel in
                // A handshake is done when the first bytes come.
                try channel.pipeline.syncOperations.addHandler(FirstBytes())
            }
        )
        let sender = try server.connect()
        #expect(try sender.send("GET", "/x").status == 200)
        // Each comes after the sender's last request, so that one was idle for longest.
        var flood: [HTTPTestConnection] = []
        for count in 1...12 {
            flood.append(try server.connect())
            try server.wait("the flood to be taken on") { $0.connectionOpenedCount == count + 1 }
        }
        #expect(try server.figures.connectionEvictedCount == 10)
        #expect(try sender.send("GET", "/x").status == 200)
        #expect(flood[9].isAtEnd())
        // One of them that is meant is served.
        #expect(try flood[11].send("GET", "/x").status == 200)
    }

    @Test func `a wrapped connection counts for ten until its handshake is done, then for four`() throws {
        let server = try TestServer(
            bounds { $0.connectionCountMax = 24 },
            wrap: { channel in
                // A handshake is done when the first bytes come.
                try channel.pipeline.syncOperations.addHandler(FirstBytes())
            }
        )
        var silent = try (0..<3).map { _ in try server.connect() }
        #expect(silent[0].isAtEnd(), "thirty are too many")
        try server.wait("two that say nothing") { $0.connectionCount == 2 && $0.connectionEvictedCount == 1 }
        for client in silent.dropFirst() { #expect(try client.send("GET", "/x").status == 200) }
        // Eight and ten, then twelve and ten.
        for _ in 0..<2 { #expect(try server.connect().send("GET", "/x").status == 200) }
        #expect(try server.figures.connectionEvictedCount == 1)
        // The places of those that ended are free: nothing of the ten is left behind.
        silent = []
        try server.wait("all to end") { $0.connectionCount == 0 }
        let others = try (0..<4).map { _ in
            let client = try server.connect()
            #expect(try client.send("GET", "/x").status == 200)
            return client
        }
        #expect(try server.figures.connectionEvictedCount == 1 && others.count == 4)
    }

    @Test func `a connection with a request under way is not closed for a new one`() throws {
        let server = try TestServer(bounds { $0.connectionCountMax = 2 })
        let waiting = try server.connect()
        try waiting.write("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        let half = try server.connect()
        try half.write("GET /x HT")
        try Wait.until("both requests", .seconds(10), holds: { try server.onLoop { $0.held.count } == 1 })
        try server.wait("both connections") { $0.connectionCount == 2 }
        // Whether the second one's bytes were read is seen only by what happens to it.
        try Wait.until(
            "a refusal",
            .seconds(10),
            holds: {
                let third = try server.connect()
                try third.write("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                return third.isAtEnd()
            }
        )
        try server.onLoop { $0.letGo() }
        #expect(try waiting.readAnswer().status == 200)
        #expect(try server.figures.connectionRefusedCount > 0)
    }

    @Test(arguments: ["", "GET /x HTTP/1.1\r\nHo", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"])
    func `a client that stops in the middle is answered 408, one that says nothing is closed`(_ text: String) throws {
        let server = try TestServer(
            bounds {
                $0.requestReadTimeout = .milliseconds(100)
                $0.idleTimeout = .milliseconds(100)
                $0.sweepInterval = .milliseconds(50)
            }
        )
        let client = try server.connect()
        try client.write(text)
        if !text.isEmpty {
            let answer = try client.readAnswer()
            #expect(answer.status == 408)
            #expect(answer.isJSON)
            #expect(try server.figures.requestTimeoutCount == 1)
        }
        #expect(client.isAtEnd())
    }

    @Test func `bodies past the bound wait, and all arrive`() throws {
        let server = try TestServer(bounds { $0.bodyBytesInFlightMax = 300_000 })
        let body = [UInt8](repeating: 97, count: 400_000)
        let answers = Mutex<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 12) { _ in
            guard let client = try? server.connect(.seconds(30)) else { return }
            for _ in 0..<3 {
                guard let answer = try? client.send("POST", "/count", body) else { return }
                answers.withLock { $0.append(answer.text) }
            }
        }
        #expect(answers.withLock { $0 } == [String](repeating: "400000", count: 36))
        // How many were under way at once is the machine's to say, so whether one had to wait is another test's business.
        let figures = try server.figures
        // Beside the bound: one body that goes on, and a read each for the twelve.
        #expect(figures.bodyByteCountMax <= 300_000 + 400_000 + 13 * 65_536, "\(figures)")
        #expect(figures.bodyByteCount == 0)
    }

    @Test func `the one body that may go past the bound must not stand still while others wait`() throws {
        let server = try TestServer(
            bounds {
                $0.bodyBytesInFlightMax = 100_000
                $0.stallTime = .milliseconds(50)
            }
        )
        let slow = try (0..<4).map { _ in try server.connect() }
        for client in slow {
            try client.write("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
            try client.write([UInt8](repeating: 97, count: 150_000))
        }
        try server.wait("somebody to wait") { $0.bodyWaitCount > 0 }
        let client = try server.connect()
        #expect(try client.send("POST", "/count", [UInt8](repeating: 97, count: 300_000)).text == "300000")
        #expect(try server.figures.slowBodyCount > 0)
    }

    @Test func `who holds memory that others wait for and sends next to nothing is given up`() throws {
        let server = try TestServer(
            bounds {
                $0.bodyBytesInFlightMax = 200_000
                $0.sweepInterval = .milliseconds(50)
                $0.stallTime = .seconds(3600)
            }
        )
        let slow = try (0..<8).map { _ in try server.connect() }
        for client in slow {
            try client.write("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
            try client.write([UInt8](repeating: 97, count: 50_000))
        }
        let client = try server.connect()
        #expect(try client.send("POST", "/count", [UInt8](repeating: 97, count: 300_000)).text == "300000")
        #expect(try server.figures.slowBodyCount > 0)
    }

    @Test func `a body counts with what it expands to while it is looked at, and no longer`() throws {
        let server = try TestServer()
        let slow = try server.connect()
        try slow.write(
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n" + String(repeating: "x", count: 20_000)
        )
        try server.wait("a part of a body") { $0.bodyByteCount > 0 }
        let before = try server.figures.bodyByteCount
        let during = try server.figures(expanding: 3 << 20)
        #expect(during.bodyByteCount == before + (3 << 20))
        let after = try server.figures
        #expect(after.bodyByteCount == before && after.bodyByteCountMax >= 3 << 20)
        #expect(try server.onLoop { $0.bodyByteCount } == before, "the budget for records is told")
        try slow.write(String(repeating: "x", count: 20_000))
        #expect(try slow.readAnswer().status == 200)
        #expect(try server.figures.bodyByteCount == 0)
    }

    @Test func `small requests are served while bodies wait`() throws {
        let server = try TestServer(bounds { $0.bodyBytesInFlightMax = 100_000 })
        let slow = try (0..<8).map { _ in try server.connect() }
        for client in slow {
            try client.write("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
            try client.write([UInt8](repeating: 97, count: 50_000))
        }
        try server.wait("somebody to wait") { $0.bodyWaitCount > 0 }
        let client = try server.connect()
        for _ in 0..<100 { #expect(try client.send("POST", "/x", [97]).text == "POST /x a") }
    }

    @Test func `what ends while it waits gives its place back`() throws {
        let server = try TestServer(bounds { $0.bodyBytesInFlightMax = 100_000 })
        do {
            let clients = try (0..<8).map { _ in try server.connect() }
            for client in clients {
                try client.write("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
                try client.write([UInt8](repeating: 97, count: 50_000))
            }
            try server.wait("somebody to wait") { $0.bodyWaitCount > 2 }
            for client in clients { client.resetAtEnd() }
        }
        // They are not read, and yet their end is seen.
        try server.wait("the connections to end") { $0.connectionCount == 0 && $0.bodyByteCount == 0 }
        let client = try server.connect()
        #expect(try client.send("POST", "/count", [UInt8](repeating: 97, count: 300_000)).text == "300000")
    }

    @Test func `after the listening ended a request under way is answered, idle connections end`() throws {
        let server = try TestServer()
        let idle = try server.connect()
        #expect(try idle.send("GET", "/x").status == 200)
        let busy = try server.connect()
        try busy.write("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        try Wait.until("the request", .seconds(10), holds: { try server.onLoop { $0.held.count } == 1 })
        try server.stopListening()
        // Its client may have sent something already.
        let last = try idle.send("GET", "/x")
        #expect(last.status == 200 && last.headers["connection"] == "close")
        #expect(idle.isAtEnd())
        try server.onLoop { $0.letGo() }
        #expect(try busy.readAnswer().status == 200)
    }

    @Test func `a request that came before its connection is closed is answered, though nobody has read it yet`() throws
    {
        let server = try TestServer()
        // More than turns of the loop in which they are closed.
        let clients = try (0..<120).map { _ in try server.connect() }
        for client in clients { #expect(try client.send("GET", "/x").status == 200) }
        try server.stopListening()
        let late = [clients[0], clients[60], clients[119]]
        try server.closeIdleConnections {
            for client in late { try client.write("GET /x HTTP/1.1\r\nHost: a\r\n\r\n") }
        }
        for client in late {
            let last = try client.readAnswer()
            #expect(last.status == 200 && last.headers["connection"] == "close")
        }
        #expect(clients.allSatisfy { $0.isAtEnd() })
        try server.wait("all to be gone") { $0.connectionCount == 0 }
    }
}

private final class FirstBytes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    private var isDone = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !isDone {
            isDone = true
            context.fireUserInboundEventTriggered(TLSUserEvent.handshakeCompleted(negotiatedProtocol: nil))
        }
        context.fireChannelRead(data)
    }
}
