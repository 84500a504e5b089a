/*
 * plan: the one frozen description of a run. Pure: no I/O, no clock, no host look-ups.
 *
 * A plan is resolved once, from a manifest, the command line, what the image says, and the policies
 * that bound it all; everything after it is mechanical: domain XML, OCI config, limits and
 * deadlines follow from it and from nothing else.
 */
#ifndef LZ_PLAN_PLAN_H
#define LZ_PLAN_PLAN_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"
#include "plan/net_proxy.h"
#include "plan/policy.h"
#include "plan/record.h"
#include "plan/request.h"

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
#define PLAN_IOPS_MIN        10
#define PLAN_IOPS_MAX        1000000
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
#define PLAN_TMP_MIN         4096ull
#define PLAN_FILE_MIN        (64 * 1024ull) /* the runtime writes its own state below it */
#define PLAN_FILES_MIN       128  /* the runtime holds one for each masked path meanwhile */
#define PLAN_FILES_MAX       4096 /* what the guest's kernel gives: nothing has to be raised */
#define PLAN_MARKS_MAX       128
#define PLAN_MARKS_DEFAULT   32
#define PLAN_TIMEOUT_MAX_MS  (30ull * 24 * 3600 * 1000)
#define PLAN_ARGS_MAX        (512 * 1024) /* bytes of arguments and environment together */
#define PLAN_PATHS_MAX       128          /* declared paths of each kind */
#define PLAN_PATH_MAX        4095         /* bytes */

enum plan_machine { PLAN_MICROVM, PLAN_Q35 };
enum plan_accel { PLAN_KVM, PLAN_TCG };

/* Absolute paths inside the container. If there is one at all, the job may touch nothing else, but
 * for what starting a program needs (shared/guest.h) and its own command. */
struct plan_declared {
    struct strv read, write, exec;
};

struct plan {
    char *name;         /* its manifest's own, or NULL */
    char *image;        /* reference into the image store, as it was given */
    char *image_digest; /* of the manifest that it named, or NULL: not looked up yet */
    enum plan_machine machine;
    enum plan_accel accel; /* decided before the plan, by hv's self-test */
    uint64_t tsc_khz;      /* tsc_early_khz= for microvm under TCG; 0: not given */
    uint64_t memory_bytes; /* what the job may use: the container's limit */
    uint64_t guest_bytes;  /* what the VM gets: whole MiB, memory + PLAN_GUEST_OVERHEAD */
    uint64_t cpus;
    uint64_t disk_bytes; /* of the scratch disk: /work, /out and the writable layer */
    uint64_t disk_rate_bytes, disk_iops; /* a second, of the same; 0: no limit */
    uint64_t tmp_bytes;                  /* of /tmp; counts as memory too */
    uint64_t pids;
    uint64_t timeout_ms;     /* from the job's start; 0: none */
    uint64_t timeout_max_ms; /* of commands in a sandbox, by policy; 0: none */
    /* Of the job, by the host's count; 0: none. */
    uint64_t idle_time_ms, job_cpu_time_ms;
    /* Of each process; 0: none. */
    uint64_t cpu_time_ms, address_space_bytes, file_size_bytes;
    uint64_t open_files; /* of each process */
    uint64_t max_marks;  /* of a sandbox */
    bool mark_each_exec; /* of a sandbox */
    const char *after;   /* a word of KEY_AFTER; NULL: not asked for */
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
    bool egress;                      /* there is a gateway, and a port of the guest's to it ... */
    struct net_rules network;         /* ... for what these let through ... */
    struct net_ranges network_ranges; /* ... also to these addresses, public or not */
    struct net_proxy egress_proxy;    /* ... and through this one, if it has a host */
    struct alert_rules alerts;        /* of all policies */
    struct policies network_policies; /* own: what bounds the rules of a sandbox later */
    struct policies secret_policies;  /* own: what bounds the secrets of a sandbox later */
    struct strv gateway_secrets;      /* names: for the gateway only, never the guest's */
    bool writable_root;               /* the root takes writes, onto the scratch disk */
    bool build;             /* commands of a recipe: the container's root, who may change owners */
    bool debug;             /* not confined as others are: may trace its processes */
    bool trace;             /* with debug: its system calls are told on the console */
    bool learn;             /* it may connect to what policies allow; its files are watched */
    bool apparmor;          /* its container has a profile, which this host compiles */
    bool amnesic;           /* what the guest may change is in the host's memory only ... */
    unsigned marks;         /* ... of an amnesic sandbox: how many are kept */
    uint64_t amnesic_bytes; /* ... beside the guest's own, and a copy of the inputs: at most */
    struct plan_record record;
    bool interactive; /* stdin is connected */
    bool tty;
    char *decided[KEYS];  /* who decided: a place (request.h), "image" or "default" */
    struct strv env_from; /* the same, for each of `env` */
    struct strv trimmed;  /* lines for people: what was asked for and is less */
};

