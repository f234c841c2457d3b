internal import LogModel
package import Ports

/// Tells whether the loops that carry records still make progress: the event loop by being asked at all, the threads of spool,
/// database and forwarding by answering a ping, or by signs of life while one thing takes them long. What it says decides
/// whether systemd's watchdog is fed; a thread stuck in a C library starves it.
///
/// `@unchecked Sendable`: used on the event loop only; answers hop back to it.
package final class Heartbeat: @unchecked Sendable {
    private struct Watched {
        let thread: any Pingable
        var lastSign: MonotonicTime
        var signCount = 0
        var isAsked = false
    }

    private var watched: [Watched]
    private let scheduler: any Scheduler

    package init(_ threads: [any Pingable], scheduler: any Scheduler) {
        self.scheduler = scheduler
        watched = threads.map { Watched(thread: $0, lastSign: scheduler.now) }
    }

    /// Names the threads that have been silent too long, and asks all that have answered since.
    package func check() -> [String] {
        let now = scheduler.now
        return watched.indices.compactMap { index in
            // Before the signs: what it allows ends with one.
            let silenceMax = watched[index].thread.silenceMax
            let signCount = watched[index].thread.signOfLifeCount
            if signCount != watched[index].signCount {
                watched[index].signCount = signCount
                watched[index].lastSign = now
            }
            ask(index)
            return now.since(watched[index].lastSign) > silenceMax ? watched[index].thread.threadName : nil
        }
    }

    private func ask(_ index: Int) {
        guard !watched[index].isAsked else { return }
        watched[index].isAsked = true
        watched[index].thread.ping { [self] in
            scheduler.execute { [self] in
                watched[index].isAsked = false
                watched[index].lastSign = scheduler.now
            }
        }
    }
}
