package import LogModel
internal import Pipeline
internal import Synchronization

/// A scheduler whose time moves only when told: blocks run on the caller's thread, in order of their time.
package final class ManualScheduler: Scheduler {
    private struct State {
        var now = MonotonicTime(nanoseconds: 1_000_000_000)
        var wallClock = Timestamp(nanoseconds: 1_790_000_000 * 1_000_000_000)
        var due: [(time: MonotonicTime, order: Int, block: @Sendable () -> Void)] = []
        var order = 0
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
            state.order += 1
            state.due.append((time, state.order, block))
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

    private func nextBlock(until end: MonotonicTime) -> (@Sendable () -> Void)? {
        state.withLock { state in
            let next = state.due.indices.min { left, right in
                (state.due[left].time, state.due[left].order) < (state.due[right].time, state.due[right].order)
            }
            guard let next, state.due[next].time <= end else { return nil }
            let entry = state.due.remove(at: next)
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
