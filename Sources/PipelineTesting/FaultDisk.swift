internal import CFaultVFS
internal import Synchronization

/// A VFS for SQLite that logs what is written and synced, and fails calls when told to (`Sources/CFaultVFS`). Files opened
/// under ``name`` are ordinary files; ``PowerCut`` makes of the log what a power cut would have left of them.
///
/// Keep it until every file opened through it is closed.
package final class FaultDisk: @unchecked Sendable {
    // @unchecked: the pointer never changes, and what it leads to has a lock.
    private let vfs: OpaquePointer
    /// What SQLite knows it by.
    package let name: String

    private static let number = Atomic<Int>(0)

    /// Calls that can fail; each fails before it did anything, but a write, which fails in its middle.
    package struct Calls: OptionSet, Sendable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let open = Calls(rawValue: Int32(LOGBOOM_FAIL_OPEN))
        package static let read = Calls(rawValue: Int32(LOGBOOM_FAIL_READ))
        package static let shortRead = Calls(rawValue: Int32(LOGBOOM_FAIL_SHORT_READ))
        package static let write = Calls(rawValue: Int32(LOGBOOM_FAIL_WRITE))
        package static let full = Calls(rawValue: Int32(LOGBOOM_FAIL_FULL))
        package static let sync = Calls(rawValue: Int32(LOGBOOM_FAIL_SYNC))
        package static let truncate = Calls(rawValue: Int32(LOGBOOM_FAIL_TRUNCATE))
        package static let delete = Calls(rawValue: Int32(LOGBOOM_FAIL_DELETE))
        package static let sharedMemory = Calls(rawValue: Int32(LOGBOOM_FAIL_SHARED_MEMORY))
    }

    /// - Parameter ignoringSyncs: a disk that lies: it says that it synced and did not.
    package init(ignoringSyncs: Bool = false) throws {
        name = "fault-\(Self.number.add(1, ordering: .relaxed).newValue)"
        guard let vfs = logboom_fault_vfs_create(name, ignoringSyncs ? 1 : 0) else {
            throw TestingError("register the VFS \(name)")
        }
        self.vfs = vfs
    }

    deinit {
        // A file still open would go on using it: then it is left, which costs a test some memory.
        if logboom_fault_vfs_open_count(vfs) == 0 { logboom_fault_vfs_destroy(vfs) }
    }

    /// Records in the log so far: a point in time, for ``PowerCut``.
    package var recordCount: Int { Int(logboom_fault_vfs_record_count(vfs)) }

    func record(_ index: Int) -> logboom_fault_record { logboom_fault_vfs_record(vfs, Int64(index)) }

    /// The last component of a record's path.
    func fileName(_ path: Int32) -> String {
        let text = String(cString: logboom_fault_vfs_path(vfs, path))
        return text.lastIndex(of: "/").map { String(text[text.index(after: $0)...]) } ?? text
    }

    /// From now on the `first`-th of these calls (from 1) fails and, when it is for good, all that follow.
    package func fail(_ calls: Calls, first: Int, forGood: Bool) {
        logboom_fault_vfs_fail(vfs, calls.rawValue, Int64(first), forGood ? 1 : 0)
    }

    /// Nothing fails any more.
    package func mend() { logboom_fault_vfs_fail(vfs, 0, 0, 0) }

    /// Calls made to fail since ``fail(_:first:forGood:)``.
    package var failureCount: Int { Int(logboom_fault_vfs_failure_count(vfs)) }
}
