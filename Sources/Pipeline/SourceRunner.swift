internal import Delivery
package import LogModel
package import Ports
package import Telemetry

/// Reads a replayable source whenever there is room, and folds what it hands over; before that, finds out where to begin.
///
/// A start asks everybody who may know how far the source was counted: the spool, what the last process left in memory
/// (``Local``), and the store's sink. When the sink is on the other side of a network, and only it can know, because there was
/// a power cut, it is waited for; and a batch that may still be on its way to it is ruled out. Stretches for which some lane
/// has no receipt are read again for that lane.
///
/// Backpressure is not reading: at most ``readCountMax`` reads are under way, and none is folded while the intake refuses.
/// `@unchecked Sendable`: used on the scheduler's loop only; the source's answers hop back to it.
package final class SourceRunner: @unchecked Sendable {
    /// What is known without asking a sink.
    package struct Local: Sendable {
        fileprivate var recovery = StretchRecovery()
        private var lastWord: SourcePosition?

        package init() {}

        /// A position that came with a batch into the spool of `lane`; with none, a copy that may be old.
        package mutating func add(_ position: SourcePosition, keptBy lane: Lane?) {
            recovery.add(position, keptBy: lane.map(StretchReceiver.init))
            if lane == nil, position.isFinal { lastWord = position }
        }

        /// What the last process left of all it had sealed.
        package mutating func addComplete(_ position: SourcePosition) {
            recovery.add(position, keptBy: nil)
            lastWord = position
        }

        /// Nobody can know more: this node is new.
        package var isNewNode = false
        /// Something that was kept here is lost, and with it perhaps what was sent from here since the store last told.
        package var isDamaged = false

        /// Whether nobody can know more.
        fileprivate var isComplete: Bool {
            isNewNode || lastWord != nil && lastWord?.stretches.last?.seal == recovery.newest?.stretches.last?.seal
        }
    }

    /// What it does; a closed set for `/stats`.
    package enum Phase: Sendable { case waiting, rereading, reading }

    /// Two: one is folded while the next is read.
    package static let readCountMax = 2
    /// How often a chunk that found no room is tried again.
    private static let retryInterval = Duration.milliseconds(100)
    /// How often the store is asked again where to begin.
    private static let askInterval = Duration.seconds(5)

    package let source: any ReplayableSource
    private let collector: Collector
    private let scheduler: any Scheduler
    private let log: Log
    private var generator: any RandomNumberGenerator
    private let keep: (SourcePosition) -> Void
    /// How long a store that may know more is waited for.
    private let patience: Duration
    private var recovery = StretchRecovery()
    private var isLocalComplete = false
    private var isLocalDamaged = false
    private var firstName = StreamID(rawValue: 0)
    private var askedSince: MonotonicTime?
    /// Came in while there was no room; in order. At most ``readCountMax``.
    private var waiting: [SourceChunk] = []
    private var isRetryScheduled = false
    private var toReread: [SourceStretch] = []

    package private(set) var phase = Phase.waiting
    /// Chunks that had to wait because the intake refused.
    package private(set) var waitCount = 0
    /// Whether it began at a place that nobody could confirm, so that a stretch may be counted twice.
    package private(set) var isGuess = false

    /// - Parameters:
    ///   - patience: how long a store that may know more is waited for.
    ///   - keep: puts a position where the next process finds it, unless there is a power cut.
    package init(
        _ source: any ReplayableSource,
        collector: Collector,
        scheduler: any Scheduler,
        log: Log,
        patience: Duration,
        generator: any RandomNumberGenerator,
        keep: @escaping (SourcePosition) -> Void
    ) {
        self.source = source
        self.collector = collector
        self.scheduler = scheduler
        self.log = log
        self.patience = patience
        self.generator = generator
        self.keep = keep
    }

    /// Whether everything that came in is folded, and nothing is being read again.
    package var isSettled: Bool { phase == .reading && waiting.isEmpty }

    // MARK: Where to begin

    /// Begins to read, once it is known where.
    ///
    /// - Parameter firstName: of the first stretch of all, the same whenever this node has none.
    package func start(_ local: Local, firstName: StreamID) {
        scheduler.preconditionOnLoop()
        recovery = local.recovery
        self.firstName = firstName
        isLocalComplete = local.isComplete
        isLocalDamaged = local.isDamaged
        askedSince = scheduler.now
        ask()
    }

    private func ask() {
        // With the last process's word on all it sealed, a stretch that may be on its way is sent again under its name.
        if isLocalComplete { return begin(isGuess: false) }
        let store = collector.lanes[0]
        store.sourcePositions { [self] result in
            switch result {
            case .success(let positions):
                for position in positions { recovery.add(position, keptBy: .store) }
                // To what this machine itself keeps nothing is on its way.
                guard store.sink.outlivesCallers else { return begin(isGuess: false) }
                ruleOut(recovery.newest?.nextName ?? firstName)
            case .failure:
                unanswered()
            }
        }
    }

    /// After a power cut the store may be about to apply a stretch of which nobody told it here. Its name is known, though: an
    /// empty stretch takes it, and whatever comes later under that name finds it taken.
    private func ruleOut(_ name: StreamID) {
        let cursor = recovery.newest?.stretches.last?.through ?? ""
        var empty = SourceStretch(seal: (newestSeal ?? 0) + 1, name: name, from: cursor, through: cursor)
        empty.isStored = true
        empty.isForwarded = true
        let open = recovery.stretches.filter { !$0.isStored || !$0.isForwarded }
        let next = StreamID(rawValue: generator.next())
        let position = SourcePosition(own: empty.seal, stretches: open + [empty], nextName: next)
        let before = newestSeal
        collector.lanes[0].ruleOut(position) { [self] result in
            switch result {
            case .success(true):
                recovery.add(position, keptBy: .store)
                begin(isGuess: false)
            case .success(false): askAgain(before)
            case .failure: unanswered()
            }
        }
    }

    private var newestSeal: Int64? { recovery.newest?.stretches.last?.seal }

    /// The name was taken: by the stretch that was on its way, whose position is there then, or by a start that came no further.
    private func askAgain(_ before: Int64?) {
        collector.lanes[0].sourcePositions { [self] result in
            guard case .success(let positions) = result else { return unanswered() }
            for position in positions { recovery.add(position, keptBy: .store) }
            guard newestSeal != before, let newest = recovery.newest else {
                log.warning("the store took a stretch of the journal and does not say which: it may be counted twice")
                return begin(isGuess: true)
            }
            ruleOut(newest.nextName)
        }
    }

    private func unanswered() {
        guard scheduler.now.since(askedSince ?? scheduler.now) < patience else {
            log.warning(
                "the store did not say how far the journal was counted: reading begins where this machine last knew, and what "
                    + "was counted since may be counted twice"
            )
            return begin(isGuess: true)
        }
        scheduler.schedule(at: scheduler.now.advanced(by: Self.askInterval)) { [self] in ask() }
    }

    private func begin(isGuess: Bool) {
        self.isGuess = isGuess || isLocalDamaged && !isLocalComplete
        if self.isGuess, !isGuess {
            log.warning(
                "how far the journal was counted was among what was damaged: what went to the store by way of the spool since "
                    + "may be counted twice"
            )
        }
        let book = StretchBook(
            recovery,
            firstName: firstName,
            hasForward: collector.lanes.contains { $0.id == .forward },
            isGuess: isGuess,
            generator: generator
        )
        toReread = book.lacking
        let cursor = book.cursor
        collector.beginStretches(book, keep: keep)
        rereadNext(then: cursor)
    }

    // MARK: Stretches read again

    private func rereadNext(then cursor: String?) {
        guard let stretch = toReread.first else {
            phase = .reading
            source.seek(cursor.map { .after($0) } ?? .first, through: nil)
            for _ in 0..<Self.readCountMax { read() }
            return
        }
        phase = .rereading
        toReread.removeFirst()
        log.notice("journal: reading stretch \(stretch.seal) again, for which not every sink has a receipt")
        source.seek(SourceStart(from: stretch.from), through: stretch.through)
        reread(stretch, then: cursor)
    }

    private func reread(_ stretch: SourceStretch, then cursor: String?) {
        source.read { [self] chunk in
            scheduler.execute { [self] in
                collector.foldReread(chunk)
                if chunk.isLast {
                    collector.endReread(stretch)
                    rereadNext(then: cursor)
                } else {
                    reread(stretch, then: cursor)
                }
            }
        }
    }

    // MARK: Reading

    private func read() {
        source.read { [self] chunk in
            scheduler.execute { [self] in
                waiting.append(chunk)
                foldWaiting()
            }
        }
    }

    private func foldWaiting() {
        while let chunk = waiting.first {
            guard collector.takesChunks else { return retryLater() }
            waiting.removeFirst()
            collector.fold(chunk)
            read()
        }
    }

    private func retryLater() {
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        waitCount += 1
        scheduler.schedule(at: scheduler.now.advanced(by: Self.retryInterval)) { [self] in
            isRetryScheduled = false
            foldWaiting()
        }
    }
}

extension StretchReceiver {
    init(_ lane: Lane) {
        switch lane {
        case .store: self = .store
        case .forward: self = .forward
        }
    }
}
