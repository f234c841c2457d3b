/// One request to send. Nothing in it is checked before it is handed to ``HTTPClient``, which refuses what would not be
/// one well-formed request.
package struct HTTPCall: Sendable {
    /// An HTTP method in capitals: `GET`, `POST`.
    package var method: String
    /// Begins with `/`; query included, percent-encoded. Appended to the address's base path.
    package var path: String
    /// Beside `Host`, `User-Agent` and `Content-Length`, which the client sets.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(
        _ method: String,
        _ path: String,
        headers: [(name: String, value: String)] = [],
        body: [UInt8] = []
    ) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
    }

    /// `path` with a query, its names and values percent-encoded (RFC 3986, section 2.1: all but the unreserved).
    package static func path(_ path: String, query: [(name: String, value: String)]) -> String {
        var text = path
        for (index, item) in query.enumerated() {
            text += index == 0 ? "?" : "&"
            text += percentEncoded(item.name) + "=" + percentEncoded(item.value)
        }
        return text
    }

    private static func percentEncoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default:
                bytes.append(0x25)
                let digits = Array(String(byte, radix: 16, uppercase: true).utf8)
                bytes.append(contentsOf: digits.count == 1 ? [0x30] + digits : digits)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether method, path and headers can stand in a request without being taken for something else: no blank in the
    /// request line, no line end anywhere (RFC 9112, section 3; RFC 9110, section 5.5).
    var isWellFormed: Bool {
        guard !method.isEmpty, method.utf8.allSatisfy({ (0x41...0x5A).contains($0) }) else { return false }
        guard path.hasPrefix("/"), path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return false }
        return headers.allSatisfy { name, value in
            !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A }
                && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
        }
    }
}

/// The status line and headers of an answer.
package struct HTTPAnswerHead: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)]

    package init(status: Int, headers: [(name: String, value: String)]) {
        self.status = status
        self.headers = headers
    }

    /// The first header of that name, letters compared in any case; `nil` when there is none.
    package func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }
}

/// An answer as a whole.
package struct HTTPAnswer: Sendable {
    package var head: HTTPAnswerHead
    package var body: [UInt8]
    /// The body was longer than the bound given with the call; what is beyond was not read.
    package var bodyIsCut: Bool

    package init(head: HTTPAnswerHead, body: [UInt8], bodyIsCut: Bool = false) {
        self.head = head
        self.body = body
        self.bodyIsCut = bodyIsCut
    }

    package var status: Int { head.status }

    /// The first header of that name, letters compared in any case; `nil` when there is none.
    package func header(_ name: String) -> String? { head.header(name) }
}
