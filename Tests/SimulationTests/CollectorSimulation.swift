import Delivery
import Glibc
import LogModel
import Patterns
import Pipeline
import PipelineTesting
import Ports
import Telemetry

/// The whole collector in virtual time, on one thread, repeated by one integer: the real collector with its aggregator,
/// batcher, lane runners and lanes, between simulated senders, servers, spool, disk and clocks. Processes end by kill, power
/// cut or stop, and are built anew from the disk.
///
/// `@unchecked Sendable`: a simulation has one thread.
final class CollectorSimulation: @unchecked Sendable {
    /// What a run did, to know that the seeds reach what they are there for.
    struct Coverage: Equatable {
        var steps = 0
        var requests = 0
        var accepted = 0
        var durableAnswers = 0
        var refusals = 0
        var timeouts = 0
        /// Requests that reached a server after their sender had given up.
        var lateArrivals = 0
        var kills = 0
        var powerCuts = 0
        var stops = 0
        var spilled = 0
        var spillFailures = 0
        var deadLetters = 0
        var dropped = 0
        var applied = 0
        var journalEntries = 0
        /// Records of stretches of the journal that were read again.
        var reread = 0
    }

    /// Faults and senders go on for so long.
    static let faultSpan = Duration.seconds(90)
    /// I6: after that everything is at the sinks within so much. The longest of all waits: a request that waits 30 s, an
    /// open window of 30 s, a pause of 60 s begun in the last moment, a stop, a restart, and as much again.
    static let drainSpan = Duration.seconds(300)
    /// What one request may take of the budget: 60 records, each a series with three samples and its first appearance in the
    /// tables.
    static let requestByteCountMax = 64 * 1024

    /// Enough to meet each fault a few times; more of the same finds nothing new.
    static let requestCountMax = 120

    let canary: Canary?
    var faults: Faults
    var disk = SimulatedDisk()
    var journal = SimulatedJournal()
    /// What a process leaves for the next one in memory that only a power cut empties.
    private var runtime: SourcePosition?
    var checker: InvariantChecker
    var coverage = Coverage()
    private(set) var generator: SeededGenerator

    private let scheduler = ManualScheduler()
    private let lanes: [Lane]
    private var servers: [Lane: SimulatedServer] = [:]
    private var process: SimulatedProcess?
    private var configuration: Collector.Configuration
    private var isClockKnown = true
    private var isCalm = false
    private var isStopping = false
    private var requestCount = 0
    private var waitingCount = 0
    private let began: MonotonicTime

    init(seed: UInt64, canary: Canary? = nil) {
        self.canary = canary
        generator = SeededGenerator(seed: seed)
        began = scheduler.now
        faults = Faults.drawn(over: Self.faultSpan, using: &generator)
        if let canary { faults.provoke(canary) }
        lanes = Bool.random(using: &generator) ? [.store, .forward] : [.store]
        checker = InvariantChecker(lanes: lanes)
        for lane in lanes { servers[lane] = SimulatedServer(lane) }
        configuration = Collector.Configuration(
            window: .seconds([1, 5, 30].randomElement(using: &generator) ?? 30),
            batchSize: [1, 10, 100, 1000].randomElement(using: &generator) ?? 1000,
            // The least: some batches on top of the tables that are there before the first record.
            memoryLimit: [
                Aggregator(templateCountMax: 64, style: .angle).byteCount + (128 << 10), 1 << 20, 1 << 25,
            ].randomElement(using: &generator) ?? 1 << 25,
            durableLevel: [Severity.trace, .error, nil].randomElement(using: &generator) ?? .error,
            hostName: Array("pi".utf8)
        )
    }

    /// Runs it, and says what was wrong: nothing when all promises held.
    func run() -> [String] {
        plan()
        start()
        let calmAt = began.advanced(by: Self.faultSpan)
        runSteps(until: calmAt) { false }
        calm()
        runSteps(until: calmAt.advanced(by: Self.drainSpan)) { isDrained }
        if checker.violations.isEmpty {
            if isDrained {
                checker.drained(journal: journal) { lane in
                    Set(disk.now.deadLetters.filter { $0.batch.lane == lane }.map(\.hash))
                }
            } else {
                checker.fail("I6", "not drained \(Self.drainSpan) after the faults stopped: \(state)")
            }
        }
        coverage.accepted = checker.acceptedCount
        coverage.durableAnswers = checker.durableAnswerCount
        coverage.applied = servers.values.reduce(0) { $0 + $1.appliedBatchCount }
        coverage.deadLetters = disk.now.deadLetters.count
        coverage.journalEntries = journal.entries.count
        coverage.reread += process?.collector.counters.reread.values.reduce(0, +) ?? 0
        process?.end()
        process = nil
        scheduler.abandon()
        return checker.violations
    }

