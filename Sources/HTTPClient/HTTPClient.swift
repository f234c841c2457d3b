package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// An HTTP/1.1 client for one server, on an event loop that the caller owns.
///
/// Keeps at most one connection alive between calls. Calls that overlap get a connection each, at most
/// ``Options/callCountMax`` at once. A call is sent once: when the connection fails before the answer, the caller is told
/// whether the request was begun, and decides. Not for servers across the open internet: no TLS, no redirects, no cookies.
///
/// Every function may be called from any thread; futures are kept on ``eventLoop``.
package final class HTTPClient: Sendable {
    /// Bounds and names that hold for all calls of a client.
    package struct Options: Sendable {
        /// Name resolution included.
        package var connectTimeout: Duration = .seconds(3)
        /// A connection not used for longer is closed instead of used again: a router on the way may have forgotten it, and
        /// a server may be about to close it.
        package var idleMax: Duration = .seconds(60)
        /// Calls under way at once.
        package var callCountMax = 8
        /// The longest body kept of an answer, in bytes, where the call does not say.
        package var answerByteCountMax = 1 << 20
        package var userAgent = "logboom"

        package init() {}
    }

    private struct Idle {
        var channel: any Channel
        var handler: HTTPExchangeHandler
        var since: NIODeadline
    }

    private struct State {
        var idle: Idle?
        var exchanges: [ObjectIdentifier: HTTPExchange] = [:]
        var isClosed = false
        var connectionCount = 0
    }

    package let address: HTTPAddress
    package let eventLoop: any EventLoop
    private let options: Options
    private let state: NIOLoopBoundBox<State>

    /// Connects to nothing yet.
    package init(_ address: HTTPAddress, on group: any EventLoopGroup, options: Options = Options()) {
        self.address = address
        self.options = options
        eventLoop = group.next()
        state = NIOLoopBoundBox.makeBoxSendingValue(State(), as: State.self, eventLoop: eventLoop)
    }

    /// Sends `call` and gathers its answer, whatever its status.
    ///
    /// - Parameters:
    ///   - timeout: for the whole call, connecting included.
    ///   - answerByteCountMax: beyond it the body is cut and says so; `nil` means ``Options/answerByteCountMax``.
    /// - Returns: a future that fails only with ``HTTPClientError``.
    package func send(
        _ call: HTTPCall,
        timeout: Duration,
        answerByteCountMax: Int? = nil
    ) -> EventLoopFuture<HTTPAnswer> {
        start(call, .collect(byteCountMax: answerByteCountMax ?? options.answerByteCountMax), timeout: timeout)
    }

    /// Sends `call` and hands its answer on as it comes, for server-sent events and other bodies without an end.
    ///
    /// - Parameters:
    ///   - headTimeout: for everything up to the answer's head.
    ///   - quietMax: the longest pause between two pieces of the body; `nil` waits for ever.
    ///   - onHead: called once; `false` ends the call, successfully. On the event loop, like `onBody`.
    ///   - onBody: called with each piece; `false` ends the call, successfully. Reading stops while it runs.
    /// - Returns: the head, once the body ended or was not wanted further; fails only with ``HTTPClientError``.
    package func stream(
        _ call: HTTPCall,
        headTimeout: Duration,
        quietMax: Duration? = nil,
        onHead: @escaping @Sendable (HTTPAnswerHead) -> Bool,
        onBody: @escaping @Sendable ([UInt8]) -> Bool
    ) -> EventLoopFuture<HTTPAnswerHead> {
        start(call, .stream(quietMax: quietMax, onHead: onHead, onBody: onBody), timeout: headTimeout).map(\.head)
    }

    /// Sends `call` and waits for its answer. Never to be called on an event loop.
    package func sendAndWait(
        _ call: HTTPCall,
        timeout: Duration,
        answerByteCountMax: Int? = nil
    ) throws(HTTPClientError) -> HTTPAnswer {
        try wait(send(call, timeout: timeout, answerByteCountMax: answerByteCountMax), for: call)
    }

    /// Streams as ``stream(_:headTimeout:quietMax:onHead:onBody:)`` and waits for the end. Never on an event loop.
    package func streamAndWait(
        _ call: HTTPCall,
        headTimeout: Duration,
        quietMax: Duration? = nil,
        onHead: @escaping @Sendable (HTTPAnswerHead) -> Bool,
        onBody: @escaping @Sendable ([UInt8]) -> Bool
    ) throws(HTTPClientError) -> HTTPAnswerHead {
        try wait(
            stream(call, headTimeout: headTimeout, quietMax: quietMax, onHead: onHead, onBody: onBody),
            for: call
        )
    }

    private func wait<Value: Sendable>(
        _ future: EventLoopFuture<Value>,
        for call: HTTPCall
    ) throws(HTTPClientError) -> Value {
        do {
            return try future.wait()
        } catch let error as HTTPClientError {
            throw error
        } catch {
            throw .exchanging(call, with: address, requestWasBegun: true, error)
        }
    }

    /// Whether a connection can be made at all within `timeout`; makes a new one and closes it, sending nothing.
    package func probe(timeout: Duration) -> EventLoopFuture<Bool> {
        connect(timeout: timeout)
            .flatMap { $0.close() }
            .map { true }
            .recover { _ in false }
    }

    /// Closes the kept connection and fails what is under way with ``HTTPClientError/Kind/clientClosed``; later calls fail
    /// the same way. Safe to call twice.
    package func close() -> EventLoopFuture<Void> {
        eventLoop.submit { [self] in
            var state = state.value
            state.isClosed = true
            let idle = state.idle
            let exchanges = state.exchanges.values
            state.idle = nil
            state.exchanges = [:]
            self.state.value = state
            idle?.channel.close(promise: nil)
            for exchange in exchanges {
                exchange.fail(closedError(requestWasBegun: exchange.requestWasBegun))
            }
        }
    }

    /// How many connections were made for calls so far.
    package var connectionCount: EventLoopFuture<Int> {
        eventLoop.submit { [state] in state.value.connectionCount }
    }

    // MARK: - On the event loop

    private func start(
        _ call: HTTPCall,
        _ consumer: HTTPExchange.Consumer,
        timeout: Duration
    ) -> EventLoopFuture<HTTPAnswer> {
        let promise = eventLoop.makePromise(of: HTTPAnswer.self)
        // Not `execute` alone: a caller on the loop sees its request leave before it goes on.
        if eventLoop.inEventLoop {
            begin(call, consumer, timeout: timeout, promise: promise)
        } else {
            eventLoop.execute { [self] in begin(call, consumer, timeout: timeout, promise: promise) }
        }
        return promise.futureResult
    }

    private func begin(
        _ call: HTTPCall,
        _ consumer: HTTPExchange.Consumer,
        timeout: Duration,
        promise: EventLoopPromise<HTTPAnswer>
    ) {
        guard call.isWellFormed else {
            promise.fail(
                HTTPClientError(
                    .malformedCall,
                    code: "MALFORMED",
                    requestWasBegun: false,
                    "send a request to \(address): method, path or a header holds a character that may not be there"
                )
            )
            return
        }
        guard !state.value.isClosed else {
            promise.fail(closedError(requestWasBegun: false))
            return
        }
        guard state.value.exchanges.count < options.callCountMax else {
            promise.fail(
                HTTPClientError(
                    .tooManyCalls,
                    code: "BUSY",
                    requestWasBegun: false,
                    "\(call.method) at \(address): \(options.callCountMax) calls are under way already"
                )
            )
            return
        }
        let exchange = HTTPExchange(call, consumer, at: address, on: eventLoop, promise: promise)
        let key = ObjectIdentifier(exchange)
        state.value.exchanges[key] = exchange
        exchange.begin(timeout: timeout) { [state] in state.value.exchanges[key] = nil }

        if let idle = takeIdle() {
            run(exchange, on: idle.channel, idle.handler)
            return
        }
        connect(timeout: options.connectTimeout).assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let channel):
                state.value.connectionCount += 1
                guard !exchange.isOver else {
                    channel.close(promise: nil)
                    return
                }
                do {
                    run(
                        exchange,
                        on: channel,
                        try channel.pipeline.syncOperations.handler(type: HTTPExchangeHandler.self)
                    )
                } catch {
                    // Closed between connecting and here, its handlers already gone.
                    channel.close(promise: nil)
                    exchange.fail(.exchanging(call, with: address, requestWasBegun: false, error))
                }
            case .failure(let error):
                exchange.fail(.connecting(to: address, timeout: options.connectTimeout, error))
            }
        }
    }

    private func run(_ exchange: HTTPExchange, on channel: any Channel, _ handler: HTTPExchangeHandler) {
        handler.begin(exchange, on: channel, userAgent: options.userAgent) { [self] in
            keep(Idle(channel: channel, handler: handler, since: .now()))
        }
    }

    private func keep(_ idle: Idle) {
        guard !state.value.isClosed, state.value.idle == nil else {
            idle.channel.close(promise: nil)
            return
        }
        state.value.idle = idle
    }

    private func takeIdle() -> Idle? {
        guard let idle = state.value.idle else { return nil }
        state.value.idle = nil
        guard idle.channel.isActive, idle.handler.isIdle, .now() - idle.since <= TimeAmount(options.idleMax) else {
            idle.channel.close(promise: nil)
            return nil
        }
        return idle
    }

    private func connect(timeout: Duration) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(timeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        HTTPRequestEncoder(),
                        ByteToMessageHandler(HTTPResponseDecoder()),
                        HTTPExchangeHandler()
                    )
                }
            }
        switch address.endpoint {
        case .unix(let path):
            return bootstrap.connect(unixDomainSocketPath: path)
        case .tcp(let host, let port):
            // A literal address needs no resolver, and so no thread for it.
            if let literal = try? SocketAddress(ipAddress: host, port: port) {
                return bootstrap.connect(to: literal)
            }
            return bootstrap.connect(host: host, port: port)
        }
    }

    private func closedError(requestWasBegun: Bool) -> HTTPClientError {
        HTTPClientError(
            .clientClosed,
            code: "SHUTDOWN",
            requestWasBegun: requestWasBegun,
            "call \(address): the client was closed"
        )
    }
}
