package import LogModel

/// The pause before the next attempt: exponential with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS
/// Architecture Blog, 2015), so that a fleet that lost one server does not come back in step.
///
/// Guarantees: a pause never exceeds ``Limits/retryDelayCeiling``; its upper bound doubles with each failure until it
/// reaches that; after a stable minute the next failure starts from the first bound. Reads no clock.
package struct Backoff: Sendable {
    private var failureCount = 0
    private var workingSince: MonotonicTime?

    package init() {}

    /// Consecutive failures, for messages.
    package var attempts: Int { failureCount }

    /// The upper bound of the next pause.
    package var bound: Duration {
        // Past 2^20 the ceiling has long been reached; stopping there keeps the shift defined.
        min(Limits.retryDelayCeiling, Limits.retryDelayBase * (1 << min(failureCount, 20)))
    }

    /// Notes a failure and draws the pause, uniform between nothing and the bound.
    package mutating func failed(now: MonotonicTime, using generator: inout some RandomNumberGenerator) -> Duration {
        if let workingSince, now.since(workingSince) >= Limits.retryResetAfter { failureCount = 0 }
        workingSince = nil
        let pause = Duration.nanoseconds(Int64.random(in: 0...bound.nanoseconds, using: &generator))
        failureCount += 1
        return pause
    }

    /// Notes that the sink works. Only a stable minute of that forgets the failures.
    package mutating func worked(now: MonotonicTime) {
        if workingSince == nil { workingSince = now }
    }
}
