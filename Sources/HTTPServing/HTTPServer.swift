internal import Glibc
internal import LogModel
package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Serves HTTP/1.1 on one event loop: listening sockets, connections, their bounds and time-outs.
///
/// Owns every connection. Bounds: connections, bytes of a body, bytes of all bodies, time for a request, idle time
/// (``Limits``). `@unchecked Sendable`: everything is used on the one event loop.
package final class HTTPServer: @unchecked Sendable {
    package enum Address: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// Why a listening socket could not be had.
    package struct ListenError: Error, CustomStringConvertible {
        package let description: String
        /// Another process has the port or the socket.
        package let isInUse: Bool
    }

    package private(set) var bodyByteCountMax: Int
    package private(set) var connectionCount = 0
    package private(set) var connectionRefusedCount = 0

    private let loop: any EventLoop
    /// Answers every request; the composition owns both.
    private(set) var handler: any RequestHandler
    private var listeners: [any Channel] = []
    private var connections: [ObjectIdentifier: ConnectionHandler] = [:]
    private var bodyBytesInFlight = 0
    private var isSweeping = false
    private var isClosed = false
    /// When the two heads were made, in seconds since 1970.
    private var headSecond: Int64 = -1
    private var keepAliveHead: [UInt8] = []
    private var closeHead: [UInt8] = []
    private var scratch = ByteBuffer()

    package init(loop: any EventLoop, bodyByteCountMax: Int, handler: any RequestHandler) {
        self.loop = loop
        self.bodyByteCountMax = bodyByteCountMax
        self.handler = handler
    }

    /// Opens one listening socket and returns the port it has (0 for a unix socket). Requests that come by it carry `door`.
    /// Blocks: not to be called on the loop.
    package func listen(on address: Address, door: HTTPDoor) throws(ListenError) -> Int {
        var bootstrap = ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([
                        ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)),
                        ConnectionHandler(server: self, door: door),
                    ])
                }
            }
        do {
            let channel: any Channel
            switch address {
            case .tcp(let host, let port):
                bootstrap =
                    bootstrap
                    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                channel = try bootstrap.bind(host: host, port: port).wait()
            case .unix(let path):
                channel = try UnixSocketFile.prepare(path) { try bootstrap.bind(unixDomainSocketPath: path).wait() }
            }
            try loop.submit { self.listeners.append(channel) }.wait()
            return channel.localAddress?.port ?? 0
        } catch let error as ListenError {
            throw error
        } catch {
            let code = (error as? IOError)?.errnoCode ?? 0
            let reason = code == 0 ? "\(error)" : String(cString: strerror(code))
            throw ListenError(description: "listen on \(Self.text(address)): \(reason)", isInUse: code == EADDRINUSE)
        }
    }

    package static func text(_ address: Address) -> String {
        switch address {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Takes no more connections; those with a request under way get their answer first. On the loop.
    package func stopListening() {
        isClosed = true
        for listener in listeners { listener.close(promise: nil) }
        listeners = []
        for connection in connections.values where connection.isIdle || connection.isStreaming {
            connection.closeIdle()
        }
    }

    // MARK: Connections (on the loop)

    func connectionOpened(_ connection: ConnectionHandler) -> Bool {
        guard connectionCount < Limits.connectionCountMax, !isClosed else {
            connectionRefusedCount += 1
            return false
        }
        connectionCount += 1
        connections[ObjectIdentifier(connection)] = connection
        sweepLater()
        return true
    }

    func connectionClosed(_ connection: ConnectionHandler) {
        if connections.removeValue(forKey: ObjectIdentifier(connection)) != nil { connectionCount -= 1 }
    }

    func reserveBody(_ count: Int) -> Bool {
        guard bodyBytesInFlight + count <= Limits.bodyBytesInFlightMax else { return false }
        bodyBytesInFlight += count
        handler.bodyBytesChanged(to: bodyBytesInFlight)
        return true
    }

    func releaseBody(_ count: Int) {
        guard count > 0 else { return }
        bodyBytesInFlight -= count
        handler.bodyBytesChanged(to: bodyBytesInFlight)
    }

    /// One timer for all connections, and none when there are none: a timer a connection would cost more than the
    /// connection with clients that open one for each message.
    private func sweepLater() {
        guard !isSweeping, !connections.isEmpty else { return }
        isSweeping = true
        loop.scheduleTask(in: .seconds(5)) { [self] in
            isSweeping = false
            sweep()
            sweepLater()
        }
    }

    private func sweep() {
        let now = NIODeadline.now()
        for connection in connections.values where !connection.isStreaming {
            if let since = connection.requestSince, now - since > .nanoseconds(Limits.requestReadTimeout.nanoseconds) {
                connection.refuse(.problem(.requestTimeout, "The request's body did not arrive in time."))
            } else if connection.isIdle,
                now - connection.idleSince > .nanoseconds(Limits.connectionIdleTimeout.nanoseconds)
            {
                connection.closeIdle()
            }
        }
    }

    // MARK: Answers

    /// The answer as bytes. All heads are alike but for the status and the length, so the rest is made once a second and
    /// copied: nine small writes would cost a fifteenth of a request.
    func encode(_ answer: HTTPAnswer, isKeptAlive: Bool, isHead: Bool) -> ByteBuffer {
        refreshHeads()
        // Memory of the answer before, unless that one has not left yet, or was a page whose memory nobody needs again.
        if scratch.capacity > 16 * 1024 { scratch = ByteBuffer() }
        scratch.clear(minimumCapacity: 512)
        scratch.writeStaticString(answer.status.line)
        let head = isKeptAlive ? keepAliveHead : closeHead
        head.withUnsafeBytes { _ = scratch.writeBytes($0) }
        if answer.status == .noContent || answer.status == .notModified {
            // Neither has a body; the first must not even state a length of zero (RFC 9110, 8.6).
            for header in answer.headers { scratch.writeString("\(header.name): \(header.value)\r\n") }
            scratch.writeStaticString("\r\n")
            return scratch
        }
        if answer.contentType == "application/json" && answer.headers.isEmpty {
            scratch.writeStaticString("Content-Type: application/json\r\nContent-Length: ")
        } else {
            for header in answer.headers { scratch.writeString("\(header.name): \(header.value)\r\n") }
            scratch.writeString("Content-Type: \(answer.contentType)\r\nContent-Length: ")
        }
        writeLength(answer.body.count)
        if !isHead { answer.body.withUnsafeBytes { _ = scratch.writeBytes($0) } }
        return scratch
    }

    /// Decimal digits and the end of the head.
    private func writeLength(_ count: Int) {
        var digits = InlineArray<24, UInt8>(repeating: 0)
        digits[20] = UInt8(ascii: "\r")
        digits[21] = UInt8(ascii: "\n")
        digits[22] = UInt8(ascii: "\r")
        digits[23] = UInt8(ascii: "\n")
        var start = 20
        var rest = count
        repeat {
            start -= 1
            digits[start] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        } while rest > 0
        digits.span.extracting(start..<24).withUnsafeBytes { _ = scratch.writeBytes($0) }
    }

    /// `Date: Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7) and the lines that never change, made once a second.
    ///
    /// Node.js gives a connection up one second before the hint, and we five seconds after it: so no request is ever
    /// written into a connection that this side is closing.
    private func refreshHeads() {
        let second = Int64(time(nil))
        guard second != headSecond else { return }
        headSecond = second
        var now = time_t(second)
        var parts = tm()
        gmtime_r(&now, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let common =
            "Date: \(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) "
            + "\(parts.tm_year + 1900) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT\r\n"
            + "X-Content-Type-Options: nosniff\r\nConnection: "
        let hint = Int(Limits.connectionIdleTimeout.seconds) - 5
        keepAliveHead = Array((common + "keep-alive\r\nKeep-Alive: timeout=\(hint)\r\n").utf8)
        closeHead = Array((common + "close\r\n").utf8)
    }
}
