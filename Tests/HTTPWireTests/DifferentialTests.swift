import HTTPWire
import NIOCore
import NIOEmbedded
import NIOHTTP1
import PipelineTesting
import Testing

/// SwiftNIO's decoder, which is Node.js's llhttp, as a second opinion: what both take, they read alike; and where ours refuses what
/// that one takes, or takes what that one refuses, the reason is one of those listed here.
@Suite struct DifferentialTests {
    /// Ours is stricter on purpose.
    private static let stricter: Set<RequestFault> = [
        // llhttp leaves Host, Expect and repeated fields to the application.
        .host, .expectation, .repeated,
        // It takes any target without blanks, and other versions.
        .target, .version,
        // It takes every transfer coding that ends in chunked, also in HTTP/1.0, and only refuses a length beside it.
        .coding,
        // It takes blanks behind a chunk's size, and reads trailers as loosely as its version allows.
        .chunk, .trailer,
        // It has no bound on extensions, and other ones on heads.
        .headTooLarge, .requestLineTooLong, .bodyTooLarge,
    ]

    @Test func `what both take, both read alike`() {
        var tally = (both: 0, oursOnly: 0, theirsOnly: 0)
        for seed in SeededGenerator.seeds(fixed: 150, fresh: 50) {
            var maker = RequestMaker(seed: seed)
            for round in 0..<20 {
                var bytes = maker.request()
                if round % 4 != 0 { bytes = maker.mutated(bytes) }
                let ours = read([bytes])
                let theirs = readByNIO(bytes)
                let shown =
                    "LOGBOOM_TEST_SEED=\(seed), round \(round): \(String(decoding: bytes, as: UTF8.self).debugDescription)"
                for (own, other) in zip(ours.requests, theirs.requests) {
                    #expect(own == other, "\(shown)")
                }
                let count = min(ours.requests.count, theirs.requests.count)
                tally.both += count
                if theirs.requests.count > count {
                    tally.theirsOnly += 1
                    #expect(isExplained(ours, theirs.requests[count]), "ours \(ours.end): \(shown)")
                }
                if ours.requests.count > count {
                    tally.oursOnly += 1
                    #expect(isLaxer(ours.requests[count], theirs), "theirs \(theirs.failure ?? "waits"): \(shown)")
                }
            }
        }
        #expect(tally.both > 1000, "\(tally)")
    }

    private func isExplained(_ ours: Reading, _ theirs: ReadRequest) -> Bool {
        guard case .refused(let fault) = ours.end else { return false }
        if Self.stricter.contains(fault) { return true }
        switch fault {
        // A bare line feed as a line's end; blank bytes in front of a request; control characters in values.
        case .requestLine, .fieldLine: return true
        // A line folded into the one before.
        case .fold: return true
        default: return false
        }
    }

    private func isLaxer(_ ours: ReadRequest, _ theirs: NIOReading) -> Bool {
        // It knows a list of methods; for us another one is a token like any other, answered 405. It refuses some targets that we take
        // as they stand and find nothing at; what follows a request that closed its connection; and extensions of chunks that are not
        // to its taste, which we pass over. And it takes no tab behind a length.
        ours.method == .other || theirs.failure == "invalidURL" || theirs.failure == "closedConnection"
            || !(theirs.requests.last?.isKeptAlive ?? true)
            || theirs.failure == "invalid character in content-length header"
            || theirs.failure == "strict mode assertion"
                && ours.fields.contains { $0.name.lowercased() == "transfer-encoding" }
            || ours.path.contains("#") || !ours.path.hasPrefix("/")
    }
}

private struct NIOReading {
    var requests: [ReadRequest] = []
    var failure: String?
}

private func readByNIO(_ bytes: [UInt8]) -> NIOReading {
    let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
    var reading = NIOReading()
    do {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
    } catch {
        reading.failure = "\(error)"
    }
    var head: HTTPRequestHead?
    var body: [UInt8] = []
    while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
        switch part {
        case .head(let next):
            head = next
            body = []
        case .body(let buffer): body += buffer.readableBytesView
        case .end:
            if let head { reading.requests.append(request(head, body)) }
            head = nil
        }
    }
    _ = try? channel.finish(acceptAlreadyClosed: true)
    return reading
}

private func request(_ head: HTTPRequestHead, _ body: [UInt8]) -> ReadRequest {
    var target = head.uri[...]
    if target.hasPrefix("http://") || target.hasPrefix("https://") {
        let rest = target.dropFirst(target.hasPrefix("http://") ? 7 : 8)
        target = rest[(rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex)...]
    }
    let mark = target.firstIndex(of: "?")
    let method: RequestHead.Method =
        switch head.method {
        case .GET: .get
        case .HEAD: .head
        case .POST: .post
        case .DELETE: .delete
        default: .other
        }
    // It leaves blanks at a value's end, which are no part of it (RFC 9110, 5.5), and then takes `close` for something else.
    var trimmed = head
    trimmed.headers = HTTPHeaders(head.headers.map { ($0.name, withoutBlanksAtEnd($0.value)) })
    return ReadRequest(
        method: method,
        path: String(target[..<(mark ?? target.endIndex)]),
        query: mark.map { String(target[target.index(after: $0)...]) },
        fields: trimmed.headers.map { .init(name: $0.name, value: $0.value) },
        isVersion10: head.version == .http1_0,
        isKeptAlive: trimmed.isKeepAlive,
        expectsContinue: head.version == .http1_1 && head.headers.contains(name: "expect"),
        body: body
    )
}

private func withoutBlanksAtEnd(_ value: String) -> String {
    String(decoding: value.utf8.reversed().drop { $0 == 0x20 || $0 == 0x09 }.reversed(), as: UTF8.self)
}
