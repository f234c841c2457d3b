import Foundation
import HTTPServing
import PipelineTesting
import Testing

/// Clients that ask and do not read, and clients that send next to nothing.
@Suite(.timeLimit(.minutes(10))) struct SlowReaderTests {
    private static let big = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"

    private func bounds(_ change: (inout HTTPServerBounds) -> Void) -> HTTPServerBounds {
        var bounds = HTTPServerBounds(bodyByteCountMax: 1 << 20)
        change(&bounds)
        return bounds
    }

    private func seenCount(_ server: TestServer) throws -> Int { try server.onLoop { $0.seen.count } }

    @Test func `who asks without reading is not answered without end, and gets everything once it reads`() throws {
        let server = try TestServer()
        let client = try server.connect(.seconds(30))
        // A hundred megabytes of answers, of which the kernel holds some.
        try client.write(String(repeating: Self.big, count: 100))
        try server.wait("answers that are not read") { $0.blockedByteCount > 0 }
        let seen = try seenCount(server)
        #expect(seen < 50, "\(seen)")
        // One answer, and what is below SwiftNIO's mark.
        #expect(try server.figures.blockedByteCount < 2 << 20)
        for _ in 0..<100 { #expect(try client.readAnswer().body.count == 1 << 20) }
        #expect(try seenCount(server) == 100)
        try server.wait("nothing to wait") { $0.blockedByteCount == 0 }
        #expect(try server.figures.slowReaderCount == 0)
    }

    @Test func `answers that many clients do not read are bounded together, the one waiting longest goes`() throws {
        let server = try TestServer(bounds { $0.blockedByteCountMax = 3 << 20 })
        let clients = try (0..<8).map { _ in try server.connect() }
        for client in clients { try client.write(String(repeating: Self.big, count: 40)) }
        try withExtendedLifetime(clients) { try server.wait("the first ones to go") { $0.slowReaderCount >= 4 } }
        let figures = try server.figures
        #expect(figures.blockedByteCount <= 3 << 20)
        #expect(try server.connect().send("GET", "/x").status == 200)
    }

    @Test(arguments: ["", "Connection: close\r\n"])
    func `a client that does not read for long is closed, whatever it asked for`(_ field: String) throws {
        let server = try TestServer(
            bounds {
                $0.idleTimeout = .milliseconds(200)
                $0.sweepInterval = .milliseconds(50)
            }
        )
        let client = try server.connect()
        try client.write(String(repeating: Self.big, count: 40))
        try client.write("GET /big HTTP/1.1\r\nHost: a\r\n\(field)\r\n")
        try withExtendedLifetime(client) {
            try server.wait("the connection to go") { $0.slowReaderCount == 1 && $0.connectionCount == 0 }
        }
        let figures = try server.figures
        #expect(figures.blockedByteCount == 0 && figures.bodyByteCount == 0)
    }

    @Test func `one that does not read makes room for a new connection`() throws {
        let server = try TestServer(bounds { $0.connectionCountMax = 2 })
        let clients = try (0..<2).map { _ in try server.connect() }
        for client in clients { try client.write(String(repeating: Self.big, count: 40)) }
        try server.wait("both to be held up") { $0.blockedByteCount > 1 << 20 }
        #expect(try server.connect().send("GET", "/x").status == 200)
        #expect(try server.figures.connectionEvictedCount == 1)
        // Not closed before.
        withExtendedLifetime(clients) {}
    }

    @Test func `a sender of whole batches does not wait for bodies that trickle`() throws {
        let server = try TestServer(
            bounds {
                $0.bodyBytesInFlightMax = 1 << 20
                $0.sweepInterval = .seconds(3600)
                $0.stallTime = .seconds(3600)
            }
        )
        let slow = try (0..<60).map { _ in try server.connect() }
        for client in slow {
            try client.write("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\na")
        }
        try server.wait("bodies to wait") { $0.bodyWaitCount > 40 }
        let sender = try server.connect()
        // Behind what the slow ones sent: they have all been looked at then.
        for _ in 0..<3 { #expect(try sender.send("GET", "/x").status == 200) }
        let waitCount = try server.figures.bodyWaitCount
        let batch = [UInt8](repeating: 97, count: 20_000)
        for round in 0..<100 {
            if round.isMultiple(of: 10) { for client in slow { try client.write("a") } }
            #expect(try sender.send("POST", "/count", batch).text == "20000")
        }
        let figures = try server.figures
        #expect(figures.bodyWaitCount == waitCount, "\(figures)")
        // The one that may go past the bound included.
        #expect(figures.bodyByteCountMax <= 5 << 18, "\(figures)")
    }
}
