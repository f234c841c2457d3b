internal import CShims
internal import Glibc

/// One named thread that carries out blocks in the order they came: the home of one blocking C library handle, which no other
/// thread ever touches.
///
/// Bounds: the queue holds at most what its callers have under way (each lane has one call, each request one read); a
/// caller that could flood it must bound itself. A block must end: nothing can interrupt it from outside.
package final class BlockingThread: Sendable {
    private struct State {
        var blocks: [@Sendable () -> Void] = []
        var isClosed = false
    }

    // A condition variable needs a fixed address for its life, which a Swift value does not promise: hence the heap.
    private final class Signal: @unchecked Sendable {
        // @unchecked: the two C objects are made for being used from several threads; `state` only under `mutex`.
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        var state = State()

        init() {
            pthread_mutex_init(mutex, nil)
            pthread_cond_init(condition, nil)
        }

        deinit {
            pthread_cond_destroy(condition)
            pthread_mutex_destroy(mutex)
            condition.deallocate()
            mutex.deallocate()
        }

        func run() {
            while true {
                pthread_mutex_lock(mutex)
                while state.blocks.isEmpty && !state.isClosed {
                    pthread_cond_wait(condition, mutex)
                }
                let blocks = state.blocks
                state.blocks = []
                let isClosed = state.isClosed
                pthread_mutex_unlock(mutex)
                for block in blocks { block() }
                if isClosed && blocks.isEmpty { return }
            }
        }
    }

    private let signal = Signal()

    /// 256 KiB: measured enough for libpq, SQLite and our own code, against 8 MiB by default.
    package static let stackByteCount = 256 * 1024

    /// Starts the thread. Traps when the system has no thread left to give, as nothing could be done without it.
    package init(name: StaticString) {
        let context = Unmanaged.passRetained(signal)
        let code = logboom_thread_start(
            Self.stackByteCount,
            UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self),
            { raw in
                if let raw { Unmanaged<Signal>.fromOpaque(raw).takeRetainedValue().run() }
                return nil
            },
            context.toOpaque()
        )
        precondition(code == 0, "start thread: the system refused")
    }

    /// Adds a block to the end of the queue. After ``close()`` it is dropped without being run.
    package func perform(_ block: @escaping @Sendable () -> Void) {
        pthread_mutex_lock(signal.mutex)
        if !signal.state.isClosed { signal.state.blocks.append(block) }
        pthread_cond_signal(signal.condition)
        pthread_mutex_unlock(signal.mutex)
    }

    /// Takes no more blocks; the thread ends after those it has. Does not wait.
    package func close() {
        pthread_mutex_lock(signal.mutex)
        signal.state.isClosed = true
        pthread_cond_signal(signal.condition)
        pthread_mutex_unlock(signal.mutex)
    }
}
