package import LogModel
internal import Pipeline
internal import Synchronization

/// A scheduler whose time moves only when told: blocks run on the caller's thread, in order of their time.
package final class ManualScheduler: Scheduler {
    private struct State {
        var now = MonotonicTime(nanoseconds: 1_000_000_000)
        var wallClock = Timestamp(nanoseconds: 1_790_000_000 * 1_000_000_000)
        /// By time, latest first; of one time, those that came first stand last: the next one is the last, and most new ones are due soon.
        var due: [(time: MonotonicTime, block: @Sendable () -> Void)] = []
    }

    private let state = Mutex(State())

    package init() {}

    package var now: MonotonicTime { state.withLock { $0.now } }
    package var wallClock: Timestamp { state.withLock { $0.wallClock } }

    /// Sets the wall clock alone, as a person or NTP does.
    package func setWallClock(_ time: Timestamp) {
        state.withLock { $0.wallClock = time }
    }

    package func schedule(at time: MonotonicTime, _ block: @escaping @Sendable () -> Void) {
        state.withLock { state in
            // Behind all that come later, before those of its own time, which came first and are to run first.
            var low = 0
            var high = state.due.count
            while low < high {
                let middle = (low + high) / 2
                if state.due[middle].time > time { low = middle + 1 } else { high = middle }
            }
            state.due.insert((time, block), at: low)
        }
    }

    package func execute(_ block: @escaping @Sendable () -> Void) {
        schedule(at: MonotonicTime(nanoseconds: .min), block)
    }

    package func preconditionOnLoop() {}

    /// Runs what is due now, and what that makes due.
    package func run() {
        advance(by: .zero)
    }

    /// Moves time on, step by step through everything that becomes due.
    package func advance(by duration: Duration) {
        let end = now.advanced(by: duration)
        while let block = nextBlock(until: end) { block() }
        state.withLock { state in
            state.wallClock = Timestamp(nanoseconds: state.wallClock.nanoseconds + end.since(state.now).nanoseconds)
            state.now = end
        }
    }

    /// Runs the one block that is due next, if it is due by `end`; else moves time there and says `false`. For simulations that
    /// look at everything after each step.
    package func step(until end: MonotonicTime) -> Bool {
        guard let block = nextBlock(until: end) else {
            advance(by: max(.zero, end.since(now)))
            return false
        }
        block()
        return true
    }

    /// Drops everything that is due. Blocks hold who made them, who holds the scheduler: without this they would stay for ever.
    package func abandon() {
        let dropped = state.withLock { state in
            defer { state.due = [] }
            return state.due
        }
        _ = dropped
    }

    private func nextBlock(until end: MonotonicTime) -> (@Sendable () -> Void)? {
        state.withLock { state in
            guard let entry = state.due.last, entry.time <= end else { return nil }
            state.due.removeLast()
            if entry.time > state.now {
                state.wallClock = Timestamp(
                    nanoseconds: state.wallClock.nanoseconds + entry.time.since(state.now).nanoseconds
                )
                state.now = entry.time
            }
            return entry.block
        }
    }
}
