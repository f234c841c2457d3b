internal import BlockingExecutor
internal import Ports

/// A thread that keeps nothing between its blocks, as something to watch.
struct WatchedThread: Pingable {
    let thread: BlockingThread
    let threadName: String
    let silenceMax: Duration

    func ping(_ answer: @escaping @Sendable () -> Void) {
        thread.perform(answer)
    }
}
