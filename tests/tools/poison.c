// SPDX-License-Identifier: Apache-2.0
// Preloaded into an analyzer: a message that holds POISON-CRASH kills it, one that holds
// POISON-HANG holds it for ever, as a bug in a check would.
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void *search_fn(const void *haystack, size_t haystack_size, const void *needle,
                        size_t needle_size);

static search_fn *real;
static int victim;

__attribute__((constructor)) static void find_real(void)
{
    *(void **)&real = dlsym(RTLD_NEXT, "memmem");
    victim = strcmp(program_invocation_short_name, "postern-analyzer") == 0;
}

void *memmem(const void *haystack, size_t haystack_size, const void *needle, size_t needle_size)
{
    if (victim && real(haystack, haystack_size, "POISON-CRASH", 12) != NULL)
        abort();
    while (victim && real(haystack, haystack_size, "POISON-HANG", 11) != NULL)
        pause();
    return real(haystack, haystack_size, needle, needle_size);
}
