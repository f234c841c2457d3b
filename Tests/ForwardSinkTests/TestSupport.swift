import Delivery
import ForwardSink
import Foundation
import HTTPClient
import LogModel
import NIOCore
import NIOPosix
import PipelineTesting
import Ports
import Synchronization
import Testing

/// One series to put into a test's batch.
struct Series {
    var pattern: String
    var count: Int
    var samples: [String] = []
    var attributes: [(key: String, values: [(String, Int)], other: Int)] = []
    var latency: LatencySummary?
    var source = "node-red"
    var severity = Severity.info
    var classification = Classification()
}

func makeBatch(
    _ series: [Series],
    merges: [TemplateMerge] = [],
    start: Timestamp = Timestamp(nanoseconds: 1_760_000_000_123_456_789)
) -> Batch {
    let records = series.reduce(0) { $0 + $1.count }
    var writer = BatchWriter(
        windowStart: start,
        windowEnd: Timestamp(nanoseconds: start.nanoseconds + 30_000_000_000),
        clockIsKnown: true,
        recordCount: records,
        seriesCount: series.count,
        merges: merges,
        byteCountEstimate: 256
    )
    func view<Result>(_ text: String, _ body: (ByteView) -> Result) -> Result {
        Array(text.utf8).withUnsafeBufferPointer(body)
    }
    for item in series {
        let id = item.pattern.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        view(item.pattern) { pattern in
            view(item.source) { source in
                view("") { empty in
                    writer.beginSeries(
                        templateID: id,
                        severity: item.severity,
                        classification: item.classification,
                        template: pattern,
                        source: source,
                        host: empty,
                        tenant: empty,
                        dashboard: empty,
                        count: item.count,
                        firstSeen: start,
                        lastSeen: Timestamp(nanoseconds: start.nanoseconds + 1_000_000_000),
                        latency: item.latency
                    )
                }
            }
        }
        writer.append(UInt64(item.samples.count))
        for sample in item.samples { view(sample) { writer.append($0) } }
        writer.append(UInt64(item.attributes.count))
        for attribute in item.attributes {
            view(attribute.key) { key in
                writer.beginAttribute(
                    key: key,
                    otherCount: attribute.other,
                    distinctCount: attribute.values.count + attribute.other,
                    numbers: attribute.key == "load" ? AttributeNumbers(count: 9, minimum: -1.5, maximum: 40) : nil,
                    valueCount: attribute.values.count
                )
            }
            for (value, count) in attribute.values {
                view(value) { writer.append($0) }
                writer.append(UInt64(count))
            }
        }
    }
    return Batch(payload: writer.bytes, recordCount: records, seriesCount: series.count)
}

/// A sink at a receiver that runs, and what a test asks of both.
final class Bench: Sendable {
    let receiver: AnalyticsReceiver
    let sink: ForwardSink
    let port: Int
    let node = NodeID(random: Array(repeating: 7, count: 16))
    let stream = StreamID(rawValue: 0x0123_4567_89AB_CDEF)

    /// - Parameter callTimeout: short in tests of timeouts only, so that a busy machine fails no other.
    init(basePath: String = "", callTimeout: Duration = .seconds(20), token: String? = nil) throws {
        receiver = AnalyticsReceiver()
        port = try Self.startAtFixedPort(receiver)
        var options = ForwardSink.Options()
        options.callTimeout = callTimeout
        options.idleMax = idleMaxOfTests
        options.token = token
        sink = ForwardSink(
            try HTTPAddress(url: "http://127.0.0.1:\(port)\(basePath)"),
            on: MultiThreadedEventLoopGroup.singleton,
            options: options
        )
    }

    deinit {
        receiver.stop()
        sink.close {}
    }

    /// A port below those the kernel gives for port 0 (ip(7), ip_local_port_range), so that no other test is given it while
    /// this one's receiver is stopped.
    private static func startAtFixedPort(_ receiver: AnalyticsReceiver) throws -> Int {
        for _ in 1...50 {
            if let port = try? receiver.start(port: Int.random(in: 20_000...30_000)) { return port }
        }
        return try receiver.start()
    }

    func apply(
        _ batches: [Batch],
        after previous: Int64,
        stream: StreamID? = nil
    ) async -> Result<SinkAnswer, SinkError> {
        await ForwardSinkTests.apply(
            BatchSpan(stream: stream ?? self.stream, previous: previous, last: previous + Int64(batches.count)),
            batches,
            from: node,
            to: sink
        )
    }
}

func apply(
    _ span: BatchSpan,
    _ batches: [Batch],
    from node: NodeID,
    to sink: ForwardSink
) async -> Result<SinkAnswer, SinkError> {
    await withCheckedContinuation { continuation in
        sink.apply(span, batches, from: node) { continuation.resume(returning: $0) }
    }
}

