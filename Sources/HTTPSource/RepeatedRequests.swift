internal import Admission
internal import Delivery
internal import HTTPServing
internal import HTTPWire
internal import JSONBytes
internal import LogModel
internal import Pipeline
internal import RecordDecoding

/// What is remembered of an answer to a request with an `Idempotency-Key`: its figures, not its text.
package struct RememberedAnswer {
    var status: HTTPStatus
    var accepted: Int
    var matched: Int
    var failed: Int
    var durable: Int
}

// `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request sent again counts once. Within ten minutes this process
// remembers its answer; beyond, and after a restart, its key is the name of its batch, which spool and sinks take once.
extension Routes {
    func takeInOnce(_ request: HTTPRequest, at route: IntakeRoute, key text: HTTPText, _ responder: Responder) {
        guard let key = Self.key(text, token: gate.token(of: request.grant)?.name, for: facts.nodeID) else {
            let bound = Limits.requestKeyByteCountMax
            return answer(
                responder,
                .problem(
                    .badRequest,
                    "Idempotency-Key takes 1 to \(bound) visible ASCII characters but quotation marks, in such or not."
                )
            )
        }
        let body = XXH64.hash(request.body)
        switch requestKeys.look(key, body: body, now: scheduler.now) {
        case .misused:
            answer(
                responder,
                .problem(.unprocessableContent, "This Idempotency-Key was used for another body; use a new one.")
            )
        case .underWay:
            figures.repeatedRequestCount += 1
            waitingForKey[key, default: []].append(responder)
        case .repeated(let remembered):
            figures.repeatedRequestCount += 1
            answer(responder, answer(remembered, at: route))
        case .new where collector.isSpooled(key):
            // Taken in by the process before and still in the spool of every lane. What it held is counted, not told.
            figures.repeatedRequestCount += 1
            let remembered = RememberedAnswer(status: .ok, accepted: 0, matched: 0, failed: 0, durable: 0)
            requestKeys.answered(key, with: remembered)
            answer(responder, answer(remembered, at: route))
        case .new:
            switch takeIn(request, at: route, key: key) {
            case .malformed(let malformed):
                requestKeys.released(key)
                for responder in [responder] + takeWaiting(for: key) {
                    answer(responder, answer(malformed, at: route))
                }
            case .taken(let summary, let matched, nil): tookIn(summary, matched, .folded, at: route, key, responder)
            case .taken(let summary, let matched, let waiter?):
                waiter.whenGiven { self.tookIn(summary, matched, $0, at: route, key, responder) }
            }
        }
    }

    private func takeWaiting(for key: StreamID) -> [Responder] {
        waitingForKey.removeValue(forKey: key) ?? []
    }

    private func tookIn(
        _ summary: BodySummary,
        _ matched: Int,
        _ receipt: Receipt,
        at route: IntakeRoute,
        _ key: StreamID,
        _ responder: Responder
    ) {
        let first = answer(summary, at: route, matched: matched, receipt)
        var remembered = RememberedAnswer(
            status: first.status,
            accepted: summary.accepted,
            matched: matched,
            failed: summary.failed,
            durable: 0
        )
        switch receipt {
        case .folded: break
        case .durable(let count): remembered.durable = facts.keepsNothing ? 0 : count
        // Counted, and still not durable: whoever asks again is told just that.
        case .timedOut: remembered.status = .accepted
        }
        if summary.accepted == 0 {
            requestKeys.released(key)
        } else {
            requestKeys.answered(key, with: remembered)
        }
        answer(responder, first)
        for responder in takeWaiting(for: key) { answer(responder, answer(remembered, at: route)) }
    }

    /// A string of RFC 8941 in its quotes, or the bare characters that most clients send. Senders with different tokens have
    /// different keys, whatever they call them.
    private static func key(_ text: HTTPText, token: String?, for node: NodeID) -> StreamID? {
        var bytes = Array(text.bytes)
        if bytes.count >= 2, bytes.first == UInt8(ascii: "\""), bytes.last == UInt8(ascii: "\"") {
            bytes = Array(bytes.dropFirst().dropLast())
        }
        guard (1...Limits.requestKeyByteCountMax).contains(bytes.count),
            bytes.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") })
        else { return nil }
        // A blank is in no name and in no key, so it parts the two.
        if let token { bytes = Array("\(token) ".utf8) + bytes }
        return bytes.withUnsafeBufferPointer { RequestKeys<RememberedAnswer>.stream(of: $0, for: node) }
    }

    private func answer(_ remembered: RememberedAnswer, at route: IntakeRoute) -> HTTPAnswer {
        var summary = BodySummary()
        summary.accepted = remembered.accepted
        summary.failed = remembered.failed
        summary.received = remembered.accepted + remembered.failed
        if var answer = ownAnswer(.taken(summary, isOverdue: false), at: route) {
            answer.headers.append(("Idempotent-Replayed", "true"))
            return answer
        }
        var writer = JSONWriter(byteCountEstimate: 96)
        writer.beginObject()
        writer.field("accepted", remembered.accepted)
        writer.field("matched", remembered.matched)
        writer.field("failed", remembered.failed)
        writer.key("errors")
        writer.beginArray()
        writer.endArray()
        writer.field("durable", remembered.durable)
        writer.key("repeated")
        writer.bool(true)
        writer.endObject()
        writer.endLine()
        return HTTPAnswer(remembered.status, headers: [("Idempotent-Replayed", "true")], body: writer.bytes)
    }
}
