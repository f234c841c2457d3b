internal import Admission
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
    func ingest(_ request: HTTPRequest, at route: IntakeRoute, _ responder: Responder) {
        figures.ingestRequestCount += 1
        if let refusal = collector.refusal {
            return refuse(refusal, responder)
        }
        expand(request, responder) { request in
            if let key = request.header(.idempotencyKey) {
                return takeInOnce(request, at: route, key: key, responder)
            }
            takeIn(request, at: route, responder)
        }
    }

    private func takeIn(_ request: HTTPRequest, at route: IntakeRoute, _ responder: Responder) {
        switch takeIn(request, at: route, key: nil) {
        case .malformed(let malformed): answer(responder, answer(malformed, at: route))
        case .taken(let summary, let matched, nil):
            answer(responder, answer(summary, at: route, matched: matched, .folded))
        case .taken(let summary, let matched, let waiter?):
            waiter.whenGiven { receipt in
                self.answer(responder, self.answer(summary, at: route, matched: matched, receipt))
            }
        }
    }

    enum TakenIn {
        case malformed(MalformedBody)
        /// Without a waiter the records are folded, and none has to be durable.
        case taken(BodySummary, matched: Int, Collector.Waiter?)
    }

    /// Decodes the body and folds its records.
    func takeIn(_ request: HTTPRequest, at route: IntakeRoute, key: StreamID?) -> TakenIn {
        let matchedBefore = collector.counters.matched
        collector.beginRequest(key: key)
        let token = request.grant
        let tenant = route.tenantHeader.flatMap { request.head.header(named: $0) }?.bytes
        let result = withFixedSource(of: token) { source in
            decoder.decode(
                request.body,
                at: route,
                contentType: request.header(.contentType)?.bytes,
                tenant: tenant ?? ByteView(start: nil, count: 0)
            ) { record in
                if let source {
                    var record = record
                    record.source = source
                    self.collector.fold(record)
                } else {
                    self.collector.fold(record)
                }
                return nil
            }
        }
        switch result {
        case .failure(let malformed):
            // Nobody waits: nothing was folded.
            _ = collector.endRequest(received: 1, failed: 1)
            return .malformed(malformed)
        case .success(let summary):
            let matched = collector.counters.matched - matchedBefore
            gate.charge(summary.accepted, token: token, now: scheduler.now)
            figures.cutRecordCount += summary.truncated
            figures.attributeCutRecordCount += summary.attributesDropped
            let waiter = collector.endRequest(received: summary.received, failed: summary.failed)
            return .taken(summary, matched: matched, waiter)
        }
    }

    /// The source that the token of this place gives to all records, if it does.
    private func withFixedSource<Value>(of token: HTTPGrant, _ use: (ByteView?) -> Value) -> Value {
        guard var source = gate.token(of: token)?.source else { return use(nil) }
        return source.withUTF8 { use($0) }
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
        case .rate:
            // The gate refuses for a rate, before the body is there; should the collector ever do so, this is what it means.
            answer(
                responder,
                .problem(.tooManyRequests, "Records come too fast; try again.", headers: [("Retry-After", "1")])
            )
        case .stopping:
            answer(
                responder,
                .problem(.serviceUnavailable, "The service is stopping; try again.", headers: [("Retry-After", "2")])
            )
        }
    }

    func answer(_ malformed: MalformedBody, at route: IntakeRoute) -> HTTPAnswer {
        if let answer = ownAnswer(.malformed(malformed), at: route) { return answer }
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

    /// The answer in the words of the protocol spoken at this path, if it has its own.
    func ownAnswer(_ outcome: IntakeOutcome, at route: IntakeRoute) -> HTTPAnswer? {
        guard let answer = route.answer(outcome), let status = HTTPStatus(rawValue: answer.status) else { return nil }
        return HTTPAnswer(status, contentType: "\(answer.contentType)", body: answer.body)
    }

    func answer(_ summary: BodySummary, at route: IntakeRoute, matched: Int, _ receipt: Receipt) -> HTTPAnswer {
        let isOverdue = if case .timedOut = receipt { true } else { false }
        if let answer = ownAnswer(.taken(summary, isOverdue: isOverdue), at: route) { return answer }
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
            if let offset = error.offset { writer.field("offset", offset) }
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
