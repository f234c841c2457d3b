package import HTTPWire

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

/// What ``RequestHandler/admit(_:)`` found out about a sender, kept for ``RequestHandler/handle(_:_:)``. Three numbers of the
/// handler's own.
package struct HTTPGrant: Equatable {
    package var place: Int32
    package var edition: Int32
    /// What is asked for, below zero when that is not known.
    package var route: Int32 = -1
    /// Whoever sends the same head by the same door is granted the same, as long as it is current
    /// (``RequestHandler/isCurrent(_:)``): the handler need not be asked again.
    package var isLasting: Bool

    package init(place: Int32, edition: Int32, isLasting: Bool = false) {
        self.place = place
        self.edition = edition
        self.isLasting = isLasting
    }

    package static var none: HTTPGrant { HTTPGrant(place: -1, edition: 0) }
}

package enum HTTPAdmission {
    case admitted(HTTPGrant)
    case refused(HTTPAnswer)
}

/// A request's first line and fields. Its texts are views into the connection's bytes: valid during the call that gave it.
package struct HTTPHead {
    package typealias Method = RequestHead.Method

    /// By which socket it came.
    package let door: HTTPDoor
    private let head: RequestHead
    private let bytes: UnsafeRawBufferPointer

    init(_ head: RequestHead, _ bytes: UnsafeRawBufferPointer, _ door: HTTPDoor) {
        self.door = door
        self.head = head
        self.bytes = bytes
    }

    package var method: Method { head.method }
    /// The target before `?`, as sent: nothing is unescaped, as no path of ours needs it.
    package var path: HTTPText { text(head.path) }
    /// The target after `?`; empty when there is none.
    package var query: HTTPText { text(head.query) }
    /// Of the body, as `Content-Length` says; `nil` when it comes in chunks.
    package var bodyByteCount: Int? {
        if case .length(let count) = head.framing { count } else { nil }
    }

    /// The value of a field that can have one only; `nil` when it is not there. Costs nothing: it was noted on the way.
    package func header(_ field: RequestHead.Field) -> HTTPText? {
        let place = head.place(of: field)
        return place.isAbsent ? nil : text(place)
    }

    /// The first field of that name, which is given in lower case. Walks the head: for the fields that few requests have.
    package func header(named name: StaticString) -> HTTPText? {
        head.place(named: name, in: bytes).map(text)
    }

    private func text(_ place: RequestHead.Place) -> HTTPText {
        let part = UnsafeRawBufferPointer(rebasing: bytes[place.range])
        return HTTPText(part.assumingMemoryBound(to: UInt8.self))
    }

    /// The query's values by name, percent-encoding and `+` resolved (HTML "application/x-www-form-urlencoded"); the last
    /// of a repeated name wins, and what is malformed stays as it stands.
    package var queryItems: [String: String] {
        var items: [String: String] = [:]
        for pair in query.bytes.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            items[Self.decoded(parts[0])] = parts.count > 1 ? Self.decoded(parts[1]) : ""
        }
        return items
    }

    private static func decoded(_ text: Slice<UnsafeBufferPointer<UInt8>>) -> String {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                rest = rest.dropFirst(2)
                bytes.append(value)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// One request, complete with its body. Valid during ``RequestHandler/handle(_:_:)``.
package struct HTTPRequest {
    package typealias Method = HTTPHead.Method

    package let head: HTTPHead
    package let grant: HTTPGrant
    /// As it came: with its content coding, without its chunks.
    package let body: UnsafeBufferPointer<UInt8>

    package var method: Method { head.method }
    package var path: HTTPText { head.path }
    package var queryItems: [String: String] { head.queryItems }

    package func header(_ field: RequestHead.Field) -> HTTPText? { head.header(field) }

    /// The same request of a sender who was judged anew.
    package func with(grant: HTTPGrant) -> HTTPRequest {
        HTTPRequest(head: head, grant: grant, body: body)
    }

    /// The same request with another body: what this one was before it was compressed.
    package func with(body: UnsafeBufferPointer<UInt8>) -> HTTPRequest {
        HTTPRequest(head: head, grant: grant, body: body)
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
    case uriTooLong = 414
    case expectationFailed = 417
    case headerFieldsTooLarge = 431
    case internalServerError = 500
    case serviceUnavailable = 503
    case versionNotSupported = 505

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
        case .uriTooLong: "HTTP/1.1 414 URI Too Long\r\n"
        case .unsupportedMediaType: "HTTP/1.1 415 Unsupported Media Type\r\n"
        case .expectationFailed: "HTTP/1.1 417 Expectation Failed\r\n"
        case .misdirectedRequest: "HTTP/1.1 421 Misdirected Request\r\n"
        case .unprocessableContent: "HTTP/1.1 422 Unprocessable Content\r\n"
        case .tooManyRequests: "HTTP/1.1 429 Too Many Requests\r\n"
        case .headerFieldsTooLarge: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        case .internalServerError: "HTTP/1.1 500 Internal Server Error\r\n"
        case .serviceUnavailable: "HTTP/1.1 503 Service Unavailable\r\n"
        case .versionNotSupported: "HTTP/1.1 505 HTTP Version Not Supported\r\n"
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
    /// Asked once a request's head is read, before its body is: a refusal turns the request away, and the body is not kept.
    /// The place for who may send, and how often.
    func admit(_ head: HTTPHead) -> HTTPAdmission
    /// Whether a lasting grant still holds.
    func isCurrent(_ grant: HTTPGrant) -> Bool
    /// Called for each complete request. Exactly one answer goes to `responder`, now or later, on the event loop.
    func handle(_ request: HTTPRequest, _ responder: Responder)
    /// A request was answered by the server itself before the handler saw it, or was turned away by ``admit(_:)``.
    func serverAnswered(_ status: HTTPStatus)
    /// Request body bytes held now, over all connections.
    func bodyBytesChanged(to count: Int)
}

extension RequestHandler {
    package func admit(_ head: HTTPHead) -> HTTPAdmission { .admitted(.none) }
    package func isCurrent(_ grant: HTTPGrant) -> Bool { true }
}
