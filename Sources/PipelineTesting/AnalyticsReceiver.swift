internal import CZlib
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// A real HTTP server that keeps the receiver's side of docs/formats/forward.md in memory, and fails on demand.
///
/// What it applied outlives ``stop()`` and ``start(port:)``, as a database would. It reads the format with Foundation and
/// zlib, not with the project's own JSON, so that both sides cannot be wrong in the same way. All functions may be called
/// from any thread but an event loop.
package final class AnalyticsReceiver: Sendable {
    /// What happens to a request instead of the right thing.
    package enum Fault: Sendable, Equatable {
        case none
        /// Answered with this status, nothing applied.
        case status(Int, retryAfterSeconds: Int? = nil)
        /// Read whole and never answered, nothing applied.
        case hang
        /// Connection closed after the request was read, nothing applied.
        case closeUnapplied
        /// Applied, then the connection closed instead of an answer: the lost reply.
        case closeAfterApplying
        /// Applied, then half an answer and the connection closed.
        case cutAnswer
        /// Applied and answered, later.
        case slow(Duration)
        /// Applied; the answer is these bytes instead.
        case raw(String)
    }

    /// A request as it came.
    package struct Request: Sendable {
        package var method: String
        package var path: String
        package var headers: [String: String]
        package var body: [UInt8]
        /// The body without its compression; empty when it was not to be had.
        package var text: String
    }

    private struct StreamKey: Hashable, Sendable {
        var node: String
        var stream: String
    }

    private struct State: Sendable {
        var fault = Fault.none
        var faultsLeft = Int.max
        var applied: [StreamKey: Int64] = [:]
        var perPattern: [String: Int] = [:]
        var totalCount = 0
        var requests: [Request] = []
        var requestCount = 0
        var connectionCount = 0
        var appliedSpanCount = 0
        var conflictCount = 0
        var complaints: [String] = []
        var channels: [ObjectIdentifier: any Channel] = [:]
        var listener: (any Channel)?
    }

    /// Requests kept for looking at, newest last.
    package static let requestCountKeptMax = 64

    private let state = Mutex(State())
    private let unixSocketPath: String?

    /// - Parameter unixSocketPath: listens there instead of on a port of 127.0.0.1.
    package init(unixSocketPath: String? = nil) {
        self.unixSocketPath = unixSocketPath
    }

    // MARK: - Running

    /// Listens on 127.0.0.1; port 0 takes a free one. Returns the port, 0 for a unix socket.
    @discardableResult
    package func start(port: Int = 0) throws -> Int {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [self] channel in
                register(channel)
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(receiver: self))
                }
            }
        let channel: any Channel
        if let unixSocketPath {
            channel = try bootstrap.bind(unixDomainSocketPath: unixSocketPath, cleanupExistingSocketFile: true).wait()
        } else {
            channel = try bootstrap.bind(host: "127.0.0.1", port: port).wait()
        }
        state.withLock { $0.listener = channel }
        return channel.localAddress?.port ?? 0
    }

    /// Stops listening and closes every connection; what was applied stays.
    package func stop() {
        let (listener, channels) = state.withLock { state in
            defer {
                state.listener = nil
                state.channels = [:]
            }
            return (state.listener, Array(state.channels.values))
        }
        try? listener?.close().wait()
        for channel in channels { try? channel.close().wait() }
    }

    /// Closes every open connection, and goes on listening.
    package func closeConnections() {
        let channels = state.withLock { state in
            defer { state.channels = [:] }
            return Array(state.channels.values)
        }
        for channel in channels { try? channel.close().wait() }
    }

    private func register(_ channel: any Channel) {
        state.withLock { state in
            state.connectionCount += 1
            state.channels[ObjectIdentifier(channel)] = channel
        }
        channel.closeFuture.whenComplete { [weak self] _ in
            self?.state.withLock { _ = $0.channels.removeValue(forKey: ObjectIdentifier(channel)) }
        }
    }

    // MARK: - Faults

    /// What happens to every request from now on.
    package var fault: Fault {
        get { state.withLock { $0.fault } }
        set {
            state.withLock {
                $0.fault = newValue
                $0.faultsLeft = Int.max
            }
        }
    }

    /// What happens to the next `count` requests; those after are treated rightly.
    package func fail(next count: Int, with fault: Fault) {
        state.withLock {
            $0.fault = fault
            $0.faultsLeft = count
        }
    }

    fileprivate func takeFault() -> Fault {
        state.withLock { state in
            guard state.fault != .none, state.faultsLeft > 0 else { return .none }
            if state.faultsLeft < Int.max { state.faultsLeft -= 1 }
            return state.fault
        }
    }

    // MARK: - What came

    /// Records counted, over all that was applied.
    package var totalCount: Int { state.withLock { $0.totalCount } }
    /// Records counted by pattern text.
    package var perPatternCounts: [String: Int] { state.withLock { $0.perPattern } }
    /// Requests read to their end, refused ones included.
    package var requestCount: Int { state.withLock { $0.requestCount } }
    /// Connections accepted, probes included.
    package var connectionCount: Int { state.withLock { $0.connectionCount } }
    package var appliedSpanCount: Int { state.withLock { $0.appliedSpanCount } }
    /// Requests answered 409 because of compare-and-set.
    package var conflictCount: Int { state.withLock { $0.conflictCount } }
    /// What in a request was against the format, in words; empty when all is well.
    package var complaints: [String] { state.withLock { $0.complaints } }
    /// The newest requests, oldest first.
    package var requests: [Request] { state.withLock { $0.requests } }
    /// Streams with progress, of every node, sorted.
    package var streams: [String] { state.withLock { $0.applied.keys.map(\.stream).sorted() } }

    /// The sequence applied last; 0 when the stream is not known.
    package func applied(node: String, stream: String) -> Int64 {
        state.withLock { $0.applied[StreamKey(node: node, stream: stream)] ?? 0 }
    }

    // MARK: - The protocol

    fileprivate struct Answer {
        var status: Int
        var body: String
    }

    fileprivate func keep(_ request: Request) {
        state.withLock { state in
            state.requestCount += 1
            state.requests.append(request)
            if state.requests.count > Self.requestCountKeptMax { state.requests.removeFirst() }
        }
    }

    fileprivate func answer(_ request: Request) -> Answer {
        switch (request.method, request.path) {
        case ("POST", let path) where path.hasSuffix("/v1/patterns"):
            do {
                return apply(try Span(request))
            } catch {
                state.withLock { $0.complaints.append("\(error)") }
                return Answer(status: 400, body: #"{"detail":"not a span"}"#)
            }
        case ("POST", let path) where path.hasSuffix("/v1/streams"):
            guard let object = try? Span.object(Substring(request.text)), let node = object["node"] as? String,
                let live = object["live"] as? [String]
            else { return Answer(status: 400, body: "{}") }
            // The hour of grace of the format is left out: a test does not wait for it.
            state.withLock { state in
                state.applied = state.applied.filter { $0.key.node != node || live.contains($0.key.stream) }
            }
            return Answer(status: 204, body: "")
        default: return Answer(status: 404, body: "{}")
        }
    }

    private func apply(_ span: Span) -> Answer {
        let key = StreamKey(node: span.node, stream: span.stream)
        return state.withLock { state in
            let applied = state.applied[key] ?? 0
            guard applied <= span.previous else {
                state.conflictCount += 1
                return Answer(status: 409, body: #"{"applied":\#(applied)}"#)
            }
            state.applied[key] = span.last
            state.appliedSpanCount += 1
            for (pattern, count) in span.counts {
                state.perPattern[pattern, default: 0] += count
                state.totalCount += count
            }
            return Answer(status: 200, body: #"{"applied":\#(span.last)}"#)
        }
    }
}

/// A span read back, everything the format promises checked.
private struct Span {
    struct Complaint: Error, CustomStringConvertible {
        var description: String
    }

    var node: String
    var stream: String
    var previous: Int64
    var last: Int64
    var counts: [(pattern: String, count: Int)] = []

    init(_ request: AnalyticsReceiver.Request) throws {
        func header(_ name: String) throws -> String {
            guard let value = request.headers[name.lowercased()] else { throw Complaint(description: "no \(name)") }
            return value
        }
        guard try header("Content-Type") == "application/x-ndjson" else { throw Complaint(description: "content type") }
        guard try header("Content-Encoding") == "gzip", !request.text.isEmpty else {
            throw Complaint(description: "content encoding")
        }
        guard request.text.hasSuffix("\n") else { throw Complaint(description: "no line end at the end") }
        var lines = request.text.dropLast().split(separator: "\n", omittingEmptySubsequences: false)[...]
        func next(_ type: String) throws -> [String: Any] {
            guard let line = lines.popFirst() else { throw Complaint(description: "\(type) line missing") }
            let object = try Self.object(line)
            guard object["type"] as? String == type else { throw Complaint(description: "\(type) line expected") }
            return object
        }

        let span = try next("span")
        node = try Self.value(span, "node")
        stream = try Self.value(span, "stream")
        previous = Int64(try Self.value(span, "previous") as Int)
        last = Int64(try Self.value(span, "last") as Int)
        guard try Self.value(span, "format") == 1, previous >= 0, last > previous, UUID(uuidString: node) != nil,
            stream.utf8.count == 16
        else { throw Complaint(description: "span line") }
        guard try header("Logboom-Node") == node, try header("Logboom-Stream") == stream,
            try header("Logboom-Previous") == String(previous), try header("Logboom-Last") == String(last),
            try header("Idempotency-Key") == "\(node)/\(stream)/\(last)"
        else { throw Complaint(description: "headers and span line differ") }

        for _ in 0..<(try Self.value(span, "batches") as Int) {
            let batch = try next("batch")
            let _: String = try Self.value(batch, "window_start")
            let _: String = try Self.value(batch, "window_end")
            let _: Bool = try Self.value(batch, "clock_known")
            var records: Int = try Self.value(batch, "records")
            for _ in 0..<(try Self.value(batch, "series") as Int) {
                let series = try next("series")
                let count: Int = try Self.value(series, "count")
                guard (try Self.value(series, "id") as String).utf8.count == 16, count > 0 else {
                    throw Complaint(description: "series line")
                }
                records -= count
                counts.append((try Self.value(series, "pattern"), count))
            }
            guard records == 0 else { throw Complaint(description: "records is not the sum of the counts") }
        }
        guard lines.isEmpty else { throw Complaint(description: "lines after the end") }
    }

    static func object(_ line: Substring) throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
            throw Complaint(description: "not an object")
        }
        return object
    }

    static func value<Value>(_ object: [String: Any], _ key: String) throws -> Value {
        guard let value = object[key] as? Value else { throw Complaint(description: "key \(key)") }
        return value
    }
}

