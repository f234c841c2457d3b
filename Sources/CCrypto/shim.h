// The SHA256_ functions are called deprecated in favour of EVP_, which does the same after fetching providers and reading
// openssl.cnf: 5 times the time for 47 bytes, and 140 KiB of memory that stays (docs/decisions/0012-access.md).
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
