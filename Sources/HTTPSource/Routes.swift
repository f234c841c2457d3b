package import Admission
internal import Delivery
package import HTTPServing
internal import HTTPWire
package import LogModel
package import Pipeline
package import Ports
internal import RecordDecoding

/// Counts requests by answer, and says what bodies take; loop only.
package struct HTTPFigures {
    /// Answers by status code.
    package var answered: [Int: Int] {
        var counts: [Int: Int] = [:]
        for (offset, count) in counters.enumerated() where count > 0 { counts[Self.firstStatus + offset] = count }
        return counts
    }
    package internal(set) var ingestRequestCount = 0
    /// Requests whose `Idempotency-Key` had come before.
    package internal(set) var repeatedRequestCount = 0
    /// Records whose message was cut at its bound, and records that had more attributes than are looked at.
    var cutRecordCount = 0
    var attributeCutRecordCount = 0

    private static let firstStatus = 100
    private var counters = [Int](repeating: 0, count: 500)

    mutating func count(_ status: HTTPStatus) { counters[status.rawValue - Self.firstStatus] += 1 }
}

/// What became of TLS handshakes; and of the certificate, what will.
package struct TLSFigures: Sendable {
    package var handshakeCount = 0
    /// Refused by one side, not done in time, or no TLS at all.
    package var failureCount = 0
    /// When the certificate in force ends, in seconds since 1970.
    package var expirySecond = 0

    package init() {}
}

/// Facts about the process that the pages show and the collector does not know.
package struct ServiceFacts: Sendable {
    /// `postgres` or `embedded`.
    package var storeName: String
    package var nodeID: NodeID
    package var startedAt: MonotonicTime
    /// `nil` when no port speaks TLS. Asked on the loop.
    package var tls: @Sendable () -> TLSFigures?
    /// What the spool file holds and may hold, in bytes; batches set aside; batches salvaged after damage.
    package var spoolFigures: @Sendable () -> SpoolFigures
    /// Standing complaints, each with what to do: a spool in memory only, a file that was set aside.
    package var complaints: @Sendable () -> [String]
    /// How the reading of the system's journal goes.
    package var journal: @Sendable () -> JournalFigures

    package init(
        storeName: String,
        nodeID: NodeID,
        startedAt: MonotonicTime,
        tls: @escaping @Sendable () -> TLSFigures? = { nil },
        complaints: @escaping @Sendable () -> [String],
        spoolFigures: @escaping @Sendable () -> SpoolFigures,
        journal: @escaping @Sendable () -> JournalFigures = { JournalFigures() }
    ) {
        self.storeName = storeName
        self.nodeID = nodeID
        self.startedAt = startedAt
        self.tls = tls
        self.complaints = complaints
        self.spoolFigures = spoolFigures
        self.journal = journal
    }
}

extension ServiceFacts {
    /// Whether what the store holds ends with the process: no PostgreSQL, and no file for the embedded store. Its commits are no
    /// receipts then.
    var keepsNothing: Bool { storeName == "embedded" && spoolFigures().isMemoryOnly }
}

package struct SpoolFigures: Sendable {
    /// Batches that wait, as they stand in the file: fewer than were spilled once windows were merged.
    package var batchCounts: [Lane: Int] = [:]
    /// The whole file: spool, embedded store, dead letters.
    package var fileByteCount = 0
    /// Of the batches that wait; what `SPOOL_LIMIT` bounds.
    package var byteCount = 0
    package var byteCountMax = 0
    package var deadLetterCount = 0
    /// Dead letters removed since the start because there were too many.
    package var deadLetterDropCount = 0
    /// Times the file was found damaged while running, and replaced.
    package var damageCount = 0
    /// Batches merged with their neighbours, and batches that lost samples or attribute summaries, because the spool was nearly
    /// full; and the longest window that came of it.
    package var mergedBatchCount = 0
    package var reducedBatchCount = 0
    package var longestWindow = Duration.zero
    /// There is no file: nothing is kept beyond the process.
    package var isMemoryOnly = false
    /// Free on the file system of the state directory, and how much of it is left to others; `nil` when unknown.
    package var freeByteCount: Int?
    package var floorByteCount = 0
    /// Batches refused for want of space on the disk.
    package var diskRefusalCount = 0
    /// Why the last call failed to write or read, until a write succeeds.
    package var lastFailure: String?

    package init() {}
}

