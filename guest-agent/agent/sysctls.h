/* sysctls: the kernel's settings that the agent makes stricter: one table, set once, read again. */
#ifndef LZ_AGENT_SYSCTLS_H
#define LZ_AGENT_SYSCTLS_H

#include <stdbool.h>
#include <stddef.h>

/* NULL, or the path of the one that could not be set, with errno. One that this kernel does not
 * have is for a feature that it does not have either. */
const char *sysctls_set(void);

struct sysctls_found {
    unsigned set;      /* so many are there, and as they were set */
    unsigned unseen;   /* ... may not be read by this process, or are its user namespace's own */
    const char *wrong; /* the first that is otherwise, or NULL; without "/proc/sys/" */
    char value[32];    /* ... and what it is */
};
/* `of_guest`: read by the guest's own root, who sees all of them. */
void sysctls_check(bool of_guest, struct sysctls_found *ret);

#endif
