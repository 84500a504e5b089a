/*
 * hv: the only code that includes <libvirt/...>: connection, one domain, its events.
 *
 * How it works
 *   hv_open() opens qemu:///embed?root=ROOT (or the given URI), after it has written ROOT's
 *   qemu.conf and linked the capability cache. A thread runs libvirt's event loop, because calls
 *   that start and stop domains block; its callbacks hand fixed-size events over a pipe, and
 *   nothing else is shared with it. Libvirt's own messages never reach the terminal: they go to
 *   the log file that the caller names, and the last error is wrapped into struct err.
 *
 * Must: be opened in a process that still has no second thread (the environment is changed), after
 * it has entered its namespaces. Something above it must reap orphans: QEMU is daemonized, and
 * libvirt waits for a zombie as if it lived.
 */
#ifndef LZ_HV_HV_H
#define LZ_HV_HV_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HV_ROOT_MAX 70 /* bytes of hv_config.root: libvirt's socket names must fit into 107 */

struct hv;

struct hv_config {
    const char *uri;       /* NULL: the embedded driver; else qemu:///session or qemu:///system */
    const char *root;      /* embedded: libvirt's root, at most HV_ROOT_MAX, exists, ours alone; as
                              root others need its x bit (0711), for QEMU has a user of its own */
    const char *cache_dir; /* embedded: shared capability cache; made if missing; may be NULL */
    const char *log_path;  /* file for libvirt's messages */
    unsigned open_ms;      /* for libvirt to take the connection; 0: a minute */
};

enum hv_event_type {
    HV_STARTED = 1,
    HV_RESUMED,
    HV_PAUSED,
    HV_SHUTDOWN, /* the guest asked for power-off or reboot */
    HV_STOPPED,  /* QEMU is gone: see why */
    HV_CRASHED,  /* guest panic device */
    HV_IO_ERROR, /* a disk failed: out of space on the host, or unreadable */
    HV_LOST,     /* the connection to a libvirt daemon is gone */
};
enum hv_stopped_why {
    HV_WHY_OTHER,
    HV_WHY_SHUTDOWN,
    HV_WHY_DESTROYED,
    HV_WHY_CRASHED,
    HV_WHY_FAILED
};

struct hv_event {
    enum hv_event_type type;
    enum hv_stopped_why why;
};

/* Opens the connection; one embedded root per process. Returns new. ERR_HOST with the way out. */
int hv_open(const struct hv_config *c, struct hv **ret, struct err *e);
/* Closes; a running embedded domain keeps running (kill it first). Accepts NULL. */
void hv_close(struct hv *h);

/*
 * The user whose QEMU will open the disks over `uri` (NULL: embedded): 'libvirt-qemu' when root
 * runs it, else ourselves. Libvirt changes no owner of a file, so the caller gives the writable
 * disk to this user; images stay as they are and readable by all.
 */
int hv_qemu_owner(const char *uri, uid_t *ret_uid, gid_t *ret_gid, struct err *e);

/* Poll this for POLLIN, then call hv_next_event() until it returns 0. */
int hv_event_fd(const struct hv *h);
int hv_next_event(struct hv *h, struct hv_event *ret); /* 1: an event, 0: none now */

/*
 * Creates the transient domain, paused: QEMU runs, the guest has not executed an instruction, the
 * sockets of the XML can be connected. The XML is validated against libvirt's schema if asked. It
 * must have a <uuid>, by which events are told from those of other domains. One domain at a time;
 * after hv_destroy() another one, with another uuid, may be created.
 */
int hv_create(struct hv *h, const char *xml, bool validate, struct err *e);
int hv_resume(struct hv *h, struct err *e);
int hv_pause(struct hv *h, struct err *e);

/* Where a saved guest's memory is; the same word for its saving and its restoring. */
enum hv_ram {
    HV_RAM_IN_STATE, /* all of it in the state */
    HV_RAM_APART,    /* in the file that backs it: mapped shared while it is saved */
};

/*
 * Pauses the guest and writes its state to `state_fd`, a regular file (borrowed). The guest stays
 * paused, and may be resumed or destroyed. `timeout_ms` bounds the writing. Embedded driver only.
 */
