#define _GNU_SOURCE
#include "CShims.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timex.h>
#include <unistd.h>

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

static int has_text_relocations(const struct dl_phdr_info *object) {
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[index];
        if (header->p_type != PT_DYNAMIC) continue;
        for (const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + header->p_vaddr); entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL))) return 1;
        }
    }
    return 0;
}

static int release_object_pages(struct dl_phdr_info *object, size_t size, void *page_mask) {
    (void)size;
    const ElfW(Addr) mask = *(const ElfW(Addr) *)page_mask;
    // The kernel's own (vdso(7)) is no file, and its few pages are nobody's.
    if ((const void *)object->dlpi_phdr >= (const void *)getauxval(AT_SYSINFO_EHDR) &&
        (const char *)object->dlpi_phdr < (const char *)getauxval(AT_SYSINFO_EHDR) + 4096) return 0;
    if (has_text_relocations(object)) return 0;
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[index];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_W)) continue;
        ElfW(Addr) begin = (object->dlpi_addr + header->p_vaddr) & mask;
        ElfW(Addr) end = (object->dlpi_addr + header->p_vaddr + header->p_filesz + ~mask) & mask;
        // A page that two segments share belongs to the later one, which was mapped over it; they stand in rising order.
        for (int later = index + 1; later < object->dlpi_phnum; later++) {
            if (object->dlpi_phdr[later].p_type != PT_LOAD) continue;
            ElfW(Addr) next = (object->dlpi_addr + object->dlpi_phdr[later].p_vaddr) & mask;
            if (next < end) end = next;
            break;
        }
        if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

void logboom_release_program_pages(void) {
    ElfW(Addr) mask = ~((ElfW(Addr))sysconf(_SC_PAGESIZE) - 1);
    // Not /proc/self/maps, which would show a library half mapped while another thread opens it: here are those alone that are there whole.
    dl_iterate_phdr(release_object_pages, &mask);
}

int logboom_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

static const char *library_problem(void) {
    const char *text = dlerror();
    return text != NULL ? text : "a library cannot be opened";
}

const char *logboom_library_open(logboom_library *library) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (__atomic_load_n(&library->is_open, __ATOMIC_ACQUIRE)) return NULL;
    const char *text = NULL;
    pthread_mutex_lock(&lock);
    if (!__atomic_load_n(&library->is_open, __ATOMIC_RELAXED)) {
        // Lazily bound, as it is when the program names it: what is not called is not looked up.
        void *handle = dlopen(library->file, RTLD_LAZY | RTLD_LOCAL);
        if (handle == NULL) text = library_problem();
        for (int index = 0; text == NULL && index < library->function_count; index++) {
            library->functions[index] = dlsym(handle, library->names[index]);
            if (library->functions[index] == NULL) text = library_problem();
        }
        if (text == NULL) __atomic_store_n(&library->is_open, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return text;
}

int logboom_clock_is_disciplined(void) {
    struct timex state = {.modes = 0};
    return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

// The kernel raises SIGBUS on the thread that touched the page, so its handler may count in memory of that thread.
static _Thread_local volatile sig_atomic_t survives_lost_pages;
static _Thread_local volatile sig_atomic_t lost_page_count;
static uintptr_t page_byte_count;

// mmap is no function that POSIX allows here; on Linux it is a plain system call, and journald does the same (systemd,
// src/basic/sigbus.c).
static void replace_lost_page(int number, siginfo_t *info, void *context) {
    (void)context;
    int code = errno;
    // BUS_ADRERR: there is nothing behind the address. Others are bugs, or memory that fails.
    if (survives_lost_pages && info->si_code == BUS_ADRERR) {
        void *page = (void *)((uintptr_t)info->si_addr & ~(page_byte_count - 1));
        if (mmap(page, page_byte_count, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page) {
            lost_page_count = lost_page_count + 1;
            errno = code;
            return;
        }
    }
    // The instruction is repeated, and ends the process as if nobody had been here.
    signal(number, SIG_DFL);
    errno = code;
}

int logboom_survive_lost_pages(void) {
    page_byte_count = (uintptr_t)sysconf(_SC_PAGESIZE);
    survives_lost_pages = 1;
    struct sigaction action = {.sa_sigaction = replace_lost_page, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : errno;
}

int logboom_take_lost_page_count(void) {
    int count = lost_page_count;
    // None is lost in between: nothing here touches a page of a file.
    lost_page_count = 0;
    return count;
}
