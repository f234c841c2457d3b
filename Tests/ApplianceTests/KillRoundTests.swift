import Foundation
import PipelineTesting
import Testing

/// kill -9 over and over, at moments drawn from a seed, with PostgreSQL there and away. 20 rounds, or as many as
/// `LOGBOOM_KILL_ROUNDS` says: 200 and more for a long night.
@Suite(.serialized, .timeLimit(.minutes(60)))
struct KillRoundTests {
    private static let roundCount = Int(ProcessInfo.processInfo.environment["LOGBOOM_KILL_ROUNDS"] ?? "") ?? 20

    @Test(arguments: SeededGenerator.seeds(fixed: 0, fresh: 1))
    func `kill -9 at any moment loses and repeats no answered record, PostgreSQL there or away`(seed: UInt64) throws {
        let rounds = try KillRounds(["DURABLE_LEVEL": "trace"], seed: seed)
        let load = Load(.unix(path: rounds.socketPath)) { _ in
            Array(repeating: "INFO", count: Load.recordsPerRequest)
        }
        for _ in 0..<Self.roundCount { try rounds.play(under: load) }
        let outcome = try load.stop()
        let last = try rounds.startBoth()
        try last.waitUntilDelivered(.seconds(60))
        expectCountedOnce(outcome, try rounds.database.totals())
        #expect(rounds.moments.count >= 3, "\(rounds.moments)")
        try expectOrderlyEnd(last)
        print(
            "kill -9: \(Self.roundCount) rounds, \(rounds.moments), \(outcome.acknowledged.count) requests answered, "
                + "\(outcome.undecided.count) cut, seed \(seed)"
        )
    }

    @Test(arguments: SeededGenerator.seeds(fixed: 0, fresh: 1))
    func `at the default level kill -9 takes no error, and of the rest no more than stats announced`(seed: UInt64)
        throws
    {
        let rounds = try KillRounds(["AGGREGATION_WINDOW": "2"], seed: seed)
        // Every other request has nothing that must be durable.
        let levels: @Sendable (Int) -> [String] = { number in
            (0..<Load.recordsPerRequest).map { number.isMultiple(of: 2) && $0.isMultiple(of: 2) ? "ERROR" : "INFO" }
        }
        let load = Load(.unix(path: rounds.socketPath), levels: levels)
        var announcedCount = 0
        for _ in 0..<Self.roundCount {
            let daemon = try rounds.startBoth()
            try load.waitForAcknowledged(rounds.draw(in: 1...60))
            if rounds.draw(in: 0...1) == 0 {
                // Nothing comes in between the announcement and the kill: it must be exact.
                try load.pause()
                announcedCount += try #require(try daemon.get("/stats").integer("records.in_flight"))
                daemon.kill9()
                load.resume()
            } else {
                let before = load.acknowledgedCount
                announcedCount += try #require(try daemon.get("/stats").integer("records.in_flight"))
                daemon.kill9()
                announcedCount += (load.acknowledgedCount - before) * Load.recordsPerRequest
            }
        }
        let outcome = try load.stop()
        let last = try rounds.startBoth()
        try last.flush()
        try last.waitUntilDelivered(.seconds(60))
        let errors = try rounds.totals(level: "ERROR")
        let others = try rounds.totals(level: "INFO")
        var lostCount = 0
        for source in outcome.acknowledged {
            let sent = levels(Int(source.dropFirst()) ?? 0)
            let errorCount = sent.count { $0 == "ERROR" }
            #expect(errors[source, default: 0] == errorCount, "\(source)")
            let otherCount = others[source, default: 0]
            #expect(otherCount <= sent.count - errorCount, "\(source) counts twice")
            lostCount += sent.count - errorCount - otherCount
        }
        for source in outcome.undecided {
            let sent = levels(Int(source.dropFirst()) ?? 0)
            let errorCount = sent.count { $0 == "ERROR" }
            #expect([0, errorCount].contains(errors[source, default: 0]), "\(source)")
            #expect(others[source, default: 0] <= sent.count - errorCount, "\(source)")
        }
        #expect(outcome.strange.isEmpty)
        #expect(lostCount <= announcedCount)
        try expectOrderlyEnd(last)
        print(
            "kill -9 at the default level: \(Self.roundCount) rounds, \(outcome.acknowledged.count) requests answered, "
                + "\(lostCount) records lost, \(announcedCount) announced, seed \(seed)"
        )
    }
}

/// One daemon after the other in the same folder, each killed, beside a PostgreSQL that comes and goes.
private final class KillRounds {
    enum Moment: String, CaseIterable { case starting, running, draining, stopping }

    let database: TestDatabase
    /// How often each kind of moment was met.
    private(set) var moments: [String: Int] = [:]
    private let state: TemporaryDirectory
    private let settings: [String: String]
    private var isServerUp = true
    private var generator: SeededGenerator

    init(_ settings: [String: String], seed: UInt64) throws {
        state = try TemporaryDirectory()
        database = try TestDatabase(.start())
        self.settings = database.settings().merging(settings) { $1 }
        generator = SeededGenerator(seed: seed)
    }

    var socketPath: String { state.file("logboom.sock") }

    func draw(in range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    /// One life of a daemon, from start to kill.
    func play(under load: Load) throws {
        var moment = Moment.allCases.randomElement(using: &generator) ?? .running
        if draw(in: 0...2) == 0 { try setServer(up: !isServerUp) }
        if moment == .draining {
            try setServer(up: false)
        } else if moment == .starting {
            let child = try DaemonProcess.launch(settings, state: state)
            pass(upTo: 150)
            child.kill()
            return moments[moment.rawValue, default: 0] += 1
        }
        let daemon = try DaemonProcess(settings, state: state)
        try load.waitForAcknowledged(draw(in: 1...40))
        switch moment {
        case .draining:
            try setServer(up: true)
            // Its return is seen within half a second.
            pass(upTo: 700)
        case .stopping:
            daemon.child.signal(SIGTERM)
            pass(upTo: 40)
            if daemon.child.ended != nil { moment = .running }
        case .running, .starting: pass(upTo: 20)
        }
        daemon.kill9()
        moments[moment.rawValue, default: 0] += 1
    }

    /// The server up, and a daemon that listens.
    func startBoth() throws -> DaemonProcess {
        try setServer(up: true)
        return try DaemonProcess(settings, state: state)
    }

    /// Records counted by source, of one level.
    func totals(level: String) throws -> [String: Int] {
        let rows = try database.cluster.query(
            database.name,
            "SELECT source, sum(count) FROM aggregated_logs WHERE level = '\(level)' GROUP BY source"
        )
        return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] ?? "", Int($0[1] ?? "") ?? 0) })
    }

    private func setServer(up: Bool) throws {
        guard up != isServerUp else { return }
        isServerUp = up
        if up {
            try database.cluster.start()
        } else {
            try database.cluster.stop(mode: draw(in: 0...1) == 0 ? .fast : .immediate)
        }
    }

    /// Lets a drawn time pass: which moment the kill meets is all that depends on it.
    private func pass(upTo milliseconds: Int) {
        _ = poll(nil, 0, Int32(draw(in: 0...milliseconds)))
    }
}
