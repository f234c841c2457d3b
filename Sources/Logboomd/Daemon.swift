internal import Admission
internal import BlockingExecutor
internal import CShims
internal import Delivery
internal import ForwardSink
internal import Glibc
internal import HTTPClient
internal import HTTPServing
internal import HTTPSource
internal import Hashing
internal import JournalSource
internal import LogModel
internal import NIOCore
internal import NIOPosix
internal import Patterns
internal import Pipeline
internal import Ports
internal import PostgresSink
internal import SQLiteSpool
internal import Settings
internal import SystemdNotify
internal import TLSServing
internal import Telemetry

/// The daemon put together: everything is made here, in the order of the data's way from back to front, and nothing is
/// decided here.
///
/// `@unchecked Sendable`: made and run on the main thread; what its closures touch on the event loop is confined there.
final class Daemon: @unchecked Sendable {
    /// Five seconds may pass from SIGTERM to exit; the pipeline takes three, the rest is for closing.
    private static let stopDeadline = Duration.milliseconds(4500)
    /// Of it, what connections get to close.
    private static let closePatience = Duration.seconds(1)
    /// Of it, how long requests are still taken on connections that were open: a sender that posts a few times a second has
    /// learned by then that it must connect anew, which is to the next process where systemd holds the socket.
    private static let farewellPatience = Duration.milliseconds(250)

    private let log: Log
    private let source: SettingsSource
    private var loaded: LoadedSettings
    private let group: MultiThreadedEventLoopGroup
    private let scheduler: EventLoopScheduler
    private let spool: SpoolDatabase
    private let sinks: [any Sink]
    private let closeReader: (@escaping @Sendable () -> Void) -> Void
    private let collector: Collector
    private let routes: Routes
    private let server: HTTPServer
    private let heartbeat: Heartbeat
    private let journal: JournalIntake
    private let addresses: [String]
    private let tls: TLSCell?
    private let passwordCell: PasswordCell?
    private var catalogueLearnedCount = 0
    /// Records accepted and connections taken on, ten seconds ago.
    private var burstBefore = (0, 0)
    private var housekeepingCount = 0
    private let closeReaderWhenIdle: @Sendable () -> Void
    /// How often memory is still given back. Three times after a burst, so that its last batch is sealed and delivered by then.
    private var cleaningCount = Daemon.cleaningCountMax
    private static let cleaningCountMax = 3
    /// What the log said last of the state file, and of the space around it.
    private var recoverySaid: SpoolRecovery
    private var isDiskLowSaid = false

    init(_ loaded: LoadedSettings, source: SettingsSource, log: Log) throws(StartError) {
        let settings = loaded.settings
        self.log = log
        self.source = source
        self.loaded = loaded
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let scheduler = EventLoopScheduler(loop)
        self.scheduler = scheduler

        // What a person can put right without anything being begun comes first.
        let tls = try TLSCell.start(settings.tls, log: log)
        self.tls = tls
        // Without it no token would be right. Without tokens it is not asked for, and libcrypto stays closed.
        if settings.access.policy.tokens != nil, let problem = SHA256.problem() {
            throw StartError(description: "check tokens: libcrypto: \(problem)", exitCode: EX_UNAVAILABLE)
        }

        // Spool and node.
        let spool = SpoolDatabase(
            SpoolConfiguration(
                directory: settings.stateDirectory,
                spoolByteCountMax: settings.spoolByteCountMax,
                now: EventLoopScheduler.wallClock
            )
        )
        self.spool = spool
        var random = SystemRandomNumberGenerator()
        let identity = NodeIdentity.load(
            directory: settings.stateDirectory,
            random: (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) },
            now: EventLoopScheduler.wallClock()
        )
        let spooled = Self.wait(on: loop) { answer in spool.syncedUsage(completion: answer) }
        let usage = (try? spooled.get()) ?? [:]
        let directory = settings.stateDirectory
        let recovery = spool.status.recovery
        recoverySaid = recovery
        for complaint in Self.complaints(recovery, directory: directory) { log.error(complaint) }
        var replaced: [String] = []
        if let path = identity.movedTo {
            replaced.append(
                "the node's id could not be read: the file stands at \(path), and the node counts as a new one from now on"
            )
        }

