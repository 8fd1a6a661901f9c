/* Valgrind's client requests, which are macros, as functions. Outside of valgrind they do nothing. */

#include <stddef.h>
#include <valgrind/callgrind.h>
#include <valgrind/memcheck.h>

/* How many of the bytes are secret, wholly or in part. */
size_t request_secrets(const unsigned char *bytes, size_t len)
{
    size_t secrets = 0;
    for (size_t at = 0; at < len; at++) {
        unsigned char bits = 0;
        (void)VALGRIND_GET_VBITS(bytes + at, &bits, 1);
        secrets += bits != 0;
    }
    return secrets;
}

int request_is_watched(void) { return RUNNING_ON_VALGRIND != 0; }
void request_secret(void *bytes, size_t len) { (void)VALGRIND_MAKE_MEM_UNDEFINED(bytes, len); }
void request_declassify(void *bytes, size_t len) { (void)VALGRIND_MAKE_MEM_DEFINED(bytes, len); }
unsigned long request_errors(void) { return VALGRIND_COUNT_ERRORS; }
void request_count(void) { CALLGRIND_ZERO_STATS; }
void request_counted(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
