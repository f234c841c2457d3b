internal import CShims
internal import Glibc
internal import LogModel

/// Whether the wall clock can be believed. A Pi without a battery boots with the time of its last stop, or with 1970, and is
/// told the right one some seconds after it has a network.
///
/// Believed for good once the kernel says that it is disciplined by somebody (adjtimex(2)), or, where nobody ever does that,
/// ten minutes after boot. Never before ``Timestamp/earliestPlausible``. Event loop only.
final class WallClock: @unchecked Sendable {
    // @unchecked: the collector asks on its loop, and nobody else.
    private var isKnown = false
    private var lookedAtSecond: Int64 = .min

    /// Seconds of uptime after which a clock that nobody disciplines is taken as it is.
    private static let patienceSeconds: Int64 = 600

    func isClockKnown() -> Bool {
        if isKnown { return true }
        var uptime = timespec()
        clock_gettime(CLOCK_BOOTTIME, &uptime)
        let second = Int64(uptime.tv_sec)
        // Once a second: this is asked for every request.
        guard second != lookedAtSecond else { return false }
        lookedAtSecond = second
        isKnown =
            EventLoopScheduler.wallClock() >= .earliestPlausible
            && (second >= Self.patienceSeconds || logboom_clock_is_disciplined() != 0)
        return isKnown
    }
}
