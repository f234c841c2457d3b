internal import LogModel
internal import Pipeline
internal import Ports

/// Tells whether the loops that carry records still make progress: the event loop by being asked at all, the spool's and the
/// database's thread by answering a ping. What it says decides whether systemd's watchdog is fed; a thread stuck in a C library starves it.
///
/// `@unchecked Sendable`: used on the event loop only; answers hop back to it.
final class Heartbeat: @unchecked Sendable {
    private struct Watched {
        let thread: any Pingable
        var lastAnswer: MonotonicTime
        var isAsked = false
    }

    private var watched: [Watched]
    private let scheduler: any Scheduler

    init(_ threads: [any Pingable], scheduler: any Scheduler) {
        self.scheduler = scheduler
        watched = threads.map { Watched(thread: $0, lastAnswer: scheduler.now) }
    }

    /// Names the threads that have been silent too long, and asks all that have answered since.
    func check() -> [String] {
        let now = scheduler.now
        for index in watched.indices where !watched[index].isAsked {
            watched[index].isAsked = true
            watched[index].thread.ping { [self] in
                scheduler.execute { [self] in
                    watched[index].isAsked = false
                    watched[index].lastAnswer = scheduler.now
                }
            }
        }
        return watched.filter { now.since($0.lastAnswer) > $0.thread.silenceMax }.map(\.thread.threadName)
    }
}