/// The HTTP face of the daemon: every path, what may be done there, and who answers. Event loop only.
///
/// Each answer is JSON, `/metrics` aside: Node-RED reads nothing else. An unknown path is 404, a known path with another
/// method 405 with `Allow`. `@unchecked Sendable`: used on the scheduler's loop only; answers of other threads hop back.
package final class Routes: RequestHandler, @unchecked Sendable {
    let collector: Collector
    let reader: any PatternReader
    let deadLetters: any DeadLetterBox
    let scheduler: any Scheduler
    let facts: ServiceFacts
    let decoder = BodyDecoder()
    package internal(set) var gate: AccessGate
    private let table = RouteTable()
    package internal(set) var figures = HTTPFigures()
    /// What listens for these routes; its figures are shown with theirs. Both last as long as the process.
    package var server: HTTPServer?
    /// The answer to a request without errors given last, by what it says: most requests of a sender are alike.
    var lastAnswers: [SuccessAnswer] = []
    /// Requests with an `Idempotency-Key`, and who sent one again while the first was under way.
    var requestKeys = RequestKeys<RememberedAnswer>()
    var waitingForKey: [StreamID: [Responder]] = [:]
    var storeStatus: (status: Result<StoreStatus, SinkError>, at: MonotonicTime)?
    /// Who waits for the store's state. One question is under way while there is one of them or more.
    var waitingForStore: [StoreAnswer] = []

    package init(
        collector: Collector,
        reader: any PatternReader,
        deadLetters: any DeadLetterBox,
        scheduler: any Scheduler,
        gate: AccessGate,
        facts: ServiceFacts
    ) {
        self.collector = collector
        self.reader = reader
        self.deadLetters = deadLetters
        self.scheduler = scheduler
        self.gate = gate
        self.facts = facts
    }

    /// Takes a changed policy, for the requests that come from now on.
    package func replace(_ policy: AccessPolicy) {
        scheduler.preconditionOnLoop()
        gate.replace(policy)
    }

    package func admit(_ head: HTTPHead) -> HTTPAdmission {
        // Before anything is said of the path: what there is here is not for strangers.
        let place = table.place(of: head.path)
        let scope = table.route(head.path, at: place).map { $0.scope(of: head.method) } ?? .read
        switch gate.admit(head, scope: scope, now: scheduler.now) {
        case .admitted(var grant):
            if let place { grant.route = Int32(place) }
            return .admitted(grant)
        case .refused(let refusal):
            if refusal.status == .tooManyRequests { collector.refused(.rate, recordCount: 1) }
            return .refused(refusal)
        }
    }

    package func isCurrent(_ grant: HTTPGrant) -> Bool { gate.isCurrent(grant) }

    package func handle(_ request: HTTPRequest, _ responder: Responder) {
        // The policy may have changed while the body came.
        if !gate.isCurrent(request.grant) {
            switch admit(request.head) {
            case .admitted(let grant): return handle(request.with(grant: grant), responder)
            case .refused(let refusal): return answer(responder, refusal)
            }
        }
        let place = request.grant.route
        guard let route = table.route(request.path, at: place < 0 ? nil : Int(place)) else {
            return answer(responder, .problem(.notFound, "There is nothing at this path; see GET / for what there is."))
        }
        guard route.takes(request.method) else {
            let allowed = route.methods.map { "\($0.name)" }.joined(separator: ", ")
            return answer(
                responder,
                .problem(.methodNotAllowed, "This path takes \(allowed).", headers: [("Allow", allowed)])
            )
        }
        switch route {
        case .ingest(let route): ingest(request, at: route, responder)
        case .index: answer(responder, indexPage())
        case .document: answer(responder, document(request))
        case .flush: flush(responder)
        case .health: health(responder)
        case .databaseHealth: databaseHealth(responder)
        case .live: answer(responder, HTTPAnswer(.ok, body: Array("{\"alive\":true}\n".utf8)))
        case .ready: ready(responder)
        case .stats: answer(responder, HTTPAnswer(.ok, body: statsPage()))
        case .metrics: answer(responder, metricsPage())
        case .patterns: patterns(request, responder)
        case .tail: tail(request, responder)
        case .deadLetters: deadLetters(request, responder)
        case .deadLetter(let id):
            request.method == .delete ? dropDeadLetter(id, responder) : deadLetter(id, responder)
        case .replay(let id): replay(deadLetter: id, responder)
        }
    }

    package func serverAnswered(_ status: HTTPStatus) {
        figures.count(status)
    }

    package func bodyBytesChanged(to count: Int) {
        collector.sourceBytes = count
    }

    func answer(_ responder: Responder, _ answer: HTTPAnswer) {
        figures.count(answer.status)
        responder.respond(answer)
    }
}
