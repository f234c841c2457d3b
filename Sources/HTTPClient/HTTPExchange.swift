internal import NIOCore
internal import NIOHTTP1

/// One call under way, from the moment it was handed over until its promise is kept. Lives on its client's event loop alone.
final class HTTPExchange {
    /// What becomes of the answer's body.
    enum Consumer {
        /// Kept, at most so many bytes.
        case collect(byteCountMax: Int)
        /// Handed on as it comes, for as long as the functions say `true`; a pause longer than `quietMax` ends it.
        case stream(
            quietMax: Duration?,
            onHead: @Sendable (HTTPAnswerHead) -> Bool,
            onBody: @Sendable ([UInt8]) -> Bool
        )
    }

    let call: HTTPCall
    let consumer: Consumer
    let address: HTTPAddress
    private let promise: EventLoopPromise<HTTPAnswer>
    private let loop: any EventLoop
    private var timer: Scheduled<Void>?
    private var onEnd: (() -> Void)?

    /// The connection, once there is one.
    var channel: (any Channel)?
    /// Whether the first byte of the request may have left.
    var requestWasBegun = false
    private(set) var isOver = false

    init(
        _ call: HTTPCall,
        _ consumer: Consumer,
        at address: HTTPAddress,
        on loop: any EventLoop,
        promise: EventLoopPromise<HTTPAnswer>
    ) {
        self.call = call
        self.consumer = consumer
        self.address = address
        self.loop = loop
        self.promise = promise
    }

    /// Starts the clock of the whole call; `onEnd` is called once, when the promise is kept.
    func begin(timeout: Duration, onEnd: @escaping () -> Void) {
        self.onEnd = onEnd
        startTimer(timeout)
    }

    private func startTimer(_ timeout: Duration) {
        timer?.cancel()
        timer = loop.assumeIsolated().scheduleTask(in: TimeAmount(timeout)) { [weak self] in
            guard let self else { return }
            fail(
                HTTPClientError(
                    .timedOut,
                    code: "TIMEOUT",
                    requestWasBegun: requestWasBegun,
                    "\(call.method) at \(address): no whole answer within \(timeout.inSeconds) s"
                )
            )
        }
    }

    /// The answer's head came. For a stream the whole call's clock stops and that of its pauses starts.
    /// Returns whether the body is wanted.
    func headReceived(_ head: HTTPAnswerHead) -> Bool {
        switch consumer {
        case .collect: return true
        case .stream(_, let onHead, _):
            restartQuietTimer()
            return onHead(head)
        }
    }

    /// A pause of a stream ended.
    func restartQuietTimer() {
        guard case .stream(let quietMax, _, _) = consumer else { return }
        if let quietMax {
            startTimer(quietMax)
        } else {
            timer?.cancel()
        }
    }

    /// Keeps the promise. The first of ``succeed(_:)`` and ``fail(_:)`` counts.
    func succeed(_ answer: HTTPAnswer) {
        guard end() else { return }
        promise.succeed(answer)
    }

    /// Breaks the promise and closes the connection, which is in the middle of something nobody waits for any more.
    func fail(_ error: HTTPClientError) {
        guard end() else { return }
        promise.fail(error)
        channel?.close(promise: nil)
    }

    private func end() -> Bool {
        guard !isOver else { return false }
        isOver = true
        timer?.cancel()
        timer = nil
        onEnd?()
        onEnd = nil
        return true
    }
}

