#define _GNU_SOURCE
#include "CCrypto.h"

// The SHA256_ functions are called deprecated in favour of EVP_, which does the same after fetching providers and reading
// openssl.cnf: 5 times the time for 47 bytes, and 140 KiB of memory that stays (docs/decisions/0012-access.md).
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "CShims.h"

#define FOR_EACH_FUNCTION(apply) apply(SHA256_Init) apply(SHA256_Update) apply(SHA256_Final)
#define MEMBER(name) __typeof__(name) *name;
static struct {
    FOR_EACH_FUNCTION(MEMBER)
} libcrypto;

#define NAME(name) #name,
static const char *const names[] = {FOR_EACH_FUNCTION(NAME)};

const char *logboom_libcrypto_load(void) {
    // The same one that libpq brings when it is opened.
    static logboom_library library = {"libcrypto.so.3", names, (void **)&libcrypto, sizeof names / sizeof *names, 0};
    return logboom_library_open(&library);
}

void logboom_sha256(const uint8_t *bytes, size_t count, uint8_t *digest) {
    SHA256_CTX context;
    // The three return 1 whatever they are given: they neither allocate nor fetch anything that could fail.
    libcrypto.SHA256_Init(&context);
    libcrypto.SHA256_Update(&context, bytes, count);
    libcrypto.SHA256_Final(digest, &context);
}