/// Reads whole requests off one connection and treats them as the receiver's fault says.
private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let receiver: AnalyticsReceiver
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []

    init(receiver: AnalyticsReceiver) {
        self.receiver = receiver
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let buffer): body.append(contentsOf: buffer.readableBytesView)
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, on: context.channel)
        }
    }

    private func answer(_ head: HTTPRequestHead, on channel: any Channel) {
        var headers: [String: String] = [:]
        for (name, value) in head.headers { headers[name.lowercased()] = value }
        let inflated = headers["content-encoding"] == "gzip" ? Gunzip.inflate(body) : body
        let request = AnalyticsReceiver.Request(
            method: head.method.rawValue,
            path: head.uri,
            headers: headers,
            body: body,
            text: inflated.flatMap { String(validating: $0, as: UTF8.self) } ?? ""
        )
        receiver.keep(request)

        switch receiver.takeFault() {
        case .none: send(receiver.answer(request), on: channel)
        case .status(let status, let retryAfterSeconds):
            send(
                AnalyticsReceiver.Answer(status: status, body: #"{"detail":"as told"}"#),
                on: channel,
                retryAfterSeconds: retryAfterSeconds
            )
        case .hang: break
        case .closeUnapplied: channel.close(promise: nil)
        case .closeAfterApplying:
            _ = receiver.answer(request)
            channel.close(promise: nil)
        case .cutAnswer:
            _ = receiver.answer(request)
            sendRaw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"appl", on: channel)
        case .slow(let duration):
            let receiver = receiver
            channel.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(duration)) {
                self.send(receiver.answer(request), on: channel)
            }
        case .raw(let text):
            _ = receiver.answer(request)
            sendRaw(text, on: channel)
        }
    }

    private func send(_ answer: AnalyticsReceiver.Answer, on channel: any Channel, retryAfterSeconds: Int? = nil) {
        var headers = HTTPHeaders([("Content-Type", "application/json")])
        if answer.status != 204 { headers.add(name: "Content-Length", value: String(answer.body.utf8.count)) }
        if let retryAfterSeconds { headers.add(name: "Retry-After", value: String(retryAfterSeconds)) }
        let pipeline = channel.pipeline.syncOperations
        pipeline.write(
            NIOAny(
                HTTPServerResponsePart.head(
                    HTTPResponseHead(version: .http1_1, status: .init(statusCode: answer.status), headers: headers)
                )
            ),
            promise: nil
        )
        if !answer.body.isEmpty {
            pipeline.write(
                NIOAny(HTTPServerResponsePart.body(.byteBuffer(channel.allocator.buffer(string: answer.body)))),
                promise: nil
            )
        }
        pipeline.writeAndFlush(NIOAny(HTTPServerResponsePart.end(nil)), promise: nil)
    }

    /// Past the encoder, straight to the socket, then closes.
    private func sendRaw(_ text: String, on channel: any Channel) {
        do {
            let encoder = try channel.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
            encoder.writeAndFlush(NIOAny(IOData.byteBuffer(channel.allocator.buffer(string: text))), promise: nil)
        } catch {
            preconditionFailure("the connection has no encoder")
        }
        channel.close(promise: nil)
    }
}

private enum Gunzip {
    /// The bytes of one gzip member (RFC 1952), at most 64 MiB; `nil` when they are not one, whole and with a right checksum.
    static func inflate(_ bytes: [UInt8]) -> [UInt8]? {
        var stream = z_stream()
        guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK else {
            return nil
        }
        defer { inflateEnd(&stream) }
        var input = bytes
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        return input.withUnsafeMutableBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = uInt(input.count)
            while true {
                let code = chunk.withUnsafeMutableBufferPointer { chunk in
                    stream.next_out = chunk.baseAddress
                    stream.avail_out = uInt(chunk.count)
                    return CZlib.inflate(&stream, Z_NO_FLUSH)
                }
                output.append(contentsOf: chunk.prefix(chunk.count - Int(stream.avail_out)))
                if code == Z_STREAM_END { return stream.avail_in == 0 ? output : nil }
                guard code == Z_OK, output.count <= 64 << 20 else { return nil }
            }
        }
    }
}
