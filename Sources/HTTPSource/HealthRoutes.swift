internal import Delivery
internal import HTTPServing
internal import JSONBytes
internal import LogModel
internal import Pipeline
internal import Ports
internal import Telemetry

extension Routes {
    /// How the service is, in one word. PostgreSQL away is `degraded` and still 200: the spool is made for that.
    private enum Health: String {
        case healthy, degraded, unhealthy
    }

    private struct Check {
        var name: String
        var status: Health
        var detail: String
    }

    /// Of `GET /health`: whether the store answered, and if not, why.
    private typealias Store = Result<StoreStatus, SinkError>

    /// What went wrong at the store, the newest first. The lane alone knows of it only when it has something to write.
    private func lastError(_ store: Store) -> String {
        guard case .failure(let failure) = store else { return storeLane.lastError?.description ?? "" }
        // "No answer yet" is less than what the lane may have heard.
        if failure.code == Self.noAnswer.code, let known = storeLane.lastError { return known.description }
        return failure.description
    }

    private func checks(_ store: Store) -> [Check] {
        var checks: [Check] = []
        let status = try? store.get()
        for runner in collector.lanes {
            let isStore = runner.id == .store
            let isAway = runner.lane.phase == .away || isStore && status == nil
            let error = isStore ? lastError(store) : runner.lastError?.description ?? ""
            let detail =
                isAway
                ? "\(runner.sink.name) is away; batches go to the spool. \(error)"
                : "\(runner.sink.name) takes batches"
            checks.append(Check(name: runner.id.rawValue, status: isAway ? .degraded : .healthy, detail: detail))
        }
        let used = collector.usedByteCount
        let memory: Health =
            used >= collector.memoryLimit ? .unhealthy : collector.detail == .all ? .healthy : .degraded
        let kept =
            switch collector.detail {
            case .all: ""
            case .withoutSamples: "; one sample a pattern is kept until there is more"
            case .countsOnly: "; one sample a pattern and no attributes are kept until there is more"
            }
        checks.append(
            Check(
                name: "memory",
                status: memory,
                detail: "\(used) of \(collector.memoryLimit) bytes for records in use" + kept
            )
        )
        for complaint in facts.complaints() {
            checks.append(Check(name: "state", status: .degraded, detail: complaint))
        }
        let spool = facts.spoolFigures()
        if let free = spool.freeByteCount {
            let isLow = free < spool.floorByteCount
            let detail =
                isLow
                ? "\(free) bytes free where \(spool.floorByteCount) are left to others: the spool takes no batches, they stay "
                    + "in memory until there is room"
                : "\(free) bytes free"
            checks.append(Check(name: "disk", status: isLow ? .degraded : .healthy, detail: detail))
        }
        if let failure = spool.lastFailure {
            checks.append(
                Check(name: "state", status: .degraded, detail: "the state file does not work now: \(failure)")
            )
        }
        if spool.damageCount > 0 {
            let detail =
                "the state file was damaged and replaced \(spool.damageCount) times since the start; see the log"
            checks.append(Check(name: "state", status: .degraded, detail: detail))
        }
        if Double(spool.byteCount) > Double(spool.byteCountMax) * SpoolPolicy.beginShare {
            var detail = "the spool holds \(spool.byteCount) of \(spool.byteCountMax) bytes"
            if spool.mergedBatchCount > 0 {
                detail +=
                    "; older windows were merged, up to \(Int(spool.longestWindow.seconds)) s, with every count kept"
            }
            checks.append(Check(name: "spool", status: .degraded, detail: detail))
        }
        if spool.deadLetterCount > 0 {
            let detail = "\(spool.deadLetterCount) dead letters: what a sink refuses for good; see logboom dead-letters"
            checks.append(Check(name: "dead_letters", status: .degraded, detail: detail))
        }
        if let tls = facts.tls() { checks.append(certificateCheck(endingAt: tls.expirySecond)) }
        return checks
    }

    /// Two weeks before its end a certificate is a person's business: what renews it by itself has failed by then.
    private func certificateCheck(endingAt second: Int) -> Check {
        let rest = second - Int(scheduler.wallClock.nanoseconds / 1_000_000_000)
        let days = rest / 86_400
        let detail = rest <= 0 ? "the certificate expired" : "the certificate expires in \(days) days"
        return Check(name: "certificate", status: rest < 14 * 86_400 ? .degraded : .healthy, detail: detail)
    }

    /// A health check waits longer than a store in health ever takes, and less than those who ask are willing to wait.
    private static let storePatience = Duration.milliseconds(1500)

    private static let noAnswer = SinkError(
        .transient,
        code: "TIMEOUT",
        "ask the store for a sign of life: TIMEOUT: no answer within \(storePatience.seconds) s"
    )

    /// The store's state, asked for on its own connection, at most once a second, and waited for at most ``storePatience``.
    private func withStoreStatus(_ use: @escaping (Store) -> Void) {
        if let known = storeStatus, scheduler.now.since(known.at) < .seconds(1) { return use(known.status) }
        // One answer, whichever comes first: the store's or the end of patience.
        let pending = StoreAnswer(use)
        let confined = LoopConfined(pending)
        scheduler.schedule(at: scheduler.now.advanced(by: Self.storePatience)) {
            confined.value.give(.failure(Self.noAnswer))
        }
        // A store that is silent for long is asked once, however often we are: questions wait for each other there.
        let isAsked = !waitingForStore.isEmpty
        waitingForStore.removeAll { $0.isGiven }
        waitingForStore.append(pending)
        guard !isAsked else { return }
        reader.status { result in
            self.scheduleBack {
                self.storeStatus = (result, self.scheduler.now)
                let waiting = self.waitingForStore
                self.waitingForStore = []
                for answer in waiting { answer.give(result) }
            }
        }
    }

