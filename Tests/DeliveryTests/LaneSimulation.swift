import Delivery
import Glibc
import LogModel
import PipelineTesting

/// One lane in virtual time, against a sink that compares and sets, and a spool: both fail as one seed says. A batch's number
/// stands in its payload, and so does whether its refused part was taken out, so that what arrived twice or never is seen.
struct LaneSimulation {
    /// How likely each fault is, in percent, drawn anew for each run (swarm testing: some runs have none of a kind).
    struct Faults {
        var sendFails = 0
        var answerLost = 0
        var slow = 0
        var spillFails = 0
        var crash = 0
        var poison = 0
    }

    private enum Event {
        case seal
        case answer(number: Int, run: Int, result: Answer)
        case spilled(DeliveryLane.Item, run: Int, isKept: Bool)
        case spoolRead(run: Int)
        case removed(StreamID, through: Int64, run: Int, isGone: Bool)
        case removalDue(run: Int)
        case setAside([DeliveryLane.SetAside], run: Int, isKept: Bool)
        case replayed(Letter, StreamID, sequence: Int64, run: Int)
        case retry(run: Int)
        case probe(run: Int)
        case patience(Int, run: Int)
        case crash
    }

    private enum Answer {
        case applied(through: Int64?)
        case failed(FailureClass, refused: [RefusedBatch] = [])
    }

    private struct Letter {
        var batch: Batch
        /// The lane's life that set it aside.
        var run: Int
    }

    /// What of a batch a payload of the simulation stands for.
    private enum Share: UInt8 { case whole, refused, rest }

    private(set) var lane: DeliveryLane
    private(set) var acknowledged: Set<Int> = []
    private(set) var appliedCount: [Int: Int] = [:]
    /// Set aside, by number: whole batches, and refused parts; how often.
    private(set) var deadLetters: [Int: Int] = [:]
    private(set) var refusedParts: [Int: Int] = [:]
    /// What the file holds of them, until a person has it sent again.
    private var letters: [Letter] = []
    private(set) var replayCount = 0
    private var appliedParts: [Int: Int] = [:]
    /// Batches of which the sink holds what was left of them.
    private var appliedRests: Set<Int> = []
    private(set) var violations: [String] = []
    private(set) var sealedCount = 0
    private(set) var crashCount = 0
    private(set) var outageCount = 0

    private var generator: SeededGenerator
    private var faults = Faults()
    private var now = MonotonicTime(nanoseconds: 0)
    private var queue: [(at: MonotonicTime, order: Int, event: Event)] = []
    private var order = 0
    /// Numbers the lane's lives: an answer to a process that was killed reaches nobody.
    private var run = 0
    private var applied: [StreamID: Int64] = [:]
    private var spool: [(stream: StreamID, sequence: Int64, batch: Batch)] = []
    private var spoolBusyUntil = MonotonicTime(nanoseconds: 0)
    private var isSinkAway = false
    /// Batches of earlier lives, by their record count: what may be missing, for nobody was told it was safe.
    private var unacknowledgedAtCrash: Set<Int> = []
    private var tickets: [Int: Int] = [:]
    private var nextTicket = 1
    /// Records handed to this life of the lane, or found in the spool at its start.
    private var givenCount = 0
    private let breaksRule: Bool
    /// Whether, when all is quiet, a person mends the sink and has everything sent again that was set aside.
    private var mendsAndReplays = false
    private let isTracing = getenv("LOGBOOM_TEST_TRACE") != nil

