#define _GNU_SOURCE
#include "CFaultVFS.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

struct logboom_fault_vfs {
    sqlite3_vfs shim;
    sqlite3_vfs *real;
    char *name;
    int ignores_sync;
    pthread_mutex_t mutex;
    logboom_fault_record *records;
    int64_t record_count, record_room;
    char **paths;
    int path_count, path_room;
    int open_count;
    int fail_kinds, fail_is_lasting;
    int64_t fail_first, call_count, failure_count;
};

typedef struct {
    sqlite3_file shim;
    logboom_fault_vfs *vfs;
    int path;
    /// A journal or WAL that was made by this open: the VFS for unix syncs the directory at its first sync.
    int syncs_directory;
} fault_file;

static logboom_fault_vfs *vfs_of(sqlite3_vfs *shim) { return shim->pAppData; }
static sqlite3_file *real_of(sqlite3_file *file) { return (sqlite3_file *)((fault_file *)file + 1); }

static void *must(void *memory) {
    // Tests only: there is nothing to go on with.
    if (memory == NULL) abort();
    return memory;
}

static int path_number(logboom_fault_vfs *vfs, const char *path) {
    for (int i = 0; i < vfs->path_count; i++) {
        if (strcmp(vfs->paths[i], path) == 0) return i;
    }
    if (vfs->path_count == vfs->path_room) {
        vfs->path_room = vfs->path_room * 2 + 8;
        vfs->paths = must(realloc(vfs->paths, sizeof(char *) * vfs->path_room));
    }
    vfs->paths[vfs->path_count] = must(strdup(path));
    return vfs->path_count++;
}

static void record_locked(
    logboom_fault_vfs *vfs, int kind, int path, int64_t offset, const void *bytes, int64_t byte_count
) {
    if (path < 0 && kind != LOGBOOM_FAULT_DIRECTORY_SYNC) return;
    if (vfs->record_count == vfs->record_room) {
        vfs->record_room = vfs->record_room * 2 + 256;
        vfs->records = must(realloc(vfs->records, sizeof(logboom_fault_record) * vfs->record_room));
    }
    uint8_t *copy = NULL;
    if (byte_count > 0) copy = memcpy(must(malloc(byte_count)), bytes, byte_count);
    vfs->records[vfs->record_count++] = (logboom_fault_record){kind, path, offset, byte_count, copy};
}

static void record(logboom_fault_vfs *vfs, int kind, int path, int64_t offset, const void *bytes, int64_t byte_count) {
    pthread_mutex_lock(&vfs->mutex);
    record_locked(vfs, kind, path, offset, bytes, byte_count);
    pthread_mutex_unlock(&vfs->mutex);
}

/// Counts a call, and says whether it must fail: the kind asked for, or 0.
static int failing(logboom_fault_vfs *vfs, int kinds) {
    int answer = 0;
    pthread_mutex_lock(&vfs->mutex);
    if (vfs->fail_first > 0 && (vfs->fail_kinds & kinds) != 0) {
        vfs->call_count++;
        if (vfs->call_count == vfs->fail_first || (vfs->fail_is_lasting && vfs->call_count > vfs->fail_first)) {
            answer = vfs->fail_kinds & kinds;
            vfs->failure_count++;
        }
    }
    pthread_mutex_unlock(&vfs->mutex);
    return answer;
}

// MARK: Files

static int file_close(sqlite3_file *file) {
    fault_file *own = (fault_file *)file;
    int code = real_of(file)->pMethods->xClose(real_of(file));
    pthread_mutex_lock(&own->vfs->mutex);
    own->vfs->open_count--;
    pthread_mutex_unlock(&own->vfs->mutex);
    return code;
}

static int file_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset) {
    fault_file *own = (fault_file *)file;
    int fault = failing(own->vfs, LOGBOOM_FAIL_READ | LOGBOOM_FAIL_SHORT_READ);
    if (fault & LOGBOOM_FAIL_READ) return SQLITE_IOERR_READ;
    int code = real_of(file)->pMethods->xRead(real_of(file), bytes, count, offset);
    if (code == SQLITE_OK && (fault & LOGBOOM_FAIL_SHORT_READ)) {
        memset((uint8_t *)bytes + count / 2, 0, count - count / 2);
        return SQLITE_IOERR_SHORT_READ;
    }
    return code;
}

static int file_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
    fault_file *own = (fault_file *)file;
    int fault = failing(own->vfs, LOGBOOM_FAIL_WRITE | LOGBOOM_FAIL_FULL);
    int given = fault ? count / 2 : count;
    int code = SQLITE_OK;
    if (given > 0) {
        code = real_of(file)->pMethods->xWrite(real_of(file), bytes, given, offset);
        if (code == SQLITE_OK) record(own->vfs, LOGBOOM_FAULT_WRITE, own->path, offset, bytes, given);
    }
    if (fault) return fault & LOGBOOM_FAIL_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    return code;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    fault_file *own = (fault_file *)file;
    if (failing(own->vfs, LOGBOOM_FAIL_TRUNCATE)) return SQLITE_IOERR_TRUNCATE;
    int code = real_of(file)->pMethods->xTruncate(real_of(file), size);
    if (code == SQLITE_OK) record(own->vfs, LOGBOOM_FAULT_TRUNCATE, own->path, size, NULL, 0);
    return code;
}

