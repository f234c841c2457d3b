package import LogModel

/// Decides when the open batch is sealed, and why. Owns only the facts the decision needs; the records are in the aggregator.
///
/// A batch is sealed for memory, force and shutdown at once; for a durable record, size and time as soon as the lanes can
/// take one: while a flush is in flight the next batch simply grows, which is the group commit. Seals for size keep a
/// distance (``Limits/sizeSealDistance``), so that on a busy day a commit is paid for by many records. Reads no clock.
/// Does not guarantee a seal on time if nobody asks ``sealReason(now:readiness:)`` at ``deadline`` and ``heldUntil``.
package struct Batcher {
    /// What the lanes can take now.
    package enum Readiness: Sendable {
        /// Every lane would begin to deliver (or spill, its sink being away) at once.
        case ready
        /// Some lane waits longer than its patience for an answer: a batch somebody waits for would be spilled at once.
        case stalled
        /// Some lane has a batch under way.
        case busy
    }

    /// `AGGREGATION_WINDOW`.
    package var window: Duration {
        didSet {
            // A shorter window holds for the batch that is open; a longer one does not put off what was promised.
            if let openedAt, let due = deadline { deadline = min(due, openedAt.advanced(by: window)) }
        }
    }
    /// `BATCH_SIZE`, in records.
    package var recordCountMax: Int
    /// Bytes of the open batch.
    package var byteCountMax: Int

    /// When the open batch is due by time; `nil` while nothing is open.
    package private(set) var deadline: MonotonicTime?
    /// No seal for size before.
    private var nextSize = MonotonicTime(nanoseconds: 0)
    private var openedAt: MonotonicTime?
    private var recordCount = 0
    private var byteCount = 0
    private var isFull = false
    private var isAwaited = false
    private var isForced = false

    package init(window: Duration, recordCountMax: Int, byteCountMax: Int) {
        precondition(window > .zero && recordCountMax > 0 && byteCountMax > 0, "a batch has bounds")
        self.window = window
        self.recordCountMax = recordCountMax
        self.byteCountMax = byteCountMax
    }

    /// When a batch that is large enough already, and held back only to keep the distance, may be sealed; `nil` when none is.
    package var heldUntil: MonotonicTime? {
        recordCount >= recordCountMax ? nextSize : nil
    }

    /// Records were folded: the totals of the open batch, whether it can take no more, and whether somebody waits for it.
    /// `hasCompanions`: the request that waits has records that nobody waits for, which are due soon after.
    package mutating func recordsFolded(
        recordCount: Int,
        byteCount: Int,
        isFull: Bool,
        isAwaited: Bool,
        hasCompanions: Bool = false,
        now: MonotonicTime
    ) {
        if openedAt == nil {
            openedAt = now
            deadline = now.advanced(by: window)
        }
        if isAwaited && hasCompanions, let due = deadline {
            deadline = min(due, now.advanced(by: Limits.companionDelay))
        }
        self.recordCount = recordCount
        self.byteCount = byteCount
        self.isFull = isFull
        self.isAwaited = self.isAwaited || isAwaited
    }

    /// Somebody asked for a flush.
    package mutating func forced() {
        isForced = true
    }

    /// Why the open batch should be sealed now; `nil` when it should not.
    package func sealReason(now: MonotonicTime, readiness: Readiness) -> SealReason? {
        guard recordCount > 0 else { return nil }
        if isFull || byteCount >= byteCountMax { return .memory }
        guard readiness != .busy else { return nil }
        if isForced { return .force }
        // Before the durable records, which never end on a busy day: these take them along.
        if readiness == .ready {
            if let deadline, now >= deadline { return .time }
            if recordCount >= recordCountMax, now >= nextSize { return .size }
        }
        return isAwaited ? .durable : nil
    }

    /// Only the records that somebody waits for were sealed; so much is still open, and its window goes on.
    package mutating func awaitedSealed(recordCount: Int, byteCount: Int, now: MonotonicTime) {
        guard recordCount > 0 else { return sealed(now: now) }
        isAwaited = false
        self.recordCount = recordCount
        self.byteCount = byteCount
    }

    /// Everything was sealed; the next batch is empty.
    package mutating func sealed(now: MonotonicTime) {
        nextSize = now.advanced(by: Limits.sizeSealDistance)
        openedAt = nil
        deadline = nil
        recordCount = 0
        byteCount = 0
        isFull = false
        isAwaited = false
        isForced = false
    }
}
