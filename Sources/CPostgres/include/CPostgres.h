#ifndef LOGBOOM_CPOSTGRES_H
#define LOGBOOM_CPOSTGRES_H

/// libpq's own header. What of it is called has to stand in libpq.c, or the program does not link: libpq is opened when it is first
/// needed, because with the two dozen libraries that it brings it takes a quarter of an idle daemon's memory, and most have no
/// PostgreSQL on the first day (docs/decisions/0015-libraries-opened-when-needed.md).
#include <postgresql/libpq-fe.h>

/// Opens libpq.so.5, once, from any thread; returns NULL, or why it cannot be used, which holds until the calling thread's next call
/// here. No function of libpq may be called before this returned NULL. After a failure the next call tries again.
const char *logboom_libpq_load(void);

#endif
