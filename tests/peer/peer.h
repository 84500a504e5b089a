/*
 * peer: a scripted host in front of the real agent code, over a socketpair.
 *
 * The agent runs in a child process, with a folder of its own for bundles, cgroup files and output.
 * Every wait has a deadline of PEER_WAIT_MS.
 */
#ifndef LZ_TESTS_PEER_H
#define LZ_TESTS_PEER_H

#include "shared/wire.h"

#include <sys/types.h>

#define PEER_WAIT_MS 20000
#define PEER_UID     1000u

/* How the agent's process ends: 0 is never one of them. */
#define PEER_PROTOCOL 71 /* session_run() returned -EPROTO */
#define PEER_TOLD     72 /* -ECANCELED */
#define PEER_OTHER    73

struct peer {
    int fd;
    pid_t agent;
    int audit, kernel; /* the agent's end, and the test's in the kernel's place; or -1 */
    char dir[64];
    struct wire_reader reader;
};

struct peer_frame {
    struct wire_header h;
    uint8_t p[WIRE_PAYLOAD_MAX];
};

/* `failed`: as in struct session_config. */
void peer_open(struct peer *pe, const char *failed);
/* With a socket on which the test is the kernel's audit subsystem. */
void peer_open_audited(struct peer *pe);
/* Kills the agent and removes its folder. */
void peer_close(struct peer *pe);
/* The agent ends by itself: its exit status. */
int peer_wait(struct peer *pe);

void peer_send(struct peer *pe, enum wire_type type, uint32_t stream, const void *p, size_t len);
/* False: nothing came within `wait_ms`. */
bool peer_next(struct peer *pe, struct peer_frame *ret, int wait_ms);
/* The next frame must be of this type. */
void peer_expect(struct peer *pe, enum wire_type type, struct peer_frame *ret);

void peer_hello(struct peer *pe, uint32_t version, uint8_t nonce_byte);
/* The same with WIRE_HELLO_* flags. Resync, park and arrive leave a file of their names. */
void peer_hello_with(struct peer *pe, uint32_t version, uint8_t nonce_byte, uint32_t flags);
/* HELLO of another host end to a guest that was held: READY's `kept`. */
uint32_t peer_meet_again(struct peer *pe, uint32_t keep);
/* Hello and the answer to it. */
void peer_meet(struct peer *pe);
/* SYNC and the answer to it, dropping the frames before: its enum wire_synced_how. */
uint32_t peer_sync(struct peer *pe);
/* What the agent wrote into the cgroup's file; it is frozen when this machine says so. */
char peer_frozen(const struct peer *pe);
/* EXEC and CONFIG. `command`: as the stand-in takes it. */
void peer_exec(struct peer *pe, uint32_t exec, uint32_t flags, const char *command);
/* The exec numbers 1 to `n` are free, and nothing of old jobs is under way: each runs one. */
void peer_expect_free(struct peer *pe, uint32_t n);
void peer_credit(struct peer *pe, uint32_t stream, size_t bytes);
/* Takes everything up to EXIT, giving credit; output is kept up to `size` bytes. */
size_t peer_finish(struct peer *pe, uint32_t exec, char *out, size_t size, struct wire_exit *ret);

#endif