    /// - Parameter breaksRule: the canary: a sink that forgets what it applied, which the checks must notice.
    init(seed: UInt64, breaksRule: Bool = false) {
        generator = SeededGenerator(seed: seed)
        self.breaksRule = breaksRule
        lane = DeliveryLane(
            spooledBatchCount: 0,
            spooledRecordCount: 0,
            generator: SeededGenerator(seed: seed &+ 1)
        )
        func draw(_ top: Int) -> Int { Bool.random(using: &generator) ? Int.random(in: 1...top, using: &generator) : 0 }
        faults = Faults(
            sendFails: draw(30),
            answerLost: draw(30),
            slow: draw(30),
            spillFails: draw(30),
            crash: draw(3),
            poison: draw(5)
        )
        if breaksRule { faults.answerLost = 30 }
        mendsAndReplays = Bool.random(using: &generator)
    }

    /// Seals `batchCount` batches under faults, then stops the faults and runs until everything has drained.
    mutating func run(batchCount: Int) {
        for _ in 0..<batchCount { push(.seal, after: .milliseconds(Int.random(in: 0...5000, using: &generator))) }
        perform(lane.started(now: now))
        var steps = 0
        while let event = pop() {
            steps += 1
            if sealedCount == batchCount && faults.sendFails + faults.spillFails + faults.crash + faults.answerLost > 0
                && !queue.contains(where: { if case .seal = $0.event { true } else { false } })
            {
                faults = Faults(poison: faults.poison)
                isSinkAway = false
            }
            handle(event)
            checkConservation()
            if sealedCount == batchCount && isDrained {
                guard mendsAndReplays, !letters.isEmpty else { break }
                mendAndReplay()
            }
            if !violations.isEmpty { break }
            if steps > batchCount * 2000 {
                violations.append("not drained after \(steps) steps")
                break
            }
        }
    }

    var isDrained: Bool { lane.isSettled && spool.isEmpty && lane.counts.spooled == 0 && now > spoolBusyUntil }

    /// A person's part: the sink takes everything from now on, and every dead letter goes back into the spool.
    private mutating func mendAndReplay() {
        faults.poison = 0
        for letter in letters {
            let name = lane.nextReplayName()
            pushToSpool(.replayed(letter, name.stream, sequence: name.sequence, run: run))
        }
        letters = []
    }

    /// What is wrong at the end; empty when every promise held.
    func check() -> [String] {
        var wrong = violations
        if replayCount > 0 {
            // Everything set aside is at the sink now, once.
            for number in refusedParts.keys where appliedParts[number] != 1 {
                wrong.append("the refused part of batch \(number) was counted \(appliedParts[number] ?? 0) times")
            }
            for number in deadLetters.keys where appliedCount[number] != 1 {
                wrong.append("batch \(number), sent again, was counted \(appliedCount[number] ?? 0) times")
            }
            if lane.counts.deadLettered != 0 { wrong.append("still counted as dead-lettered after all was sent again") }
        }
        for number in 1...max(1, sealedCount) where sealedCount > 0 {
            let count = appliedCount[number] ?? 0
            let isSetAside = deadLetters[number] != nil
            if count > 1 { wrong.append("batch \(number) was counted \(count) times") }
            let setAsideCount = (deadLetters[number] ?? 0) + (refusedParts[number] ?? 0)
            if setAsideCount > 1 { wrong.append("batch \(number) was set aside \(setAsideCount) times") }
            if count == 1, appliedRests.contains(number) != (refusedParts[number] != nil) {
                wrong.append("the refused part of batch \(number) is lost, or counted as well")
            }
            if count == 1 && isSetAside && replayCount == 0 {
                wrong.append("batch \(number) was counted and set aside")
            }
            if count == 0 && !isSetAside && !unacknowledgedAtCrash.contains(number) {
                wrong.append("batch \(number) is lost")
            }
            if count == 0 && !isSetAside && acknowledged.contains(number) {
                wrong.append("batch \(number) was acknowledged and is lost")
            }
        }
        return wrong
    }

    // MARK: Events

