import Foundation
import LogModel
import PipelineTesting
import Ports
import SQLiteClient
import Synchronization
import Testing

@testable import SQLiteSpool

func openDatabase(_ directory: String, _ disk: FaultDisk, limit: Int = 64 << 20) -> SpoolDatabase {
    var configuration = SpoolConfiguration(directory: directory, spoolByteCountMax: limit, now: { testTime })
    configuration.vfsName = disk.name
    return SpoolDatabase(configuration)
}

/// Holds up a thread until it is opened.
private final class Gate: Sendable {
    private let condition = NSCondition()
    private let isOpen = Mutex(false)

    func wait() {
        condition.lock()
        while !isOpen.withLock({ $0 }) { condition.wait() }
        condition.unlock()
    }

    func open() {
        condition.lock()
        isOpen.withLock { $0 = true }
        condition.broadcast()
        condition.unlock()
    }
}

extension SpoolDatabase {
    /// Waits until the thread has done what was asked of it so far.
    func settle() async {
        await withCheckedContinuation { waiting in ping { waiting.resume() } }
    }
}

/// What was asked of a database and answered, each with the place in the disk's log, so that for any point of the log it is
/// known what must be there, what may be, and what must not.
final class PowerCutHistory: Sendable {
    struct Name: Hashable {
        var lane: Lane
        var stream: UInt64
        var sequence: Int64

        var next: Name { Name(lane: lane, stream: stream, sequence: sequence + 1) }
    }

    /// A call: asked at one point of the disk's log, answered at another.
    struct Moment {
        var asked: Int
        var answered: Int?
    }

    struct Spooled {
        var payload: [UInt8]
        var appended: Moment
        /// When the durable receipt came.
        var receipt: Int?
        var removed: Moment?
        var deadLettered: Moment?
    }

    struct Applied {
        var last: Int64
        /// Of the stream, with this span.
        var sum: Int
        var moment: Moment
    }

    struct State {
        var spool: [Name: Spooled] = [:]
        var streams: [UInt64: [Applied]] = [:]
        /// When a batch was first handed out for sending: a sink may have it, so it stays as it is.
        var handedOut: [Name: (answered: Int, together: [Name])] = [:]
        /// Calls that were synced: everything answered before they were asked is as safe as they are.
        var syncs: [Moment] = []
    }

    private let state = Mutex(State())

    // MARK: Recording

