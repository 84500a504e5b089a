/* preloaded: what the libraries share that end-to-end tests load into lazaret (preload.py). */
#ifndef LZ_TESTS_E2E_PRELOADED_H
#define LZ_TESTS_E2E_PRELOADED_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

/* The file that the test shares with us, by the variable that names it, or NULL. */
static inline void *preloaded_map(const char *variable, size_t size)
{
    const char *path = getenv(variable);
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = MAP_FAILED;

    if (fd < 0)
        return NULL;
    at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return at == MAP_FAILED ? NULL : at;
}

/* The same. What is executed from here is not to be tampered with: it gets neither the library nor
 * the variable. */
static inline void *preloaded_share(const char *variable, size_t size)
{
    void *at = preloaded_map(variable, size);

    unsetenv("LD_PRELOAD");
    unsetenv(variable);
    return at;
}

/* In a function like open(2), whose last named parameter is `flags`: sets `mode`, where there is
 * one. */
#define PRELOADED_MODE(flags, mode)                                                                \
    do {                                                                                           \
        va_list ap_;                                                                               \
                                                                                                   \
        va_start(ap_, flags);                                                                      \
        (mode) = (flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE ? va_arg(ap_, mode_t) : 0;    \
        va_end(ap_);                                                                               \
    } while (0)

#endif
