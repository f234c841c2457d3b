internal import NIOCore
internal import NIOHTTP1

/// The way by which a connection came, as its listening socket was given it.
package enum HTTPDoor: Sendable, Equatable {
    /// A unix socket.
    case socket
    /// A port that only this machine reaches.
    case loopback
    /// A port that other machines reach.
    case network
    /// TLS with a client certificate that was verified.
    case certified
}

/// One request, complete with its body. Valid during ``RequestHandler/handle(_:_:)``.
package struct HTTPRequest {
    package enum Method: String {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case delete = "DELETE"
        /// Any other.
        case other = ""
    }

    package let method: Method
    /// The target before `?`, as sent: nothing is unescaped, as no path of ours needs it.
    package let path: Substring
    /// The target after `?`; empty when there is none.
    package let query: Substring
    /// By which socket it came.
    package let door: HTTPDoor
    let headers: HTTPHeaders
    let body: ByteBuffer?

    init(head: HTTPRequestHead, body: ByteBuffer?, door: HTTPDoor) {
        self.door = door
        switch head.method {
        case .GET: method = .get
        case .HEAD: method = .head
        case .POST: method = .post
        case .DELETE: method = .delete
        default: method = .other
        }
        let uri = head.uri.utf8
        let pathCount = uri.withContiguousStorageIfAvailable { $0.firstIndex(of: UInt8(ascii: "?")) ?? $0.count }
        if let pathCount, pathCount < uri.count {
            let mark = uri.index(uri.startIndex, offsetBy: pathCount)
            path = head.uri[..<mark]
            query = head.uri[uri.index(after: mark)...]
        } else {
            path = head.uri[...]
            query = ""
        }
        headers = head.headers
        self.body = body
    }

    /// The first header of that name, in any case.
    package func header(_ name: String) -> String? {
        headers.first(name: name)
    }

    package var bodyByteCount: Int { body?.readableBytes ?? 0 }

    /// The body's bytes, valid during the call.
    package func withBody<Value>(_ use: (UnsafeBufferPointer<UInt8>) -> Value) -> Value {
        guard let body else { return use(UnsafeBufferPointer(start: nil, count: 0)) }
        return body.withUnsafeReadableBytes { use($0.assumingMemoryBound(to: UInt8.self)) }
    }

    /// The query's values by name, percent-encoding and `+` resolved (HTML "application/x-www-form-urlencoded"); the last
    /// of a repeated name wins, and what is malformed stays as it stands.
    package var queryItems: [String: String] {
        var items: [String: String] = [:]
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            items[Self.decoded(parts[0])] = parts.count > 1 ? Self.decoded(parts[1]) : ""
        }
        return items
    }

    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest.removeFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The status codes this server uses (RFC 9110, section 15).
package enum HTTPStatus: Int, Sendable {
    case ok = 200
    case accepted = 202
    case noContent = 204
    case notModified = 304
    case badRequest = 400
    case unauthorized = 401
    case forbidden = 403
    case notFound = 404
    case methodNotAllowed = 405
    case requestTimeout = 408
    case conflict = 409
    case contentTooLarge = 413
    case unsupportedMediaType = 415
    case misdirectedRequest = 421
    case unprocessableContent = 422
    case tooManyRequests = 429
    case headerFieldsTooLarge = 431
    case internalServerError = 500
    case serviceUnavailable = 503

    var line: StaticString {
        switch self {
        case .ok: "HTTP/1.1 200 OK\r\n"
        case .accepted: "HTTP/1.1 202 Accepted\r\n"
        case .noContent: "HTTP/1.1 204 No Content\r\n"
        case .notModified: "HTTP/1.1 304 Not Modified\r\n"
        case .badRequest: "HTTP/1.1 400 Bad Request\r\n"
        case .unauthorized: "HTTP/1.1 401 Unauthorized\r\n"
        case .forbidden: "HTTP/1.1 403 Forbidden\r\n"
        case .notFound: "HTTP/1.1 404 Not Found\r\n"
        case .methodNotAllowed: "HTTP/1.1 405 Method Not Allowed\r\n"
        case .conflict: "HTTP/1.1 409 Conflict\r\n"
        case .requestTimeout: "HTTP/1.1 408 Request Timeout\r\n"
        case .contentTooLarge: "HTTP/1.1 413 Content Too Large\r\n"
        case .unsupportedMediaType: "HTTP/1.1 415 Unsupported Media Type\r\n"
        case .misdirectedRequest: "HTTP/1.1 421 Misdirected Request\r\n"
        case .unprocessableContent: "HTTP/1.1 422 Unprocessable Content\r\n"
        case .tooManyRequests: "HTTP/1.1 429 Too Many Requests\r\n"
        case .headerFieldsTooLarge: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        case .internalServerError: "HTTP/1.1 500 Internal Server Error\r\n"
        case .serviceUnavailable: "HTTP/1.1 503 Service Unavailable\r\n"
        }
    }

    /// The phrase alone, as RFC 9457 wants it for the `title` of a problem.
    package var phrase: String {
        String(
            decoding: UnsafeBufferPointer(start: line.utf8Start, count: line.utf8CodeUnitCount).dropFirst(13).dropLast(
                2
            ),
            as: UTF8.self
        )
    }
}

/// What a request is answered with.
package struct HTTPAnswer {
    package var status: HTTPStatus
    package var contentType: String
    /// Beside the ones every answer has.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(
        _ status: HTTPStatus,
        contentType: String = "application/json",
        headers: [(name: String, value: String)] = [],
        body: [UInt8]
    ) {
        self.status = status
        self.contentType = contentType
        self.headers = headers
        self.body = body
    }

    /// A problem as RFC 9457 describes it. `detail` is our own sentence and never holds bytes of the request.
    package static func problem(
        _ status: HTTPStatus,
        _ detail: String,
        headers: [(name: String, value: String)] = []
    ) -> HTTPAnswer {
        var body =
            "{\"type\":\"about:blank\",\"title\":\"\(status.phrase)\",\"status\":\(status.rawValue),\"detail\":\""
        for character in detail {
            if character == "\"" || character == "\\" { body.append("\\") }
            body.append(character)
        }
        body += "\"}\n"
        return HTTPAnswer(status, contentType: "application/problem+json", headers: headers, body: Array(body.utf8))
    }
}

/// Answers requests. On the event loop: must not block.
package protocol RequestHandler: AnyObject {
    /// Called for each complete request. Exactly one answer goes to `responder`, now or later, on the event loop.
    func handle(_ request: HTTPRequest, _ responder: Responder)
    /// A request was answered by the server itself before the handler saw it.
    func serverAnswered(_ status: HTTPStatus)
    /// Request body bytes held now, over all connections.
    func bodyBytesChanged(to count: Int)
}
