#ifndef LOGBOOM_CCRYPTO_H
#define LOGBOOM_CCRYPTO_H

#include <stddef.h>
#include <stdint.h>

/// Opens libcrypto.so.3, once, from any thread; returns NULL, or why it cannot be used, which holds until the calling thread's next
/// call here. After a failure the next call tries again. Opened when needed because its tables, which the loader writes to, are 0.4 MB
/// of an idle daemon, and without tokens it hashes nothing (docs/decisions/0015-libraries-opened-when-needed.md).
const char *logboom_libcrypto_load(void);

/// SHA-256 (FIPS 180-4) of so many bytes, 32 bytes into `digest`. Only after logboom_libcrypto_load() returned NULL.
void logboom_sha256(const uint8_t *bytes, size_t count, uint8_t *digest);

#endif
