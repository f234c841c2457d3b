import HTTPClient
import NIOCore
import Synchronization
import Testing

private let eventsHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

private func chunk(_ text: String) -> String {
    "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n"
}

/// What a stream handed over.
private final class Collector: Sendable {
    private let state = Mutex((heads: [Int](), text: ""))
    func head(_ head: HTTPAnswerHead) { state.withLock { $0.heads.append(head.status) } }
    func body(_ bytes: [UInt8]) { state.withLock { $0.text += String(decoding: bytes, as: UTF8.self) } }
    var heads: [Int] { state.withLock { $0.heads } }
    var text: String { state.withLock { $0.text } }
}

@Suite(.timeLimit(.minutes(10)))
struct HTTPStreamTests {
    private func stream(
        _ client: HTTPClient,
        _ collector: Collector,
        quietMax: Duration? = nil,
        headTimeout: Duration = .seconds(20),
        until: @escaping @Sendable (String) -> Bool = { _ in false }
    ) -> EventLoopFuture<HTTPAnswerHead> {
        client.stream(HTTPCall("GET", "/tail"), headTimeout: headTimeout, quietMax: quietMax) { head in
            collector.head(head)
            return head.status == 200
        } onBody: { bytes in
            collector.body(bytes)
            return !until(collector.text)
        }
    }

    @Test func `events come in order as they are sent, and the end of the body ends the call`() async throws {
        let server = try ScriptedServer { _ in
            [.send(eventsHead)] + (1...50).map { .send(chunk("data: \($0)\n\n")) } + [.send("0\r\n\r\n")]
        }
        let collector = Collector()
        let head = try await stream(makeClient(server), collector).get()
        #expect(head.header("content-type") == "text/event-stream")
        #expect(collector.heads == [200])
        #expect(collector.text == (1...50).map { "data: \($0)\n\n" }.joined())
    }

    @Test func `a stream that the reader has enough of ends well`() async throws {
        let server = try ScriptedServer { _ in [.send(eventsHead), .send(chunk("one")), .send(chunk("two"))] }
        let collector = Collector()
        let head = try await stream(makeClient(server), collector) { $0.contains("one") }.get()
        #expect(head.status == 200)
        #expect(collector.text.hasPrefix("one"))
    }

    @Test func `a stream whose head is not wanted ends well and hands no body over`() async throws {
        let server = try ScriptedServer { _ in [.send("HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabc")] }
        let collector = Collector()
        let head = try await stream(makeClient(server), collector).get()
        #expect(head.status == 503)
        #expect(collector.text.isEmpty)
    }

    @Test func `a stream outlives the time allowed for its head`() async throws {
        let server = try ScriptedServer { _ in
            [.send(eventsHead), .pause(.milliseconds(300)), .send(chunk("late")), .send("0\r\n\r\n")]
        }
        let collector = Collector()
        _ = try await stream(makeClient(server), collector, headTimeout: .milliseconds(250)).get()
        #expect(collector.text == "late")
    }

    @Test func `a stream that falls silent for too long is a timeout`() async throws {
        let server = try ScriptedServer { _ in [.send(eventsHead), .send(chunk("one"))] }
        let collector = Collector()
        let error = await outcome(stream(makeClient(server), collector, quietMax: .milliseconds(100))).error
        #expect(error?.kind == .timedOut)
    }

    @Test func `a stream without a head in time is a timeout`() async throws {
        let server = try ScriptedServer { _ in [] }
        let error = await outcome(stream(makeClient(server), Collector(), headTimeout: .milliseconds(50))).error
        #expect(error?.kind == .timedOut)
    }

    @Test func `a stream cut off in a chunk is a lost connection`() async throws {
        let server = try ScriptedServer { _ in [.send(eventsHead), .send(chunk("one")), .send("5\r\ntw"), .close] }
        let collector = Collector()
        let error = await outcome(stream(makeClient(server), collector)).error
        #expect(error?.kind == .connectionClosed)
        #expect(collector.text.hasPrefix("one"))
    }

    @Test func `other calls go on beside a stream`() async throws {
        let server = try ScriptedServer { number in
            number == 1
                ? [.send(eventsHead), .send(chunk("one"))] : [.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
        }
        let client = makeClient(server)
        let collector = Collector()
        let future = stream(client, collector)
        #expect(await eventually { collector.text == "one" })
        for _ in 1...3 {
            #expect(try await client.send(HTTPCall("GET", "/"), timeout: .seconds(20)).get().status == 200)
        }
        #expect(server.connectionCount == 2)
        try await client.close().get()
        #expect(await outcome(future).error?.kind == .clientClosed)
    }
}
