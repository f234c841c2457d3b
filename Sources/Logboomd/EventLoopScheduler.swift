internal import Glibc
internal import LogModel
internal import NIOCore
internal import Pipeline

/// The event loop as the pipeline's scheduler: one thread for connections, the open batch and the lanes.
final class EventLoopScheduler: Scheduler {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) {
        self.loop = loop
    }

    /// SwiftNIO's deadlines count nanoseconds of the monotonic clock.
    var now: MonotonicTime {
        MonotonicTime(nanoseconds: Int64(NIODeadline.now().uptimeNanoseconds))
    }

    var wallClock: Timestamp { Self.wallClock() }

    static func wallClock() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    func schedule(at time: MonotonicTime, _ block: @escaping @Sendable () -> Void) {
        loop.scheduleTask(deadline: .uptimeNanoseconds(UInt64(max(0, time.nanoseconds))), block)
    }

    func execute(_ block: @escaping @Sendable () -> Void) {
        loop.execute(block)
    }

    func preconditionOnLoop() {
        loop.preconditionInEventLoop()
    }
}
