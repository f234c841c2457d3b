internal import Glibc

/// A value that several threads share, each in turn. Hold it for a few instructions only: never across I/O.
///
/// A pthread mutex and not the standard library's `Mutex`, because ThreadSanitizer sees the former and takes every use of the
/// latter for a race (Swift 6.3), so that a real one would drown.
///
/// `@unchecked Sendable`: `value` is touched between lock and unlock only.
package final class Locked<Value>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var value: Value

    package init(_ value: Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func withLock<Answer, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Answer
    ) throws(Failure) -> Answer {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
