/// How many records a second may come, and how many more at once after a pause.
package struct RateLimit: Sendable, Equatable {
    /// Records a second. A million is what the fastest machine takes in; above it a limit means nothing.
    package static let perSecondBounds = 1...1_000_000
    package static let burstBounds = 1...100_000_000
    /// When no burst is stated: what ten seconds allow. A service that starts, or a job that ends, writes its lines at once.
    package static let standardBurstSeconds = 10

    package let perSecond: Int
    package let burst: Int

    /// - Parameter burst: `nil` for ten seconds of `perSecond`. Both are brought into their bounds.
    package init(perSecond: Int, burst: Int? = nil) {
        self.perSecond = min(max(perSecond, Self.perSecondBounds.lowerBound), Self.perSecondBounds.upperBound)
        let standard = self.perSecond * Self.standardBurstSeconds
        self.burst = min(max(burst ?? standard, Self.burstBounds.lowerBound), Self.burstBounds.upperBound)
    }

    /// Nanoseconds between records at the full rate.
    var interval: Int64 { Int64(1_000_000_000 / perSecond) }
    /// How far the meter may be ahead of the clock: at most 10^17 ns, so that sums stay within 64 bits.
    var tolerance: Int64 { interval * Int64(burst) }
}

/// Measures one sender against a ``RateLimit``: a token bucket as one number, the moment at which the bucket is full again
/// (GCRA, ITU-T I.371, annex A). Time is an argument; a clock that stands still or goes back frees nothing and breaks nothing.
package struct RateMeter: Sendable, Equatable {
    /// All that was taken is made up for at this time.
    private var settledAt = Int64.min

    package init() {}

    /// Takes one record when there is room for it.
    package mutating func take(_ limit: RateLimit, now: MonotonicTime) -> Bool {
        let start = max(settledAt, now.nanoseconds)
        let end = start + limit.interval
        guard end - now.nanoseconds <= limit.tolerance else { return false }
        settledAt = end
        return true
    }

    /// Takes records that are in already, also beyond the limit: it is made up for before the next come in. The debt is at most
    /// an hour, so that one request too large does not lock its sender out for a day.
    package mutating func charge(_ count: Int, _ limit: RateLimit, now: MonotonicTime) {
        let start = max(settledAt, now.nanoseconds)
        let debtMax = limit.tolerance + 3_600_000_000_000
        let (cost, overflow) = limit.interval.multipliedReportingOverflow(by: Int64(count))
        settledAt = overflow ? now.nanoseconds + debtMax : min(start + min(cost, debtMax), now.nanoseconds + debtMax)
    }

    /// How long until there is room for a record; `nil` when there is some.
    package func wait(_ limit: RateLimit, now: MonotonicTime) -> Duration? {
        let end = max(settledAt, now.nanoseconds) + limit.interval
        let excess = end - now.nanoseconds - limit.tolerance
        return excess > 0 ? .nanoseconds(excess) : nil
    }
}
