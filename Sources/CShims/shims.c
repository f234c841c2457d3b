#define _GNU_SOURCE
#include "CShims.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/timex.h>

int logboom_thread_start(size_t stack_byte_count, const char *name, void *(*run)(void *), void *context) {
    pthread_attr_t attributes;
    pthread_t thread;
    int code = pthread_attr_init(&attributes);
    if (code != 0) return code;
    code = pthread_attr_setstacksize(&attributes, stack_byte_count);
    if (code == 0) code = pthread_create(&thread, &attributes, run, context);
    pthread_attr_destroy(&attributes);
    if (code != 0) return code;
    // Detached only once it has its name: a detached thread that ended early could not be named any more.
    pthread_setname_np(thread, name);
    pthread_detach(thread);
    return 0;
}

void logboom_limit_malloc_arenas(int count) { mallopt(M_ARENA_MAX, count); }

void logboom_return_large_blocks(void) {
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    mallopt(M_TRIM_THRESHOLD, 512 * 1024);
}

void logboom_trim_heap(void) { malloc_trim(0); }

int logboom_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int logboom_clock_is_disciplined(void) {
    struct timex state = {.modes = 0};
    return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}
