package import LogModel

/// Decides when the open batch is sealed, and why. Owns only the facts the decision needs; the records are in the aggregator.
///
/// A batch is sealed for memory, force and shutdown at once; for a durable record, size and time as soon as the lanes can
/// take one: while a flush is in flight the next batch simply grows, which is the group commit. Reads no clock.
/// Does not guarantee a seal on time if nobody asks ``sealReason(now:readiness:)`` at ``deadline``.
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
    package var window: Duration
    /// `BATCH_SIZE`, in records.
    package var recordCountMax: Int
    /// Bytes of the open batch.
    package var byteCountMax: Int

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

    /// When the open batch is due by time; `nil` when nothing is open.
    package var deadline: MonotonicTime? { openedAt?.advanced(by: window) }

    /// Records were folded: the totals of the open batch, whether it can take no more, and whether somebody waits for it.
    package mutating func recordsFolded(
        recordCount: Int,
        byteCount: Int,
        isFull: Bool,
        isAwaited: Bool,
        now: MonotonicTime
    ) {
        if openedAt == nil { openedAt = now }
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
        if isAwaited { return .durable }
        guard readiness == .ready else { return nil }
        if recordCount >= recordCountMax { return .size }
        if let deadline, now >= deadline { return .time }
        return nil
    }

    /// Only the records that somebody waits for were sealed; so much is still open, and its window goes on.
    package mutating func awaitedSealed(recordCount: Int, byteCount: Int) {
        guard recordCount > 0 else { return sealed() }
        isAwaited = false
        self.recordCount = recordCount
        self.byteCount = byteCount
    }

    /// Everything was sealed; the next batch is empty.
    package mutating func sealed() {
        openedAt = nil
        recordCount = 0
        byteCount = 0
        isFull = false
        isAwaited = false
        isForced = false
    }
}
