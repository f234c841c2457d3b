internal import Delivery
internal import HTTPClient
internal import JSONBytes
internal import LogModel
internal import Ports

/// What an answer, or its absence, means for the span that was sent: the one place where HTTP becomes a ``FailureClass``.
enum ForwardAnswer {
    /// Judges an answer to `POST /v1/patterns`.
    ///
    /// Web pages are never taken for an analytics node: a captive portal or a wrong port answers 200 or 400 to anything, and
    /// believing it would lose counts, or put good batches among the dead letters.
    static func judge(_ answer: HTTPAnswer, to span: BatchSpan, at address: HTTPAddress) -> Result<
        SinkAnswer, SinkError
    > {
        let code = String(answer.status)
        func failure(_ failureClass: FailureClass, _ what: String) -> Result<SinkAnswer, SinkError> {
            .failure(SinkError(failureClass, code: code, "forward to \(address): \(code), \(what)"))
        }
        let isPage = answer.header("Content-Type")?.lowercased().hasPrefix("text/html") ?? false

        switch answer.status {
        case 200...299:
            if isPage { return failure(.permanent, "a web page answered, not an analytics node") }
            return .success(.applied)
        case 409:
            guard let applied = applied(in: answer) else {
                return failure(.permanent, "it did not say what is applied")
            }
            // By the protocol a conflict means that something after `previous` is applied; less would repeat for ever.
            guard applied > span.previous else {
                return failure(.permanent, "applied \(applied), which is no conflict with \(span.previous)")
            }
            return .success(.alreadyApplied(through: applied))
        case 413: return failure(.poison, "too large")
        case 400, 422:
            if isPage { return failure(.permanent, "a web page answered, not an analytics node") }
            return failure(.poison, "refused as malformed")
        case 401, 403: return failure(.permanent, "not allowed")
        case 404, 405: return failure(.permanent, "no analytics node at this address")
        case 408, 425: return failure(.transient, "asked to try again")
        case 429: return failure(.transient, "asked to wait" + retryAfter(answer))
        // A proxy says these when it lost the server behind it, which may have applied the span.
        case 502, 504: return failure(.ambiguous, "a gateway lost the analytics node" + retryAfter(answer))
        case 500...599: return failure(.transient, "the analytics node cannot now" + retryAfter(answer))
        default: return failure(.permanent, "not an answer of an analytics node")
        }
    }

    /// Judges a call that got no whole answer.
    static func judge(_ error: HTTPClientError) -> SinkError {
        let failureClass: FailureClass =
            switch error.kind {
            case .malformedCall: .permanent
            case .clientClosed, .tooManyCalls, .resolveFailed, .connectFailed, .connectTimedOut, .timedOut,
                .connectionClosed, .malformedAnswer:
                error.requestWasBegun ? .ambiguous : .transient
            }
        return SinkError(failureClass, code: error.code, "forward: \(error)")
    }

    private static func applied(in answer: HTTPAnswer) -> Int64? {
        guard !answer.bodyIsCut, let value = try? JSONValue.parse(answer.body, nodeCountMax: 64),
            let number = value["applied"]?.integer, number >= 0
        else { return nil }
        return Int64(number)
    }

    /// `Retry-After` in seconds (RFC 9110, section 10.2.3), for a person to read; a date is left out.
    private static func retryAfter(_ answer: HTTPAnswer) -> String {
        guard let text = answer.header("Retry-After"), let seconds = Int(text), (0...86_400).contains(seconds) else {
            return ""
        }
        return "; retry after \(seconds) s"
    }
}
