internal import Glibc

/// Room on the file system of the state directory.
package struct DiskSpace: Sendable, Equatable {
    /// What a program that is not root can still write.
    package var freeByteCount: Int
    package var totalByteCount: Int

    package init(freeByteCount: Int, totalByteCount: Int) {
        self.freeByteCount = freeByteCount
        self.totalByteCount = totalByteCount
    }

    /// As statvfs(3) tells, about a microsecond; `nil` when there is no such directory.
    package static func of(_ directory: String) -> DiskSpace? {
        var figures = statvfs()
        guard statvfs(directory, &figures) == 0, figures.f_blocks > 0 else { return nil }
        let unit = UInt64(figures.f_frsize)
        return DiskSpace(
            freeByteCount: Int(clamping: UInt64(figures.f_bavail).multipliedReportingOverflow(by: unit).partialValue),
            totalByteCount: Int(clamping: UInt64(figures.f_blocks).multipliedReportingOverflow(by: unit).partialValue)
        )
    }

    /// What the spool leaves free (``SpoolLimits/freeByteCountKept``).
    package var floorByteCount: Int {
        min(SpoolLimits.freeByteCountKept, totalByteCount / SpoolLimits.freeShareKept)
    }

    /// Whether the spool takes no more batches.
    package var isLow: Bool { freeByteCount < floorByteCount }

    /// Whether the embedded store takes none either. It grows slowly, with the patterns, so it may go on to half the floor.
    package var isVeryLow: Bool { freeByteCount < floorByteCount / 2 }
}