        // Sinks, one a lane.
        let store: any Sink
        let reader: any PatternReader
        var threads: [any Pingable] = [spool]
        if let postgres = settings.postgres {
            let cell = PasswordCell(postgres)
            let server = PostgresSettings(
                host: postgres.host,
                port: postgres.port,
                database: postgres.database,
                user: postgres.user,
                password: { cell.password() },
                sslMode: postgres.sslMode.rawValue,
                poolMax: postgres.poolMax
            )
            let sink = PostgresSink(server)
            let postgresReader = PostgresReader(server)
            store = sink
            reader = postgresReader
            threads += [sink, postgresReader]
            closeReader = { postgresReader.close(completion: $0) }
            closeReaderWhenIdle = { postgresReader.closeWhenIdle() }
            passwordCell = cell
        } else {
            store = EmbeddedSink(spool)
            let embeddedReader = EmbeddedReader(spool)
            reader = embeddedReader
            closeReader = { embeddedReader.close(completion: $0) }
            closeReaderWhenIdle = {}
            passwordCell = nil
        }
        func lane(_ id: Lane, _ sink: any Sink) -> LaneRunner {
            LaneRunner(
                id: id,
                sink: sink,
                spool: spool,
                spooled: usage[id] ?? SpoolUsage(),
                node: identity.id,
                generator: SystemRandomNumberGenerator(),
                scheduler: scheduler,
                log: log
            )
        }
        var lanes = [lane(.store, store)]
        if let node = settings.analyticsNode {
            // Encoding and compressing a drained span takes milliseconds: not on the event loop.
            let thread = BlockingThread(name: "sink-forward")
            threads.append(WatchedThread(thread: thread, threadName: "sink-forward", silenceMax: .seconds(60)))
            let address = HTTPAddress(host: node.host, port: node.port, basePath: node.basePath)
            lanes.append(lane(.forward, ForwardSink(address, on: group, perform: { thread.perform($0) })))
        }
        sinks = lanes.map(\.sink)

