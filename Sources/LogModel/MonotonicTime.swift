/// A point on the monotonic clock, in nanoseconds since an arbitrary start. For deadlines, pauses and windows only: it
/// never jumps when somebody sets the clock, and it says nothing about the date. See ``Timestamp`` for the date.
public struct MonotonicTime: Sendable, Hashable, Comparable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    @inlinable
    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The time `duration` later.
    public func advanced(by duration: Duration) -> MonotonicTime {
        MonotonicTime(nanoseconds: nanoseconds + duration.nanoseconds)
    }

    /// How much later this is than `earlier`; negative when it is not.
    public func since(_ earlier: MonotonicTime) -> Duration {
        .nanoseconds(nanoseconds - earlier.nanoseconds)
    }
}

extension Duration {
    /// Whole nanoseconds; exact up to 292 years, which every duration here is far below.
    public var nanoseconds: Int64 {
        components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000
    }

    /// Seconds with their fraction, for metrics and messages.
    public var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
