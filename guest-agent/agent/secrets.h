/*
 * secrets: what the host gave to one job, and to nobody else.
 *
 * How it works
 *   A file lies on a tmpfs of this job's alone, at GUEST_SECRETS "/N", which the host's
 *   configuration shows it as /run/secrets, read-only. What goes into the environment waits in a
 *   memfd that the container's first process gets with GO. When the job is over, whatever came of
 *   it, both are written over with zeros and go.
 */
#ifndef LZ_AGENT_SECRETS_H
#define LZ_AGENT_SECRETS_H

#include "shared/wire.h"

#include <sys/types.h>

#define SECRETS_PATH_MAX 128

struct secrets_config {
    const char *dir;     /* GUEST_SECRETS */
    uid_t id_base;       /* GUEST_ID_BASE */
    bool own_filesystem; /* a tmpfs for each job, which takes the guest's root; else a folder */
};

struct secrets {
    const struct secrets_config *config;
    unsigned exec;
    unsigned due; /* that the host has announced and not sent */
    bool made;    /* its folder is there */
    int env_fd;   /* "NAME=VALUE", a NUL behind each, or -1 */
    size_t n;
    char names[WIRE_SECRETS_MAX][WIRE_SECRET_NAME_MAX + 1];
};

void secrets_init(struct secrets *s, const struct secrets_config *config, unsigned exec);
/* 0 or -errno; -EPROTO: that name was there already. */
int secrets_put(struct secrets *s, const struct wire_secret *m);
/* Leaves nothing of them. */
void secrets_drop(struct secrets *s);

#endif