    /// `GET /health`: the whole report.
    func health(_ responder: Responder) {
        withStoreStatus { store in self.answer(responder, self.healthAnswer(store)) }
    }

    private func healthAnswer(_ store: Store) -> HTTPAnswer {
        let checks = checks(store)
        let worst: Health =
            checks.contains { $0.status == .unhealthy }
            ? .unhealthy : checks.contains { $0.status == .degraded } ? .degraded : .healthy
        let counters = collector.counters
        let spool = facts.spoolFigures()
        var writer = JSONWriter(byteCountEstimate: 1024)
        writer.beginObject()
        writer.field("status", worst.rawValue)
        writer.field("version", logboomVersion)
        writer.field("uptime_s", Int(scheduler.now.since(facts.startedAt).seconds))
        writer.field("templates_loaded", collector.templateCount)
        writer.key("clickhouse_connected")
        writer.bool(false)
        writer.key("database")
        writeDatabase(store, to: &writer)
        writer.key("spool")
        writer.beginObject()
        writer.field("batches", spool.batchCounts.values.reduce(0, +))
        writer.field("records", storeLane.lane.counts.spooled)
        writer.field("bytes", spool.byteCount)
        writer.field("limit_bytes", spool.byteCountMax)
        writer.field("file_bytes", spool.fileByteCount)
        writer.endObject()
        writer.key("memory")
        writer.beginObject()
        writer.field("used_bytes", collector.usedByteCount)
        writer.field("budget_bytes", collector.memoryLimit)
        writer.endObject()
        writer.key("queue")
        writer.beginObject()
        writer.field("open_records", collector.openRecordCount)
        writer.field("in_flight_records", storeLane.lane.counts.inMemory)
        writer.endObject()
        writer.key("error_rate")
        writer.number(counters.received == 0 ? 0 : Double(counters.failed) / Double(counters.received))
        writer.key("checks")
        writer.beginArray()
        for check in checks {
            writer.beginObject()
            writer.field("name", check.name)
            writer.field("status", check.status.rawValue)
            writer.field("detail", check.detail)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        writer.endLine()
        return HTTPAnswer(worst == .unhealthy ? .serviceUnavailable : .ok, body: writer.bytes)
    }

    var storeLane: LaneRunner {
        // The composition always makes one: batches need somewhere to go.
        guard let runner = collector.lanes.first(where: { $0.id == .store }) else {
            preconditionFailure("the store lane is always there")
        }
        return runner
    }

    /// `GET /health/db`: 503 when the database is not reachable, as monitoring by status code expects.
    func databaseHealth(_ responder: Responder) {
        withStoreStatus { store in
            var writer = JSONWriter()
            self.writeDatabase(store, to: &writer)
            writer.endLine()
            let isConnected = (try? store.get()) != nil
            self.answer(responder, HTTPAnswer(isConnected ? .ok : .serviceUnavailable, body: writer.bytes))
        }
    }

    private func writeDatabase(_ store: Store, to writer: inout JSONWriter) {
        let lane = storeLane.lane
        let status = try? store.get()
        let isConnected = status != nil
        writer.beginObject()
        writer.field("kind", facts.storeName)
        writer.field("state", isConnected ? (lane.phase == .away ? "recovering" : "connected") : "away")
        writer.key("connected")
        writer.bool(isConnected)
        writer.field("server_version", status?.serverVersion ?? "")
        writer.key("latency_ms")
        if let status {
            writer.number((status.latency.seconds * 1000).rounded(toPlaces: 3))
        } else {
            writer.null()
        }
        writer.field("last_error", lastError(store))
        writer.field("attempts", lane.attempts)
        writer.key("next_retry_s")
        if let retry = lane.nextRetry {
            writer.number(max(0, retry.since(scheduler.now).seconds.rounded(toPlaces: 1)))
        } else {
            writer.null()
        }
        writer.field("spooled_records", lane.counts.spooled)
        writer.endObject()
    }

    /// `GET /readyz`: whether records may come in.
    func ready(_ responder: Responder) {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("ready")
        writer.bool(collector.refusal == nil)
        writer.key("reasons")
        writer.beginArray()
        if let refusal = collector.refusal { writer.string(refusal.rawValue) }
        writer.endArray()
        writer.endObject()
        writer.endLine()
        answer(responder, HTTPAnswer(collector.refusal == nil ? .ok : .serviceUnavailable, body: writer.bytes))
    }

    /// Runs on the loop: for the answers of readers, which come on their own threads.
    func scheduleBack(_ block: @escaping @Sendable () -> Void) {
        scheduler.execute(block)
    }
}

/// Gives the first of several answers and drops the rest.
final class StoreAnswer {
    private var use: ((Result<StoreStatus, SinkError>) -> Void)?
    init(_ use: @escaping (Result<StoreStatus, SinkError>) -> Void) { self.use = use }
    var isGiven: Bool { use == nil }
    func give(_ answer: Result<StoreStatus, SinkError>) {
        use?(answer)
        use = nil
    }
}

extension JSONWriter {
    mutating func field(_ name: StaticString, _ value: Int) {
        key(name)
        integer(value)
    }

    mutating func field(_ name: StaticString, _ value: String) {
        key(name)
        string(value)
    }
}
