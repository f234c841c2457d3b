internal import Synchronization

/// What a thread that waits for a server shows of itself to those who watch it: a server may take its time, and a thread
/// that waits for it in turns is not stuck.
///
/// From any thread. Costs an atomic addition a wait.
package final class Lifeline: Sendable {
    /// A wait says that it is one at least this often: a fraction of any time after which a thread counts as stuck.
    package let interval: Duration

    private let signs = Atomic<Int>(0)
    private let isResolving = Atomic<Bool>(false)

    package init(interval: Duration = .seconds(5)) {
        self.interval = interval
    }

    /// Grows with every turn of a wait.
    package var signCount: Int { signs.load(ordering: .acquiring) }

    /// Whether the C library is looking a name up, in a call that cannot be had in turns. Ask before ``signCount``: the sign
    /// that ends the call comes before this turns false.
    package var isLookingUp: Bool { isResolving.load(ordering: .acquiring) }

    func beat() {
        signs.wrappingAdd(1, ordering: .releasing)
    }

    func lookUpBegan() {
        isResolving.store(true, ordering: .releasing)
    }

    func lookUpEnded() {
        beat()
        isResolving.store(false, ordering: .releasing)
    }
}
