import Foundation
import HTTPServing
import HTTPWire
import NIOCore
import NIOPosix
import PipelineTesting
import Testing

/// A server with nothing behind it but what a test says, on a port of its own.
final class TestServer: @unchecked Sendable {
    let port: Int
    let handler = TestHandler()
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let server: HTTPServer

    /// - Parameter wrap: what stands between the socket and HTTP.
    init(
        _ bounds: HTTPServerBounds = HTTPServerBounds(bodyByteCountMax: 1 << 20),
        wrap: HTTPServer.Wrapper? = nil
    ) throws {
        server = HTTPServer(loop: group.next(), bounds: bounds, handler: handler)
        port = try server.listen(on: .tcp(host: "127.0.0.1", port: 0), door: .loopback, wrap: wrap)
    }

    deinit {
        try? group.syncShutdownGracefully()
    }

    var figures: HTTPServerFigures {
        get throws { try group.next().submit { [server] in server.figures }.wait() }
    }

    /// Listens once more, for what comes by another door.
    func listen(door: HTTPDoor) throws -> Int {
        try server.listen(on: .tcp(host: "127.0.0.1", port: 0), door: door)
    }

    /// The memory for bodies while one of so many bytes, once expanded, is looked at.
    func figures(expanding byteCount: Int) throws -> HTTPServerFigures {
        try group.next().submit { [server] in
            var figures = HTTPServerFigures()
            server.withExpandedBody(byteCount) { figures = server.figures }
            return figures
        }.wait()
    }

    func onLoop<Value: Sendable>(_ body: @escaping @Sendable (TestHandler) -> Value) throws -> Value {
        try group.next().submit { [handler] in body(handler) }.wait()
    }

    func stopListening() throws {
        try group.next().submit { [server] in server.stopListening() }.wait()
    }

    /// Asks for idle connections to be closed, in the turn of the loop in which `meanwhile` ran here, so that the loop has not seen what it
    /// sent; returns when they are.
    func closeIdleConnections(meanwhile: () throws -> Void) throws {
        let isHeld = DispatchSemaphore(value: 0)
        let goOn = DispatchSemaphore(value: 0)
        let loop = group.next()
        let closed = loop.makePromise(of: Void.self)
        loop.execute { [server] in
            isHeld.signal()
            goOn.wait()
            server.closeIdleConnections { closed.succeed(()) }
        }
        isHeld.wait()
        defer { goOn.signal() }
        try meanwhile()
        goOn.signal()
        try closed.futureResult.wait()
    }

    func connect(_ limit: Duration = .seconds(15)) throws -> HTTPTestConnection {
        try HTTPTestConnection(.port(port), limit: limit)
    }

    func wait(_ what: String, until holds: (HTTPServerFigures) -> Bool) throws {
        try Wait.until(what, .seconds(15), holds: { holds(try self.figures) })
    }
}

/// Answers with what it was asked: method, path, body. `/later` waits until the test lets it go, `/big` answers with a
/// megabyte. Loop only.
final class TestHandler: RequestHandler, @unchecked Sendable {
    /// Requests at `/later` that were not answered.
    var held: [(responder: Responder, text: String)] = []
    var seen: [String] = []
    var serverAnswers: [Int] = []
    /// As told last.
    var bodyByteCount = 0
    /// What requests to `/closed` are turned away with.
    var refusal = HTTPAnswer.problem(.tooManyRequests, "Not now.", headers: [("Retry-After", "1")])

    /// For whom it was asked, by path.
    var judged: [String] = []
    /// Of lasting grants, what holds. None lasts while it is `nil`.
    var edition: Int32?

    func admit(_ head: HTTPHead) -> HTTPAdmission {
        judged.append(String(head.path))
        if head.path == "/closed" { return .refused(refusal) }
        return .admitted(edition.map { HTTPGrant(place: -1, edition: $0, isLasting: true) } ?? .none)
    }

    func isCurrent(_ grant: HTTPGrant) -> Bool { grant.edition == edition }

    func handle(_ request: HTTPRequest, _ responder: Responder) {
        let text = "\(request.method.name) \(String(request.path)) \(String(decoding: request.body, as: UTF8.self))"
        seen.append(text)
        switch request.path {
        case "/later": held.append((responder, text))
        case "/big": responder.respond(HTTPAnswer(.ok, body: [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)))
        case "/count": responder.respond(HTTPAnswer(.ok, body: Array("\(request.body.count)".utf8)))
        default: responder.respond(HTTPAnswer(.ok, body: Array(text.utf8)))
        }
    }

    func letGo() {
        let waiting = held
        held = []
        for (responder, text) in waiting { responder.respond(HTTPAnswer(.ok, body: Array(text.utf8))) }
    }

    func serverAnswered(_ status: HTTPStatus) { serverAnswers.append(status.rawValue) }
    func bodyBytesChanged(to count: Int) { bodyByteCount = count }
}

extension HTTPTestConnection {
    func write(_ text: String) throws { try write(Array(text.utf8)) }

    /// Whether the other side has closed: nothing more comes.
    func isAtEnd() -> Bool {
        do {
            _ = try readAnswer()
            return false
        } catch {
            return "\(error)".contains("ended")
        }
    }
}
