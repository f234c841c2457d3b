#define _GNU_SOURCE
#include "CCrypto.h"

// The SHA256_ functions are called deprecated in favour of EVP_, which does the same after fetching providers and reading
// openssl.cnf: 5 times the time for 47 bytes, and 140 KiB of memory that stays (docs/decisions/0012-access.md).
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

#define FOR_EACH_FUNCTION(apply) apply(SHA256_Init) apply(SHA256_Update) apply(SHA256_Final)
#define MEMBER(name) __typeof__(name) *name;
static struct {
    FOR_EACH_FUNCTION(MEMBER)
} libcrypto;

static const char *problem(void) {
    const char *text = dlerror();
    return text != NULL ? text : "libcrypto.so.3 cannot be opened";
}

const char *logboom_libcrypto_load(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static atomic_bool is_loaded;
    if (atomic_load_explicit(&is_loaded, memory_order_acquire)) return NULL;
    const char *text = NULL;
    pthread_mutex_lock(&lock);
    if (!atomic_load_explicit(&is_loaded, memory_order_relaxed)) {
        // Never closed, and the same one that libpq brings when it is opened.
        void *library = dlopen("libcrypto.so.3", RTLD_LAZY | RTLD_LOCAL);
        if (library == NULL) text = problem();
#define LOOK_UP(name)                                                                                                           \
    if (text == NULL && (*(void **)&libcrypto.name = dlsym(library, #name)) == NULL) text = problem();
        FOR_EACH_FUNCTION(LOOK_UP)
        if (text == NULL) atomic_store_explicit(&is_loaded, 1, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return text;
}

void logboom_sha256(const uint8_t *bytes, size_t count, uint8_t *digest) {
    SHA256_CTX context;
    // The three return 1 whatever they are given: they neither allocate nor fetch anything that could fail.
    libcrypto.SHA256_Init(&context);
    libcrypto.SHA256_Update(&context, bytes, count);
    libcrypto.SHA256_Final(digest, &context);
}
