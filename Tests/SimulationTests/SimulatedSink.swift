import Delivery
import LogModel
import Ports

/// A lane's server: compares and sets as the real ones do, and outlives every process that talks to it.
struct SimulatedServer {
    let lane: Lane
    /// A stream of an earlier process is forgotten when it has not moved for so long: longer than a batch can go unanswered and
    /// its last request be under way, which is the time that faults last and 20 s. The real ones wait a day.
    static let memory = Duration.seconds(120)

    private var progress: [StreamID: (applied: Int64, movedAt: MonotonicTime)] = [:]
    private var positions: [StreamID: SourcePosition] = [:]
    private(set) var appliedBatchCount = 0

    init(_ lane: Lane) {
        self.lane = lane
    }

    /// One transaction, as docs/formats/delivery.md has it. `nil`: poison, nothing was changed.
    mutating func apply(
        _ span: BatchSpan,
        _ batches: [Batch],
        at now: MonotonicTime,
        checker: inout InvariantChecker,
        canary: Canary?
    ) -> SinkAnswer? {
        let known = canary == .sinkForgets ? 0 : progress[span.stream]?.applied ?? 0
        guard known <= span.previous else { return .alreadyApplied(through: known) }
        guard !batches.contains(where: Self.isPoison) else { return nil }
        progress[span.stream] = (span.last, now)
        if lane == .store, let position = batches.last?.position { positions[span.stream] = position }
        for batch in canary == .sinkTearsSpan ? batches.prefix(1) : batches[...] {
            appliedBatchCount += 1
            checker.applied(lane, batch)
        }
        return .applied
    }

    mutating func forget(except live: [StreamID], at now: MonotonicTime, canary: Canary?) {
        let memory = canary == .sinkForgetsAtStart ? .zero : Self.memory
        progress = progress.filter { live.contains($0.key) || now.since($0.value.movedAt) <= memory }
        positions = positions.filter { progress[$0.key] != nil }
    }

    func sourcePositions(canary: Canary?) -> [SourcePosition] {
        canary == .sinkForgetsPositions ? [] : Array(positions.values)
    }

    /// Content that no store takes: one pattern of the senders' (``SimulatedSenders``).
    private static func isPoison(_ batch: Batch) -> Bool {
        BatchContent(batch).counts.keys.contains { $0.hasPrefix(SimulatedSenders.poison) }
    }
}

/// One process's connection to a lane's server, with the network between them.
///
/// `@unchecked Sendable`: a simulation has one thread.
final class SimulatedSink: Sink, @unchecked Sendable {
    let name: String
    private let lane: Lane
    private unowned let simulation: CollectorSimulation
    private var isUnderWay = false

    init(_ lane: Lane, _ simulation: CollectorSimulation) {
        self.lane = lane
        self.simulation = simulation
        name = "simulated-\(lane.rawValue)"
    }

    func apply(
        _ span: BatchSpan,
        _ batches: [Batch],
        from node: NodeID,
        completion: @escaping @Sendable (Result<SinkAnswer, SinkError>) -> Void
    ) {
        // A stretch is ruled out beside the lane, on a stream of its own.
        let isBeside = batches.allSatisfy { $0.recordCount == 0 }
        if isUnderWay, !isBeside {
            simulation.checker.fail("I3", "lane \(lane): two spans are under way at once")
        }
        if !isBeside { isUnderWay = true }
        simulation.checker.sent(lane, span, batches)
        simulation.trace("\(lane) is sent \(span.stream.text) \(span.previous)..\(span.last)")
        let faults = simulation.faults(of: lane)
        let isSlow = simulation.chance(faults.slow)
        let delay = Duration.milliseconds(isSlow ? simulation.draw(in: 200...5000) : simulation.draw(in: 1...20))
        let answer: (Duration, Result<SinkAnswer, SinkError>) -> Void = { [self] delay, result in
            simulation.later(delay) { [self] in
                if !isBeside { isUnderWay = false }
                completion(result)
            }
        }
        switch simulation.outage(of: lane) {
        case .refuses:
            return answer(delay, .failure(SinkError(.transient, code: "ECONNREFUSED", "connect: refused")))
        case .swallows:
            // Both ends give up by their timeouts; some of what was sent arrives once the way is free again.
            if simulation.chance(30) { arriveLate(span, batches, within: 20_000) }
            let patience = Duration.milliseconds(simulation.draw(in: 2000...10_000))
            return answer(patience, .failure(SinkError(.ambiguous, code: "ETIMEDOUT", "apply: no answer")))
        case nil: break
        }
        let ambiguous = SinkError(.ambiguous, code: "ECONNRESET", "apply: the connection ended")
        if simulation.chance(faults.permanent) {
            return answer(delay, .failure(SinkError(.permanent, code: "28P01", "connect: wrong password")))
        }
        if simulation.chance(faults.requestLost) { return answer(delay, .failure(ambiguous)) }
        if simulation.chance(faults.requestLate) {
            arriveLate(span, batches, within: 3000)
            return answer(delay, .failure(ambiguous))
        }
        let isLost = simulation.chance(faults.answerLost)
        // Applied somewhere on the way to the answer; whether its sender still lives by then is all the same to the server.
        simulation.later(delay / 2) { [self] in
            let result = simulation.serve(lane, span, batches)
            answer(delay / 2, isLost ? .failure(ambiguous) : result)
        }
    }

    private func arriveLate(_ span: BatchSpan, _ batches: [Batch], within milliseconds: Int) {
        simulation.later(.milliseconds(simulation.draw(in: 1...milliseconds))) { [simulation, lane] in
            simulation.coverage.lateArrivals += 1
            _ = simulation.serve(lane, span, batches)
        }
    }

    func probe(completion: @escaping @Sendable (Bool) -> Void) {
        let isReachable = simulation.outage(of: lane) == nil
        simulation.later(.milliseconds(isReachable ? 2 : 1000)) { completion(isReachable) }
    }

    func sourcePositions(
        of node: NodeID,
        completion: @escaping @Sendable (Result<[SourcePosition], SinkError>) -> Void
    ) {
        let isLost = simulation.chance(simulation.faults(of: lane).requestLost) || simulation.outage(of: lane) != nil
        simulation.later(.milliseconds(isLost ? 2000 : 3)) { [simulation, lane] in
            guard !isLost else {
                return completion(.failure(SinkError(.transient, code: "ECONNREFUSED", "ask: refused")))
            }
            completion(.success(simulation.positions(at: lane)))
        }
    }

    func forgetStreams(except live: [StreamID], of node: NodeID) {
        guard simulation.outage(of: lane) == nil else { return }
        simulation.forget(lane, except: live)
    }

    func close(completion: @escaping @Sendable () -> Void) {
        completion()
    }
}
