#ifndef LOGBOOM_CFAULTVFS_H
#define LOGBOOM_CFAULTVFS_H

#include <stdint.h>

/// A layer over SQLite's VFS for unix, for tests: passes every call on, keeps a log of what was written and synced, and fails
/// calls when told to. Files are real, and so are their locks and the shared memory of the WAL. Every function may be called
/// from any thread.
typedef struct logboom_fault_vfs logboom_fault_vfs;

/// What a record of the log says.
enum {
    /// A file that was there already was opened; `bytes` is all of it.
    LOGBOOM_FAULT_BASE = 1,
    /// A file was made.
    LOGBOOM_FAULT_CREATE = 2,
    /// `bytes` were written at `offset`.
    LOGBOOM_FAULT_WRITE = 3,
    /// The file was cut, or extended, to `offset` bytes.
    LOGBOOM_FAULT_TRUNCATE = 4,
    /// Everything written to the file so far is on the disk.
    LOGBOOM_FAULT_SYNC = 5,
    /// The name was removed.
    LOGBOOM_FAULT_DELETE = 6,
    /// Names made and removed so far are on the disk.
    LOGBOOM_FAULT_DIRECTORY_SYNC = 7,
};

typedef struct {
    int kind;
    /// Number of the file's path; -1 for the directory.
    int path;
    int64_t offset;
    int64_t byte_count;
    /// Lives as long as the VFS.
    const uint8_t *bytes;
} logboom_fault_record;

/// Kinds of calls that can be made to fail; a mask.
enum {
    LOGBOOM_FAIL_OPEN = 1,
    LOGBOOM_FAIL_READ = 2,
    /// A read that gives half, as at the end of a file.
    LOGBOOM_FAIL_SHORT_READ = 4,
    /// A write that fails in its middle.
    LOGBOOM_FAIL_WRITE = 8,
    /// The same with SQLITE_FULL, as a full disk gives it.
    LOGBOOM_FAIL_FULL = 16,
    LOGBOOM_FAIL_SYNC = 32,
    LOGBOOM_FAIL_TRUNCATE = 64,
    LOGBOOM_FAIL_DELETE = 128,
    /// Making or mapping the shared memory of the WAL.
    LOGBOOM_FAIL_SHARED_MEMORY = 256,
};

/// Registers a VFS under `name`; not the default one. NULL when there is no memory. With `ignores_sync` it passes syncs on and
/// leaves them out of its log: a disk that lies.
logboom_fault_vfs *logboom_fault_vfs_create(const char *name, int ignores_sync);

/// Unregisters and frees it. No file may be open through it any more.
void logboom_fault_vfs_destroy(logboom_fault_vfs *vfs);

/// Files open through it.
int logboom_fault_vfs_open_count(logboom_fault_vfs *vfs);

/// Records so far.
int64_t logboom_fault_vfs_record_count(logboom_fault_vfs *vfs);
logboom_fault_record logboom_fault_vfs_record(logboom_fault_vfs *vfs, int64_t index);
/// Lives as long as the VFS.
const char *logboom_fault_vfs_path(logboom_fault_vfs *vfs, int path);

/// From now on calls of `kinds` are counted anew; the `first`-th (from 1) and, with `is_lasting`, all after it fail.
/// `first` 0 ends it.
void logboom_fault_vfs_fail(logboom_fault_vfs *vfs, int kinds, int64_t first, int is_lasting);
/// Calls of the kinds asked for since then, and how many of them failed.
int64_t logboom_fault_vfs_call_count(logboom_fault_vfs *vfs);
int64_t logboom_fault_vfs_failure_count(logboom_fault_vfs *vfs);

#endif
