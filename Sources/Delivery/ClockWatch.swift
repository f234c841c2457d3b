package import LogModel

/// Notices when the wall clock is set after stamps were taken from it: a Pi boots with the time of its last stop, or with none,
/// and is told the right one some seconds after the network is there.
///
/// Fed with both clocks whenever a stamp is taken or a batch sealed; what the monotonic one does not explain is a step. Owns no
/// stamps: whoever keeps some corrects them.
package struct ClockWatch: Sendable {
    /// What to do to stamps that were guessed.
    package struct Correction: Sendable, Equatable {
        /// To be added.
        package var step: Duration
        /// Whether the stamps are right then, and no guess any more.
        package var isKnown: Bool

        package init(step: Duration, isKnown: Bool) {
            self.step = step
            self.isKnown = isKnown
        }
    }

    /// Less is slewing, rounding, or a leap second, which a stamp may carry.
    package static let stepMin = Duration.milliseconds(1500)

    private var last: (offset: Int64, isKnown: Bool)?

    package init() {}

    /// Looks at the clocks; not `nil` when stamps that were guessed since the start can be put right, or nearer to it. A step of
    /// a clock that was known corrects nothing: what was stamped before it was right by what was known then.
    package mutating func observe(
        wallClock: Timestamp,
        now: MonotonicTime,
        isKnown: Bool
    ) -> Correction? {
        let offset = wallClock.nanoseconds &- now.nanoseconds
        defer { last = (offset, isKnown) }
        guard let last, !last.isKnown else { return nil }
        let step = Duration.nanoseconds(offset &- last.offset)
        let isStep = step >= Self.stepMin || step <= .zero - Self.stepMin
        guard isStep || isKnown else { return nil }
        return Correction(step: isStep ? step : .zero, isKnown: isKnown)
    }
}