func probe(_ sink: ForwardSink) async -> Bool {
    await withCheckedContinuation { continuation in
        sink.probe { continuation.resume(returning: $0) }
    }
}

extension Result where Success == SinkAnswer, Failure == SinkError {
    var failureClass: FailureClass? {
        if case .failure(let error) = self { error.failureClass } else { nil }
    }

    var error: SinkError? {
        if case .failure(let error) = self { error } else { nil }
    }

    var answer: SinkAnswer? { try? get() }
}

/// Waits until `condition` holds, at most `limit`; says whether it came to hold.
///
/// The limit is long because what brings the condition about may be a task, which waits behind all tests that were started: with
/// a thousand of them on two cores that took more than 20 s.
func eventually(_ limit: Duration = .seconds(120), _ condition: () async throws -> Bool) async rethrows -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + limit
    while clock.now < end {
        if try await condition() { return true }
        await Task.yield()
    }
    return false
}

/// A server that says exactly the bytes it is told to, whatever it is asked.
final class ScriptedServer: Sendable {
    enum Step: Sendable {
        case send(String)
        case pause(TimeAmount)
        case close
    }

    private struct State: Sendable {
        var requests: [String] = []
        var connectionCount = 0
    }

    private let channel: any Channel
    private let state: NIOLockedState
    let port: Int

    /// Shared with the handlers, which outlive no server but cannot hold it.
    fileprivate final class NIOLockedState: Sendable {
        private let state = Mutex(State())
        func connected() { state.withLock { $0.connectionCount += 1 } }
        func requested(_ text: String) -> Int {
            state.withLock {
                $0.requests.append(text)
                return $0.requests.count
            }
        }
        var requests: [String] { state.withLock { $0.requests } }
        var connectionCount: Int { state.withLock { $0.connectionCount } }
    }

    /// - Parameter script: the steps for the n-th request, from 1.
    init(_ script: @escaping @Sendable (Int) -> [Step]) throws {
        let state = NIOLockedState()
        self.state = state
        channel = try ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                state.connected()
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(state, script))
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
        port = channel.localAddress?.port ?? 0
    }

    deinit {
        channel.close(promise: nil)
    }

    var requests: [String] { state.requests }
    var connectionCount: Int { state.connectionCount }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let state: NIOLockedState
        private let script: @Sendable (Int) -> [Step]
        private var text = ""

        init(_ state: NIOLockedState, _ script: @escaping @Sendable (Int) -> [Step]) {
            self.state = state
            self.script = script
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            text += String(buffer: unwrapInboundIn(data))
            guard let end = text.range(of: "\r\n\r\n") else { return }
            let length =
                text.range(of: "Content-Length: ").flatMap { Int(text[$0.upperBound...].prefix(while: \.isNumber)) }
                ?? 0
            guard text[end.upperBound...].utf8.count >= length else { return }
            let number = state.requested(text)
            text = ""
            run(script(number)[...], on: context.channel)
        }

        private func run(_ steps: ArraySlice<Step>, on channel: any Channel) {
            guard let step = steps.first else { return }
            let rest = steps.dropFirst()
            switch step {
            case .send(let text):
                channel.writeAndFlush(channel.allocator.buffer(string: text)).assumeIsolated().whenComplete { _ in
                    self.run(rest, on: channel)
                }
            case .pause(let amount):
                channel.eventLoop.assumeIsolated().scheduleTask(in: amount) { self.run(rest, on: channel) }
            case .close: channel.close(promise: nil)
            }
        }
    }
}

/// A test may wait minutes for its next turn while others keep the threads busy; that must not cost it its connection.
let idleMaxOfTests = Duration.seconds(3600)

/// A client of a scripted server.
func makeClient(_ server: ScriptedServer, _ change: (inout HTTPClient.Options) -> Void = { _ in }) -> HTTPClient {
    var options = HTTPClient.Options()
    options.idleMax = idleMaxOfTests
    change(&options)
    return HTTPClient(
        HTTPAddress(host: "127.0.0.1", port: server.port),
        on: MultiThreadedEventLoopGroup.singleton,
        options: options
    )
}

/// A set that several tasks fill.
final class SharedSet: Sendable {
    private let values = Mutex<Set<String>>([])
    func insert(_ value: String) { values.withLock { _ = $0.insert(value) } }
    var count: Int { values.withLock { $0.count } }
}

/// Runs blocking code on a thread of its own.
func onOwnThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread { continuation.resume(returning: body()) }
    }
}

/// What a call ended with.
func outcome<Value: Sendable>(_ future: EventLoopFuture<Value>) async -> Result<Value, HTTPClientError> {
    do {
        return .success(try await future.get())
    } catch let error as HTTPClientError {
        return .failure(error)
    } catch {
        preconditionFailure("an error of another kind: \(error)")
    }
}

extension Result where Failure == HTTPClientError {
    var error: HTTPClientError? {
        if case .failure(let error) = self { error } else { nil }
    }
}
