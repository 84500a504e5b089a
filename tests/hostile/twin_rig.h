/* twin_rig: what tests of twins have in common, beside the rig of relays. */
#ifndef LZ_TESTS_HOSTILE_TWIN_RIG_H
#define LZ_TESTS_HOSTILE_TWIN_RIG_H

#include "tests/hostile/twin.h"
#include "tests/unit/relay_rig.h"

#include "base/file.h"

#include <stdio.h>
#include <sys/stat.h>

/* A folder to unpack into; "secret" lies beside it. */
static inline int open_out(char top[32])
{
    char path[64];
    int fd;

    (void)snprintf(top, 32, "/tmp/lazaret-twin-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(path, sizeof(path), "%s/secret", top);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    snprintf(path, sizeof(path), "%s/out", top);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline int spool_of(struct twin_ask ask)
{
    int spool = memfd_create("spool", MFD_CLOEXEC);

    ck_assert_int_eq(write(spool, &ask, sizeof(ask)), sizeof(ask));
    return spool;
}

#endif
