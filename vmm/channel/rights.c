/* rights: what the two readers of guest bytes may still do. See rights.h. */
#include "channel/rights.h"

#include "channel/relay.h"
#include "channel/unpack_record.h"

#include <seccomp.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct confine_call relay_calls[] = {
    {SCMP_SYS(poll), CONFINE_ANY_ARG, "waiting"},
    {SCMP_SYS(read), CONFINE_ANY_ARG, "console, stdin and secrets of a job"},
    {SCMP_SYS(pread64), CONFINE_ANY_ARG, "the container's configuration"},
    {SCMP_SYS(write), CONFINE_ANY_ARG, "stdout and stderr of a job, console log, spool"},
    {SCMP_SYS(recvfrom), CONFINE_ANY_ARG, "channel, stdin that is a socket"},
    {SCMP_SYS(recvmsg), 0, "commands of the keeper, with fds: from nobody else", RELAY_CONTROL},
    {SCMP_SYS(sendto), 4, "channel, events, sinks that are sockets: to the connected peer only"},
    {SCMP_SYS(close), CONFINE_ANY_ARG, "fds of a job that has ended"},
    CONFINE_CALLS_END,
};

struct confine rights_relay(void)
{
    return (struct confine){
        .calls = relay_calls,
        .n_calls = COUNT(relay_calls),
        .dir_fd = -1,
        .max_fds = RELAY_CONSOLE_LOG + 1 + 1 + RELAY_FD_MAX * (WIRE_EXEC_MAX + 1) +
                   WIRE_SECRETS_MAX * WIRE_EXEC_MAX,
        .max_file_bytes = UINT64_MAX, /* the user's own stdout may be a file of any size */
        .max_address_bytes = RIGHTS_ADDRESS_MAX,
    };
}

static const struct confine_call unpack_calls[] = {
    {SCMP_SYS(pread64), 0, "the spool", UNPACK_SPOOL},
    {SCMP_SYS(openat), CONFINE_ANY_ARG, "folders on the way, and the file that is written"},
    {SCMP_SYS(write), CONFINE_ANY_ARG, "files of the output"},
    {SCMP_SYS(renameat2), CONFINE_ANY_ARG, "a whole file gets its name"},
    {SCMP_SYS(linkat), CONFINE_ANY_ARG, "the same, where the file system has no NOREPLACE"},
    {SCMP_SYS(unlinkat), CONFINE_ANY_ARG, "a file that did not become whole"},
    {SCMP_SYS(sendto), 0, "records, to the keeper only", UNPACK_RESULT},
    {SCMP_SYS(mkdirat), CONFINE_ANY_ARG, "folders of the output"},
    {SCMP_SYS(close), CONFINE_ANY_ARG, "fds of the above"},
    CONFINE_CALLS_END,
};

/* One file, and everything in it: no folder is made or opened. */
static const struct confine_call seal_calls[] = {
    {SCMP_SYS(pread64), 0, "the spool", UNPACK_SPOOL},
    {SCMP_SYS(openat), CONFINE_ANY_ARG, "the file that is written"},
    {SCMP_SYS(write), CONFINE_ANY_ARG, "the same"},
    {SCMP_SYS(renameat2), CONFINE_ANY_ARG, "it is whole and gets its name"},
    {SCMP_SYS(linkat), CONFINE_ANY_ARG, "the same, where the file system has no NOREPLACE"},
    {SCMP_SYS(unlinkat), CONFINE_ANY_ARG, "it did not become whole"},
    {SCMP_SYS(sendto), 0, "records, to the keeper only", UNPACK_RESULT},
    {SCMP_SYS(brk), CONFINE_ANY_ARG, "headers of long names"},
    CONFINE_CALLS_END,
};

struct confine rights_unpack(int dir_fd, uint64_t max_file_bytes, bool sealed)
{
    return (struct confine){
        .calls = sealed ? seal_calls : unpack_calls,
        .n_calls = sealed ? COUNT(seal_calls) : COUNT(unpack_calls),
        .dir_fd = dir_fd,
        .max_fds = 16,
        .max_file_bytes = max_file_bytes,
        .max_address_bytes = RIGHTS_ADDRESS_MAX,
    };
}

static const struct confine_call quote_calls[] = {
    {SCMP_SYS(pread64), 0, "the spool", UNPACK_SPOOL},
    {SCMP_SYS(write), 0, "the JSON string", UNPACK_DIR},
    CONFINE_CALLS_END,
};

struct confine rights_quote(void)
{
    return (struct confine){
        .calls = quote_calls,
        .n_calls = COUNT(quote_calls),
        .dir_fd = -1,
        .max_fds = 8,
        .max_file_bytes = UINT64_MAX,
        .max_address_bytes = RIGHTS_ADDRESS_MAX,
    };
}