        // Intake and open batch.
        let style: PlaceholderStyle = settings.placeholderStyle == .braces ? .braces : .angle
        let redactionKey =
            settings.redaction == .hash
            ? RedactionKey.load(
                directory: settings.stateDirectory,
                random: (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) },
                now: EventLoopScheduler.wallClock()
            ) : nil
        if let path = redactionKey?.movedTo {
            replaced.append(
                "the key of redaction marks could not be read: the file stands at \(path), and new marks match no earlier ones"
            )
        }
        for complaint in replaced { log.error(complaint) }
        var aggregator = Aggregator(
            templateCountMax: settings.patternCountMax,
            style: style,
            redactionKey: redactionKey?.bytes
        )
        let kept = Self.wait(on: loop) { answer in spool.catalogue(completion: answer) }
        if case .success(let catalogue?) = kept { aggregator.restore(catalogue: catalogue) }
        let wallClock = WallClock()
        collector = Collector(
            configuration: Self.configuration(settings),
            aggregator: aggregator,
            lanes: lanes,
            scheduler: scheduler,
            log: log,
            isClockKnown: { wallClock.isClockKnown() }
        )
        journal = JournalIntake(
            settings,
            collector: collector,
            spool: spool,
            node: identity,
            scheduler: scheduler,
            log: log
        )
        if let reader = journal.reader { threads.append(reader) }
        heartbeat = Heartbeat(threads, scheduler: scheduler)
        let spoolByteCountMax = settings.spoolByteCountMax
        routes = Routes(
            collector: collector,
            reader: reader,
            deadLetters: spool,
            scheduler: scheduler,
            gate: AccessGate(policy: settings.access.policy) { TokenDigest(bytes: SHA256.hash($0)) },
            facts: ServiceFacts(
                storeName: store.name,
                nodeID: identity.id,
                startedAt: scheduler.now,
                tls: { tls?.figures },
                complaints: { [replaced] in Self.complaints(spool.status.recovery, directory: directory) + replaced },
                spoolFigures: { Self.figures(of: spool.status, spoolByteCountMax: spoolByteCountMax) },
                journal: { [journal] in journal.figures }
            )
        )

        // The lanes begin before the first record can come in.
        let started = Self.wait(on: loop) {
            [collector, journal] (answer: @escaping @Sendable (Result<Void, Never>) -> Void) in
            loop.execute {
                // With the file out of reach nobody knows what is spooled.
                let isKnown = (try? spooled.get()) != nil && !recovery.isMemoryOnly
                collector.start(spooled: isKnown ? usage : nil, awaitsSource: journal.isReading)
                answer(.success(()))
            }
        }
        started.get()
        server = HTTPServer(
            loop: loop,
            bounds: HTTPServerBounds(bodyByteCountMax: settings.httpBodyByteCountMax),
            handler: routes
        )
        routes.server = server
        let passed = PassedSocket.all()
        addresses = try Listening.open(settings, passed: passed, on: server, tls: tls, log: log)
        // Tokens must not go at SIGHUP while one of these is open to other machines, no more than with LISTEN.
        self.loaded.settings.listen += passed.compactMap(\.address)
    }

    private static func figures(of status: SpoolStatus, spoolByteCountMax: Int) -> SpoolFigures {
        var figures = SpoolFigures()
        for (lane, usage) in status.usage {
            figures.batchCounts[lane] = usage.batchCount
            figures.byteCount += usage.byteCount + usage.batchCount * SpoolLimits.rowOverheadByteCount
        }
        figures.fileByteCount = status.fileByteCount
        figures.byteCountMax = spoolByteCountMax
        figures.deadLetterCount = status.deadLetterCount
        figures.deadLetterDropCount = status.deadLetterDropCount
        figures.damageCount = status.damageCount
        figures.mergedBatchCount = status.mergedBatchCount
        figures.reducedBatchCount = status.reducedBatchCount
        figures.longestWindow = status.longestWindow
        figures.isMemoryOnly = status.recovery.isMemoryOnly
        figures.freeByteCount = status.diskSpace?.freeByteCount
        figures.floorByteCount = status.diskSpace?.floorByteCount ?? 0
        figures.diskRefusalCount = status.diskRefusalCount
        figures.lastFailure = status.lastFailure
        return figures
    }

    private static func configuration(_ settings: Settings) -> Collector.Configuration {
        Collector.Configuration(
            window: settings.aggregationWindow,
            batchSize: settings.batchSize,
            memoryLimit: settings.memoryByteCountMax,
            durableLevel: settings.durableLevel,
            sourceLimit: settings.sourceLimit,
            hostName: hostName()
        )
    }

    private static func hostName() -> [UInt8] {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return [] }
        return bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    }

    private static func complaints(_ recovery: SpoolRecovery, directory: String) -> [String] {
        switch recovery {
        case .clean: []
        case .recovered(let path, let count, let reason):
            [
                "the state was damaged (\(reason)): the old file stands at \(path), \(count) batches were salvaged from it"
            ]
        case .memoryOnly(let reason):
            [
                "nothing can be kept in \(directory) (\(reason)): what the database does not take is lost with the process"
            ]
        }
    }

    /// Waits on the main thread for an answer given on another.
    private static func wait<Success: Sendable, Failure: Error>(
        on loop: any EventLoop,
        _ ask: (@escaping @Sendable (Result<Success, Failure>) -> Void) -> Void
    ) -> Result<Success, Failure> {
        let promise = loop.makePromise(of: Result<Success, Failure>.self)
        ask { promise.succeed($0) }
        do {
            return try promise.futureResult.wait()
        } catch {
            preconditionFailure("the promise is only ever kept")
        }
    }

    // MARK: Running

    /// Runs until SIGTERM or SIGINT and returns the exit code.
    func run() -> Int32 {
        let loop = group.next()
        log.notice(
            "logboomd \(logboomVersion) listens on \(addresses.joined(separator: ", ")), store: \(sinks[0].name)"
        )
        SystemdNotify.ready(status: "starting")
        // Five seconds: sessions are open by then, and what began them is no longer needed.
        loop.scheduleTask(in: .seconds(5)) { logboom_release_program_pages() }
        loop.execute { [self] in
            housekeep()
            feedWatchdog()
            retain()
            journal.start()
            let copyInterval = TimeAmount(Limits.positionCopyInterval)
            loop.scheduleRepeatedTask(initialDelay: copyInterval, delay: copyInterval) { [self] _ in
                journal.keepCopy()
            }
            loop.scheduleRepeatedTask(initialDelay: .hours(1), delay: .hours(1)) { [self] _ in
                keepCatalogue()
                forgetOldStreams()
            }
        }
        while true {
            switch Signals.wait() {
            case .reload: reload()
            case .stop: return stop()
            }
        }
    }

    private func stop() -> Int32 {
        log.notice("stopping: delivering what is held")
        SystemdNotify.stopping(status: "delivering what is held")
        let loop = group.next()
        let promise = loop.makePromise(of: Bool.self)
        loop.execute { [self] in
            server.stopListening()
            let patienceEnd = NIODeadline.now() + .nanoseconds(Self.farewellPatience.nanoseconds)
            whenConnectionsAreGone(until: patienceEnd) { [self] in
                server.closeIdleConnections { [self] in
                    collector.stop { [self] in
                        keepCatalogue()
                        journal.keepCopy(isFinal: true)
                        close { promise.succeed(true) }
                    }
                }
            }
        }
        loop.scheduleTask(in: .nanoseconds(Self.stopDeadline.nanoseconds)) { promise.succeed(false) }
        let isClosed = (try? promise.futureResult.wait()) ?? false
        let counters = collector.counters
        let store = collector.lanes[0].lane.counts
        log.notice(
            "stopped: \(counters.accepted + counters.recovered) records accepted, \(store.delivered) delivered, "
                + "\(store.spooled) in the spool, \(counters.dropped) dropped"
        )
        if !isClosed { log.warning("stopped without waiting for a thread that did not end in time") }
        return counters.dropped > 0 ? EX_IOERR : EX_OK
    }

    /// Closes what has a thread: sinks and reader, and last the spool, which writes its pages out. A server that does not
    /// answer can hold up the former; what they had is settled by now, so the spool does not wait for them long.
    private func close(completion: @escaping @Sendable () -> Void) {
        let loop = group.next()
        let closed = sinks.map { sink in
            let promise = loop.makePromise(of: Void.self)
            sink.close { promise.succeed(()) }
            return promise.futureResult
        }
        let reader = loop.makePromise(of: Void.self)
        closeReader { reader.succeed(()) }
        journal.close()
        let settled = loop.makePromise(of: Bool.self)
        EventLoopFuture.andAllComplete(closed + [reader.futureResult], on: loop)
            .whenComplete { _ in settled.succeed(true) }
        loop.scheduleTask(in: .nanoseconds(Self.closePatience.nanoseconds)) { settled.succeed(false) }
        settled.futureResult.whenSuccess { [spool, log] isClosed in
            if !isClosed { log.notice("not waiting for a connection whose server does not answer") }
            spool.close(completion: completion)
        }
    }

    private func whenConnectionsAreGone(until deadline: NIODeadline, _ then: @escaping @Sendable () -> Void) {
        guard server.figures.connectionCount > 0, NIODeadline.now() < deadline else { return then() }
        group.next().scheduleTask(in: .milliseconds(10)) { [self] in whenConnectionsAreGone(until: deadline, then) }
    }

    /// Reads the configuration again, on the main thread; what follows from it happens on the event loop.
    private func reload() {
        SystemdNotify.reloading()
        let result = source.load()
        let identity = tls?.readAgain()
        group.next().execute { [self] in
            apply(result)
            if let identity { tls?.apply(identity, log) }
            SystemdNotify.ready()
        }
    }

    private func apply(_ result: Result<LoadedSettings, SettingsProblems>) {
        switch result {
        case .failure(let problems):
            log.error("the new configuration is not valid and the old one stays:\n\(problems)")
        case .success(let new):
            let differences = new.reloadDifferences(from: loaded)
            loaded = loaded.reloaded(with: new)
            log.setMinimum(loaded.settings.logLevel)
            log.notice("configuration read again: \(differences.summary)")
            for warning in new.warnings { log.warning("\(warning)") }
            if let postgres = loaded.settings.postgres { passwordCell?.update(postgres) }
            if loaded.settings.access.policy.tokens != nil, let problem = SHA256.problem() {
                log.error("check tokens: libcrypto: \(problem); until it can be opened no token is right")
            }
            routes.replace(loaded.settings.access.policy)
            collector.reconfigure(Self.configuration(loaded.settings))
        }
    }

    // MARK: Timers, on the event loop

    /// Every ten seconds: the status line, and memory back to the system when a burst is over.
    private func housekeep() {
        SystemdNotify.status(statusLine())
        lookAtState()
        // A burst leaves free pages in the heap, and code that it ran in memory: given back when it is over. What comes by the dozen is no
        // burst, and must not keep the pages of one before.
        let burst = (collector.counters.accepted, server.figures.connectionOpenedCount)
        if burst.0 - burstBefore.0 > 1000 || burst.1 - burstBefore.1 > 100 {
            cleaningCount = Self.cleaningCountMax
        } else if cleaningCount > 0 {
            cleaningCount -= 1
            logboom_trim_heap()
            logboom_release_program_pages()
        }
        burstBefore = burst
        housekeepingCount += 1
        // And every ten minutes what ran once since and not again: a reconnection, somebody's question.
        if housekeepingCount.isMultiple(of: 60) { logboom_release_program_pages() }
        // With POSTGRES_POOL_MIN=1 the second session, which reads, is closed when nobody asked for a minute.
        if housekeepingCount.isMultiple(of: 6), let postgres = loaded.settings.postgres, postgres.poolMin < 2 {
            closeReaderWhenIdle()
        }
        group.next().scheduleTask(in: .seconds(10)) { [self] in housekeep() }
    }

    /// Says once what became of the state file and the space for it, and looks whether the file can be used again.
    private func lookAtState() {
        let status = spool.status
        if status.recovery != recoverySaid {
            recoverySaid = status.recovery
            for complaint in Self.complaints(status.recovery, directory: loaded.settings.stateDirectory) {
                log.error(complaint)
            }
        }
        if let space = status.diskSpace, space.isLow != isDiskLowSaid {
            isDiskLowSaid = space.isLow
            let free = "\(space.freeByteCount) bytes are free where \(loaded.settings.stateDirectory) is"
            if space.isLow {
                log.error("\(free), and \(space.floorByteCount) are left to others: the spool takes no batches")
            } else {
                log.notice("\(free): the spool takes batches again")
            }
        }
        spool.look { [self] difference in
            guard let difference else { return }
            group.next().execute { [self] in
                log.notice("the state file can be used again")
                collector.spoolRecounted(difference)
            }
        }
    }

    private func statusLine() -> String {
        let store = collector.lanes[0]
        let state = store.lane.phase == .away ? "away, \(store.lane.counts.spooled) records in the spool" : "up"
        return
            "\(collector.counters.accepted) records, \(collector.templateCount) patterns; \(store.sink.name) \(state)"
    }

    private func feedWatchdog() {
        guard let interval = SystemdNotify.watchdogInterval else { return }
        let silent = heartbeat.check()
        if silent.isEmpty {
            SystemdNotify.watchdog()
        } else {
            log.error("no progress, the watchdog is not fed: \(silent.joined(separator: ", "))")
        }
        group.next().scheduleTask(in: .nanoseconds(interval.nanoseconds / 2)) { [self] in feedWatchdog() }
    }

    /// Every hour: sinks forget what no batch can come under any more, which is a row for each request with a key.
    private func forgetOldStreams() {
        let status = spool.status
        // While the file cannot be used nobody knows its streams.
        guard !status.recovery.isMemoryOnly, collector.maySinksForget else { return }
        for runner in collector.lanes {
            runner.forgetOldStreams(spooledStreams: status.usage[runner.id]?.streams ?? [])
        }
    }

    /// Every hour, when there are new ones, and at the stop: the templates known are kept for the next process.
    private func keepCatalogue() {
        let learned = collector.templateLearnedCount
        guard learned != catalogueLearnedCount else { return }
        catalogueLearnedCount = learned
        spool.keep(catalogue: collector.catalogue) { [log] result in
            if case .failure(let error) = result { log.warning("keep the catalogue of templates: \(error)") }
        }
    }

    /// Every hour, and a minute after the start: old patterns leave the embedded store.
    private func retain() {
        guard loaded.settings.postgres == nil else { return }
        group.next().scheduleRepeatedTask(initialDelay: .minutes(1), delay: .hours(1)) { [self] _ in
            let settings = loaded.settings
            spool.applyRetention(
                age: .seconds(settings.retentionDayCount * 86_400),
                byteCountMax: settings.storeByteCountMax,
                now: scheduler.wallClock
            ) { [log] result in
                switch result {
                case .success(0): break
                case .success(let count): log.info("retention: \(count) old pattern rows deleted")
                case .failure(let error): log.warning("retention: \(error)")
                }
            }
        }
    }
}
