/// Why a request is not read on. Each is answered once, and the connection closed: where the next request would begin is
/// not known, or the sender tries to have it seen differently by two readers (RFC 9112, 11.2).
package enum RequestFault: String, Error, Sendable, CaseIterable {
    case requestLine, version, target, fieldLine, fold, host, length, lengthTwice, coding, repeated, chunk, trailer
    case requestLineTooLong, headTooLarge, bodyTooLarge, expectation

    /// The status of the answer.
    package var status: Int {
        switch self {
        case .requestLine, .target, .fieldLine, .fold, .host, .length, .lengthTwice, .coding, .repeated, .chunk,
            .trailer:
            400
        case .bodyTooLarge: 413
        case .requestLineTooLong: 414
        case .expectation: 417
        case .headTooLarge: 431
        case .version: 505
        }
    }

    /// The sentence of the answer. Never holds bytes of the request.
    package var detail: StaticString {
        switch self {
        case .requestLine: "This is not an HTTP/1.1 request: its first line is no method, target and version."
        case .version: "This server speaks HTTP/1.1 and HTTP/1.0."
        case .target: "The target of the request is neither a path nor a URL."
        case .fieldLine: "A header line is not of the form name, colon, value, or holds a control character."
        case .fold: "A header line begins with a blank; lines folded like that are no part of HTTP any more."
        case .host: "A request needs exactly one Host header, with a host name or an address."
        case .length: "Content-Length is no plain number."
        case .lengthTwice: "Content-Length and Transfer-Encoding together leave open where the body ends."
        case .coding: "The only Transfer-Encoding read here is chunked, in HTTP/1.1."
        case .repeated: "A header that can have one value only came twice."
        case .chunk: "The chunked body is not well formed."
        case .trailer: "What follows the chunked body is not well formed."
        case .requestLineTooLong: "The request line is too long."
        case .headTooLarge: "The request's headers are too large."
        case .bodyTooLarge: "The body is too large; send it in parts."
        case .expectation: "The only Expect header met here is 100-continue."
        }
    }
}

/// How much of a request is read, in bytes. With the defaults a request's head is at most two pages of 8 KiB: all of the
/// senders known stay below 1 KiB, and RFC 9112, 3 asks for 8,000 of the first line.
package struct RequestBounds: Sendable {
    /// The first line, and blank lines before it.
    package var requestLineByteCountMax = 8 * 1024
    /// The first line and all fields; of a chunked body's trailer fields again as much.
    package var headByteCountMax = 16 * 1024
    /// Field lines of a head, and again of a trailer.
    package var fieldCountMax = 100
    /// Extensions of all chunks of a body: nobody sends any, and we read none.
    package var chunkExtensionByteCountMax = 1024
    /// The body, without its chunk framing.
    package var bodyByteCountMax: Int

    package init(bodyByteCountMax: Int) {
        self.bodyByteCountMax = bodyByteCountMax
    }
}
