/* hv_private: the connection object, shared by the sources of hv only. */
#ifndef LZ_HV_HV_PRIVATE_H
#define LZ_HV_HV_PRIVATE_H

#include "base/doc.h"
#include "hv/hv.h"

#include <libvirt/libvirt.h>
#include <pthread.h>
#include <stdatomic.h>

#define HV_KILL_MS   5000  /* after SIGKILL only the kernel can be slow */
#define HV_ANSWER_MS 20000 /* for QEMU to answer: milliseconds, on a busy host a second */
#define HV_START_MS  60000 /* for QEMU to start */
#define HV_OPEN_MS   60000 /* for libvirt to take a connection: it may start, or probe QEMU */

struct hv {
    virConnectPtr conn;
    virDomainPtr dom;     /* NULL: no domain */
    const char *starting; /* the uuid of the one that is being started, else NULL */
    bool embedded;
    char *root;       /* embedded only */
    int event_fds[2]; /* pipe: [0] ours, [1] written by libvirt's callbacks */
    int lifecycle_id; /* registered callbacks, -1: none */
    int io_error_id;
    bool close_registered;
    pid_t qemu_pid; /* 0: unknown */
    int qemu_fd;    /* pidfd, -1: none */
    char qemu_version[32];

    bool loop_running;
    pthread_t loop;
    int loop_timer; /* keeps the loop busy and wakes it up */
    atomic_bool loop_quit;

    int late_timer;           /* of patience.c */
    pthread_mutex_t patience; /* guards the rest, which the loop's thread looks at, and `dom` and
                                 `qemu_fd` against their end there */
    uint64_t asked_ms, asked_until_ms; /* the question under way; 0: none */
    uint64_t armed_until_ms;           /* when late_timer fires; 0: never */
    _Atomic uint64_t late_ms;          /* QEMU was killed after it had not answered for so long */
};

/* event.c: a thread that takes no signals. Returns an errno, 0 on success. */
int hv_thread_start(pthread_t *ret, void *(*main)(void *), void *arg);
/* Waits for its end. False: it did not end in time, and is left alone with what it uses. */
bool hv_thread_ended(pthread_t thread, uint64_t within_ms);

/* Sets `e` from libvirt's last error: one printable line, with the way out where it is known. */
int hv_error_set(struct err *e, const char *doing);

/* patience.c. Between these two QEMU is killed when it does not answer in time. */
void hv_ask_within(struct hv *h, uint64_t ms);
void hv_answered(struct hv *h);
/* hv_error_set() for a question that may have failed because of that. */
int hv_failed(const struct hv *h, const char *doing, struct err *e);
int hv_patience_open(struct hv *h, struct err *e);
void hv_patience_close(struct hv *h);

/* domain.c: the pid in a file of libvirt's. */
int hv_read_pid(const struct hv *h, const char *file, pid_t *ret, struct err *e);

/* monitor.c: one command of QEMU's monitor. `ret` (may be NULL) is new: the whole answer. */
int hv_ask(struct hv *h, const char *command, const char *doing, struct doc **ret, struct err *e);
/* QEMU's answer: what it did, or in `e` why not. */
int hv_check_reply(const char *text, const char *doing, struct doc **ret, struct err *e);

/* event.c: the loop thread. */
int hv_loop_start(struct hv *h, struct err *e);
/* False if it did not end in time: what it may still use must not be freed. */
bool hv_loop_stop(struct hv *h);
/* Subscribes to the events of the domain with this uuid, before it exists. */
int hv_watch(struct hv *h, const char uuid[VIR_UUID_STRING_BUFLEN], struct err *e);
void hv_unwatch(struct hv *h);
/* Subscribes to the end of a daemon connection. */
int hv_watch_connection(struct hv *h, struct err *e);
void hv_unwatch_connection(struct hv *h);

#endif