    private mutating func handle(_ event: Event) {
        if isTracing { print(now.nanoseconds / 1_000_000, event, "|", lane.phase, lane.counts) }
        switch event {
        case .seal:
            // A canary run or not, a crash comes between batches as likely as anywhere.
            if Int.random(in: 0..<100, using: &generator) < faults.crash { push(.crash, after: .milliseconds(1)) }
            if Int.random(in: 0..<100, using: &generator) < faults.sendFails { isSinkAway.toggle() }
            sealedCount += 1
            // The record count is the batch's number, too: a sum that is wrong tells which is missing.
            let batch = Self.batch(sealedCount, .whole)
            givenCount += sealedCount
            tickets[nextTicket] = sealedCount
            nextTicket += 1
            perform(
                lane.batchSealed(
                    batch,
                    ticket: nextTicket - 1,
                    isAwaited: Bool.random(using: &generator),
                    now: now
                )
            )
        case .answer(let number, let run, let result):
            guard run == self.run else { return }
            switch result {
            case .applied(let through): perform(lane.sendSucceeded(number, through: through, now: now))
            case .failed(let failure, let refused):
                perform(lane.sendFailed(number, failure, reason: "scripted", refused: refused, now: now))
            }
        case .spilled(let item, let run, let isKept):
            // The spool's thread dies with its process.
            guard run == self.run else { return }
            if isKept, !spool.contains(where: { $0.stream == item.stream && $0.sequence == item.sequence }) {
                spool.append((item.stream, item.sequence, item.batch))
            }
            perform(isKept ? lane.spillSucceeded(item, now: now) : lane.spillFailed(item, now: now))
        case .spoolRead(let run):
            guard run == self.run else { return }
            perform(lane.spoolRead(head(), now: now))
        case .removed(let stream, let sequence, let run, let isGone):
            guard run == self.run else { return }
            guard isGone else { return perform(lane.removalFailed(now: now)) }
            spool.removeAll { $0.stream == stream && $0.sequence <= sequence }
            perform(lane.removalSucceeded(now: now))
        case .removalDue(let run):
            if run == self.run { perform(lane.removalDue()) }
        case .setAside(let letters, let run, let isKept):
            guard run == self.run else { return }
            guard isKept else { return perform(lane.settingAsideFailed(letters, now: now)) }
            for letter in letters { setAside(letter) }
            perform(lane.settingAsideSucceeded(letters, now: now))
        case .replayed(let letter, let stream, let sequence, let run):
            guard run == self.run else { return letters.append(letter) }
            replayCount += 1
            spool.append((stream, sequence, letter.batch))
            if letter.run != run { givenCount += letter.batch.recordCount }
            let count = letter.batch.recordCount
            perform(lane.replaySucceeded(recordCount: count, wasCounted: letter.run == run, now: now))
        case .retry(let run):
            if run == self.run { perform(lane.retryDue(now: now)) }
        case .probe(let run):
            if run == self.run { perform(lane.probeDue()) }
        case .patience(let number, let run):
            if run == self.run { perform(lane.patienceEnded(number, now: now)) }
        case .crash:
            crash()
        }
    }

    /// One transaction: the refused part is kept, and the rest takes the batch's place.
    private mutating func setAside(_ letter: DeliveryLane.SetAside) {
        for part in letter.parts {
            let (number, share) = Self.identity(part.batch)
            letters.append(Letter(batch: part.batch, run: run))
            if share == .refused { refusedParts[number, default: 0] += 1 } else { deadLetters[number, default: 0] += 1 }
        }
        let row = spool.firstIndex { $0.stream == letter.item.stream && $0.sequence == letter.item.sequence }
        guard let row else { return }
        if let rest = letter.rest { spool[row].batch = rest } else { spool.remove(at: row) }
    }

    // MARK: Batches

    /// One in forty batches is one that no sink takes, another one of which no sink takes a part.
    private static func isRefused(_ number: Int) -> Bool { number % 40 == 7 }
    private static func isPartlyRefused(_ number: Int) -> Bool { number % 40 == 23 || number % 40 == 24 }

