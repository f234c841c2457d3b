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

    init(_ port: Int, prefix: String = "r", level: String = "INFO") {
        Thread.detachNewThread { [self] in
            run(port, prefix, level)
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

    func stop() throws -> Outcome {
        isStopping.store(true, ordering: .relaxed)
        try Wait.until("the load to stop", .seconds(40), holds: { isDone.load(ordering: .acquiring) })
        return state.withLock { $0 }
    }

    private func run(_ port: Int, _ prefix: String, _ level: String) {
        var connection: HTTPTestConnection?
        var number = 0
        while !isStopping.load(ordering: .relaxed) {
            _ = poll(nil, 0, 4)
            if connection == nil { connection = try? HTTPTestConnection(.port(port), limit: .seconds(35)) }
            guard let open = connection else { continue }
            number += 1
            let source = "\(prefix)\(number)"
            let record = #"{"message":"load of one kind","level":"\#(level)","source":"\#(source)"}"#
            let body = "[" + Array(repeating: record, count: Self.recordsPerRequest).joined(separator: ",") + "]"
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
