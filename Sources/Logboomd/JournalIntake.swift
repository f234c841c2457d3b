internal import Glibc
internal import HTTPSource
internal import JournalSource
internal import LogModel
internal import Pipeline
internal import Ports
internal import SQLiteSpool
internal import Settings
internal import Telemetry

/// Decides whether the system's journal is read, says so, and begins; keeps for the next process how far it was counted.
///
/// `@unchecked Sendable`: made on the main thread, used on the event loop.
final class JournalIntake: @unchecked Sendable {
    /// `nil` when the journal is not read.
    let reader: JournalReader?
    private let runner: SourceRunner?
    private let access: JournalAccess
    private let reading: JournalReading
    private let log: Log
    private let collector: Collector
    private let scheduler: any Scheduler
    private let spool: SpoolDatabase
    private let node: NodeIdentity
    private let runtime: RuntimePosition
    /// Whether positions are in the state file anyway, with every batch.
    private let isEmbedded: Bool
    private var copied: SourcePosition?

    init(
        _ settings: Settings,
        collector: Collector,
        spool: SpoolDatabase,
        node: NodeIdentity,
        scheduler: any Scheduler,
        log: Log
    ) {
        self.log = log
        self.collector = collector
        self.scheduler = scheduler
        self.spool = spool
        self.node = node
        isEmbedded = settings.postgres == nil
        let runtime = RuntimePosition(directory: settings.runtimeDirectory)
        self.runtime = runtime
        let journal = settings.journal
        reading = journal.reading
        access = journal.directory == nil && journal.reading != .off ? .look() : .allowed
        guard journal.reading == .on || journal.reading == .auto && access == .allowed else {
            reader = nil
            runner = nil
            return
        }
        let reader = JournalReader(
            JournalConfiguration(
                directory: journal.directory,
                units: journal.units,
                severityMin: journal.severityMin,
                lookback: journal.lookback,
                identity: OwnIdentity(
                    processID: getpid(),
                    invocationID: getenv("INVOCATION_ID").map { String(cString: $0) }
                )
            ),
            now: EventLoopScheduler.wallClock
        )
        self.reader = reader
        runner = SourceRunner(
            reader,
            collector: collector,
            scheduler: scheduler,
            log: log,
            patience: journal.wait,
            generator: SystemRandomNumberGenerator(),
            keep: { runtime.write($0) }
        )
    }

    /// Whether the collector has to wait for positions before sinks may forget streams.
    var isReading: Bool { runner != nil }

    // MARK: On the event loop

    func start() {
        if reading != .off, let advice = access.advice {
            let consequence = reader == nil ? "the journal is not read" : "nothing of the journal can be read"
            // Asked for and not possible is a fault; with `auto` it is a fact about the machine.
            if reading == .on || access != .absent {
                log.warning("\(consequence): \(advice)")
            } else {
                log.notice("\(consequence): \(advice)")
            }
        }
        guard let runner else { return }
        spool.sourcePositions { [self] result in
            scheduler.execute { [self] in
                var local = SourceRunner.Local()
                switch result {
                case .success(let found):
                    for entry in found { local.add(entry.position, keptBy: entry.lane) }
                case .failure(let error):
                    log.warning("ask the spool how far the journal was counted: \(error)")
                }
                // One that a node of another name left says nothing about what this one counted.
                if !node.isNew, let position = runtime.read() { local.addComplete(position) }
                local.isNewNode = node.isNew
                if case .recovered = spool.status.recovery { local.isDamaged = true }
                runner.start(local, firstName: firstName)
            }
        }
    }

    /// The same for this node whenever nothing is known of its journal.
    private var firstName: StreamID {
        let words: StaticString = "the journal's first stretch"
        let view = ByteView(start: words.utf8Start, count: words.utf8CodeUnitCount)
        let seed = node.id.bytes.withUnsafeBufferPointer { XXH64.hash($0) }
        return StreamID(rawValue: XXH64.hash(view, seed: seed))
    }

    /// Now and then (``Limits/positionCopyInterval``): a copy on the disk, for a start after a power cut at which PostgreSQL cannot be asked.
    func keepCopy(isFinal: Bool = false) {
        guard !isEmbedded, var position = collector.sourcePosition, isFinal || position != copied else { return }
        copied = position
        position.isFinal = isFinal
        spool.keep(position) { [log] result in
            if case .failure(let error) = result { log.warning("keep how far the journal was counted: \(error)") }
        }
    }

    func close() {
        reader?.close {}
    }

    var figures: JournalFigures {
        var figures = JournalFigures()
        switch (reading, access) {
        case (.off, _): figures.state = .off
        case (_, .absent): figures.state = .absent
        case (_, .denied): figures.state = .denied
        case (_, .allowed): figures.state = .reading
        }
        guard let reader, let runner else { return figures }
        switch runner.phase {
        case .waiting: figures.state = .waiting
        case .rereading, .reading: break
        }
        figures.status = reader.status
        figures.waitCount = runner.waitCount
        figures.isGuess = runner.isGuess
        figures.keepFailureCount = runtime.failureCount
        figures.stretch = collector.sourcePosition?.stretches.last?.seal ?? 0
        return figures
    }
}
