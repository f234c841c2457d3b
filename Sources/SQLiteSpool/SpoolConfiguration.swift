package import LogModel
package import Ports

/// What the database is opened with.
package struct SpoolConfiguration: Sendable {
    /// The state directory; made (mode 0750) when it is missing.
    package var directory: String
    /// Bytes of payloads as stored, with ``SpoolLimits/rowOverheadByteCount`` for each row, that all lanes together may hold.
    package var spoolByteCountMax: Int
    /// The wall clock, for stamps on dead letters and the names of files set aside.
    package var now: @Sendable () -> Timestamp
    /// The VFS through which the file is reached: tests put one there that fails; `nil` for SQLite's own.
    package var vfsName: String?
    /// Room on the file system of a directory; `nil` for unknown, which refuses nothing.
    package var diskSpace: @Sendable (_ directory: String) -> DiskSpace? = { DiskSpace.of($0) }

    package init(directory: String, spoolByteCountMax: Int, now: @escaping @Sendable () -> Timestamp) {
        self.directory = directory
        self.spoolByteCountMax = spoolByteCountMax
        self.now = now
    }
}

/// The bounds of this target, each with its reason.
package enum SpoolLimits {
    /// What a row costs beside its payload: some 70 bytes of columns, 35 in the index, and what pages leave unused.
    package static let rowOverheadByteCount = 128
    /// Bytes of one merged batch, unpacked; past it windows are merged no further. Merging holds them about three times.
    package static let mergedByteCountMax = 4 << 20
    /// Merges tried for one append that does not fit, before it is refused: a second or so.
    package static let mergesForRoomMax = 100
    /// Rows remembered as stamped by a clock that was a guess: a day and a half of half minutes.
    package static let guessedRowCountMax = 4096
    /// Batches marked as sent beyond those that are: one synced note for so many, not for each drain.
    package static let sentAheadCount = 256
    /// Removals that wait for the next transaction, and what may be in the spool then: one slow moment is one small row. More is a
    /// backlog, which is removed as it drains.
    package static let removalCountMax = 16
    package static let removalByteCountMax = 64 << 10
    /// Looks, one every ten seconds, after which they are made by themselves: an hour, well within the day for which sinks remember
    /// a stream that stands still.
    package static let removalLookCountMax = 360
    /// WAL pages after which they are copied into the file: 1 MiB, so that a hot page is written once for many commits
    /// while the WAL (read whole after a crash) stays small.
    package static let checkpointPageCount = 256
    /// What stays of the WAL file after a checkpoint.
    package static let walByteCountMax = 1 << 20
    /// Dead letters are for a person to look at; past 16 MiB the oldest go, counted.
    package static let deadLetterByteCountMax = 16 << 20
    /// Files set aside as damaged; the oldest beyond these are removed, or a broken card would fill itself.
    package static let damagedFileCountMax = 3
    /// A file up to this size is checked at every start; a larger one only when it was not closed in order.
    package static let alwaysCheckedByteCountMax = 16 << 20
    /// The check, and the salvage after it, each end after this: together they keep a start under two seconds.
    package static let checkDuration = Duration.milliseconds(700)
    package static let salvageDuration = Duration.milliseconds(700)
    /// Memory used when there is no writable directory.
    package static let memoryByteCountMax = 16 << 20
    /// A reader's question ends after this, so that its snapshot cannot hold up the WAL.
    package static let readDuration = Duration.seconds(5)
    /// Left free on the file system, so that the system (journald, apt, a login, the removal of spooled batches) goes on
    /// working; the spool refuses batches below it. 64 MiB is what Debian's tools ask for, whatever the size of the card; on a
    /// small file system of its own it would be most of it, so it is a twentieth there: 64 MiB from 1.25 GiB on.
    package static let freeByteCountKept = 64 << 20
    package static let freeShareKept = 20
    /// Rows deleted in one transaction of retention, so that appends between them wait some milliseconds at most.
    package static let retentionRowCount = 500
    /// Free pages given back in one step, for the same reason.
    package static let vacuumPageCount = 512
    /// Free pages kept for the next outage: giving them back and taking them again would only write.
    package static let freePageCountKept = 64
}

/// What had to be done to have a database at all.
package enum SpoolRecovery: Sendable, Equatable {
    /// The file was there and sound, or there was none and a new one was made.
    case clean
    /// The file could not be used: it stands at `movedTo`, a new one took its place, and `salvagedBatches` spooled batches
    /// (with the dead letters, progress and patterns that could be read) are in it.
    case recovered(movedTo: String, salvagedBatches: Int, reason: String)
    /// There is no file: everything is in memory, bounded, and gone with the process. Durable appends are refused.
    case memoryOnly(reason: String)

    package var isMemoryOnly: Bool {
        if case .memoryOnly = self { true } else { false }
    }
}

/// Counters and gauges of the database, as of the last finished call.
package struct SpoolStatus: Sendable {
    package var usage: [Lane: SpoolUsage] = [:]
    package var recovery = SpoolRecovery.clean
    /// The file and its WAL.
    package var fileByteCount = 0
    /// Estimated bytes handed to the disk since the start: pages written to the WAL and copied from it.
    package var bytesWritten = 0
    package var deadLetterCount = 0
    package var deadLetterRecordCount = 0
    package var deadLetterByteCount = 0
    /// Dead letters removed because there were too many.
    package var deadLetterDropCount = 0
    /// Batches that became one with others because the spool was nearly full, and those that lost samples or more.
    package var mergedBatchCount = 0
    package var reducedBatchCount = 0
    /// The longest window that merging has made since the start.
    package var longestWindow = Duration.zero
    /// Transactions committed, and those of them that waited for the disk.
    package var commitCount = 0
    package var syncCount = 0
    /// Rows of the embedded store that retention deleted.
    package var retentionRowCount = 0
    /// Times the file was set aside while running, beyond what was found at the start.
    package var damageCount = 0
    /// Room on the file system; `nil` when there is no file, or nobody knows.
    package var diskSpace: DiskSpace?
    /// Batches refused because the disk was low (`DISK_LOW`) or full (`SQLITE_FULL`).
    package var diskRefusalCount = 0
    /// Why the last call failed to write or read, until a write succeeds. Safe to show.
    package var lastFailure: String?

    package init() {}
}
