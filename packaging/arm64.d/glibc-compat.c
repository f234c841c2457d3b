/* Functions that Debian unstable's Swift library for arm64 calls, because it was compiled with the headers of a C library newer
   than Debian 12's 2.36. The newer names differ from the older ones in nothing that library uses: the C23 forms of strtol
   and sscanf also read binary numbers (glibc 2.38), strlcpy and strlcat are what OpenBSD has (2.38), and the others are
   internal names of functions of libm. Weak, so that a library that brings them itself goes first. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPAT __attribute__((weak))

COMPAT size_t strlcpy(char *target, const char *source, size_t size) {
    size_t length = strlen(source);
    if (size > 0) {
        size_t count = length >= size ? size - 1 : length;
        memcpy(target, source, count);
        target[count] = 0;
    }
    return length;
}

COMPAT size_t strlcat(char *target, const char *source, size_t size) {
    size_t length = strnlen(target, size);
    if (length == size) return size + strlen(source);
    return length + strlcpy(target + length, source, size - length);
}

COMPAT long __isoc23_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }
COMPAT unsigned long __isoc23_strtoul(const char *text, char **end, int base) { return strtoul(text, end, base); }
COMPAT long long __isoc23_strtoll(const char *text, char **end, int base) { return strtoll(text, end, base); }
COMPAT unsigned long long __isoc23_strtoull(const char *text, char **end, int base) { return strtoull(text, end, base); }

COMPAT int __isoc23_sscanf(const char *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsscanf(text, format, arguments);
    va_end(arguments);
    return count;
}

COMPAT double __frexp(double x, int *exponent) { return frexp(x, exponent); }
COMPAT float __frexpf(float x, int *exponent) { return frexpf(x, exponent); }
COMPAT double __ldexp(double x, int exponent) { return ldexp(x, exponent); }
COMPAT float __ldexpf(float x, int exponent) { return ldexpf(x, exponent); }
COMPAT double __scalbn(double x, int exponent) { return scalbn(x, exponent); }
COMPAT float __scalbnf(float x, int exponent) { return scalbnf(x, exponent); }
