/// What the server counts. Loop only.
package struct HTTPServerFigures: Sendable {
    /// Open now.
    package internal(set) var connectionCount = 0
    package internal(set) var connectionOpenedCount = 0
    /// Turned away at once, because there were too many and none was idle.
    package internal(set) var connectionRefusedCount = 0
    /// Closed while idle, the longest first, to make room for new ones.
    package internal(set) var connectionEvictedCount = 0
    /// Requests that did not arrive in time.
    package internal(set) var requestTimeoutCount = 0
    /// Requests whose body came too slowly while others waited for the memory it held.
    package internal(set) var slowBodyCount = 0
    /// Connections closed because their clients did not read answers.
    package internal(set) var slowReaderCount = 0
    /// Of answers that wait for clients who do not read them, in bytes.
    package internal(set) var blockedByteCount = 0
    /// Times that a connection had to wait with the rest of a body until there was room.
    package internal(set) var bodyWaitCount = 0
    /// Reserved now for requests that have not arrived whole, in bytes.
    package internal(set) var bodyByteCount = 0 {
        didSet { bodyByteCountMax = max(bodyByteCountMax, bodyByteCount) }
    }
    /// The most that ``bodyByteCount`` has been.
    package private(set) var bodyByteCountMax = 0

    package init() {}
}