    private func runSteps(until end: MonotonicTime, unless isDone: () -> Bool) {
        while checker.violations.isEmpty, !isDone(), scheduler.step(until: end) {
            coverage.steps += 1
            if let process {
                checker.stepped(process.collector, found: process.found, requestByteCountMax: Self.requestByteCountMax)
            }
        }
    }

    private var isDrained: Bool {
        guard isCalm, let process, !isStopping, waitingCount == 0 else { return false }
        return process.runner.isSettled && process.journal.isAtEnd && process.collector.openRecordCount == 0
            && disk.isEmpty && process.spool.isIdle
            && process.collector.lanes.allSatisfy { $0.lane.isSettled && $0.lane.counts.spooled == 0 }
    }

    private var state: String {
        guard let process else { return "no process" }
        let lanes = process.collector.lanes.map { "\($0.id): \($0.lane.phase) \($0.lane.counts)" }
        return
            "\(process.runner.phase), \(process.collector.openRecordCount) open, \(disk.now.rows.count) rows, \(lanes)"
    }

    // MARK: Chance and time

    /// With `LOGBOOM_SIMULATION_TRACE` set, what happens is told line by line.
    private let isTracing = getenv("LOGBOOM_SIMULATION_TRACE") != nil

    func trace(_ line: @autoclosure () -> String) {
        if isTracing { print(scheduler.now.since(began).seconds, line()) }
    }

