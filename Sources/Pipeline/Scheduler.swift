package import LogModel

/// The one loop on which everything that decides runs: intake, open batch, lanes. Nothing on it blocks; what blocks has a
/// thread of its own and comes back through ``execute(_:)``. In tests a manual one takes its place, and time stands still
/// until it is moved.
package protocol Scheduler: AnyObject, Sendable {
    var now: MonotonicTime { get }
    /// The wall clock, for stamps only.
    var wallClock: Timestamp { get }
    /// Runs the block on the loop at that time, or as soon after it as the loop is free. Cannot be taken back: the block
    /// looks whether it still applies.
    func schedule(at time: MonotonicTime, _ block: @escaping @Sendable () -> Void)
    /// Runs the block on the loop after what it is doing. From any thread; in the order of the calls of one thread.
    func execute(_ block: @escaping @Sendable () -> Void)
    /// Traps when called from anywhere but the loop.
    func preconditionOnLoop()
}
