internal import Glibc
internal import HTTPWire
internal import LogModel
package import NIOCore
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

    package private(set) var figures = HTTPServerFigures()
    package let bounds: HTTPServerBounds

    /// Of each request.
    let requestBounds: RequestBounds
    /// Sweeps so far: what connections tell their age by.
    private(set) var tick: UInt32 = 0

    private let loop: any EventLoop
    /// Answers every request; the composition owns both.
    private(set) var handler: any RequestHandler
    private var listeners: [any Channel] = []
    private var connections: [ConnectionHandler] = []
    /// Of all connections together: how many plain ones would take as much memory.
    private var connectionWeight = 0
    /// Of it, what those have whose handshake is under way.
    private var openingWeight = 0
    private var order: UInt64 = 0
    /// Connections that hold part of a body and may not read on until there is room, the one waiting longest first.
    private var waiting: [ConnectionHandler] = []
    /// The one that may go past the bound of all bodies, so that of many that wait for each other one gets through.
    private var favoured: ConnectionHandler?
    private var isWatching = false
    /// Of ``HTTPServerFigures/bodyByteCount``, what is kept of reads for which there was no promise.
    private var lookedByteCount = 0
    /// What large requests are read into; `nil` before the first one, and while one is read.
    private var readBuffer: ByteBuffer?
    /// Connections whose clients do not read their answers, the one that has not for longest first.
    private var blocked: [ConnectionHandler] = []
    private var isSweeping = false
    /// No more connections are taken, and each answer is the last on its connection.
    private(set) var isDraining = false
    private var isClosed = false
    /// When the two heads were made, in seconds since 1970.
    private var headSecond: Int64 = -1
    private var keepAliveHead: [UInt8] = []
    private var closeHead: [UInt8] = []
    private var scratch = ByteBuffer()
    /// Heads that came lately and were admitted for good: each connection looks at one of them, so that clients of a few kinds that
    /// take turns do not push each other out.
    private var knownRequests: [KnownRequest]
    private static let knownRequestCount = 4

    private struct KnownRequest {
        var head = KnownHead()
        var door = HTTPDoor.socket
        /// `none` while nothing is known.
        var grant = HTTPGrant.none
    }
    /// The plain answer given last and its bytes, good within the second; `nil` when there is none. It holds the body, so its memory is
    /// nobody else's meanwhile. One by one, not as one value: each look at that would count references to all of it.
    private var lastAnswer: HTTPAnswer?
    private var lastStatus = HTTPStatus.ok
    private var lastBody: UnsafeBufferPointer<UInt8>?
    private var lastBytes = ByteBuffer()

    package init(loop: any EventLoop, bounds: HTTPServerBounds, handler: any RequestHandler) {
        self.loop = loop
        self.bounds = bounds
        requestBounds = RequestBounds(bodyByteCountMax: bounds.bodyByteCountMax)
        self.handler = handler
        knownRequests = Array(repeating: KnownRequest(), count: Self.knownRequestCount)
    }

    /// Makes what stands between the socket and HTTP on one connection: TLS.
    package typealias Wrapper = @Sendable (any Channel) throws -> Void

    /// Opens one listening socket and returns the port it has (0 for a unix socket). Blocks: not to be called on the loop.
    ///
    /// - Parameter door: what the requests that come by it carry.
    /// - Parameter wrap: adds handlers in front of HTTP to a connection's pipeline; on the loop, before anything is read. Such a
    ///   connection counts for ``HTTPServerBounds/openingConnectionWeight``, then ``HTTPServerBounds/wrappedConnectionWeight``.
    /// - Parameter descriptor: a socket that listens on `address` already, opened by whoever started this process. It is the
    ///   server's from then on; to close it ends nothing for those who hold it too.
    package func listen(
        on address: Address,
        door: HTTPDoor,
        wrap: Wrapper? = nil,
        descriptor: CInt? = nil
    ) throws(ListenError) -> Int {
        let bootstrap = ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 1024)
            // A burst of new connections is taken in one turn of the loop.
            .serverChannelOption(.maxMessagesPerRead, value: 32)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try prepare(channel, door, wrap) }
            }
        do {
            let channel: any Channel
            switch address {
            case .tcp(let host, let port):
                let bootstrap = bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                if let descriptor {
                    channel = try bootstrap.withBoundSocket(descriptor).wait()
                } else {
                    channel = try bootstrap.bind(host: host, port: port).wait()
                }
            case .unix(let path):
                if let descriptor {
                    channel = try bootstrap.withBoundSocket(descriptor).wait()
                } else {
                    channel = try UnixSocketFile.prepare(path) { try bootstrap.bind(unixDomainSocketPath: path).wait() }
                }
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

    private func prepare(_ channel: any Channel, _ door: HTTPDoor, _ wrap: Wrapper?) throws {
        try wrap?(channel)
        let weight = wrap == nil ? 1 : HTTPServerBounds.openingConnectionWeight
        let connection = ConnectionHandler(server: self, door: door, weight: weight, isPlain: wrap == nil)
        if let options = channel.syncOptions {
            // A client may close its side once it has sent its request, and still wants the answer.
            try options.setOption(.allowRemoteHalfClosure, value: true)
            if wrap == nil {
                try options.setOption(.recvAllocator, value: ReadBuffers(server: self, connection: connection))
            } else {
                try options.setOption(.recvAllocator, value: ReadSizes(server: self))
            }
            // One read for each time the loop says that there is something: so no connection keeps the others waiting, and
            // none has more than one buffer.
            try options.setOption(.maxMessagesPerRead, value: 1)
        }
        try channel.pipeline.syncOperations.addHandler(connection)
    }

    package static func text(_ address: Address) -> String {
        switch address {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Takes no more connections. What comes on those that are open is still answered, and told that it is the last: a
    /// client whose request crosses our close would see an error, and could not know whether it counted. On the loop.
    package func stopListening() {
        isDraining = true
        for listener in listeners { listener.close(promise: nil) }
        listeners = []
        for connection in connections where connection.isStreaming { connection.close() }
    }

    /// Closes connections on which nothing is under way, the others once they have their answer, and then calls back. On the loop.
    ///
    /// A few in each turn of the loop, after it read what had come by then: closed before it was read, a request would meet a reset.
    /// At most ``closingTurnCount`` turns, a millisecond apart.
    package func closeIdleConnections(then done: @escaping () -> Void) {
        isClosed = true
        let idleCount = connections.count { $0.isIdle }
        closeIdle(atOnce: 1 + idleCount / Self.closingTurnCount, turnCount: Self.closingTurnCount, then: done)
    }

    /// Some 50 ms of the five seconds that a stop has, however many are idle; what is left in the last turn goes at once.
    private static let closingTurnCount = 50

    private func closeIdle(atOnce count: Int, turnCount: Int, then done: @escaping () -> Void) {
        // By the clock: what is only put into the queue runs before the loop looks at its sockets again.
        loop.assumeIsolated().scheduleTask(in: .milliseconds(1)) { [self] in
            for connection in connections.lazy.filter({ $0.isIdle }).prefix(turnCount > 1 ? count : .max) {
                connection.close()
            }
            guard turnCount > 1, connections.contains(where: { $0.isIdle }) else { return done() }
            closeIdle(atOnce: count, turnCount: turnCount - 1, then: done)
        }
    }

    // MARK: Connections (on the loop)

    /// Takes a connection on; false when it has to go at once. At the bound the one that was idle longest makes room: a client
    /// that keeps connections it does not use must not keep out one that has something to say. Handshakes under way that take more
    /// than half of the places push out each other: a flood of them no sender who is known.
    func connectionOpened(_ connection: ConnectionHandler) -> Bool {
        guard !isClosed else { return false }
        while connectionWeight + connection.weight > bounds.connectionCountMax {
            let isFlood = connection.isOpening && openingWeight + connection.weight > bounds.connectionCountMax / 2
            guard let oldest = longestIdle(where: { !isFlood || $0.isOpening }) ?? longestIdle() else {
                figures.connectionRefusedCount += 1
                return false
            }
            figures.connectionEvictedCount += 1
            // Its place is free now, whenever the socket is.
            connectionClosed(oldest)
            oldest.close()
        }
        connection.index = connections.count
        connections.append(connection)
        connectionWeight += connection.weight
        if connection.isOpening { openingWeight += connection.weight }
        figures.connectionCount = connections.count
        figures.connectionOpenedCount += 1
        sweepLater()
        return true
    }

    /// The handshake of a connection is done: it takes less from now on.
    func opened(_ connection: ConnectionHandler) {
        if connection.index != nil {
            connectionWeight -= connection.weight - HTTPServerBounds.wrappedConnectionWeight
            if connection.isOpening { openingWeight -= connection.weight }
        }
        connection.weight = HTTPServerBounds.wrappedConnectionWeight
    }

    /// Some thousand comparisons, for each connection past the bound: less than accepting it costs.
    private func longestIdle(where isAsked: (ConnectionHandler) -> Bool = { _ in true }) -> ConnectionHandler? {
        var oldest: ConnectionHandler?
        for connection in connections where connection.isIdle && isAsked(connection) {
            if let known = oldest, known.idleOrder < connection.idleOrder { continue }
            oldest = connection
        }
        return oldest
    }

    func connectionClosed(_ connection: ConnectionHandler) {
        release(connection)
        guard let index = connection.index else { return }
        connection.index = nil
        connectionWeight -= connection.weight
        if connection.isOpening { openingWeight -= connection.weight }
        unblocked(connection)
        let last = connections.removeLast()
        if last !== connection {
            last.index = index
            connections[index] = last
        }
        figures.connectionCount = connections.count
        if connections.isEmpty { readBuffer = nil }
    }

    /// Larger each time.
    func nextOrder() -> UInt64 {
        order &+= 1
        return order
    }

    /// What one connection within TLS reads at once, at most, in bytes: less the more there are, as each keeps its buffer.
    var readByteCountMax: Int {
        switch connectionWeight {
        case ...16: 64 * 1024
        case ...64: 16 * 1024
        case ...256: 8 * 1024
        default: 4 * 1024
        }
    }

    // MARK: Heads (on the loop)

    /// Has the head read that is known already, and says what its sender was granted; `nil` when it is another one, or is to be judged
    /// anew.
    func readKnownHead(
        _ reader: inout RequestReader,
        _ bytes: UnsafeRawBufferPointer,
        of connection: ConnectionHandler
    ) -> HTTPGrant? {
        let place = knownPlace(of: connection)
        let grant = knownRequests[place].grant
        guard grant.isLasting, knownRequests[place].door == connection.door, handler.isCurrent(grant),
            reader.readHead(as: &knownRequests[place].head, bytes)
        else { return nil }
        return grant
    }

    /// The head that was just read was granted this for good.
    func keepHead(
        _ reader: RequestReader,
        _ bytes: UnsafeRawBufferPointer,
        _ grant: HTTPGrant,
        of connection: ConnectionHandler
    ) {
        let place = knownPlace(of: connection)
        guard reader.keepHead(in: &knownRequests[place].head, bytes) else { return }
        knownRequests[place].door = connection.door
        knownRequests[place].grant = grant
    }

    private func knownPlace(of connection: ConnectionHandler) -> Int {
        (connection.index ?? 0) % Self.knownRequestCount
    }

    // MARK: Bodies (on the loop)

    /// Less the more connections there are, as each takes some memory itself; never less than a quarter.
    private var bodyBytesInFlightMax: Int {
        let byteCountMax = bounds.bodyBytesInFlightMax
        return max(byteCountMax / 4, byteCountMax - connectionWeight * Limits.connectionByteCount)
    }

    /// The large buffer, empty, with room for so much. Whoever reads into it gives it back, or there is another one the next time.
    func takeReadBuffer(byteCount: Int, _ allocator: ByteBufferAllocator) -> ByteBuffer {
        // Out of here, so that nobody else has it: SwiftNIO would copy it.
        var taken: ByteBuffer?
        swap(&taken, &readBuffer)
        var buffer = taken ?? allocator.buffer(capacity: ReadBuffers.largeByteCount)
        taken = nil
        buffer.clear()
        guard byteCount < buffer.capacity else { return buffer }
        buffer.moveWriterIndex(to: byteCount)
        guard var part = buffer.getSlice(at: 0, length: byteCount) else { return buffer }
        part.moveWriterIndex(to: 0)
        return part
    }

    /// Looked at, and nothing of it is kept. Small ones belong to their connection.
    func giveBack(_ buffer: ByteBuffer) {
        if buffer.storageCapacity == ReadBuffers.largeByteCount, readBuffer == nil { readBuffer = buffer }
    }

    /// How much may be read into the large buffer before it is known how much of it will have to be kept. A quarter of the memory for
    /// bodies is for what is kept of such reads alone, so that requests that come whole pass by those that trickle, however much
    /// these were promised when there were fewer connections.
    var readingRoom: Int { bodyBytesInFlightMax / 4 - lookedByteCount }
    var hasReadingRoom: Bool { readingRoom >= ReadBuffers.stepByteCount }

    /// A connection keeps so much of what came, whether there was room for it or not: it cannot be put back.
    func hold(_ connection: ConnectionHandler, _ byteCount: Int) {
        let change = byteCount - connection.reservedByteCount
        guard change > 0 else { return }
        connection.reservedByteCount = byteCount
        connection.lookedByteCount += change
        lookedByteCount += change
        bodyBytesChanged(by: change)
    }

    /// What it holds has room now, or is gone.
    private func settle(_ connection: ConnectionHandler) {
        lookedByteCount -= connection.lookedByteCount
        connection.lookedByteCount = 0
    }

    /// Counts so many bytes of an expanded body while it is looked at.
    package func withExpandedBody(_ byteCount: Int, _ look: () -> Void) {
        bodyBytesChanged(by: byteCount)
        look()
        bodyBytesChanged(by: -byteCount)
    }

    /// Whether a connection may hold so much of a request, with what it reads next. If not, it is told when it may.
    func reserve(_ connection: ConnectionHandler, _ byteCount: Int) -> Bool {
        guard !connection.isWaitingForRoom else { return false }
        let change = byteCount - connection.reservedByteCount
        guard change > 0 else { return true }
        if figures.bodyByteCount + change > bodyBytesInFlightMax / 4 * 3 {
            guard favoured == nil || favoured === connection else {
                connection.isWaitingForRoom = true
                waiting.append(connection)
                figures.bodyWaitCount += 1
                watchFavoured()
                return false
            }
            favoured = connection
        }
        settle(connection)
        connection.reservedByteCount += change
        bodyBytesChanged(by: change)
        return true
    }

    /// The request is complete, or gone.
    func release(_ connection: ConnectionHandler) {
        if connection.isWaitingForRoom {
            connection.isWaitingForRoom = false
            waiting.removeAll { $0 === connection }
        }
        guard connection.reservedByteCount > 0 else { return }
        let byteCount = connection.reservedByteCount
        connection.reservedByteCount = 0
        settle(connection)
        if favoured === connection { favoured = nil }
        bodyBytesChanged(by: -byteCount)
        while let first = waiting.first,
            favoured == nil || figures.bodyByteCount + ReadBuffers.stepByteCount <= bodyBytesInFlightMax / 4 * 3
        {
            waiting.removeFirst()
            first.isWaitingForRoom = false
            first.resumeReading()
            if first.isWaitingForRoom {
                // It asks for more than there is: still the first.
                waiting.removeAll { $0 === first }
                waiting.insert(first, at: 0)
                break
            }
        }
    }

    /// While others wait, the one that may go past the bound must not stand still: then it is given up, and the next one goes on.
    private func watchFavoured() {
        guard !isWatching else { return }
        isWatching = true
        let watched = favoured
        let byteCount = watched?.heldByteCount ?? 0
        loop.assumeIsolated().scheduleTask(in: .nanoseconds(bounds.stallTime.nanoseconds)) { [self] in
            isWatching = false
            if let watched, watched === favoured, watched.heldByteCount == byteCount, !waiting.isEmpty {
                figures.slowBodyCount += 1
                watched.refuse(Self.tooSlow)
            }
            if !waiting.isEmpty { watchFavoured() }
        }
    }

    // MARK: Answers that are not read (on the loop)

    /// A client does not read, and so much of what it asked for is kept for it. Past the bound of all such answers the one that has not
    /// read for longest goes.
    func blocked(_ connection: ConnectionHandler, byteCount: Int) {
        connection.blockedByteCount = byteCount
        figures.blockedByteCount += byteCount
        blocked.append(connection)
        while figures.blockedByteCount > bounds.blockedByteCountMax, let first = blocked.first {
            figures.slowReaderCount += 1
            unblocked(first)
            first.close()
        }
    }

    /// It reads again, or is gone.
    func unblocked(_ connection: ConnectionHandler) {
        guard connection.blockedByteCount > 0 else { return }
        figures.blockedByteCount -= connection.blockedByteCount
        connection.blockedByteCount = 0
        blocked.removeAll { $0 === connection }
    }

    private func bodyBytesChanged(by change: Int) {
        figures.bodyByteCount += change
        handler.bodyBytesChanged(to: figures.bodyByteCount)
    }

    // MARK: Time

    /// One timer for all connections, and none when there are none: a timer a connection would cost more than the
    /// connection with clients that open one for each message.
    private func sweepLater() {
        guard !isSweeping, !connections.isEmpty else { return }
        isSweeping = true
        loop.scheduleTask(in: .nanoseconds(bounds.sweepInterval.nanoseconds)) { [self] in
            isSweeping = false
            tick &+= 1
            sweep()
            sweepLater()
        }
    }

    private func sweep() {
        // A copy, as those that go leave the list meanwhile.
        for connection in connections {
            if connection.isReceiving {
                if tick &- connection.requestSince > bounds.requestTickMax {
                    figures.requestTimeoutCount += 1
                    connection.refuse(connection.isWaitingForRoom ? Self.noRoom : Self.tooSlow)
                } else if !waiting.isEmpty, connection.isSlow() {
                    figures.slowBodyCount += 1
                    connection.refuse(Self.tooSlow)
                }
            } else if tick &- connection.idleSince > bounds.idleTickMax {
                if connection.isBlocked { figures.slowReaderCount += 1 }
                if connection.isIdle || connection.isBlocked || connection.isClosing { connection.close() }
            }
        }
    }

    private static var tooSlow: HTTPAnswer { .problem(.requestTimeout, "The request did not arrive in time.") }

    private static var noRoom: HTTPAnswer {
        .problem(.serviceUnavailable, "Too many request bodies are under way.", headers: [("Retry-After", "1")])
    }

    // MARK: Answers

    /// The answer as bytes. All heads are alike but for the status and the length, so the rest is made once a second and
    /// copied: nine small writes would cost a fifteenth of a request.
    func encode(_ answer: HTTPAnswer, isKeptAlive: Bool, isHead: Bool) -> ByteBuffer {
        refreshHeads()
        // Most answers are the one before once more, with the same memory for a body.
        let isPlain = isKeptAlive && !isHead && answer.headers.isEmpty
        let body = answer.body.withUnsafeBufferPointer { $0 }
        if isPlain, let lastBody, lastBody.baseAddress == body.baseAddress, lastBody.count == body.count,
            lastStatus == answer.status, lastAnswer?.contentType == answer.contentType
        {
            return lastBytes
        }
        let bytes = write(answer, isKeptAlive: isKeptAlive, isHead: isHead)
        if isPlain, body.count <= 256 {
            lastAnswer = answer
            lastStatus = answer.status
            lastBody = body
            lastBytes = bytes
        }
        return bytes
    }

    private func write(_ answer: HTTPAnswer, isKeptAlive: Bool, isHead: Bool) -> ByteBuffer {
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
        lastBody = nil
        lastAnswer = nil
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
        let hint = max(1, Int((bounds.idleTimeout - Limits.keepAliveMargin).seconds))
        keepAliveHead = Array((common + "keep-alive\r\nKeep-Alive: timeout=\(hint)\r\n").utf8)
        closeHead = Array((common + "close\r\n").utf8)
    }
}
