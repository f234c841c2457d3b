import Foundation
import PipelineTesting
import Synchronization
import Testing

/// Posts records from a thread of its own, ten a request, about 2 000 a second, until it is stopped. Each request has a
/// source of its own, so that the store tells what became of each.
final class Load: Sendable {
    static let recordsPerRequest = 10

    struct Outcome: Sendable {
        /// Sources of requests that were answered 200 or 202.
        var acknowledged: [String] = []
        /// The connection ended between request and answer, or the answer was 503 after folding: nobody knows.
        var undecided: [String] = []
        /// The first answers that were none of these.
        var strange: [String] = []
    }

    private let state = Mutex(Outcome())
    private let isStopping = Atomic<Bool>(false)
    private let isDone = Atomic<Bool>(false)
    private let isToPause = Atomic<Bool>(false)
    private let isPausing = Atomic<Bool>(false)

    convenience init(_ port: Int, prefix: String = "r", level: String = "INFO") {
        self.init(.port(port), prefix: prefix) { _ in Array(repeating: level, count: Self.recordsPerRequest) }
    }

    /// - Parameters:
    ///   - address: where a daemon listens now or later, over restarts.
    ///   - levels: of the records of the request with this number.
    init(_ address: HTTPTestAddress, prefix: String = "r", levels: @escaping @Sendable (Int) -> [String]) {
        Thread.detachNewThread { [self] in
            run(address, prefix, levels)
            isDone.store(true, ordering: .releasing)
        }
    }

    /// Requests acknowledged so far.
    var acknowledgedCount: Int { state.withLock { $0.acknowledged.count } }

    /// Waits until that many more requests are acknowledged.
    func waitForAcknowledged(_ count: Int, _ limit: Duration = .seconds(20)) throws {
        let goal = acknowledgedCount + count
        try Wait.until("\(count) more requests to be acknowledged", limit, holds: { acknowledgedCount >= goal })
    }

    /// The requests so far.
    var outcome: Outcome { state.withLock { $0 } }

    /// Returns when no request is under way, and none follows until ``resume()``.
    func pause() throws {
        isToPause.store(true, ordering: .releasing)
        try Wait.until("the load to pause", .seconds(40), holds: { isPausing.load(ordering: .acquiring) })
    }

    func resume() {
        isToPause.store(false, ordering: .releasing)
    }

    func stop() throws -> Outcome {
        isStopping.store(true, ordering: .relaxed)
        try Wait.until("the load to stop", .seconds(40), holds: { isDone.load(ordering: .acquiring) })
        return state.withLock { $0 }
    }

    private func run(_ address: HTTPTestAddress, _ prefix: String, _ levels: (Int) -> [String]) {
        var connection: HTTPTestConnection?
        var number = 0
        while !isStopping.load(ordering: .relaxed) {
            _ = poll(nil, 0, 4)
            isPausing.store(isToPause.load(ordering: .acquiring), ordering: .releasing)
            guard !isPausing.load(ordering: .relaxed) else { continue }
            if connection == nil { connection = try? HTTPTestConnection(address, limit: .seconds(35)) }
            guard let open = connection else { continue }
            number += 1
            let source = "\(prefix)\(number)"
            let records = levels(number).map {
                #"{"message":"load of one kind","level":"\#($0)","source":"\#(source)"}"#
            }
            let body = "[" + records.joined(separator: ",") + "]"
            do {
                let answer = try open.send("POST", "/ingest", Array(body.utf8))
                state.withLock { state in
                    switch answer.status {
                    case 200, 202: state.acknowledged.append(source)
                    case 503: state.undecided.append(source)
                    default: state.strange.append("\(answer.status) \(answer.text)")
                    }
                }
            } catch {
                connection = nil
                state.withLock { $0.undecided.append(source) }
            }
        }
    }
}

/// Every acknowledged request is in the totals once; an undecided one once or not at all; nothing else is there.
func expectCountedOnce(
    _ outcome: Load.Outcome,
    _ totals: [String: Int],
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let once = Load.recordsPerRequest
    let lost = outcome.acknowledged.filter { totals[$0, default: 0] < once }
    let repeated = totals.filter { $0.value > once }
    let torn = outcome.undecided.filter { ![0, once].contains(totals[$0, default: 0]) }
    let sent = Set(outcome.acknowledged + outcome.undecided)
    #expect(!outcome.acknowledged.isEmpty, sourceLocation: sourceLocation)
    #expect(outcome.strange.isEmpty, sourceLocation: sourceLocation)
    #expect(lost.isEmpty, "lost of \(outcome.acknowledged.count)", sourceLocation: sourceLocation)
    #expect(repeated.isEmpty, sourceLocation: sourceLocation)
    #expect(torn.isEmpty, sourceLocation: sourceLocation)
    #expect(totals.keys.allSatisfy(sent.contains), sourceLocation: sourceLocation)
}