static int file_sync(sqlite3_file *file, int flags) {
    fault_file *own = (fault_file *)file;
    // A failed fsync(2) may have written some pages, and the system forgets which: so nothing counts as synced.
    if (failing(own->vfs, LOGBOOM_FAIL_SYNC)) return SQLITE_IOERR_FSYNC;
    // The files live in memory or on a scratch disk: the log says what is safe, so the real sync would only cost time.
    if (!own->vfs->ignores_sync) {
        record(own->vfs, LOGBOOM_FAULT_SYNC, own->path, 0, NULL, 0);
        if (own->syncs_directory) record(own->vfs, LOGBOOM_FAULT_DIRECTORY_SYNC, -1, 0, NULL, 0);
    }
    own->syncs_directory = 0;
    (void)flags;
    return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
static int file_lock(sqlite3_file *file, int lock) { return real_of(file)->pMethods->xLock(real_of(file), lock); }
static int file_unlock(sqlite3_file *file, int lock) { return real_of(file)->pMethods->xUnlock(real_of(file), lock); }
static int file_check_reserved(sqlite3_file *file, int *result) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), result);
}
static int file_control(sqlite3_file *file, int operation, void *argument) {
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}
static int file_sector_size(sqlite3_file *file) { return real_of(file)->pMethods->xSectorSize(real_of(file)); }
static int file_characteristics(sqlite3_file *file) {
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}
static int file_shm_map(sqlite3_file *file, int page, int size, int extends, void volatile **memory) {
    if (failing(((fault_file *)file)->vfs, LOGBOOM_FAIL_SHARED_MEMORY)) return SQLITE_IOERR_SHMMAP;
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extends, memory);
}
static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}
static void file_shm_barrier(sqlite3_file *file) { real_of(file)->pMethods->xShmBarrier(real_of(file)); }
static int file_shm_unmap(sqlite3_file *file, int deletes) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), deletes);
}

// Version 2: with the WAL's shared memory, without mapped files, which would go past this layer.
static const sqlite3_io_methods methods = {
    2,
    file_close,
    file_read,
    file_write,
    file_truncate,
    file_sync,
    file_size,
    file_lock,
    file_unlock,
    file_check_reserved,
    file_control,
    file_sector_size,
    file_characteristics,
    file_shm_map,
    file_shm_lock,
    file_shm_barrier,
    file_shm_unmap,
    NULL,
    NULL,
};

// MARK: The file system

static int vfs_open(sqlite3_vfs *shim, const char *name, sqlite3_file *file, int flags, int *flags_out) {
    logboom_fault_vfs *vfs = vfs_of(shim);
    fault_file *own = (fault_file *)file;
    own->shim.pMethods = NULL;
    if (failing(vfs, LOGBOOM_FAIL_OPEN)) return SQLITE_CANTOPEN;
    int is_there = 0;
    if (name != NULL) vfs->real->xAccess(vfs->real, name, SQLITE_ACCESS_EXISTS, &is_there);
    // xAccess calls an empty file absent.
    sqlite3_file *real = real_of(file);
    int code = vfs->real->xOpen(vfs->real, name, real, flags, flags_out);
    if (code != SQLITE_OK) return code;
    own->vfs = vfs;
    own->path = -1;
    int is_journal = flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL);
    own->syncs_directory = is_journal && (flags & SQLITE_OPEN_CREATE);
    own->shim.pMethods = &methods;
    pthread_mutex_lock(&vfs->mutex);
    vfs->open_count++;
    if (name != NULL) {
        int is_known = 0;
        own->path = path_number(vfs, name);
        // The last word on this name: known files have their history in the log already.
        for (int64_t i = vfs->record_count; i-- > 0;) {
            if (vfs->records[i].path != own->path) continue;
            is_known = vfs->records[i].kind != LOGBOOM_FAULT_DELETE;
            break;
        }
        if (!is_known && !is_there) record_locked(vfs, LOGBOOM_FAULT_CREATE, own->path, 0, NULL, 0);
        if (!is_known && is_there) {
            sqlite3_int64 size = 0;
            real->pMethods->xFileSize(real, &size);
            uint8_t *bytes = must(malloc(size + 1));
            if (size > 0) real->pMethods->xRead(real, bytes, (int)size, 0);
            record_locked(vfs, LOGBOOM_FAULT_BASE, own->path, 0, bytes, size);
            free(bytes);
        }
    }
    pthread_mutex_unlock(&vfs->mutex);
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *shim, const char *name, int syncs_directory) {
    logboom_fault_vfs *vfs = vfs_of(shim);
    if (failing(vfs, LOGBOOM_FAIL_DELETE)) return SQLITE_IOERR_DELETE;
    int code = vfs->real->xDelete(vfs->real, name, 0);
    if (code != SQLITE_OK) return code;
    pthread_mutex_lock(&vfs->mutex);
    record_locked(vfs, LOGBOOM_FAULT_DELETE, path_number(vfs, name), 0, NULL, 0);
    if (syncs_directory && !vfs->ignores_sync) record_locked(vfs, LOGBOOM_FAULT_DIRECTORY_SYNC, -1, 0, NULL, 0);
    pthread_mutex_unlock(&vfs->mutex);
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *shim, const char *name, int flags, int *result) {
    return vfs_of(shim)->real->xAccess(vfs_of(shim)->real, name, flags, result);
}
static int vfs_full_path(sqlite3_vfs *shim, const char *name, int count, char *out) {
    return vfs_of(shim)->real->xFullPathname(vfs_of(shim)->real, name, count, out);
}
static int vfs_randomness(sqlite3_vfs *shim, int count, char *out) {
    return vfs_of(shim)->real->xRandomness(vfs_of(shim)->real, count, out);
}
static int vfs_sleep(sqlite3_vfs *shim, int microseconds) {
    return vfs_of(shim)->real->xSleep(vfs_of(shim)->real, microseconds);
}
static int vfs_time(sqlite3_vfs *shim, double *out) {
    return vfs_of(shim)->real->xCurrentTime(vfs_of(shim)->real, out);
}
static int vfs_last_error(sqlite3_vfs *shim, int count, char *out) {
    return vfs_of(shim)->real->xGetLastError(vfs_of(shim)->real, count, out);
}

