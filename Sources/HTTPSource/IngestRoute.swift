internal import Delivery
internal import HTTPServing
internal import HTTPWire
internal import JSONBytes
internal import LogModel
internal import Pipeline
internal import Ports
internal import RecordDecoding

extension Routes {
    /// `POST /ingest`, `/ingest/batch`, `/logs/ingest`: decodes the body, folds every usable record, and answers with what
    /// became of each: 202 when folded, 200 when all of it is durable, 422 when nothing was usable, 400 when it is no JSON.
    func ingest(_ request: HTTPRequest, requiresTenant: Bool, _ responder: Responder) {
        figures.ingestRequestCount += 1
        if let refusal = collector.refusal {
            return refuse(refusal, responder)
        }
        expand(request, responder) { request in
            if let key = request.header(.idempotencyKey) {
                return takeInOnce(request, requiresTenant: requiresTenant, key: key, responder)
            }
            takeIn(request, requiresTenant: requiresTenant, responder)
        }
    }

    private func takeIn(_ request: HTTPRequest, requiresTenant: Bool, _ responder: Responder) {
        switch takeIn(request, requiresTenant: requiresTenant, key: nil) {
        case .malformed(let malformed): answer(responder, malformedAnswer(malformed))
        case .taken(let summary, let matched, nil): answer(responder, answer(summary, matched: matched, .folded))
        case .taken(let summary, let matched, let waiter?):
            waiter.whenGiven { receipt in
                self.answer(responder, self.answer(summary, matched: matched, receipt))
            }
        }
    }

    enum IntakeOutcome {
        case malformed(MalformedBody)
        /// Without a waiter the records are folded, and none has to be durable.
        case taken(BodySummary, matched: Int, Collector.Waiter?)
    }

    /// Decodes the body and folds its records.
    func takeIn(_ request: HTTPRequest, requiresTenant: Bool, key: StreamID?) -> IntakeOutcome {
        let matchedBefore = collector.counters.matched
        collector.beginRequest(key: key)
        let result = decoder.decode(
            request.body,
            contentType: request.header(.contentType)?.bytes,
            rules: RecordRules(requiresTenant: requiresTenant)
        ) { record in
            self.collector.fold(record)
            return nil
        }
        switch result {
        case .failure(let malformed):
            // Nobody waits: nothing was folded.
            _ = collector.endRequest(received: 1, failed: 1)
            return .malformed(malformed)
        case .success(let summary):
            let matched = collector.counters.matched - matchedBefore
            let waiter = collector.endRequest(received: summary.received, failed: summary.failed)
            return .taken(summary, matched: matched, waiter)
        }
    }

    private func refuse(_ refusal: Refusal, _ responder: Responder) {
        // How many records the body held is not known: it is not read when there is no room for it.
        collector.refused(refusal, recordCount: 1)
        switch refusal {
        case .memory:
            answer(
                responder,
                .problem(
                    .tooManyRequests,
                    "The memory for records is used up; try again.",
                    headers: [("Retry-After", "1")]
                )
            )
        case .stopping:
            answer(
                responder,
                .problem(.serviceUnavailable, "The service is stopping; try again.", headers: [("Retry-After", "2")])
            )
        }
    }

    func malformedAnswer(_ malformed: MalformedBody) -> HTTPAnswer {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("type")
        writer.string(static: "about:blank")
        writer.key("title")
        writer.string(static: "Bad Request")
        writer.key("status")
        writer.integer(400)
        writer.key("detail")
        writer.string("The body is no JSON that can be read: \(malformed.reason), at byte \(malformed.offset).")
        writer.key("offset")
        writer.integer(malformed.offset)
        writer.key("accepted")
        writer.integer(0)
        writer.endObject()
        writer.endLine()
        return HTTPAnswer(.badRequest, contentType: "application/problem+json", body: writer.bytes)
    }

    func answer(_ summary: BodySummary, matched: Int, _ receipt: Receipt) -> HTTPAnswer {
        let status: HTTPStatus
        var durableCount = 0
        switch receipt {
        case .folded: status = summary.accepted > 0 || summary.received == 0 ? .accepted : .unprocessableContent
        case .durable where facts.keepsNothing: status = .accepted
        case .durable(let recordCount):
            status = recordCount == summary.accepted ? .ok : .accepted
            durableCount = recordCount
        case .timedOut:
            // No Retry-After: the records are counted, and whoever sends them again counts them twice.
            status = .serviceUnavailable
        }
        if summary.failed == 0, status != .serviceUnavailable {
            return HTTPAnswer(status, body: success(summary.accepted, matched: matched, durable: durableCount))
        }
        return HTTPAnswer(status, body: Self.answer(summary, matched: matched, durable: durableCount, status))
    }

    /// The body for a request whose records were all taken, made once while its figures stay the same.
    private func success(_ accepted: Int, matched: Int, durable: Int) -> [UInt8] {
        for answer in lastAnswers
        where answer.accepted == accepted && answer.matched == matched && answer.durable == durable {
            return answer.body
        }
        var summary = BodySummary()
        summary.accepted = accepted
        let body = Self.answer(summary, matched: matched, durable: durable, .ok)
        if lastAnswers.count == SuccessAnswer.countMax { lastAnswers.removeFirst() }
        lastAnswers.append(SuccessAnswer(accepted: accepted, matched: matched, durable: durable, body: body))
        return body
    }

    private static func answer(
        _ summary: BodySummary,
        matched: Int,
        durable: Int,
        _ status: HTTPStatus
    ) -> [UInt8] {
        var writer = JSONWriter(byteCountEstimate: 96)
        writer.beginObject()
        writer.key("accepted")
        writer.integer(summary.accepted)
        writer.key("matched")
        writer.integer(matched)
        writer.key("failed")
        writer.integer(summary.failed)
        writer.key("errors")
        writer.beginArray()
        for error in summary.errors {
            writer.beginObject()
            writer.key("index")
            writer.integer(error.index)
            writer.key("reason")
            writer.string("\(error.reason)")
            writer.endObject()
        }
        writer.endArray()
        writer.key("durable")
        writer.integer(durable)
        if status == .serviceUnavailable {
            writer.key("detail")
            writer.string(static: "Counted in memory, but neither the database nor the spool took it yet.")
        }
        writer.endObject()
        writer.endLine()
        return writer.bytes
    }

    /// `POST /flush`: answers when everything folded before is durable.
    func flush(_ responder: Responder) {
        collector.flush { receipt, recordCount in
            var writer = JSONWriter(byteCountEstimate: 96)
            let isDelivered = if case .durable = receipt { true } else { false }
            let isDurable = isDelivered && !self.facts.keepsNothing
            let isAway = self.collector.lanes.contains { $0.lane.phase == .away && $0.id == .store }
            writer.beginObject()
            writer.key("flushed")
            writer.integer(recordCount)
            writer.key("durable")
            writer.bool(isDurable)
            writer.key("where")
            writer.string(isAway ? "spool" : self.facts.storeName)
            writer.key("delivered")
            writer.integer(self.collector.lanes.first { $0.id == .store }?.lane.counts.delivered ?? 0)
            writer.endObject()
            writer.endLine()
            self.answer(responder, HTTPAnswer(isDelivered ? .ok : .serviceUnavailable, body: writer.bytes))
        }
    }
}

/// An answer to a request without errors.
struct SuccessAnswer {
    /// Senders of single records need two or three.
    static let countMax = 4

    var accepted: Int
    var matched: Int
    var durable: Int
    var body: [UInt8]
}
