internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Why a call got no whole answer.
package struct HTTPClientError: Error, Sendable, CustomStringConvertible {
    /// What happened, a closed set.
    package enum Kind: Sendable, Equatable {
        /// The call itself is not one well-formed request; nothing was sent.
        case malformedCall
        /// The client was closed, before the call or during it.
        case clientClosed
        /// As many calls as the client allows are under way.
        case tooManyCalls
        /// The host name could not be resolved.
        case resolveFailed
        /// No connection came about.
        case connectFailed
        /// No connection came about in time.
        case connectTimedOut
        /// No whole answer came in time.
        case timedOut
        /// The connection ended before the answer did.
        case connectionClosed
        /// What came is not HTTP.
        case malformedAnswer
    }

    package var kind: Kind
    /// An errno's name (`ECONNREFUSED`), or a word for the kind (`TIMEOUT`, `CLOSED`); for grouping.
    package var code: String
    /// Whether the first byte of the request may have left: then the server may have acted on it.
    package var requestWasBegun: Bool
    /// What was attempted, on what, with which code. Safe to log.
    package var description: String

    init(_ kind: Kind, code: String, requestWasBegun: Bool, _ description: String) {
        self.kind = kind
        self.code = code
        self.requestWasBegun = requestWasBegun
        self.description = description
    }

    /// An error met while connecting to `address`.
    static func connecting(to address: HTTPAddress, timeout: Duration, _ error: any Error) -> HTTPClientError {
        func failed(_ number: CInt) -> HTTPClientError {
            let name = errnoName(number)
            return HTTPClientError(
                .connectFailed,
                code: name,
                requestWasBegun: false,
                "connect to \(address): \(name)"
            )
        }
        func timedOut() -> HTTPClientError {
            HTTPClientError(
                .connectTimedOut,
                code: "TIMEOUT",
                requestWasBegun: false,
                "connect to \(address): no answer within \(timeout.inSeconds) s"
            )
        }
        if let error = error as? IOError { return failed(error.errnoCode) }
        if case .connectTimeout? = error as? ChannelError { return timedOut() }
        if let error = error as? NIOConnectionError {
            for single in error.connectionErrors {
                if let cause = single.error as? IOError { return failed(cause.errnoCode) }
            }
            if error.connectionErrors.isEmpty, error.dnsAError != nil || error.dnsAAAAError != nil {
                return HTTPClientError(
                    .resolveFailed,
                    code: "RESOLVE",
                    requestWasBegun: false,
                    "resolve the host of \(address): no address found"
                )
            }
            return timedOut()
        }
        return HTTPClientError(.connectFailed, code: "CONNECT", requestWasBegun: false, "connect to \(address)")
    }

    /// An error met on an open connection.
    static func exchanging(
        _ call: HTTPCall,
        with address: HTTPAddress,
        requestWasBegun: Bool,
        _ error: (any Error)?
    ) -> HTTPClientError {
        let attempt = "\(call.method) at \(address)"
        if let error = error as? IOError {
            let name = errnoName(error.errnoCode)
            return HTTPClientError(
                .connectionClosed,
                code: name,
                requestWasBegun: requestWasBegun,
                "\(attempt): connection lost, \(name)"
            )
        }
        // The end of the stream inside an answer is a lost connection, not a server that speaks something else.
        if let error = error as? HTTPParserError, error != .invalidEOFState {
            return HTTPClientError(
                .malformedAnswer,
                code: "MALFORMED",
                requestWasBegun: requestWasBegun,
                "\(attempt): the answer is not HTTP/1"
            )
        }
        return HTTPClientError(
            .connectionClosed,
            code: "CLOSED",
            requestWasBegun: requestWasBegun,
            "\(attempt): connection closed before the answer ended"
        )
    }

    /// The symbolic name of an errno that a socket call may give (connect(2), read(2), write(2)); `errno N` for others.
    static func errnoName(_ number: CInt) -> String {
        switch number {
        case EACCES: "EACCES"
        case EADDRNOTAVAIL: "EADDRNOTAVAIL"
        case EAFNOSUPPORT: "EAFNOSUPPORT"
        case EAGAIN: "EAGAIN"
        case ECONNABORTED: "ECONNABORTED"
        case ECONNREFUSED: "ECONNREFUSED"
        case ECONNRESET: "ECONNRESET"
        case EHOSTDOWN: "EHOSTDOWN"
        case EHOSTUNREACH: "EHOSTUNREACH"
        case EMFILE: "EMFILE"
        case ENETDOWN: "ENETDOWN"
        case ENETUNREACH: "ENETUNREACH"
        case ENFILE: "ENFILE"
        case ENOBUFS: "ENOBUFS"
        case ENOENT: "ENOENT"
        case ENOMEM: "ENOMEM"
        case ENOTCONN: "ENOTCONN"
        case ENOTSOCK: "ENOTSOCK"
        case EPERM: "EPERM"
        case EPIPE: "EPIPE"
        case EPROTOTYPE: "EPROTOTYPE"
        case ETIMEDOUT: "ETIMEDOUT"
        default: "errno \(number)"
        }
    }
}

extension Duration {
    /// Seconds as text for messages, thousandths at most: `3`, `0.25`.
    var inSeconds: String {
        let thousandths = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        guard thousandths % 1000 != 0 else { return String(thousandths / 1000) }
        var fraction = String(1000 + thousandths % 1000).dropFirst()
        while fraction.last == "0" { fraction = fraction.dropLast() }
        return "\(thousandths / 1000).\(fraction)"
    }
}