    static func record(
        in directory: String,
        _ disk: FaultDisk,
        operationCount: Int,
        using random: inout SeededGenerator
    ) async throws -> PowerCutHistory {
        let history = PowerCutHistory()
        // Half of the histories meet the bound, so that batches are merged, and refused.
        let limit = Bool.random(using: &random) ? 64 << 20 : 200_000
        var spool = openDatabase(directory, disk, limit: limit)
        var next: [Name] = []
        for lane in Lane.allCases {
            for stream: UInt64 in 1...2 { next.append(Name(lane: lane, stream: stream, sequence: 1)) }
        }
        var applied: [UInt64: Int64] = [:]
        for _ in 0..<operationCount {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<45:
                // Several at once, which share a commit: the thread is held up until all are there.
                let gate = Gate()
                spool.ping { gate.wait() }
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let index = Int.random(in: 0..<next.count, using: &random)
                    let byteCount = Int.random(in: 0...7000, using: &random)
                    history.append(next[index], byteCount, durable: Bool.random(using: &random), spool, disk)
                    next[index].sequence += 1
                }
                gate.open()
            case 45..<60:
                let lane = Lane.allCases.randomElement(using: &random) ?? .store
                let isTaken = Int.random(in: 0..<4, using: &random) > 0
                try await history.drain(lane, isTaken: isTaken, spool, disk)
            case 60..<80:
                let stream = UInt64.random(in: 1...3, using: &random)
                let span = (applied[stream] ?? 0)..<(applied[stream] ?? 0) + Int64.random(in: 1...3, using: &random)
                applied[stream] = span.upperBound
                await history.apply(stream, span, spool, disk)
            case 80..<86:
                try await history.deadLetterOne(spool, disk)
            case 86..<90:
                try await history.sync(spool, disk)
            case 90..<95:
                // Rows of the pattern 9,999 are a year old; the others stay.
                let old = makeBatch([Delta(id: 9999, count: 7)], start: testTime.adding(seconds: -366 * 86_400))
                _ = await EmbeddedSink(spool).apply(UInt64.random(in: 100...199, using: &random), 0, 1, [old])
                _ = try await spool.retention(age: .seconds(300 * 86_400), now: testTime)
            default:
                await spool.close()
                spool = openDatabase(directory, disk, limit: limit)
                #expect(spool.status.recovery == .clean)
            }
            // Work that nobody waits for (checkpoints, giving space back in several steps) ends before the next call, so that
            // a seed repeats the log.
            for _ in 0..<4 { await spool.settle() }
        }
        await spool.close()
        return history
    }

    private func append(_ name: Name, _ byteCount: Int, durable: Bool, _ spool: SpoolDatabase, _ disk: FaultDisk) {
        let batch = makeBatch(count: Int(name.sequence), byteCount: byteCount)
        let asked = disk.recordCount
        state.withLock { state in
            state.spool[name] = Spooled(payload: batch.payload, appended: Moment(asked: asked))
        }
        spool.append(spooled(name.sequence, stream: name.stream, lane: name.lane, batch), durable: durable) { result in
            guard result.failure == nil else { return }
            let answered = disk.recordCount
            self.state.withLock { state in
                state.spool[name]?.appended.answered = answered
                guard durable else { return }
                state.spool[name]?.receipt = answered
                // Asked when its commit began at the latest; the commit is not known, the call is a lower bound.
                state.syncs.append(Moment(asked: asked, answered: answered))
            }
        }
    }

    /// Hands out what comes next and, when the sink took it, removes it.
    private func drain(_ lane: Lane, isTaken: Bool, _ spool: SpoolDatabase, _ disk: FaultDisk) async throws {
        guard let head = try await handOut(lane, 20_000, spool, disk), let last = head.batches.last, isTaken else {
            return
        }
        let asked = disk.recordCount
        let names = state.withLock { state in
            let names = state.spool.filter {
                $0.key.lane == lane && $0.key.stream == head.stream.rawValue && $0.key.sequence <= last.sequence
                    && $0.value.removed == nil && $0.value.deadLettered == nil
            }.map(\.key)
            for name in names { state.spool[name]?.removed = Moment(asked: asked) }
            return names
        }
        try await spool.remove(lane, stream: head.stream.rawValue, through: last.sequence)
        let answered = disk.recordCount
        state.withLock { state in for name in names { state.spool[name]?.removed?.answered = answered } }
    }

    private func handOut(
        _ lane: Lane,
        _ byteCountMax: Int,
        _ spool: SpoolDatabase,
        _ disk: FaultDisk
    ) async throws -> SpoolHead? {
        guard let head = try await spool.head(lane, byteCountMax: byteCountMax) else { return nil }
        let answered = disk.recordCount
        state.withLock { state in
            for names in Self.ranges(of: head, lane) {
                for name in names where state.handedOut[name] == nil { state.handedOut[name] = (answered, names) }
            }
        }
        return head
    }

    /// The names that each row of a head stands for: several, once neighbours were merged.
    private static func ranges(of head: SpoolHead, _ lane: Lane) -> [[Name]] {
        var first = head.previous + 1
        return head.batches.map { batch in
            defer { first = batch.sequence + 1 }
            return (first...batch.sequence).map { Name(lane: lane, stream: head.stream.rawValue, sequence: $0) }
        }
    }

    private func apply(_ stream: UInt64, _ span: Range<Int64>, _ spool: SpoolDatabase, _ disk: FaultDisk) async {
        // A pattern of its own a stream, the count of each batch its sequence: sums tell exactly which were applied.
        let batches = span.map { makeBatch([Delta(id: stream, count: Int($0) + 1, samples: ["sample \($0)"])]) }
        let asked = disk.recordCount
        let place = state.withLock { state in
            let before = state.streams[stream]?.last?.sum ?? 0
            let sum = before + span.reduce(0) { $0 + Int($1) + 1 }
            state.streams[stream, default: []].append(
                Applied(last: span.upperBound, sum: sum, moment: Moment(asked: asked))
            )
            return (state.streams[stream]?.count ?? 1) - 1
        }
        let answer = await EmbeddedSink(spool).apply(stream, span.lowerBound, span.upperBound, batches)
        guard case .success(.applied) = answer else {
            Issue.record("apply: \(answer)")
            return
        }
        let answered = disk.recordCount
        state.withLock { state in
            state.streams[stream]?[place].moment.answered = answered
            state.syncs.append(Moment(asked: asked, answered: answered))
        }
    }

    /// The first of what comes next turned out to be poison. A merged one keeps the names that it took in.
    private func deadLetterOne(_ spool: SpoolDatabase, _ disk: FaultDisk) async throws {
        guard let head = try await handOut(.store, 1, spool, disk), let batch = head.batches.first else { return }
        let asked = disk.recordCount
        let names = Self.ranges(of: head, .store)[0]
        state.withLock { state in
            for name in names { state.spool[name]?.deadLettered = Moment(asked: asked) }
        }
        try await spool.deadLetter(batch, reason: "test")
        let answered = disk.recordCount
        state.withLock { state in
            for name in names { state.spool[name]?.deadLettered?.answered = answered }
            state.syncs.append(Moment(asked: asked, answered: answered))
        }
    }

    private func sync(_ spool: SpoolDatabase, _ disk: FaultDisk) async throws {
        let asked = disk.recordCount
        try await spool.syncedUsage()
        let answered = disk.recordCount
        state.withLock { $0.syncs.append(Moment(asked: asked, answered: answered)) }
    }

    // MARK: Checking

    /// What is wrong with what a cut at that point of the log left; nothing, if all is well.
    func check(_ folder: TemporaryDirectory, cutAt point: Int, _ figures: inout PowerCutFigures) async throws
        -> [String]
    {
        let start = ContinuousClock.now
        // Without real syncs, which only cost time here.
        let spool = openDatabase(folder.path, try FaultDisk())
        figures.longestStart = max(figures.longestStart, start.duration(to: .now))
        defer { withExtendedLifetime(folder) {} }
        let history = state.withLock { $0 }
        // Everything answered before this is on the disk: a later call that was synced said so.
        let safe = history.syncs.filter { ($0.answered ?? .max) <= point }.map(\.asked).max() ?? 0
        var wrong: [String] = []
        if spool.status.recovery != .clean { wrong.append("opened as \(spool.status.recovery)") }
        wrong += try checkSums(folder, history, point, safe, &figures)
        let deadLetters = Set(
            try inspect(folder.database, "SELECT lane, stream, sequence FROM dead_letters\n").map {
                $0.joined(separator: "/")
            }
        )
        var there: Set<Name> = []
        for lane in Lane.allCases {
            while let head = try await spool.head(lane, byteCountMax: 1 << 20), let last = head.batches.last {
                for (batch, names) in zip(head.batches, Self.ranges(of: head, lane)) {
                    wrong += checkContent(batch, names, history, point, &figures)
                    for name in names where !there.insert(name).inserted { wrong.append("\(name) came twice") }
                }
                try await spool.remove(lane, stream: head.stream.rawValue, through: last.sequence)
            }
        }
        if spool.status.deadLetterCount != deadLetters.count { wrong.append("rows were damaged") }
        for (name, entry) in history.spool where entry.appended.asked <= point {
            // Of a merged batch only the last name stands there.
            let isDeadLetter = deadLetters.contains("\(name.lane.rawValue)/\(name.stream)/\(name.sequence)")
            let isLastOfDeadLetter = history.spool[name.next]?.deadLettered?.asked != entry.deadLettered?.asked
            let hasLeft = (entry.removed?.asked ?? .max) <= point || (entry.deadLettered?.asked ?? .max) <= point
            if let receipt = entry.receipt, receipt <= point {
                figures.checkedReceiptCount += 1
                if !hasLeft, !there.contains(name) { wrong.append("\(name) was acknowledged and is gone") }
            }
            if (entry.appended.answered ?? .max) <= safe, !hasLeft, !there.contains(name) {
                wrong.append("\(name) came before a sync and is gone")
            }
            if (entry.removed?.answered ?? .max) <= safe, there.contains(name) {
                wrong.append("\(name) was removed before a sync and is back")
            }
            if (entry.deadLettered?.answered ?? .max) <= point, isLastOfDeadLetter, !isDeadLetter {
                wrong.append("the dead letter \(name) was acknowledged and is gone")
            }
            if isDeadLetter && there.contains(name) { wrong.append("\(name) is a dead letter and in the spool") }
        }
        // And it goes on from there.
        if let failure = await spool.append(spooled(1, stream: 77), durable: true).failure {
            wrong.append("\(failure)")
        }
        await spool.close()
        return wrong
    }

    /// One name: what was appended, bit for bit. Several: merged, so their records add up, and none of them was handed out before.
    private func checkContent(
        _ batch: SpooledBatch,
        _ names: [Name],
        _ history: State,
        _ point: Int,
        _ figures: inout PowerCutFigures
    ) -> [String] {
        if names.count == 1, batch.batch.payload == history.spool[names[0]]?.payload { return [] }
        // A batch's count is its sequence. Refused ones are holes.
        let appended = names.filter { history.spool[$0]?.appended.answered != nil }
        let sum = appended.reduce(0) { $0 + Int($1.sequence) }
        var wrong: [String] = []
        if batch.batch.recordCount != sum {
            wrong.append("\(names) holds \(batch.batch.recordCount) records and not \(sum)")
        }
        for name in names {
            guard let sent = history.handedOut[name], sent.answered <= point, sent.together != names else { continue }
            wrong.append("\(name) was handed out with other bounds")
        }
        figures.mergedCount += 1
        return wrong
    }

    private func checkSums(
        _ folder: TemporaryDirectory,
        _ history: State,
        _ point: Int,
        _ safe: Int,
        _ figures: inout PowerCutFigures
    ) throws -> [String] {
        var wrong: [String] = []
        for (stream, spans) in history.streams {
            let applied = try inspect(folder.database, "SELECT applied FROM delivery_progress WHERE stream = \(stream)")
            let sum = try inspect(
                folder.database,
                "SELECT coalesce(sum(count), 0) FROM aggregated_logs\n WHERE pattern_id = \(stream)"
            )
            let last = applied.first.flatMap { Int64($0[0]) } ?? 0
            let acknowledged = spans.last { ($0.moment.answered ?? .max) <= point }?.last ?? 0
            figures.checkedReceiptCount += spans.count { ($0.moment.answered ?? .max) <= point }
            if last < acknowledged {
                wrong.append("span \(acknowledged) of \(stream) was acknowledged, \(last) is there")
            }
            let expected = last == 0 ? 0 : spans.first { $0.last == last }?.sum
            if expected.map(String.init) != sum.first?.first {
                wrong.append("stream \(stream) through \(last) counts \(sum) and not \(String(describing: expected))")
            }
        }
        return wrong
    }
}
