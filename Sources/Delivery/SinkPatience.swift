package import LogModel

/// How long a sender who waits for a durable receipt gives the sink before the spool is taken.
///
/// At least ``LogModel/Limits/sinkPatience``, and twice the longest that the sink took of late, at most
/// ``LogModel/Limits/sinkPatienceCeiling``: on a busy machine a commit takes a third of a second now and then, and each that went
/// to the disk for it was written twice, there and at the sink, for nothing. What is acknowledged is as durable either way.
///
/// An answer that took longer than the ceiling changes nothing, because waiting would not have spared the disk.
package struct SinkPatience: Sendable {
    /// The longest answer of the span under way, and of the one before: an answer is remembered for one to two spans.
    private var longest = Duration.zero
    private var longestBefore = Duration.zero
    private var spanEnd: MonotonicTime?

    package init() {}

    /// A fresh batch was applied after so long.
    package mutating func answered(after duration: Duration, now: MonotonicTime) {
        turn(now)
        if duration <= Limits.sinkPatienceCeiling { longest = max(longest, duration) }
    }

    /// What a batch sent now may take.
    package mutating func current(now: MonotonicTime) -> Duration {
        turn(now)
        return min(max(Limits.sinkPatience, max(longest, longestBefore) * 2), Limits.sinkPatienceCeiling)
    }

    private mutating func turn(_ now: MonotonicTime) {
        guard let end = spanEnd else {
            spanEnd = now.advanced(by: Limits.sinkPatienceMemory)
            return
        }
        guard now >= end else { return }
        // Two spans without a batch: both are of old.
        longestBefore = now.since(end) < Limits.sinkPatienceMemory ? longest : .zero
        longest = .zero
        spanEnd = now.advanced(by: Limits.sinkPatienceMemory)
    }
}
