internal import Delivery
package import HTTPClient
internal import JSONBytes
package import LogModel
package import NIOCore
package import Ports

/// The sink that posts spans to an analytics node, over HTTP/1.1 on an event loop that the caller owns.
///
/// Keeps one connection. A span is sent once per call; what an answer means is ``ForwardAnswer``'s to say, and trying again
/// is the lane's. Exactness is the receiver's compare-and-set on (node, stream), so a lost answer changes no count.
package final class ForwardSink: Sink {
    /// Bounds, each in a test at a smaller or larger value.
    package struct Options: Sendable {
        package var connectTimeout: Duration = .seconds(3)
        /// ``HTTPClient/Options/idleMax``.
        package var idleMax = HTTPClient.Options().idleMax
        /// For the whole call, connecting included.
        package var callTimeout: Duration = .seconds(10)
        /// At most 2 s, by the contract of ``Sink/probe(completion:)``.
        package var probeTimeout: Duration = .seconds(2)
        /// Sent as `Authorization: Bearer …`; never in a message.
        package var token: String?

        package init() {}
    }

    package let name = "forward"
    private let client: HTTPClient
    private let options: Options
    private let perform: @Sendable (@escaping @Sendable () -> Void) -> Void

    /// Bytes kept of an answer: a conflict's number, or a problem's text.
    private static let answerByteCountMax = 16 * 1024

    /// Connects to nothing yet.
    ///
    /// - Parameters:
    ///   - address: `ANALYTICS_NODE_URL`; `/v1/patterns` is appended to its path.
    ///   - group: the daemon's event loop.
    ///   - perform: where spans are encoded and compressed, several milliseconds for a large one. By default the caller's
    ///     own thread.
    package init(
        _ address: HTTPAddress,
        on group: any EventLoopGroup,
        options: Options = Options(),
        perform: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void = { $0() }
    ) {
        var clientOptions = HTTPClient.Options()
        clientOptions.connectTimeout = options.connectTimeout
        clientOptions.idleMax = options.idleMax
        clientOptions.answerByteCountMax = Self.answerByteCountMax
        clientOptions.userAgent = "logboomd/\(logboomVersion)"
        client = HTTPClient(address, on: group, options: clientOptions)
        self.options = options
        self.perform = perform
    }

    package func apply(
        _ span: BatchSpan,
        _ batches: [Batch],
        from node: NodeID,
        completion: @escaping @Sendable (Result<SinkAnswer, SinkError>) -> Void
    ) {
        perform { [self] in
            let body: [UInt8]
            do throws(BatchFormatError) {
                body = try ForwardEncoder.encode(span, batches, from: node)
            } catch {
                // Damaged here, before anything was sent: no other attempt can be better.
                completion(.failure(SinkError(.poison, code: "BATCH", "forward: encode a batch: \(error)")))
                return
            }
            let call = HTTPCall(
                "POST",
                "/v1/patterns",
                headers: headers(contentType: "application/x-ndjson") + [
                    (name: "Content-Encoding", value: "gzip"),
                    (name: "Logboom-Node", value: node.text),
                    (name: "Logboom-Stream", value: span.stream.text),
                    (name: "Logboom-Previous", value: String(span.previous)),
                    (name: "Logboom-Last", value: String(span.last)),
                    (name: "Idempotency-Key", value: "\(node.text)/\(span.stream.text)/\(span.last)"),
                ],
                body: body
            )
            client.send(call, timeout: options.callTimeout).whenComplete { [client] result in
                switch result {
                case .success(let answer): completion(ForwardAnswer.judge(answer, to: span, at: client.address))
                case .failure(let error as HTTPClientError): completion(.failure(ForwardAnswer.judge(error)))
                case .failure:
                    // The client promises its own error; for anything else the careful class is the right one.
                    completion(
                        .failure(SinkError(.ambiguous, code: "UNKNOWN", "forward to \(client.address): no answer"))
                    )
                }
            }
        }
    }

    /// Connects and closes at once, sending nothing.
    package func probe(completion: @escaping @Sendable (Bool) -> Void) {
        client.probe(timeout: min(options.probeTimeout, .seconds(2))).whenSuccess(completion)
    }

    /// One `POST /v1/streams`, never repeated: said again later, the list would leave out streams begun meanwhile, and
    /// forgetting those could let a repeated span be counted twice.
    package func forgetStreams(except live: [StreamID], of node: NodeID) {
        var writer = JSONWriter(byteCountEstimate: 96 + 20 * live.count)
        writer.beginObject()
        writer.key("node")
        writer.string(node.text)
        writer.key("live")
        writer.beginArray()
        for stream in live { writer.string(stream.text) }
        writer.endArray()
        writer.endObject()
        let call = HTTPCall(
            "POST",
            "/v1/streams",
            headers: headers(contentType: "application/json"),
            body: writer.bytes
        )
        // Ignored in writing: a failure is harmless, rows of dead streams stay until the next start.
        client.send(call, timeout: options.callTimeout).whenComplete { _ in }
    }

    /// Closes the connection; a call under way ends as ambiguous. The event loop stays with its owner.
    package func close(completion: @escaping @Sendable () -> Void) {
        client.close().whenComplete { _ in completion() }
    }

    private func headers(contentType: String) -> [(name: String, value: String)] {
        var headers = [(name: "Content-Type", value: contentType)]
        if let token = options.token { headers.append((name: "Authorization", value: "Bearer \(token)")) }
        return headers
    }
}
