import Delivery
import Foundation
import LogModel
import PipelineTesting
import Ports
import PostgresSink
import Synchronization
import Testing

/// One series of a batch to be made.
struct Series {
    var id: UInt64 = 1
    var severity = Severity.info
    var classification = Classification()
    var template = "User <ID> logged in"
    var source = "auth"
    var host = "pi"
    var tenant = ""
    var dashboard = ""
    var count = 1
    var firstSeen = Timestamp(nanoseconds: 1_767_225_600_000_000_000)
    var lastSeen = Timestamp(nanoseconds: 1_767_225_601_000_000_000)
    var latency: LatencySummary?
    var samples: [String] = []
    var attributes: [(key: String, values: [(String, Int)], other: Int)] = []
}

func makeBatch(
    _ series: [Series],
    merges: [TemplateMerge] = [],
    windowStart: Timestamp = Timestamp(nanoseconds: 1_767_225_600_000_000_000),
    clockIsKnown: Bool = true
) -> Batch {
    let records = series.reduce(0) { $0 + $1.count }
    var writer = BatchWriter(
        windowStart: windowStart,
        windowEnd: Timestamp(nanoseconds: windowStart.nanoseconds + 30_000_000_000),
        clockIsKnown: clockIsKnown,
        recordCount: records,
        seriesCount: series.count,
        merges: merges,
        byteCountEstimate: 256
    )
    for one in series {
        withViews([one.template, one.source, one.host, one.tenant, one.dashboard]) { views in
            writer.beginSeries(
                templateID: one.id,
                severity: one.severity,
                classification: one.classification,
                template: views[0],
                source: views[1],
                host: views[2],
                tenant: views[3],
                dashboard: views[4],
                count: one.count,
                firstSeen: one.firstSeen,
                lastSeen: one.lastSeen,
                latency: one.latency
            )
        }
        writer.append(UInt64(one.samples.count))
        for sample in one.samples { withViews([sample]) { writer.append($0[0]) } }
        writer.append(UInt64(one.attributes.count))
        for attribute in one.attributes {
            withViews([attribute.key]) { views in
                writer.beginAttribute(
                    key: views[0],
                    otherCount: attribute.other,
                    distinctCount: attribute.values.count + attribute.other,
                    numbers: nil,
                    valueCount: attribute.values.count
                )
            }
            for (value, count) in attribute.values {
                withViews([value]) { writer.append($0[0]) }
                writer.append(UInt64(count))
            }
        }
    }
    return Batch(payload: writer.bytes, recordCount: records, seriesCount: series.count)
}

private func withViews(_ texts: [String], _ body: ([ByteView]) -> Void) {
    let arrays = texts.map { Array($0.utf8) }
    var views: [ByteView] = []
    func next(_ index: Int) {
        if index == arrays.count { return body(views) }
        arrays[index].withUnsafeBufferPointer { view in
            views.append(view)
            next(index + 1)
        }
    }
    next(0)
}

let node = NodeID(random: Array(1...16))
let stream = StreamID(rawValue: 0xF00D_F00D_F00D_F00D)

/// A database of a test's own on the shared server, and how to reach it.
struct Warehouse {
    let cluster: PostgresCluster
    let database: String

    init(_ cluster: PostgresCluster? = nil, encoding: String = "UTF8") throws {
        self.cluster = try cluster ?? PostgresCluster.shared()
        database = try self.cluster.createDatabase(encoding: encoding)
    }

    var settings: PostgresSettings {
        PostgresSettings(
            host: cluster.socketDirectory,
            port: cluster.port,
            database: database,
            user: PostgresCluster.user,
            sslMode: "disable"
        )
    }

    func tcpSettings(port: Int, user: String = PostgresCluster.user, password: String? = nil) -> PostgresSettings {
        PostgresSettings(
            host: "127.0.0.1",
            port: port,
            database: database,
            user: user,
            password: { password },
            sslMode: "disable"
        )
    }

    @discardableResult
    func query(_ sql: String) throws -> [[String?]] { try cluster.query(database, sql) }

    /// The first column of the first row.
    func value(_ sql: String) throws -> String? { try query(sql).first?.first ?? nil }

    func count() throws -> Int {
        try Int(value("SELECT coalesce(sum(count), 0)::bigint FROM aggregated_logs") ?? "") ?? -1
    }
}

extension PostgresSink {
    func apply(_ previous: Int64, _ last: Int64, _ batches: [Batch], stream: StreamID = stream) async -> Outcome {
        let span = BatchSpan(stream: stream, previous: previous, last: last)
        return await withCheckedContinuation { continuation in
            apply(span, batches, from: node) { continuation.resume(returning: Outcome($0)) }
        }
    }

    /// How long the sink itself took, without what the test's threads add.
    func timedApply(_ previous: Int64, _ last: Int64, _ batches: [Batch]) async -> (
        outcome: Outcome, duration: Duration
    ) {
        let span = BatchSpan(stream: stream, previous: previous, last: last)
        return await withCheckedContinuation { continuation in
            let start = ContinuousClock.now
            apply(span, batches, from: node) {
                continuation.resume(returning: (Outcome($0), ContinuousClock.now - start))
            }
        }
    }

    func isReachable() async -> Bool {
        await withCheckedContinuation { continuation in probe { continuation.resume(returning: $0) } }
    }

    func close() async {
        await withCheckedContinuation { continuation in close { continuation.resume() } }
    }
}

/// A sink's answer in a form that `#expect` can compare and print.
enum Outcome: Equatable {
    case success(SinkAnswer)
    case failure(FailureClass, code: String, String)

    init(_ result: Result<SinkAnswer, SinkError>) {
        switch result {
        case .success(let answer): self = .success(answer)
        case .failure(let error): self = .failure(error.failureClass, code: error.code, error.description)
        }
    }

    var failureClass: FailureClass? {
        if case .failure(let failureClass, _, _) = self { failureClass } else { nil }
    }

    var code: String? {
        if case .failure(_, let code, _) = self { code } else { nil }
    }

    var message: String {
        if case .failure(_, _, let message) = self { message } else { "" }
    }
}

/// A password that changes under a running sink, as its file does.
final class PasswordFile: Sendable {
    private let value = Mutex<String?>(nil)

    var password: String? {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}

/// Asks again and again, at most ten seconds, until the condition holds.
@discardableResult
func waitUntil(_ condition: () throws -> Bool) async rethrows -> Bool {
    let end = ContinuousClock.now + .seconds(10)
    while try !condition() {
        if ContinuousClock.now > end { return false }
        await Task.yield()
    }
    return true
}
