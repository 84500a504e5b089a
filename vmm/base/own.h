/*
 * own: cleanup attributes and steal macros for owning locals.
 *
 * An owning local is declared with one of the own_* attributes and initialised on the same line; it
 * is handed over with own_steal_ptr() or own_steal_fd().
 */
#ifndef LZ_BASE_OWN_H
#define LZ_BASE_OWN_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void own_free_p(void *p)
{
    free(*(void **)p);
}
static inline void own_close_p(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void own_fclose_p(FILE **f)
{
    if (*f)
        fclose(*f);
}
static inline void own_closedir_p(DIR **d)
{
    if (*d)
        closedir(*d);
}

#define own_free     __attribute__((cleanup(own_free_p)))
#define own_close    __attribute__((cleanup(own_close_p))) /* an int fd, -1 when empty */
#define own_fclose   __attribute__((cleanup(own_fclose_p)))
#define own_closedir __attribute__((cleanup(own_closedir_p)))

static inline int own_steal_fd_p(int *fd)
{
    int f = *fd;

    *fd = -1;
    return f;
}
#define own_steal_fd(fd) own_steal_fd_p(&(fd))
#define own_steal_ptr(p)                                                                           \
    __extension__({                                                                                \
        __typeof__(p) own_stolen = (p);                                                            \
        (p) = NULL;                                                                                \
        own_stolen;                                                                                \
    })

#endif
