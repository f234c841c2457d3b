internal import NIOCore
internal import NIOHTTP1

/// One connection: gathers a request's body within its bounds, hands the request over, and writes answers in the order
/// of the requests, however long each takes.
///
/// Reads nothing while an answer is outstanding, so a client that pipelines waits in its own socket buffer, not here. Writes
/// the answers' bytes itself: the general encoder costs a tenth of a request. Event loop only.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = Never
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    /// An answer due, in the order of requests; `bytes` is nil until it is known.
    private struct Slot {
        var number: Int
        var isKeptAlive: Bool
        var isHead: Bool
        var bytes: ByteBuffer?
    }

    private unowned let server: HTTPServer
    private let door: HTTPDoor
    private var context: ChannelHandlerContext?
    private var head: HTTPRequestHead?
    private var body: ByteBuffer?
    /// The request under way was answered before its end (too large): the rest is read and thrown away.
    private var isDiscarding = false
    private var slots: [Slot] = []
    private var nextNumber = 0
    private var isReadHeld = false
    private var isReading = false
    private var needsFlush = false
    private var isClosing = false
    private var stream: EventStream?

    /// When the connection last finished a request, or began; when the request under way began.
    private(set) var idleSince = NIODeadline.now()
    private(set) var requestSince: NIODeadline?

    init(server: HTTPServer, door: HTTPDoor) {
        self.server = server
        self.door = door
    }

    var isStreaming: Bool { stream != nil }
    var isIdle: Bool { slots.isEmpty && head == nil }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        if !server.connectionOpened(self) {
            isClosing = true
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        releaseBody()
        stream?.ended()
        stream = nil
        server.connectionClosed(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        isReading = true
        switch unwrapInboundIn(data) {
        case .head(let head): begin(head, context)
        case .body(let part): gather(part, context)
        case .end: end(context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        if needsFlush {
            needsFlush = false
            context.flush()
        }
    }

    func read(context: ChannelHandlerContext) {
        if slots.isEmpty && !isClosing { context.read() } else { isReadHeld = true }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isClosing else { return }
        if error is HTTPParserError {
            // The decoder's own limit on headers is the only overflow it has.
            let isOverflow = (error as? HTTPParserError) == .headerOverflow
            let answer: HTTPAnswer =
                isOverflow
                ? .problem(.headerFieldsTooLarge, "The request's headers are too large.")
                : .problem(.badRequest, "This is not an HTTP/1.1 request that can be read.")
            refuse(answer)
        } else {
            // A reset or a time-out of the socket: nobody is there to be told.
            isClosing = true
            context.close(promise: nil)
        }
    }

    // MARK: Requests

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        self.head = head
        requestSince = .now()
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }),
            length > server.bodyByteCountMax
        {
            return refuseTooLarge()
        }
        if head.headers.contains(name: "expect"),
            head.headers.first(name: "expect")?.lowercased() == "100-continue"
        {
            var bytes = context.channel.allocator.buffer(capacity: 32)
            bytes.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        }
    }

    private func gather(_ part: ByteBuffer, _ context: ChannelHandlerContext) {
        guard head != nil, !isDiscarding else { return }
        let count = part.readableBytes
        guard (body?.readableBytes ?? 0) + count <= server.bodyByteCountMax else { return refuseTooLarge() }
        guard server.reserveBody(count) else {
            return refuse(
                .problem(.serviceUnavailable, "Too many request bodies are under way.", headers: [("Retry-After", "1")])
            )
        }
        if body == nil { body = part } else { body?.writeImmutableBuffer(part) }
    }

    private func end(_ context: ChannelHandlerContext) {
        guard let head, !isDiscarding else { return }
        self.head = nil
        requestSince = nil
        let request = HTTPRequest(head: head, body: body, door: door)
        let responder = begun(isKeptAlive: head.isKeepAlive, isHead: head.method == .HEAD)
        server.handler.handle(request, responder)
        releaseBody()
    }

    private func begun(isKeptAlive: Bool, isHead: Bool) -> Responder {
        let number = nextNumber
        nextNumber += 1
        slots.append(Slot(number: number, isKeptAlive: isKeptAlive, isHead: isHead, bytes: nil))
        return Responder(connection: self, number: number)
    }

    private func refuseTooLarge() {
        refuse(
            .problem(.contentTooLarge, "The body is larger than \(server.bodyByteCountMax) bytes; send it in parts.")
        )
    }

    /// Answers in the server's own name and closes: what follows on this connection cannot be understood, or is not wanted.
    func refuse(_ answer: HTTPAnswer) {
        guard !isDiscarding, !isClosing else { return }
        isDiscarding = true
        head = nil
        releaseBody()
        server.handler.serverAnswered(answer.status)
        begun(isKeptAlive: false, isHead: false).respond(answer)
    }

    private func releaseBody() {
        server.releaseBody(body?.readableBytes ?? 0)
        body = nil
    }

    // MARK: Answers

    func answered(_ number: Int, _ answer: HTTPAnswer) {
        guard let context, let index = slots.firstIndex(where: { $0.number == number }), slots[index].bytes == nil
        else {
            return
        }
        slots[index].bytes = server.encode(answer, isKeptAlive: slots[index].isKeptAlive, isHead: slots[index].isHead)
        writeReady(context)
    }

    private func writeReady(_ context: ChannelHandlerContext) {
        while let slot = slots.first, let bytes = slot.bytes {
            slots.removeFirst()
            if slot.isKeptAlive {
                context.write(wrapOutboundOut(bytes), promise: nil)
            } else {
                closeAfter(bytes, context)
                return
            }
        }
        idleSince = .now()
        if isReading { needsFlush = true } else { context.flush() }
        if slots.isEmpty && isReadHeld {
            isReadHeld = false
            context.read()
        }
    }

    /// Half-closes first: closing at once with unread bytes in the socket would reset the connection and could take the
    /// answer from the client's hands (RFC 9112, section 9.6).
    private func closeAfter(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        isClosing = true
        slots.removeAll()
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(bytes)).whenComplete { _ in
            channel.close(mode: .output).whenComplete { _ in
                channel.eventLoop.scheduleTask(in: .milliseconds(500)) { channel.close(promise: nil) }
            }
        }
        // Whatever still comes is read and thrown away until then.
        context.read()
    }

    func closeIdle() {
        guard !isClosing else { return }
        isClosing = true
        context?.close(promise: nil)
    }

    // MARK: Streams

    /// Turns the answer into an event stream (WHATWG HTML, "Server-sent events") that ends with the connection.
    func beginStream(_ number: Int) -> EventStream? {
        guard let context, slots.count == 1, slots[0].number == number else { return nil }
        slots.removeAll()
        var bytes = context.channel.allocator.buffer(capacity: 256)
        bytes.writeStaticString(
            """
            HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\
            X-Content-Type-Options: nosniff\r\n\r\n
            """
        )
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        let stream = EventStream(channel: context.channel)
        self.stream = stream
        context.read()
        return stream
    }
}

/// The way back to one request's sender. A second answer is ignored.
///
/// `@unchecked Sendable`: it may be carried anywhere, but is used on the event loop only, as its connection is.
package struct Responder: @unchecked Sendable {
    private weak var connection: ConnectionHandler?
    private let number: Int

    init(connection: ConnectionHandler, number: Int) {
        self.connection = connection
        self.number = number
    }

    package func respond(_ answer: HTTPAnswer) {
        connection?.answered(number, answer)
    }

    /// Starts an event stream instead of one answer; `nil` when the sender is gone or pipelines.
    package func beginStream() -> EventStream? {
        connection?.beginStream(number)
    }
}
