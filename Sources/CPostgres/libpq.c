#define _GNU_SOURCE
// Ours stay out of the table of symbols that others can see: libpq's own calls must find libpq's.
#pragma GCC visibility push(hidden)
#include "CPostgres.h"
#pragma GCC visibility pop

#include "CShims.h"

// The functions of libpq that are called, each with the type that its header gives it.
#define FOR_EACH_FUNCTION(apply)                                                                                                \
    apply(PQclear) apply(PQcmdStatus) apply(PQconnectPoll) apply(PQconnectStartParams) apply(PQconnectionNeedsPassword)         \
    apply(PQconsumeInput) apply(PQerrorMessage) apply(PQfinish) apply(PQflush) apply(PQgetResult) apply(PQgetisnull)            \
    apply(PQgetlength) apply(PQgetvalue) apply(PQisBusy) apply(PQnfields) apply(PQntuples) apply(PQparameterStatus)             \
    apply(PQpingParams) apply(PQresultErrorField) apply(PQresultErrorMessage) apply(PQresultStatus) apply(PQsendPrepare)        \
    apply(PQsendQuery) apply(PQsendQueryParams) apply(PQsendQueryPrepared) apply(PQsetErrorVerbosity)                           \
    apply(PQsetNoticeProcessor) apply(PQsetnonblocking) apply(PQsocket) apply(PQstatus)

#define MEMBER(name) __typeof__(name) *name;
static struct {
    FOR_EACH_FUNCTION(MEMBER)
} libpq;

#define NAME(name) #name,
static const char *const names[] = {FOR_EACH_FUNCTION(NAME)};

const char *logboom_libpq_load(void) {
    static logboom_library library = {"libpq.so.5", names, (void **)&libpq, sizeof names / sizeof *names, 0};
    return logboom_library_open(&library);
}

// The header declares what is defined here, so the compiler compares each line with it.
void PQclear(PGresult *result) { libpq.PQclear(result); }
char *PQcmdStatus(PGresult *result) { return libpq.PQcmdStatus(result); }
PostgresPollingStatusType PQconnectPoll(PGconn *connection) { return libpq.PQconnectPoll(connection); }
PGconn *PQconnectStartParams(const char *const *names, const char *const *values, int expand) {
    return libpq.PQconnectStartParams(names, values, expand);
}
int PQconnectionNeedsPassword(const PGconn *connection) { return libpq.PQconnectionNeedsPassword(connection); }
int PQconsumeInput(PGconn *connection) { return libpq.PQconsumeInput(connection); }
char *PQerrorMessage(const PGconn *connection) { return libpq.PQerrorMessage(connection); }
void PQfinish(PGconn *connection) { libpq.PQfinish(connection); }
int PQflush(PGconn *connection) { return libpq.PQflush(connection); }
PGresult *PQgetResult(PGconn *connection) { return libpq.PQgetResult(connection); }
int PQgetisnull(const PGresult *result, int row, int column) { return libpq.PQgetisnull(result, row, column); }
int PQgetlength(const PGresult *result, int row, int column) { return libpq.PQgetlength(result, row, column); }
char *PQgetvalue(const PGresult *result, int row, int column) { return libpq.PQgetvalue(result, row, column); }
int PQisBusy(PGconn *connection) { return libpq.PQisBusy(connection); }
int PQnfields(const PGresult *result) { return libpq.PQnfields(result); }
int PQntuples(const PGresult *result) { return libpq.PQntuples(result); }
const char *PQparameterStatus(const PGconn *connection, const char *name) { return libpq.PQparameterStatus(connection, name); }
PGPing PQpingParams(const char *const *names, const char *const *values, int expand) {
    return libpq.PQpingParams(names, values, expand);
}
char *PQresultErrorField(const PGresult *result, int code) { return libpq.PQresultErrorField(result, code); }
char *PQresultErrorMessage(const PGresult *result) { return libpq.PQresultErrorMessage(result); }
ExecStatusType PQresultStatus(const PGresult *result) { return libpq.PQresultStatus(result); }
int PQsendPrepare(PGconn *connection, const char *name, const char *query, int count, const Oid *types) {
    return libpq.PQsendPrepare(connection, name, query, count, types);
}
int PQsendQuery(PGconn *connection, const char *query) { return libpq.PQsendQuery(connection, query); }
int PQsendQueryParams(PGconn *connection, const char *query, int count, const Oid *types, const char *const *values,
                      const int *lengths, const int *formats, int result_format) {
    return libpq.PQsendQueryParams(connection, query, count, types, values, lengths, formats, result_format);
}
int PQsendQueryPrepared(PGconn *connection, const char *name, int count, const char *const *values, const int *lengths,
                        const int *formats, int result_format) {
    return libpq.PQsendQueryPrepared(connection, name, count, values, lengths, formats, result_format);
}
PGVerbosity PQsetErrorVerbosity(PGconn *connection, PGVerbosity verbosity) {
    return libpq.PQsetErrorVerbosity(connection, verbosity);
}
PQnoticeProcessor PQsetNoticeProcessor(PGconn *connection, PQnoticeProcessor process, void *context) {
    return libpq.PQsetNoticeProcessor(connection, process, context);
}
int PQsetnonblocking(PGconn *connection, int is_nonblocking) { return libpq.PQsetnonblocking(connection, is_nonblocking); }
int PQsocket(const PGconn *connection) { return libpq.PQsocket(connection); }
ConnStatusType PQstatus(const PGconn *connection) { return libpq.PQstatus(connection); }