/* What an image would have run, as whom and where: defaults below the wish. Borrowed. */
struct plan_image {
    const char *digest;         /* of its manifest, 64 hex digits */
    const struct strv *signers; /* ids of trusted keys whose signature is good; or NULL */
    const struct strv *entrypoint, *command, *env;
    const char *workdir;
    uid_t uid; /* inside the container */
    gid_t gid;
    bool no_ip; /* its kernel has none: there is no way out of it */
};

/* All that a plan is made of. Borrowed. */
struct plan_wish {
    const struct request *manifest, *command_line; /* may be NULL; the second goes first */
    struct policies policies;
    const struct strv *layers;               /* that will be there; NULL: none is known of */
    const struct plan_image *from;           /* NULL: the image says nothing */
    enum key_use use;                        /* 0: KEY_OF_RUN; with KEY_OF_UP there is no command */
    const struct strv *secrets, *secret_env; /* names, of the command line only; NULL: none */
    bool keep;                               /* a run in a sandbox that stays */
    bool no_marks;                           /* a sandbox that keeps none */
    const struct net_proxy *egress_proxy;    /* the host's, where it is asked for; or NULL */
    bool learn; /* a run: its network is also what the policies allow; what it does is watched */
    bool prove; /* one that lazaret itself looks at: no record */
    bool keep_logs, connect; /* a guest's files stay; it is the user's daemon's */
    struct plan_record_wish record;
    bool build; /* of an image: no policy of a run's */
    bool interactive, tty;
    enum plan_accel accel;
    uint64_t tsc_khz;
};

/* The text that counts, NULL: nobody asked for it. */
const char *plan_wish_text(const struct plan_wish *w, enum key k);
/* Nothing that was asked for is left aside in silence: it is of use where `use` says. */
int plan_check_uses(const struct plan_wish *w, struct err *e);
/* Returns new. Checks every field; ERR_USAGE names the place, ERR_REFUSED what is not allowed. */
int plan_resolve(const struct plan_wish *wish, struct plan **ret, struct err *e);

/* What one command in a guest that runs wants otherwise than its plan says. Borrowed; workdir and
 * user may be NULL or "". */
struct plan_exec {
    const struct strv *argv, *env;
    const struct strv *secrets, *secret_env; /* names; NULL: none */
    const char *workdir, *user;
    uint64_t timeout_ms; /* 0: none */
    bool interactive, tty;
};
/* Returns new: the plan of that command, checked like plan_resolve(); the machine is `base`'s. */
int plan_derive(const struct plan *base, const struct plan_exec *x, struct plan **ret,
                struct err *e);
/* The same from a wish of KEY_OF_FORK, within its policies. */
int plan_derive_wish(const struct plan *base, const struct plan_wish *w, struct plan **ret,
                     struct err *e);
/*
 * More rules for a sandbox that is up with the plan `base`, as texts: within its own policies and
 * those of now. Each secret that one of them needs is there already, or among `secrets`, which
 * nothing else is.
 */
int plan_allow(const struct plan *base, const struct strv *texts, const struct policies *now,
               const struct strv *secrets, struct net_rules *ret, struct strv *ret_notes,
               struct err *e);
/* The secrets that its rules name, each once: a guest's own gateway needs them, another one again.
 */
void plan_used_secrets(const struct plan *p, struct strv *ret);
/* Takes the rule out that `text` names: by its URL, or by its name. ERR_USAGE: there is none. */
int plan_deny(struct net_rules *rules, const char *text, struct err *e);
/* In place of one of the same name or destination, or behind the last one; leaves `r` empty. */
void plan_put_rule(struct net_rules *rules, struct net_rule *r);
void plan_free(struct plan *p);
bool plan_is_declared(const struct plan *p);
static inline void plan_free_p(struct plan **p)
{
    plan_free(*p);
}
#define own_plan __attribute__((cleanup(plan_free_p)))

/* Returns new: what the gateway is told, {"network":[...],"network_ranges":[...]} and, if there is
 * one, "egress_proxy" (net_proxy.h). */
struct doc *plan_network_to_doc(const struct plan *p);
/* The number that a row of the table stands for. */
uint64_t *plan_number(struct plan *p, enum key k);
/* Returns new: what was decided and by whom, a line each, for people. */
char *plan_to_text(const struct plan *p);
/* Returns new: the plan as JSON ("lazaret-plan" version 1). */
struct doc *plan_to_doc(const struct plan *p);
/* Returns new: the guest, and what its jobs find, of a plan that was written so; what concerns one
 * job's streams is left out. ERR_HOST. */
int plan_from_doc(const struct doc *d, struct plan **ret, struct err *e);
const char *plan_machine_name(enum plan_machine m); /* "microvm", "q35" */
const char *plan_accel_name(enum plan_accel a);     /* "kvm", "tcg" */

#endif
