internal import Glibc

/// Signals as values for the main thread to wait for, instead of handlers that may do next to nothing.
enum Signals {
    enum Received { case stop, reload }

    private static func handled() -> sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&signals, signal) }
        return signals
    }

    /// Keeps the signals for ``wait()``, in this thread and in all that it starts later; so call it first. A broken pipe or
    /// connection becomes an error of the write, not the end of the process.
    static func block() {
        var signals = handled()
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Waits for the next one.
    static func wait() -> Received {
        var signals = handled()
        var number: Int32 = 0
        while sigwait(&signals, &number) != 0 {}
        return number == SIGHUP ? .reload : .stop
    }
}