    private static func batch(_ number: Int, _ share: Share) -> Batch {
        let recordCount =
            switch share {
            case .whole: number
            case .refused: number / 3
            case .rest: number - number / 3
            }
        var payload = [UInt8](repeating: 0, count: share == .whole ? 100 : 60)
        payload[0] = UInt8(truncatingIfNeeded: number)
        payload[1] = UInt8(truncatingIfNeeded: number >> 8)
        payload[2] = share.rawValue
        return Batch(payload: payload, recordCount: recordCount, seriesCount: 1)
    }

    private static func identity(_ batch: Batch) -> (number: Int, share: Share) {
        (Int(batch.payload[0]) | Int(batch.payload[1]) << 8, Share(rawValue: batch.payload[2]) ?? .whole)
    }

    private static func number(_ batch: Batch) -> Int { identity(batch).number }

    /// kill -9: memory is gone, the spool stays; whatever was on its way to the sink may still arrive.
    private mutating func crash() {
        crashCount += 1
        run += 1
        let safe = Set(spool.map { Self.number($0.batch) })
        for number in 1...max(1, sealedCount)
        where (appliedCount[number] ?? 0) == 0 && !safe.contains(number) && deadLetters[number] == nil {
            unacknowledgedAtCrash.insert(number)
        }
        lane = DeliveryLane(
            spooledBatchCount: spool.count,
            spooledRecordCount: spool.reduce(0) { $0 + $1.batch.recordCount },
            generator: SeededGenerator(seed: generator.next())
        )
        givenCount = lane.counts.spooled
        perform(lane.started(now: now))
    }

    private mutating func perform(_ actions: [DeliveryLane.Action]) {
        for action in actions { perform(action) }
    }

    private mutating func perform(_ action: DeliveryLane.Action) {
        if isTracing { print("      ->", action) }
        switch action {
        case .send(let span, let items, let number): send(span, items, number: number)
        case .spill(let item):
            let isKept = Int.random(in: 0..<100, using: &generator) >= faults.spillFails
            pushToSpool(.spilled(item, run: run, isKept: isKept))
        case .readSpool: pushToSpool(.spoolRead(run: run))
        case .removeSpooled(let stream, let sequence):
            let isGone = Int.random(in: 0..<100, using: &generator) >= faults.spillFails
            pushToSpool(.removed(stream, through: sequence, run: run, isGone: isGone))
        case .setAside(let letters):
            let isKept = Int.random(in: 0..<100, using: &generator) >= faults.spillFails
            pushToSpool(.setAside(letters, run: run, isKept: isKept))
        case .acknowledge(let ticket):
            guard let number = tickets.removeValue(forKey: ticket) else {
                violations.append("ticket \(ticket) was acknowledged twice")
                return
            }
            acknowledged.insert(number)
            let isInSpool = spool.contains { Self.number($0.batch) == number }
            if !isInSpool && (appliedCount[number] ?? 0) == 0 && deadLetters[number] == nil {
                violations.append("batch \(number) was acknowledged before it was durable")
            }
        case .scheduleRetry(let time): push(.retry(run: run), at: time)
        case .scheduleRemoval(let time): push(.removalDue(run: run), at: time)
        case .scheduleProbe(let time): push(.probe(run: run), at: time)
        case .probe: perform(lane.probed(isReachable: !isSinkAway, now: now))
        case .schedulePatience(let time, let number): push(.patience(number, run: run), at: time)
        case .outageBegan: outageCount += 1
        case .readinessChanged, .outageEnded: break
        }
    }

