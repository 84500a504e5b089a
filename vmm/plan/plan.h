/*
 * plan: the one frozen description of a run. Pure: no I/O, no clock, no host look-ups.
 *
 * A plan is resolved once, from the command line now (manifest and policy come in front of it
 * later), and everything after it is mechanical: domain XML, OCI config, limits and deadlines
 * follow from it and from nothing else.
 */
#ifndef LZ_PLAN_PLAN_H
#define LZ_PLAN_PLAN_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PLAN_MIB            1048576ull
#define PLAN_MEMORY_MIN     (32 * PLAN_MIB)
#define PLAN_MEMORY_MAX     (1024 * 1024 * PLAN_MIB)
#define PLAN_MEMORY_DEFAULT (512 * PLAN_MIB)
#define PLAN_GUEST_OVERHEAD                                                                        \
    (192 * PLAN_MIB) /* kernel, agent and caches, beside the job's memory                          \
                      */
#define PLAN_DISK_MIN        (16 * PLAN_MIB)
#define PLAN_DISK_MAX        (16ull * 1024 * 1024 * PLAN_MIB)
#define PLAN_DISK_DEFAULT    (1024 * PLAN_MIB)
#define PLAN_OUT_MAX_DEFAULT (256 * PLAN_MIB)
#define PLAN_IN_MAX_DEFAULT  (1024 * PLAN_MIB)
#define PLAN_CPUS_MAX        64
#define PLAN_AMNESIC_MARKS   4 /* that an amnesic sandbox keeps by default: they are in memory */
#define PLAN_AMNESIC_SPARE   2 /* more that commands and forks make for a while */
#define PLAN_AMNESIC_LOGS    (64 * PLAN_MIB)   /* console, what tables a disk needs, devices */
#define PLAN_AMNESIC_OUTPUTS (1536 * PLAN_MIB) /* of detached commands: 48 of 32 MiB */
#define PLAN_PIDS_DEFAULT    512
#define PLAN_PIDS_MAX        32768
#define PLAN_UID_DEFAULT     1000
#define PLAN_TIMEOUT_MAX_MS  (30ull * 24 * 3600 * 1000)
#define PLAN_ARGS_MAX        (512 * 1024) /* bytes of arguments and environment together */
#define PLAN_PATHS_MAX       128          /* declared paths of each kind */
#define PLAN_PATH_MAX        4095         /* bytes */

enum plan_machine { PLAN_MICROVM, PLAN_Q35 };
enum plan_accel { PLAN_KVM, PLAN_TCG };

/* Absolute paths inside the container. If there is one at all, the job may touch nothing else, but
 * for what starting a program needs (guest-agent/agent/declared.c) and its own command. */
struct plan_declared {
    struct strv read, write, exec;
};

struct plan {
    char *image;        /* reference into the image store, as it was given */
    char *image_digest; /* of the manifest that it named, or NULL: not looked up yet */
    enum plan_machine machine;
    enum plan_accel accel; /* decided before the plan, by hv's self-test */
    uint64_t tsc_khz;      /* tsc_early_khz= for microvm under TCG; 0: not given */
    uint64_t memory_bytes; /* what the job may use: the container's limit */
    uint64_t guest_bytes;  /* what the VM gets: whole MiB, memory + PLAN_GUEST_OVERHEAD */
    unsigned cpus;
    uint64_t disk_bytes; /* of the scratch disk: /work, /out and the writable layer */
    uint64_t tmp_bytes;  /* of /tmp; counts as memory too */
    unsigned pids;
    uint64_t timeout_ms; /* from the job's start; 0: none */
    uint64_t out_max_bytes;
    uid_t uid; /* inside the container, 1 to 65535 */
    gid_t gid;
    char *workdir;      /* absolute */
    struct strv argv;   /* the command; empty only if it was resolved with no_command */
    struct strv env;    /* K=V, complete */
    struct strv inputs; /* absolute host folders; may be empty */
    struct strv secrets, secret_env; /* names: files of the job's, and variables; never values */
    char *out;                       /* absolute host folder, or NULL */
    uint64_t in_max_bytes;           /* content of all inputs together */
    char *in_identity; /* absolute host file: `inputs` is one archive that it opens; or NULL */
    struct strv out_recipients; /* public keys that the output is sealed to; empty: to nobody */
    struct plan_declared declared;
    bool writable_root;     /* the root takes writes, onto the scratch disk */
    bool build;             /* commands of a recipe: the container's root, who may change owners */
    bool debug;             /* not confined as others are: may trace its processes */
    bool amnesic;           /* what the guest may change is in the host's memory only ... */
    unsigned marks;         /* ... of an amnesic sandbox: how many are kept */
    uint64_t amnesic_bytes; /* ... beside the guest's own, and a copy of the inputs: at most */
    bool interactive;       /* stdin is connected */
    bool tty;
};

