/*
 * relay: the records between the keeper and lazaret-relay, over SOCK_SEQPACKET, one record a
 * packet.
 *
 * Both ends come from one build and run on one host, so a record is the struct itself. The relay
 * checks no more of a command than its size: the keeper is trusted. The keeper checks everything in
 * an event (struct channel_event), because a relay may have been taken over by a guest.
 */
#ifndef LZ_CHANNEL_RELAY_H
#define LZ_CHANNEL_RELAY_H

#include "channel/channel.h"
#include "shared/tree.h"
#include "shared/wire.h"

/* The relay's fds; what is absent is /dev/null. */
enum { RELAY_CONTROL = 3, RELAY_CHANNEL, RELAY_CONSOLE, RELAY_CONSOLE_LOG };

/* What a tree may hold beside its content: no honest one has more, so beyond it is tampering. */
#define RELAY_TREE_OVERHEAD ((uint64_t)TREE_ENTRIES_MAX * (TREE_HEADER_SIZE + TREE_NAME_MAX))

/* How a job's fd is to be read or written so that the relay never blocks. */
enum relay_fd_kind {
    RELAY_FD_FILE = 0, /* regular file or plain device: never blocks for long */
    RELAY_FD_SOCKET,   /* MSG_DONTWAIT */
    RELAY_FD_NONBLOCK, /* an open file description of our own, O_NONBLOCK */
    RELAY_FD_SHARED,   /* pipe or terminal that others use in blocking mode: after poll, PIPE_BUF */
};

enum relay_command_type {
    RELAY_HELLO = 1, /* hello */
    RELAY_SECRET,    /* exec, index, name, secret_flags; one fd: for the next EXEC of this number */
    RELAY_EXEC,    /* exec, how, uid, gid; fds: RELAY_FD_* below, those that are absent left out */
    RELAY_ADOPT,   /* exec, how.flags (TTY), kinds, cap_bytes; fds: RELAY_FD_STDOUT, _STDERR */
    RELAY_SIGNAL,  /* exec, signo */
    RELAY_RESIZE,  /* exec, how.rows, how.cols */
    RELAY_COLLECT, /* cap_bytes; one fd: the spool */
    RELAY_DROP,    /* exec: what it still writes goes nowhere */
    RELAY_SYNC,    /* nothing else goes to the guest until: */
    RELAY_RESUME,
    RELAY_USAGE,
    RELAY_MOVED, /* exec: how much have its streams moved? */
};

/* The order of the fds of RELAY_EXEC. stdin is there with WIRE_EXEC_STDIN, stderr without TTY. */
enum { RELAY_FD_CONFIG = 0, RELAY_FD_STDOUT, RELAY_FD_STDERR, RELAY_FD_STDIN, RELAY_FD_MAX };

struct relay_command {
    uint32_t type;
    uint32_t exec;
    uint32_t signo;
    uint32_t index, secret_flags; /* 0 and up; WIRE_SECRET_* */
    uint32_t uid, gid;            /* whose the secrets are */
    char name[WIRE_SECRET_NAME_MAX + 1];
    uint32_t kinds[RELAY_FD_MAX]; /* enum relay_fd_kind, by RELAY_FD_* */
    uint64_t cap_bytes; /* COLLECT: of content; EXEC: kept of each output stream, 0: all */
    struct wire_exec how;
    struct wire_hello hello;
};

#endif