logboom_fault_vfs *logboom_fault_vfs_create(const char *name, int ignores_sync) {
    sqlite3_vfs *real = sqlite3_vfs_find("unix");
    logboom_fault_vfs *vfs = calloc(1, sizeof(*vfs));
    if (real == NULL || vfs == NULL) {
        free(vfs);
        return NULL;
    }
    pthread_mutex_init(&vfs->mutex, NULL);
    vfs->real = real;
    vfs->name = must(strdup(name));
    vfs->ignores_sync = ignores_sync;
    vfs->shim = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = (int)sizeof(fault_file) + real->szOsFile,
        .mxPathname = real->mxPathname,
        .zName = vfs->name,
        .pAppData = vfs,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };
    if (sqlite3_vfs_register(&vfs->shim, 0) != SQLITE_OK) {
        free(vfs->name);
        free(vfs);
        return NULL;
    }
    return vfs;
}

void logboom_fault_vfs_destroy(logboom_fault_vfs *vfs) {
    sqlite3_vfs_unregister(&vfs->shim);
    for (int64_t i = 0; i < vfs->record_count; i++) free((void *)vfs->records[i].bytes);
    for (int i = 0; i < vfs->path_count; i++) free(vfs->paths[i]);
    free(vfs->records);
    free(vfs->paths);
    free(vfs->name);
    pthread_mutex_destroy(&vfs->mutex);
    free(vfs);
}

// MARK: What tests ask

/// Reads a 64-bit figure under the lock.
static int64_t figure(logboom_fault_vfs *vfs, const int64_t *place) {
    pthread_mutex_lock(&vfs->mutex);
    int64_t value = *place;
    pthread_mutex_unlock(&vfs->mutex);
    return value;
}

int64_t logboom_fault_vfs_record_count(logboom_fault_vfs *vfs) { return figure(vfs, &vfs->record_count); }
int64_t logboom_fault_vfs_call_count(logboom_fault_vfs *vfs) { return figure(vfs, &vfs->call_count); }
int64_t logboom_fault_vfs_failure_count(logboom_fault_vfs *vfs) { return figure(vfs, &vfs->failure_count); }

int logboom_fault_vfs_open_count(logboom_fault_vfs *vfs) {
    pthread_mutex_lock(&vfs->mutex);
    int count = vfs->open_count;
    pthread_mutex_unlock(&vfs->mutex);
    return count;
}

logboom_fault_record logboom_fault_vfs_record(logboom_fault_vfs *vfs, int64_t index) {
    pthread_mutex_lock(&vfs->mutex);
    logboom_fault_record found = vfs->records[index];
    pthread_mutex_unlock(&vfs->mutex);
    return found;
}

const char *logboom_fault_vfs_path(logboom_fault_vfs *vfs, int path) {
    pthread_mutex_lock(&vfs->mutex);
    const char *found = vfs->paths[path];
    pthread_mutex_unlock(&vfs->mutex);
    return found;
}

void logboom_fault_vfs_fail(logboom_fault_vfs *vfs, int kinds, int64_t first, int is_lasting) {
    pthread_mutex_lock(&vfs->mutex);
    vfs->fail_kinds = kinds;
    vfs->fail_first = first;
    vfs->fail_is_lasting = is_lasting;
    vfs->call_count = 0;
    vfs->failure_count = 0;
    pthread_mutex_unlock(&vfs->mutex);
}