    /// The sink: compare-and-set on what it applied of the stream, as docs/formats/delivery.md has it.
    private mutating func send(_ span: BatchSpan, _ items: [DeliveryLane.Item], number: Int) {
        if items.map(\.sequence) != items.map(\.sequence).sorted() || items.last?.sequence != span.last {
            violations.append("span out of order")
        }
        let roll = Int.random(in: 0..<100, using: &generator)
        if isSinkAway || roll < faults.sendFails {
            return push(.answer(number: number, run: run, result: .failed(.transient)), after: delay())
        }
        if faults.poison > 0, let refused = refused(span, items) {
            return push(.answer(number: number, run: run, result: .failed(.poison, refused: refused)), after: delay())
        }
        let isLost = Int.random(in: 0..<100, using: &generator) < faults.answerLost
        let known = breaksRule ? 0 : applied[span.stream] ?? 0
        var result = Answer.applied(through: nil)
        if known <= span.previous {
            applied[span.stream] = span.last
            for (number, share) in items.map({ Self.identity($0.batch) }) {
                if share == .refused {
                    appliedParts[number, default: 0] += 1
                    continue
                }
                appliedCount[number, default: 0] += 1
                if share == .rest { appliedRests.insert(number) }
            }
        } else {
            result = .applied(through: known)
        }
        push(.answer(number: number, run: run, result: isLost ? .failed(.ambiguous) : result), after: delay())
    }

    /// `nil` when the sink takes all of it. A sink may find out at once what it refuses, or not; and what was applied before
    /// is not looked at.
    private mutating func refused(_ span: BatchSpan, _ items: [DeliveryLane.Item]) -> [RefusedBatch]? {
        guard (breaksRule ? 0 : applied[span.stream] ?? 0) <= span.previous else { return nil }
        var refused: [RefusedBatch] = []
        var isRefused = false
        for (index, item) in items.enumerated() {
            let (number, share) = Self.identity(item.batch)
            if Self.isRefused(number) { isRefused = true }
            guard Self.isPartlyRefused(number), share == .whole else { continue }
            let part = RefusedPart(batch: Self.batch(number, .refused), reason: "scripted")
            refused.append(RefusedBatch(index: index, parts: [part], rest: Self.batch(number, .rest)))
        }
        return isRefused || !refused.isEmpty ? refused : nil
    }

    private mutating func head() -> DeliveryLane.Backlog? {
        guard let first = spool.first else { return nil }
        let portion = Int.random(in: 1...4, using: &generator)
        let batches = spool.filter { $0.stream == first.stream }.sorted { $0.sequence < $1.sequence }.prefix(portion)
        return DeliveryLane.Backlog(
            stream: first.stream,
            previous: (batches.first?.sequence ?? 1) - 1,
            batches: batches.map { ($0.sequence, $0.batch) }
        )
    }

    /// I1: what this life of the lane was given is delivered, spooled, set aside or in memory, at every moment.
    private mutating func checkConservation() {
        let counts = lane.counts
        let sum = counts.delivered + counts.spooled + counts.deadLettered + counts.inMemory
        if sum != givenCount { violations.append("counts add up to \(sum), not \(givenCount)") }
        if counts.spooled < 0 || counts.inMemory < 0 || lane.bytesInMemory < 0 {
            violations.append("a count is negative")
        }
    }

    private mutating func delay() -> Duration {
        let isSlow = Int.random(in: 0..<100, using: &generator) < faults.slow
        return .milliseconds(Int.random(in: isSlow ? 200...2000 : 1...20, using: &generator))
    }

    /// The spool has one thread: what is asked of it happens in order.
    private mutating func pushToSpool(_ event: Event) {
        spoolBusyUntil = max(spoolBusyUntil, now).advanced(by: delay())
        push(event, at: spoolBusyUntil)
    }

    private mutating func push(_ event: Event, after delay: Duration) {
        push(event, at: now.advanced(by: delay))
    }

    private mutating func push(_ event: Event, at time: MonotonicTime) {
        order += 1
        queue.append((max(time, now), order, event))
    }

    private mutating func pop() -> Event? {
        guard let next = queue.indices.min(by: { (queue[$0].at, queue[$0].order) < (queue[$1].at, queue[$1].order) })
        else {
            return nil
        }
        let entry = queue.remove(at: next)
        now = entry.at
        return entry.event
    }
}