    func draw(in range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    func chance(_ percent: Int) -> Bool { percent > 0 && Int.random(in: 0..<100, using: &generator) < percent }

    func later(_ delay: Duration, _ block: @escaping () -> Void) {
        let confined = LoopConfined(block)
        scheduler.schedule(at: scheduler.now.advanced(by: delay)) { confined.value() }
    }

    /// Everything whose time is known beforehand.
    private func plan() {
        for end in faults.ends { later(end.at) { [self] in endProcess(end.how, downFor: end.downFor) } }
        if faults.startsWithUnknownClock {
            isClockKnown = false
            scheduler.setWallClock(Timestamp(nanoseconds: 12_000_000_000))
            later(.seconds(draw(in: 1...60))) { [self] in
                isClockKnown = true
                scheduler.setWallClock(Timestamp(nanoseconds: 1_790_000_000 * 1_000_000_000))
            }
        }
        for jump in faults.clockJumps {
            later(jump.at) { [self] in
                let wall = scheduler.wallClock.nanoseconds + Int64(jump.seconds) * 1_000_000_000
                scheduler.setWallClock(Timestamp(nanoseconds: max(0, wall)))
            }
        }
        for time in faults.reconfigurations { later(time) { [self] in reconfigure() } }
        for _ in 0..<draw(in: 1...4) { later(.milliseconds(draw(in: 0...2000))) { [self] in send() } }
        for _ in 0..<draw(in: 0...5) { later(.milliseconds(draw(in: 0...90_000))) { [self] in flush() } }
        for _ in 0..<draw(in: 0...150) {
            later(.milliseconds(draw(in: 0...90_000))) { [self] in
                for _ in 0..<draw(in: 1...4) { journal.write(using: &generator) }
                process?.journal.work()
            }
        }
        for _ in 0..<draw(in: 0...20) { later(.milliseconds(draw(in: 0...90_000))) { [self] in disk.sync() } }
    }

    private func calm() {
        isCalm = true
        faults = Faults()
    }

    private func reconfigure() {
        configuration.window = .seconds([1, 5, 30].randomElement(using: &generator) ?? 30)
        configuration.batchSize = [1, 10, 100, 1000].randomElement(using: &generator) ?? 1000
        process?.collector.reconfigure(configuration)
    }

    // MARK: Servers

    enum Outage { case refuses, swallows }

    func faults(of lane: Lane) -> Faults.Sink { lane == .store ? faults.store : faults.forward }

    func outage(of lane: Lane) -> Outage? {
        let now = scheduler.now.since(began)
        for outage in faults(of: lane).outages where now >= outage.from && now < outage.from + outage.length {
            return outage.isBlackHole ? .swallows : .refuses
        }
        return nil
    }

    func serve(_ lane: Lane, _ span: BatchSpan, _ batches: [Batch]) -> Result<SinkAnswer, SinkError> {
        let result = servers[lane]?.apply(span, batches, at: scheduler.now, checker: &checker, canary: canary)
        trace(
            "\(lane) serves \(span.stream.text) \(span.previous)..\(span.last): \(result.map { "\($0)" } ?? "poison")"
        )
        guard let answer = result else {
            return .failure(SinkError(.poison, code: "22P05", "apply: the text has no place in the encoding"))
        }
        return .success(answer)
    }

    func positions(at lane: Lane) -> [SourcePosition] { servers[lane]?.sourcePositions(canary: canary) ?? [] }

    func forget(_ lane: Lane, except live: [StreamID]) {
        trace("\(lane) forgets all but \(live.map(\.text))")
        servers[lane]?.forget(except: live, at: scheduler.now, canary: canary)
    }

    // MARK: The process

    private func start() {
        disk.sync()
        let usage = disk.usage()
        let process = SimulatedProcess(
            scheduler,
            spool: SimulatedSpool(self),
            journal: SimulatedJournalReader(self)
        )
        let log = Log(format: .text(isColored: false), minimum: .fatal)
        let runners = lanes.map { lane in
            LaneRunner(
                id: lane,
                sink: SimulatedSink(lane, self),
                spool: process.spool,
                spooled: usage[lane] ?? SpoolUsage(),
                node: NodeID(random: [UInt8](repeating: 7, count: 16)),
                generator: SeededGenerator(seed: generator.next()),
                scheduler: process,
                log: log
            )
        }
        process.collector = Collector(
            configuration: configuration,
            aggregator: Aggregator(templateCountMax: 64, style: .angle),
            lanes: runners,
            scheduler: process,
            log: log,
            isClockKnown: { [self] in isClockKnown }
        )
        process.found = usage.mapValues(\.recordCount)
        self.process = process
        trace("start with \(usage)")
        process.collector.start(spooled: usage, awaitsSource: true)
        process.runner = SourceRunner(
            process.journal,
            collector: process.collector,
            scheduler: process,
            log: log,
            patience: .seconds(3600),
            generator: SeededGenerator(seed: generator.next())
        ) { [self] position in
            var position = position
            if canary == .intentIsNotKept { position.stretches.removeAll { !$0.isStored } }
            if !position.stretches.isEmpty { runtime = position }
        }
        var local = SourceRunner.Local()
        for entry in process.spool.positionsKept() { local.add(entry.position, keptBy: entry.lane) }
        if let runtime { local.addComplete(runtime) }
        trace("the journal begins with \(local)")
        process.runner.start(local, firstName: StreamID(rawValue: 4711))
    }

    private func endProcess(_ how: Faults.End, downFor: Duration) {
        // A stop that is under way can be cut short by the others.
        guard let process, how != .stop || !isStopping else { return }
        guard how == .stop else {
            process.spool.end(using: &generator)
            var lostMax = atRisk(process)
            if how == .powerCut {
                for lane in lanes { lostMax[lane, default: 0] += disk.unsyncedRecordCount(of: lane) }
                disk.cut(
                    keepsAnyPart: faults.disk.cutKeepsAnyPart,
                    losesPositions: canary == .diskForgetsPositions,
                    using: &generator
                )
                journal.cut(using: &generator)
                runtime = nil
                coverage.powerCuts += 1
            } else {
                coverage.kills += 1
            }
            return gone(process, how, lostMax: lostMax, downFor: downFor)
        }
        isStopping = true
        coverage.stops += 1
        let box = LoopConfined(process)
        process.collector.stop { [self] in
            if var position = box.value.collector.sourcePosition {
                position.isFinal = true
                box.value.spool.keep(position) { _ in }
            }
            awaitSpool(box.value, seconds: 1, downFor: downFor)
        }
    }

    /// After an orderly stop the spool finishes what it was asked for, and closes with a sync.
    private func awaitSpool(_ process: SimulatedProcess, seconds: Double, downFor: Duration) {
        guard process.isAlive else { return }
        guard process.spool.isIdle || seconds <= 0 else {
            return later(.milliseconds(50)) { [self] in
                awaitSpool(process, seconds: seconds - 0.05, downFor: downFor)
            }
        }
        if process.spool.isIdle { disk.sync() }
        process.spool.end(using: &generator)
        coverage.dropped += process.collector.counters.dropped
        gone(process, .stop, lostMax: atRisk(process), downFor: downFor)
    }

    private func atRisk(_ process: SimulatedProcess) -> [Lane: Int] {
        var records: [Lane: Int] = [:]
        for runner in process.collector.lanes {
            records[runner.id] = process.collector.openRecordCount + runner.lane.counts.inMemory
        }
        return records
    }

    private func gone(_ process: SimulatedProcess, _ how: Faults.End, lostMax: [Lane: Int], downFor: Duration) {
        process.isAlive = false
        trace("end by \(how)")
        for runner in process.collector.lanes {
            coverage.spilled += runner.spilledBatchCount
            coverage.spillFailures += runner.spillFailureCount
        }
        coverage.reread += process.collector.counters.reread.values.reduce(0, +)
        process.end()
        checker.processEnded(how, lostMax: lostMax) { disk.now.hashes(of: $0) }
        self.process = nil
        isStopping = false
        waitingCount = 0
        later(downFor) { [self] in start() }
    }

    // MARK: Senders

    private func send() {
        guard !isCalm, requestCount < Self.requestCountMax else { return }
        let pause = Duration.milliseconds(draw(in: 1...([100, 1000, 10_000].randomElement(using: &generator) ?? 1000)))
        guard let process else { return later(pause) { [self] in send() } }
        guard process.collector.refusal == nil else {
            coverage.refusals += 1
            process.collector.refused(process.collector.refusal ?? .memory, recordCount: 1)
            return later(.seconds(1)) { [self] in send() }
        }
        requestCount += 1
        coverage.requests += 1
        let records = SimulatedSenders.request(requestCount, poison: faults.poison, using: &generator)
        var accepted: [String: Int] = [:]
        var durable: [String: Int] = [:]
        process.collector.beginRequest()
        for record in records {
            accepted[record.key, default: 0] += 1
            if let level = configuration.durableLevel, record.severity >= level { durable[record.key, default: 0] += 1 }
            record.fold(into: process.collector)
        }
        for (key, count) in accepted { checker.accepted(key, count: count) }
        waitingCount += 1
        let began = scheduler.now
        var isAnswered = false
        process.collector.endRequest(received: records.count, failed: 0) { [self] receipt in
            if isAnswered { checker.fail("I4", "a request was answered twice") }
            isAnswered = true
            waitingCount -= 1
            answered(receipt, durable, after: scheduler.now.since(began))
            later(pause) { [self] in send() }
        }
        // A sender whose connection ends with the process goes on with the next.
        later(Limits.receiptWait + .seconds(2)) { [self] in
            if !isAnswered, process.isAlive { checker.fail("I4", "a request had no answer after 32 s") }
            if !isAnswered { send() }
        }
    }

    private func answered(_ receipt: Receipt, _ durable: [String: Int], after wait: Duration) {
        switch receipt {
        case .folded:
            if !durable.isEmpty { checker.fail("I4", "a record that must be durable was answered as folded") }
        case .durable(let count):
            if count != durable.values.reduce(0, +) {
                checker.fail("I4", "\(durable.values.reduce(0, +)) records had to be durable, \(count) were said to be")
            }
            checker.answeredDurable(durable) { disk.synced.hashes(of: $0) }
        case .timedOut:
            coverage.timeouts += 1
            if wait < Limits.receiptWait { checker.fail("I4", "a request was given up after \(wait)") }
        }
    }

    private func flush() {
        guard let process, !isStopping else { return }
        let owed = checker.owed()
        waitingCount += 1
        process.collector.flush { [self] receipt, _ in
            waitingCount -= 1
            if case .durable = receipt { checker.answeredFlushed(owed) { disk.synced.hashes(of: $0) } }
        }
    }
}

/// One life of the program: its place on the world's clock, which ends with it.
///
/// `@unchecked Sendable`: a simulation has one thread.
final class SimulatedProcess: Scheduler, @unchecked Sendable {
    let spool: SimulatedSpool
    let journal: SimulatedJournalReader
    var isAlive = true
    /// Records found in the spool at the start.
    var found: [Lane: Int] = [:]
    private let world: ManualScheduler
    private var made: Collector?
    private var madeRunner: SourceRunner?

    init(_ world: ManualScheduler, spool: SimulatedSpool, journal: SimulatedJournalReader) {
        self.world = world
        self.spool = spool
        self.journal = journal
    }

    var runner: SourceRunner {
        get {
            guard let madeRunner else { preconditionFailure("a process reads the journal") }
            return madeRunner
        }
        set { madeRunner = newValue }
    }

    /// Set once, right after ``init``: the collector needs its scheduler first.
    var collector: Collector {
        get {
            guard let made else { preconditionFailure("a process begins with its collector") }
            return made
        }
        set { made = newValue }
    }

    /// The process is gone, and its memory with it.
    func end() {
        isAlive = false
        made = nil
        madeRunner = nil
    }

    var now: MonotonicTime { world.now }
    var wallClock: Timestamp { world.wallClock }

    func schedule(at time: MonotonicTime, _ block: @escaping @Sendable () -> Void) {
        world.schedule(at: time) { [weak self] in
            if self?.isAlive == true { block() }
        }
    }

    func execute(_ block: @escaping @Sendable () -> Void) {
        world.execute { [weak self] in
            if self?.isAlive == true { block() }
        }
    }

    func preconditionOnLoop() {}
}
