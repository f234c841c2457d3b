#ifndef LOGBOOM_CSHIMS_H
#define LOGBOOM_CSHIMS_H

#include <stddef.h>
#include <stdint.h>

/// What Swift cannot import or do: variadic functions, _GNU_SOURCE functions and macros, one line each; and what runs in a signal
/// handler.

/// Starts a detached thread with the given stack size and name (at most 15 bytes, pthread_setname_np(3)); 0, or an errno.
int logboom_thread_start(size_t stack_byte_count, const char *name, void *(*run)(void *), void *context);

/// mallopt(M_ARENA_MAX): one arena for all threads, measured to save 0.3 MB idle and half of what stays after large bodies.
void logboom_limit_malloc_arenas(int count);
/// mallopt(M_MMAP_THRESHOLD, M_TRIM_THRESHOLD): blocks of 128 KiB and more go back to the system as they are freed. Left alone glibc
/// raises the bound to the largest block it has seen, so that after one large body all later ones stay in the heap.
void logboom_return_large_blocks(void);
/// malloc_trim(3): gives free pages back to the system.
void logboom_trim_heap(void);

/// Tells the kernel that the pages of the program and of its libraries that hold only what stands in their files may go. They come back from
/// the page cache when they are next needed, a few microseconds a page. Never takes a page that was written, by a relocation or by us:
/// only segments that their file does not let anybody write, of objects without text relocations (elf(5)).
void logboom_release_program_pages(void);

/// From now on, a page of a mapped file that cannot be read (the file was cut short, the disk gives an error) reads as zeros on the
/// calling thread instead of ending the process (SIGBUS, mmap(2)); on all others it still does. 0, or an errno.
int logboom_survive_lost_pages(void);
/// Pages that were replaced by zeros on the calling thread since its last call here.
int logboom_take_lost_page_count(void);

/// eventfd(2) that blocks nobody: a descriptor, or -1. The C library of the tool chain has no module for it.
int logboom_eventfd(void);

/// A library that is opened when it is first needed, and those of its functions that are called.
typedef struct {
    /// As the dynamic linker finds it.
    const char *file;
    const char *const *names;
    /// Where the function of each name goes, in the same order.
    void **functions;
    int function_count;
    int is_open;
} logboom_library;

/// dlopen(3) of a library and dlsym(3) of all its functions, once, from any thread; it is never closed. Returns NULL, or why it cannot be
/// used, which holds until the calling thread's next call here. After a failure the next call tries again.
const char *logboom_library_open(logboom_library *library);

/// adjtimex(2): whether some program or device keeps the clock right; 0 when none does, or none said so yet.
int logboom_clock_is_disciplined(void);

#endif