/* What an image would have run, as whom and where: defaults below the wish. Borrowed. */
struct plan_image {
    const char *digest; /* of its manifest, 64 hex digits */
    const struct strv *entrypoint, *command, *env;
    const char *workdir;
    uid_t uid; /* inside the container */
    gid_t gid;
};

/* What was asked for, field by field; NULL or 0 means: the default. Borrowed strings. */
struct plan_wish {
    const char *image, *machine, *memory, *cpus, *disk, *timeout, *user, *workdir, *out, *out_max;
    const char *pids;
    const char *entrypoint;        /* in place of the image's entrypoint and command; "": none */
    const struct plan_image *from; /* NULL: the image says nothing */
    bool writable_root, build, amnesic;
    unsigned marks;            /* that an amnesic sandbox keeps; 0: it is a run */
    bool no_command;           /* a guest that waits for commands: argv is empty and stays so */
    const struct strv *env;    /* "K=V", or "K" for the caller's own value (looked up by the cli) */
    const struct strv *inputs; /* absolute */
    const struct strv *read, *write, *exec;  /* what is declared; NULL or empty: none */
    const struct strv *secrets, *secret_env; /* names; NULL: none */
    const char *in_max, *in_identity;        /* in_identity: absolute */
    const struct strv *out_recipients;
    const char *const *argv; /* NULL-terminated; empty: the image's own command */
    bool interactive, tty;
    bool debug;
    bool no_debug; /* the policy does not allow it */
    enum plan_accel accel;
    uint64_t tsc_khz;
};

/* Returns new. Checks every field; ERR_USAGE names the option, ERR_REFUSED what is not allowed. */
int plan_resolve(const struct plan_wish *wish, struct plan **ret, struct err *e);

/* What one command in a guest that runs wants otherwise than its plan says. Borrowed; workdir and
 * user may be NULL or "". */
struct plan_exec {
    const struct strv *argv, *env;
    const struct strv *secrets, *secret_env; /* names; NULL: none */
    const char *workdir, *user;
    uint64_t timeout_ms;       /* 0: none */
    const char *out, *out_max; /* as in struct plan_wish */
    bool interactive, tty;
};
/* Returns new: the plan of that command, checked like plan_resolve(); the machine is `base`'s. */
int plan_derive(const struct plan *base, const struct plan_exec *x, struct plan **ret,
                struct err *e);
void plan_free(struct plan *p);
bool plan_is_declared(const struct plan *p);
static inline void plan_free_p(struct plan **p)
{
    plan_free(*p);
}
#define own_plan __attribute__((cleanup(plan_free_p)))

/* Returns new: the plan as JSON ("lazaret-plan" version 1). */
struct doc *plan_to_doc(const struct plan *p);
/* Returns new: the guest, and what its jobs find, of a plan that was written so; what concerns one
 * job's streams is left out. ERR_HOST. */
int plan_from_doc(const struct doc *d, struct plan **ret, struct err *e);
const char *plan_machine_name(enum plan_machine m); /* "microvm", "q35" */
const char *plan_accel_name(enum plan_accel a);     /* "kvm", "tcg" */

#endif