/// The last handler of a connection: sends one call at a time and gathers its answer.
final class HTTPExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private var exchange: HTTPExchange?
    private var head = HTTPAnswerHead(status: 0, headers: [])
    private var body: [UInt8] = []
    private var requestWasWritten = false
    private var connectionMayStay = false
    /// Called when an answer was read to its end and the connection can carry another call.
    private var onReusable: (() -> Void)?

    /// Sends the exchange's request on `channel`, this handler's own. The connection must be idle.
    func begin(_ exchange: HTTPExchange, on channel: any Channel, userAgent: String, onReusable: @escaping () -> Void) {
        precondition(self.exchange == nil, "a connection carries one call at a time")
        self.exchange = exchange
        self.onReusable = onReusable
        exchange.channel = channel
        exchange.requestWasBegun = true
        requestWasWritten = false
        connectionMayStay = false

        let call = exchange.call
        var headers = HTTPHeaders()
        headers.reserveCapacity(call.headers.count + 3)
        headers.add(name: "Host", value: exchange.address.hostHeader)
        headers.add(name: "User-Agent", value: userAgent)
        for (name, value) in call.headers { headers.add(name: name, value: value) }
        // Always said, so that the encoder never chunks: some small servers read no chunked request.
        if !call.body.isEmpty || call.method != "GET" {
            headers.add(name: "Content-Length", value: String(call.body.count))
        }
        let requestHead = HTTPRequestHead(
            version: .http1_1,
            method: HTTPMethod(rawValue: call.method),
            uri: exchange.address.basePath + call.path,
            headers: headers
        )
        let pipeline = channel.pipeline.syncOperations
        pipeline.write(NIOAny(HTTPClientRequestPart.head(requestHead)), promise: nil)
        if !call.body.isEmpty {
            pipeline.write(
                NIOAny(HTTPClientRequestPart.body(.byteBuffer(channel.allocator.buffer(bytes: call.body)))),
                promise: nil
            )
        }
        let written = channel.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { [weak self, weak exchange] result in
            switch result {
            case .success: self?.requestWasWritten = true
            case .failure(let error):
                // An answer may stand in the receive buffer (413 and close): a failed write alone ends nothing unless the
                // connection is gone too, and then `channelInactive` tells.
                guard let self, let exchange, self.exchange === exchange, !channel.isActive else { return }
                self.fail(error)
            }
        }
        pipeline.writeAndFlush(NIOAny(HTTPClientRequestPart.end(nil)), promise: written)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let exchange, !exchange.isOver else { return }
        switch unwrapInboundIn(data) {
        case .head(let responseHead):
            connectionMayStay = responseHead.isKeepAlive
            head = HTTPAnswerHead(
                status: Int(responseHead.status.code),
                headers: responseHead.headers.map { (name: $0.name, value: $0.value) }
            )
            if !exchange.headReceived(head) {
                finish(exchange, bodyIsCut: false, channel: context.channel, mayStay: false)
            }
        case .body(let buffer):
            switch exchange.consumer {
            case .collect(let byteCountMax):
                let room = byteCountMax - body.count
                body.append(contentsOf: buffer.readableBytesView.prefix(room))
                if buffer.readableBytes > room {
                    finish(exchange, bodyIsCut: true, channel: context.channel, mayStay: false)
                }
            case .stream(_, _, let onBody):
                exchange.restartQuietTimer()
                if !onBody(Array(buffer.readableBytesView)) {
                    finish(exchange, bodyIsCut: true, channel: context.channel, mayStay: false)
                }
            }
        case .end:
            finish(
                exchange,
                bodyIsCut: false,
                channel: context.channel,
                mayStay: connectionMayStay && requestWasWritten
            )
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    private func finish(_ exchange: HTTPExchange, bodyIsCut: Bool, channel: any Channel, mayStay: Bool) {
        let answer = HTTPAnswer(head: head, body: body, bodyIsCut: bodyIsCut)
        let onReusable = self.onReusable
        forget()
        if mayStay {
            onReusable?()
        } else {
            channel.close(promise: nil)
        }
        exchange.succeed(answer)
    }

    private func fail(_ error: (any Error)?) {
        guard let exchange else { return }
        forget()
        exchange.fail(
            .exchanging(
                exchange.call,
                with: exchange.address,
                requestWasBegun: exchange.requestWasBegun,
                error
            )
        )
    }

    private func forget() {
        exchange = nil
        onReusable = nil
        head = HTTPAnswerHead(status: 0, headers: [])
        body = []
    }
}

extension HTTPExchangeHandler {
    /// Whether nothing is under way here.
    var isIdle: Bool { exchange == nil }
}