int hv_save_state(struct hv *h, int state_fd, enum hv_ram ram, uint64_t timeout_ms, struct err *e);

/*
 * hv_create() for a domain that is to take a saved state in ("-incoming defer" in its XML): paused,
 * where the saved guest stood; hv_resume() lets it go on. Machine, CPU, memory and devices must be
 * those of the saved guest; QEMU checks that only in part, so the caller's key has to. A state that
 * does not fit, or is cut, is an error, and the domain is destroyed.
 */
int hv_create_incoming(struct hv *h, const char *xml, int state_fd, enum hv_ram ram,
                       uint64_t timeout_ms, struct err *e);

/*
 * Keeps what the writable disk, a qcow2 image, holds now, under `name` (letters, digits, "-") in
 * the image itself; and forgets it. The guest is paused for the first. Embedded driver only.
 */
int hv_disk_keep(struct hv *h, const char *name, struct err *e);
int hv_disk_forget(struct hv *h, const char *name, struct err *e);

/* Bounds what the guest reads and writes of its writable disk, in bytes and requests a second (0:
 * no limit), for as long as the domain lives. Of every machine type, and only before it runs. */
int hv_disk_throttle(struct hv *h, uint64_t bytes, uint64_t requests, struct err *e);

/* Destroys the domain and waits until its QEMU is gone. Embedded: SIGKILL by pidfd, no polling.
 * Fine when there is none, or when it has ended by itself. */
int hv_destroy(struct hv *h, struct err *e);
/* Destroys a domain by name over a daemon connection (gc); a missing one is fine. */
int hv_destroy_by_name(struct hv *h, const char *name, struct err *e);
/* The pid of QEMU in our pid namespace; 0 if unknown (daemon connections). */
pid_t hv_qemu_pid(const struct hv *h);
/*
 * Stops QEMU's process where it is, by the kernel and without asking it; over a daemon, which alone
 * may do that, by asking. hv_thaw() lets it go on. In between only hv_destroy(), hv_live_xml() and
 * hv_has_ended() may be called.
 */
int hv_freeze(struct hv *h, struct err *e);
int hv_thaw(struct hv *h, struct err *e);
/* Is the guest's QEMU gone, whatever the events have said so far? */
bool hv_has_ended(struct hv *h);
/* Asks QEMU something of no weight; one that does not answer in time is killed. */
int hv_check_answers(struct hv *h, struct err *e);
/* Does QEMU open this file to read it, when it is asked to? `path` needs no escaping. Embedded
 * only. */
int hv_opens(struct hv *h, const char *path, bool *ret, struct err *e);
/* A QEMU that does not answer is killed. How long it was waited for, in ms; 0: it always answered.
 */
uint64_t hv_was_late(const struct hv *h);
/* Returns new: the live XML. */
int hv_live_xml(struct hv *h, char **ret, struct err *e);

#define HV_DISKS_MAX 8

struct hv_disk_stats {
    char target[16];                         /* "vda" */
    uint64_t capacity_bytes, physical_bytes; /* as the guest sees it; on the host */
    uint64_t read_bytes, read_requests, written_bytes, write_requests;
};

/* By the host's count; what is not known is 0. */
struct hv_stats {
    uint64_t cpu_ns, user_ns, system_ns; /* of QEMU's process */
    uint64_t memory_bytes;               /* of the guest */
    uint64_t resident_bytes;             /* of QEMU's process */
    unsigned vcpus, n_disks;
    struct hv_disk_stats disks[HV_DISKS_MAX];
};
int hv_get_stats(struct hv *h, struct hv_stats *ret, struct err *e);
/* CPU time of QEMU's process alone, and cheap; it does not wait for a QEMU that hangs, unless a
 * daemon has it. */
int hv_get_cpu(struct hv *h, uint64_t *ret_ns, struct err *e);

struct hv_versions {
    char libvirt[32], qemu[32]; /* "9.0.0"; qemu is asked when there is a domain */
};
int hv_get_versions(struct hv *h, struct hv_versions *ret, struct err *e);

#endif
