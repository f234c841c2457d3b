internal import LogModel

/// What one server takes, and how long it waits. The defaults are those of the daemon (``Limits``); tests choose smaller ones.
package struct HTTPServerBounds: Sendable {
    /// Of one request, as it comes.
    package var bodyByteCountMax: Int
    /// Of all requests that have not arrived whole; one of them may go past it.
    package var bodyBytesInFlightMax = Limits.bodyBytesInFlightMax
    /// Of all answers that wait for clients who do not read them, beside what the kernel holds.
    package var blockedByteCountMax = Limits.blockedByteCountMax
    package var connectionCountMax = Limits.connectionCountMax
    /// What a connection within TLS counts for among these, so that there are at most 256: measured, 21 kB after its handshake and
    /// 41 kB after a request of 20 kB, so 10 MB together.
    static let wrappedConnectionWeight = 4
    /// The same until its handshake is done: one under way takes some 90 kB (measured in a flood of
    /// them), so there are at most 102, in 9 MB.
    static let openingConnectionWeight = 10
    package var requestReadTimeout = Limits.requestReadTimeout
    package var idleTimeout = Limits.connectionIdleTimeout
    /// How often connections are looked at; times are kept to within one of these.
    package var sweepInterval = Duration.seconds(5)
    /// What a body has to come with, at least, while others wait for its memory. In bytes a sweep.
    package var slowBodyByteCount = Limits.slowBodyByteCountMin

    /// How long the one body that may go past the bound of all may stand still while others wait.
    package var stallTime = Limits.bodyStallTime

    package init(bodyByteCountMax: Int) {
        self.bodyByteCountMax = bodyByteCountMax
    }

    var requestTickMax: UInt32 { ticks(requestReadTimeout) }
    var idleTickMax: UInt32 { ticks(idleTimeout) }

    private func ticks(_ time: Duration) -> UInt32 {
        UInt32(clamping: time.nanoseconds / max(1, sweepInterval.nanoseconds))
    }
}
