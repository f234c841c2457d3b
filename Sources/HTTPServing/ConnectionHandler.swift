internal import HTTPWire
internal import LogModel
internal import NIOCore
internal import NIOTLS

/// One connection: reads requests within their bounds, hands each over with its body, and writes the answers, one request
/// after the other.
///
/// The bytes of a request that comes whole are looked at where the socket was read into; only the rest of one that is cut is
/// kept (``unread``). While an answer is outstanding a client may send ``Limits/requestAheadByteCountMax`` ahead, then it
/// waits in its own socket buffer. Event loop only.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Of this size on memory comes from the system by itself, page by page as it is used (`logboom_return_large_blocks`).
    private static let largeByteCount = 128 * 1024
    /// Nothing is reserved further ahead than this: who only says that a body is large takes no memory with it.
    private static let aheadByteCountMax = 512 * 1024

    private enum Phase {
        /// Between requests, or within one.
        case reading
        /// A request was handed over and is not answered.
        case answering
        /// Within the body of a request that was turned away: so many bytes are still to come.
        case skipping(Int)
        case streaming
        /// The last answer is written. What still comes is thrown away.
        case closing
    }

    /// Lets go of this connection when it ends.
    private let server: HTTPServer
    let door: HTTPDoor
    /// Nothing stands between the socket and HTTP.
    private let isPlain: Bool
    private var socket = AnswerSocket()
    /// How many connections without anything in front of HTTP take as much memory. The server's to change.
    var weight: Int
    /// What stands in front of HTTP is not through with its handshake.
    var isOpening: Bool { weight == HTTPServerBounds.openingConnectionWeight }
    private var context: ChannelHandlerContext?
    private var phase = Phase.reading
    private var reader: RequestReader
    /// What was read and not used, from the first byte of the request under way.
    private var unread: ByteBuffer?
    /// Of the request under way, or of the one to be answered.
    private var isKeptAlive = true
    private var isHead = false
    private var grant = HTTPGrant.none
    /// Counts requests, so that an answer that comes late finds no other one.
    private var number: UInt32 = 0
    /// The request under way did not come whole at once, so ``requestSince`` holds for it.
    private var isTimed = false
    private var isInputEnded = false
    /// The last answer was given and our side closed; the client's is not.
    private var isLingering = false
    private var isReading = false
    private var isAdvancing = false
    private var isReadHeld = false
    /// Behind the request under way there is another one, whose answer may leave together with this one's.
    private var isFollowed = false
    private var needsFlush = false
    /// Written and not flushed.
    private var unflushedByteCount = 0
    /// The client does not read its answers: more of them wait here than SwiftNIO's mark (64 KiB). No further request is looked at.
    private(set) var isBlocked = false
    private var stream: EventStream?

    /// Where the server keeps it; `nil` before it was taken on and after it ended.
    var index: Int?
    /// By the server's clock (``HTTPServer/tick``): when the last request was answered, or the connection began; and when the
    /// request under way began.
    private(set) var idleSince: UInt32
    private(set) var requestSince: UInt32 = 0
    /// Larger than that of all connections that were idle before.
    private(set) var idleOrder: UInt64
    /// What it takes of the server's memory for bodies, in bytes.
    var reservedByteCount = 0
    /// Of it, what came before there was room for it.
    var lookedByteCount = 0
    var isWaitingForRoom = false
    /// Of answers that the client does not read, in bytes, as the server counts them.
    var blockedByteCount = 0
    /// A read filled the small buffer: more is likely to come at once than fits into it.
    private var readsMuch = false
    /// Where its pace is counted from.
    private var paceTick: UInt32 = 0
    private var paceByteCount = 0

    init(server: HTTPServer, door: HTTPDoor, weight: Int, isPlain: Bool) {
        self.server = server
        self.door = door
        self.isPlain = isPlain
        self.weight = weight
        reader = RequestReader(bounds: server.requestBounds)
        idleSince = server.tick
        idleOrder = server.nextOrder()
    }

    var isStreaming: Bool { if case .streaming = phase { true } else { false } }
    /// Between two requests, with nothing of the next one; or its client does not read what it was answered.
    var isIdle: Bool {
        switch phase {
        case .reading: unread == nil || isBlocked
        case .closing: isBlocked
        default: false
        }
    }
    /// The last answer is given, and the connection not gone yet.
    var isClosing: Bool { if case .closing = phase { true } else { false } }
    /// Within a request that the client has not sent whole.
    var isReceiving: Bool {
        switch phase {
        case .reading: unread != nil && !isBlocked
        case .skipping: true
        default: false
        }
    }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        if !server.connectionOpened(self) {
            phase = .closing
            return context.close(promise: nil)
        }
        if isPlain { socket.open(context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        socket.close()
        phase = .closing
        unread = nil
        server.release(self)
        server.unblocked(self)
        stream?.ended()
        stream = nil
        server.connectionClosed(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        isReading = true
        switch phase {
        case .streaming, .closing: break
        case .reading, .answering, .skipping:
            if var held = unread {
                unread = nil
                held.writeImmutableBuffer(bytes)
                advance(held, isOwn: true, context)
            } else {
                advance(bytes, isOwn: false, context)
            }
        }
        server.giveBack(bytes)
    }

    /// So many bytes were read at once.
    func didRead(_ byteCount: Int) {
        if byteCount >= ReadBuffers.smallByteCount { readsMuch = true }
    }

    /// How much the next read may bring, in bytes. Much costs nothing when the request comes whole: then nothing of it is kept. What
    /// is kept must have room, or little must come at once.
    var readByteCountMax: Int {
        guard readsMuch else { return ReadBuffers.smallByteCount }
        let room = server.readingRoom
        if room >= ReadBuffers.stepByteCount { return min(room, ReadBuffers.largeByteCount) }
        let granted = reservedByteCount - heldByteCount
        return min(max(granted, ReadBuffers.smallByteCount), ReadBuffers.stepByteCount)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        let isBlocked = !context.channel.isWritable
        // A stream leaves events out instead.
        guard isBlocked != self.isBlocked, !(isBlocked && isStreaming) else { return }
        self.isBlocked = isBlocked
        if isBlocked {
            idleSince = server.tick
            server.blocked(self, byteCount: max(1, AnswerSocket.bufferedByteCount(context.channel)))
        } else {
            server.unblocked(self)
            if !isAdvancing { goOn(context) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        if needsFlush {
            flush(context)
        }
        // Nearly always there is nothing left, and SwiftNIO reads on by itself.
        if unread != nil, !isReadHeld, !mayRead() { hold(context) }
    }

    /// Reads no more until ``resumeReading()``: what the client sends waits in the kernel.
    private func hold(_ context: ChannelHandlerContext) {
        isReadHeld = true
        setReading(false, context)
    }

    private func letGo(_ context: ChannelHandlerContext) {
        guard isReadHeld else { return }
        isReadHeld = false
        setReading(true, context)
    }

    private func setReading(_ reads: Bool, _ context: ChannelHandlerContext) {
        do {
            try context.channel.syncOptions?.setOption(.autoRead, value: reads)
        } catch {
            // The channel is closed: nothing is read in either case.
        }
    }

    /// Whether less of the request has come since the last sweep but one than ``HTTPServerBounds/slowBodyByteCount``. Asked at each
    /// sweep while others wait for memory; one that is kept waiting itself is not slow.
    func isSlow() -> Bool {
        guard !isWaitingForRoom, reservedByteCount > 0, server.tick &- paceTick > 1 else { return false }
        let byteCount = heldByteCount
        defer {
            paceTick = server.tick
            paceByteCount = byteCount
        }
        return byteCount - paceByteCount < server.bounds.slowBodyByteCount
    }

    /// Whether more may be read now; if so, there is room for it.
    private func mayRead() -> Bool {
        switch phase {
        case .reading where !isBlocked: return mayLookOn || reserve()
        case .reading, .answering:
            return heldByteCount == 0 || heldByteCount < Limits.requestAheadByteCountMax && server.hasReadingRoom
        case .skipping, .streaming, .closing: return true
        }
    }

    /// The little that came filled the small buffer, and there is room to see whether the large one holds the whole request.
    private var mayLookOn: Bool {
        readsMuch && heldByteCount <= ReadBuffers.smallByteCount && server.hasReadingRoom
    }

    /// Room for the rest of the request under way, if that is known and not large; else for what is read next. A connection has room
    /// for the whole of a small body or waits with the little that came: memory that grows in steps leaves holes.
    private func reserve() -> Bool {
        guard let count = unread?.readableBytes else { return true }
        let whole = reader.hasHead ? max(reader.body.upperBound, count) : count
        let isSmall = whole > count && whole < Self.largeByteCount
        let next = reader.hasHead ? ReadBuffers.stepByteCount : ReadBuffers.smallByteCount
        let room = isSmall ? Self.memory(for: whole) : count + next
        guard server.reserve(self, room) else { return false }
        if whole > count { unread?.reserveCapacity(minimumWritableBytes: min(whole - count, Self.aheadByteCountMax)) }
        return true
    }

    /// What a buffer of so many bytes takes: SwiftNIO rounds up to a power of two. A large one is the system's, by pages.
    private static func memory(for byteCount: Int) -> Int {
        guard byteCount > 1, byteCount < largeByteCount else { return byteCount }
        return 1 << (Int.bitWidth - (byteCount - 1).leadingZeroBitCount)
    }

    /// Of a request that has not come whole, or was sent ahead.
    var heldByteCount: Int { unread?.readableBytes ?? 0 }

    /// There may be room again, for what was held up.
    func resumeReading() {
        guard isReadHeld, mayRead(), let context else { return }
        paceTick = server.tick
        paceByteCount = heldByteCount
        letGo(context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed = event else {
            if case .handshakeCompleted = event as? TLSUserEvent { server.opened(self) }
            return context.fireUserInboundEventTriggered(event)
        }
        // A client may close its side once it has sent its request, and still wants the answer.
        isInputEnded = true
        switch phase {
        case .answering: isKeptAlive = false
        case .closing: if isLingering { context.close(promise: nil) }
        case .reading, .skipping, .streaming: closeAfter(ByteBuffer(), context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset or a time-out of the socket: nobody is there to be told.
        close()
    }

    // MARK: Requests

    /// Uses the bytes as far as they go and keeps the rest.
    ///
    /// - Parameter isOwn: they were kept before; else they lie in the buffer that the socket is read into again and again.
    private func advance(_ given: consuming ByteBuffer, isOwn: Bool, _ context: ChannelHandlerContext) {
        var bytes = given
        isAdvancing = true
        loop: while bytes.readableBytes > 0 {
            switch phase {
            case .reading:
                guard !isBlocked, step(&bytes, context) else { break loop }
            case .skipping(let rest):
                let count = min(rest, bytes.readableBytes)
                bytes.moveReaderIndex(forwardBy: count)
                if count == rest { becomeIdle() } else { phase = .skipping(rest - count) }
            case .answering: break loop
            case .streaming, .closing: bytes.clear()
            }
        }
        isAdvancing = false
        if bytes.readableBytes > 0 {
            if !isTimed, case .reading = phase {
                isTimed = true
                requestSince = server.tick
                paceTick = server.tick
                paceByteCount = 0
            }
            if isOwn {
                // What was used is not kept beside the rest.
                if bytes.readerIndex > bytes.readableBytes { bytes.discardReadBytes() }
                unread = bytes
            } else {
                var kept = context.channel.allocator.buffer(capacity: bytes.readableBytes)
                kept.writeImmutableBuffer(bytes)
                unread = kept
            }
            // The little that comes first is in what a connection takes (``Limits/connectionByteCount``).
            if heldByteCount > ReadBuffers.smallByteCount { server.hold(self, Self.memory(for: heldByteCount)) }
        } else if reservedByteCount > 0 {
            server.release(self)
        }
    }

    /// One step of the reader. False when it needs more bytes, or nothing more is to be read.
    private func step(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        var step = bytes.withUnsafeReadableBytes { raw in
            if !reader.hasHead, let grant = server.readKnownHead(&reader, raw, of: self) {
                noteHead(byteCount: raw.count)
                self.grant = grant
            }
            return reader.read(raw)
        }
        if case .chunks = step {
            let (next, spareByteCount) = bytes.withUnsafeMutableReadableBytes { reader.readChunks($0) }
            bytes.moveWriterIndex(to: bytes.writerIndex - spareByteCount)
            step = next
        }
        switch step {
        case .more, .chunks:
            return false
        case .head:
            return begin(&bytes, context)
        case .request:
            isFollowed = bytes.readableBytes > reader.byteCount
            handOver(bytes)
            bytes.moveReaderIndex(forwardBy: reader.byteCount)
            reader.next()
            return true
        case .refused(let fault):
            refuse(fault)
            return true
        }
    }

    /// What a head says of its answer.
    ///
    /// - Parameter byteCount: of all that is there.
    private func noteHead(byteCount: Int) {
        isFollowed = byteCount > reader.body.upperBound
        isKeptAlive = reader.head.isKeptAlive && !isInputEnded && !server.isDraining
        isHead = reader.head.method == .head
    }

    /// The head is there: asks whether the request is wanted. False when nothing more is to be read now.
    private func begin(_ bytes: inout ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        let head = reader.head
        noteHead(byteCount: bytes.readableBytes)
        let admission = bytes.withUnsafeReadableBytes { raw in
            let admission = server.handler.admit(HTTPHead(head, raw, door))
            if case .admitted(let grant) = admission, grant.isLasting { server.keepHead(reader, raw, grant, of: self) }
            return admission
        }
        switch admission {
        case .refused(let refusal):
            turnAway(refusal, &bytes)
            return true
        case .admitted(let grant): self.grant = grant
        }
        if head.expectsContinue, bytes.readableBytes == head.byteCount {
            var interim = context.channel.allocator.buffer(capacity: 32)
            interim.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            socket.passedBy()
            context.writeAndFlush(wrapOutboundOut(interim), promise: nil)
        }
        return true
    }

    /// Answers without the body. The connection goes on behind a body that is short and sure to come.
    private func turnAway(_ answer: HTTPAnswer, _ bytes: inout ByteBuffer) {
        let head = reader.head
        server.handler.serverAnswered(answer.status)
        guard case .length(let length) = head.framing, length <= Limits.skippedBodyByteCountMax,
            !head.expectsContinue || bytes.readableBytes > head.byteCount
        else {
            isKeptAlive = false
            write(answer)
            return
        }
        bytes.moveReaderIndex(forwardBy: head.byteCount)
        reader.next()
        write(answer)
        if case .closing = phase { return }
        if length > 0 {
            phase = .skipping(length)
            requestSince = server.tick
        }
    }

    private func handOver(_ bytes: ByteBuffer) {
        phase = .answering
        number &+= 1
        if reservedByteCount > 0 { server.release(self) }
        bytes.withUnsafeReadableBytes { raw in
            let body = UnsafeRawBufferPointer(rebasing: raw[reader.body])
            let request = HTTPRequest(
                head: HTTPHead(reader.head, raw, door),
                grant: grant,
                body: body.assumingMemoryBound(to: UInt8.self)
            )
            server.handler.handle(request, Responder(connection: self, number: number))
        }
    }

    private func refuse(_ fault: RequestFault) {
        let answer: HTTPAnswer =
            fault == .bodyTooLarge
            ? .problem(
                .contentTooLarge,
                "The body is larger than \(server.bounds.bodyByteCountMax) bytes; send it in parts."
            )
            : .problem(HTTPStatus(rawValue: fault.status) ?? .badRequest, "\(fault.detail)")
        refuse(answer)
    }

    /// Answers in the server's own name and closes: what follows on this connection cannot be understood, or is not wanted.
    func refuse(_ answer: HTTPAnswer) {
        switch phase {
        case .reading: break
        case .skipping: return close()
        case .answering, .streaming, .closing: return
        }
        server.handler.serverAnswered(answer.status)
        isKeptAlive = false
        isHead = false
        write(answer)
        unread = nil
        server.release(self)
    }

    // MARK: Answers

    func answered(_ number: UInt32, _ answer: HTTPAnswer) {
        guard case .answering = phase, number == self.number else { return }
        write(answer)
        guard !isAdvancing, let context else { return }
        // The answer came later: go on with what was sent meanwhile.
        goOn(context)
    }

    private func goOn(_ context: ChannelHandlerContext) {
        if let held = unread, case .reading = phase {
            unread = nil
            advance(held, isOwn: true, context)
        }
        resumeReading()
    }

    private func write(_ answer: HTTPAnswer) {
        guard let context else { return }
        var bytes = server.encode(answer, isKeptAlive: isKeptAlive, isHead: isHead)
        guard isKeptAlive else { return closeAfter(bytes, context) }
        if isFollowed {
            socket.passedBy()
        } else if socket.send(&bytes, context) {
            return becomeIdle()
        }
        context.write(wrapOutboundOut(bytes), promise: nil)
        // That may have been one byte too many for the server (``HTTPServer/blocked(_:byteCount:)``).
        if isClosing { return }
        becomeIdle()
        unflushedByteCount += bytes.readableBytes
        // Many requests can come with one read: what is not flushed is bounded as well, and not seen by SwiftNIO within TLS.
        if isReading && unflushedByteCount < Limits.unflushedByteCountMax { needsFlush = true } else { flush(context) }
    }

    private func flush(_ context: ChannelHandlerContext) {
        needsFlush = false
        unflushedByteCount = 0
        context.flush()
    }

    private func becomeIdle() {
        phase = .reading
        isTimed = false
        idleSince = server.tick
        idleOrder = server.nextOrder()
    }

    /// With bytes of the client unread, half-closes first: closing at once would reset the connection and could take the
    /// answer from the client's hands (RFC 9112, 9.6).
    private func closeAfter(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        // A request that was handed over was read whole.
        let isReadWhole = if case .answering = phase { true } else { false }
        phase = .closing
        // Whatever still comes is read and thrown away until the client closes.
        letGo(context)
        var rest = bytes
        if socket.send(&rest, context) { return written(isReadWhole: isReadWhole) }
        context.writeAndFlush(wrapOutboundOut(rest)).assumeIsolated().whenComplete { [self] _ in
            written(isReadWhole: isReadWhole)
        }
    }

    /// The last answer is with the kernel.
    private func written(isReadWhole: Bool) {
        guard let context else { return }
        if isReadWhole || isInputEnded { return context.close(promise: nil) }
        isLingering = true
        let channel = context.channel
        context.close(mode: .output, promise: nil)
        context.eventLoop.scheduleTask(in: .nanoseconds(Limits.lingerTime.nanoseconds)) {
            channel.close(promise: nil)
        }
    }

    /// At once, whatever is under way.
    func close() {
        phase = .closing
        context?.close(promise: nil)
    }

    // MARK: Streams

    /// Turns the answer into an event stream (WHATWG HTML, "Server-sent events") that ends with the connection.
    func beginStream(_ number: UInt32) -> EventStream? {
        guard let context, case .answering = phase, number == self.number, unread == nil else { return nil }
        var bytes = context.channel.allocator.buffer(capacity: 256)
        bytes.writeStaticString(
            """
            HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nConnection: close\r\n\
            X-Content-Type-Options: nosniff\r\n\r\n
            """
        )
        phase = .streaming
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        let stream = EventStream(channel: context.channel)
        self.stream = stream
        return stream
    }
}
