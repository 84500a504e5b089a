/* peer: a scripted host in front of the real agent code, over a socketpair. See peer.h. */
#include "tests/peer/peer.h"

#include "agent/session.h"
#include "base/file.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const folders[] = {"run", "state", "cgroup", "cgroup/exec-1", "out"};

/* The guest's clock and entropy are this machine's: only leave a mark. The agent is in its folder.
 */
static int mark(const char *name, struct boot_fault *f)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return boot_fail(f, "mark '%s'", name);
    close(fd);
    return 0;
}

static int mark_resync(const struct wire_hello *m, struct boot_fault *f)
{
    if (m->seed[0] == 0)
        return mark("resync", f);
    errno = EINVAL;
    return boot_fail(f, "seed");
}

/* As the real ones: disks that are taken cannot be parked. */
static int mark_park(struct boot_fault *f)
{
    if (access("arrived", F_OK) < 0)
        return mark("parked", f);
    errno = EBUSY;
    return boot_fail(f, "park");
}

static int mark_arrive(const struct wire_hello *m, struct boot_fault *f)
{
    if (m->uid != PEER_UID) {
        errno = EINVAL;
        return boot_fail(f, "uid");
    }
    return mark("arrived", f);
}

static _Noreturn void be_agent(const struct peer *pe, int fd, const char *failed)
{
    char paths[3][96];
    struct session_config c = {.resync = mark_resync,
                               .park = mark_park,
                               .arrive = mark_arrive,
                               .failed = failed,
                               .audit_fd = pe->audit,
                               .out_dir = "out",
                               .scratch = "scratch",
                               .secrets = {.dir = "secrets"}};
    const char *standin = getenv("LZ_STANDIN");
    int rc;

    for (size_t i = 0; i < COUNT(paths); i++)
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", pe->dir, folders[i]);
    c.run_dir = paths[0];
    c.container =
        (struct container_paths){.runtime_fd = open(standin ? standin : "", O_RDONLY | O_CLOEXEC),
                                 .state = paths[1],
                                 .cgroup = paths[2]};
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(pe->dir) < 0)
        _exit(PEER_OTHER);
    rc = session_run(fd, &c);
    _exit(rc == -EPROTO ? PEER_PROTOCOL : rc == -ECANCELED ? PEER_TOLD : PEER_OTHER);
}

static void put_file(const struct peer *pe, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", pe->dir, name);
    f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

char peer_frozen(const struct peer *pe)
{
    char path[128];
    FILE *f;
    int c;

    (void)snprintf(path, sizeof(path), "%s/cgroup/cgroup.freeze", pe->dir);
    f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    c = getc(f);
    (void)fclose(f);
    return (char)c;
}

static void open_agent(struct peer *pe, const char *failed)
{
    const int room = 16384;
    int fds[2];
    char path[128];

    ck_assert_msg(getenv("LZ_STANDIN"), "LZ_STANDIN must name the stand-in for crun");
    (void)snprintf(pe->dir, sizeof(pe->dir), "/tmp/lz-peer-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(pe->dir));
    for (size_t i = 0; i < COUNT(folders); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", pe->dir, folders[i]);
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    put_file(pe, "cgroup/cgroup.freeze", "0");
    put_file(pe, "cgroup/cgroup.events", "populated 1\nfrozen 1\n");
    /* SYNC shall not wait for the disks of this machine. */
    (void)snprintf(path, sizeof(path), "%s/scratch", pe->dir);
    ck_assert_int_eq(symlink("/dev", path), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    /* Less than a frame, so that the agent has to wait for room. */
    ck_assert_int_eq(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
    wire_reader_init(&pe->reader);
    pe->agent = fork();
    ck_assert_int_ge(pe->agent, 0);
    if (pe->agent == 0) {
        close(fds[0]);
        be_agent(pe, fds[1], failed);
    }
    close(fds[1]);
    pe->fd = fds[0];
}

void peer_open(struct peer *pe, const char *failed)
{
    pe->audit = pe->kernel = -1;
    open_agent(pe, failed);
}

void peer_open_audited(struct peer *pe)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    pe->audit = fds[0];
    pe->kernel = fds[1];
    open_agent(pe, NULL);
    close(pe->audit);
}

void peer_close(struct peer *pe)
{
    struct err e;

    if (pe->kernel >= 0)
        close(pe->kernel);

    if (pe->agent > 0) {
        kill(pe->agent, SIGKILL);
        waitpid(pe->agent, NULL, 0);
    }
    close(pe->fd);
    ck_assert_msg(file_remove_tree(AT_FDCWD, pe->dir, &e) == 0, "%s", e.text);
}

int peer_wait(struct peer *pe)
{
    struct pollfd p = {.fd = pe->fd, .events = 0};
    int status = 0;

    /* The agent's end of the socketpair closes with it. */
    ck_assert_msg(poll(&p, 1, PEER_WAIT_MS) == 1, "the agent did not end");
    waitpid(pe->agent, &status, 0);
    pe->agent = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void peer_send(struct peer *pe, enum wire_type type, uint32_t stream, const void *p, size_t len)
{
    const struct wire_header h = {
        .type = (uint16_t)type, .stream = stream, .length = (uint32_t)len};
    uint8_t raw[WIRE_HEADER_SIZE + WIRE_PAYLOAD_MAX];
    size_t size = WIRE_HEADER_SIZE + len;

    wire_header_format(raw, &h);
    if (len > 0)
        memcpy(raw + WIRE_HEADER_SIZE, p, len);
    for (size_t at = 0; at < size;) {
        ssize_t n = send(pe->fd, raw + at, size - at, MSG_NOSIGNAL);

        /* An agent that has ended its session is what some tests are about: peer_wait() tells. */
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return;
        ck_assert_msg(n > 0, "send: %s", strerror(errno));
        at += (size_t)n;
    }
}

bool peer_next(struct peer *pe, struct peer_frame *ret, int wait_ms)
{
    for (;;) {
        struct pollfd p = {.fd = pe->fd, .events = POLLIN};
        const uint8_t *payload;
        uint8_t *at;
        size_t space;
        ssize_t n;
        int rc = wire_reader_next(&pe->reader, &ret->h, &payload);

        ck_assert_int_ge(rc, 0);
        if (rc == 1) {
            memcpy(ret->p, payload, ret->h.length);
            return true;
        }
        space = wire_reader_space(&pe->reader, &at);
        if (poll(&p, 1, wait_ms) != 1)
            return false;
        n = read(pe->fd, at, space);
        if (n <= 0)
            return false;
        wire_reader_commit(&pe->reader, (size_t)n);
    }
}

void peer_expect(struct peer *pe, enum wire_type type, struct peer_frame *ret)
{
    ck_assert_msg(peer_next(pe, ret, PEER_WAIT_MS), "no %s came", wire_type_name((uint16_t)type));
    ck_assert_str_eq(wire_type_name(ret->h.type), wire_type_name((uint16_t)type));
}

void peer_hello(struct peer *pe, uint32_t version, uint8_t nonce_byte)
{
    peer_hello_with(pe, version, nonce_byte, 0);
}

static void send_hello(struct peer *pe, uint8_t nonce_byte, struct wire_hello m)
{
    uint8_t raw[WIRE_HELLO_SIZE];

    m.time_ns = 1;
    m.uid = m.gid = PEER_UID;
    memset(m.nonce, nonce_byte, sizeof(m.nonce));
    wire_hello_format(raw, &m);
    peer_send(pe, WIRE_HELLO, 0, raw, sizeof(raw));
}

void peer_hello_with(struct peer *pe, uint32_t version, uint8_t nonce_byte, uint32_t flags)
{
    send_hello(pe, nonce_byte, (struct wire_hello){.version = version, .flags = flags});
}

uint32_t peer_meet_again(struct peer *pe, uint32_t keep)
{
    static struct peer_frame f;
    struct wire_ready m = {.kept = UINT32_MAX};

    send_hello(pe, 9, (struct wire_hello){.version = WIRE_VERSION, .keep = keep});
    peer_expect(pe, WIRE_READY, &f);
    ck_assert_int_eq(wire_ready_parse(f.p, f.h.length, &m), 0);
    return m.kept;
}

void peer_meet(struct peer *pe)
{
    struct peer_frame f;

    peer_hello(pe, WIRE_VERSION, 7);
    peer_expect(pe, WIRE_READY, &f);
}

uint32_t peer_sync(struct peer *pe)
{
    static struct peer_frame f;
    uint32_t how = UINT32_MAX;

    peer_send(pe, WIRE_SYNC, 0, NULL, 0);
    do
        ck_assert_msg(peer_next(pe, &f, PEER_WAIT_MS), "no SYNCED came");
    while (f.h.type != WIRE_SYNCED);
    ck_assert_int_eq(wire_synced_parse(f.p, f.h.length, &how), 0);
    return how;
}

void peer_exec(struct peer *pe, uint32_t exec, uint32_t flags, const char *command)
{
    const struct wire_exec m = {
        .flags = flags, .rows = 33, .cols = 77, .config_size = (uint32_t)strlen(command)};
    uint8_t raw[WIRE_EXEC_SIZE];

    wire_exec_format(raw, &m);
    peer_send(pe, WIRE_EXEC, wire_stream(exec, WIRE_CONTROL), raw, sizeof(raw));
    peer_send(pe, WIRE_CONFIG, wire_stream(exec, WIRE_CONTROL), command, strlen(command));
}

void peer_expect_free(struct peer *pe, uint32_t n)
{
    static struct peer_frame f;
    struct wire_exit ex;
    char out[16];

    for (uint32_t exec = 1; exec <= n; exec++) {
        peer_exec(pe, exec, 0, "echo\nnew");
        peer_expect(pe, WIRE_STARTED, &f);
        ck_assert_uint_eq(peer_finish(pe, exec, out, sizeof(out), &ex), 4);
    }
}

void peer_credit(struct peer *pe, uint32_t stream, size_t bytes)
{
    uint8_t raw[4];

    wire_u32_format(raw, (uint32_t)bytes);
    peer_send(pe, WIRE_CREDIT, stream, raw, sizeof(raw));
}

size_t peer_finish(struct peer *pe, uint32_t exec, char *out, size_t size, struct wire_exit *ret)
{
    struct peer_frame f;
    size_t n = 0;

    for (;;) {
        ck_assert_msg(peer_next(pe, &f, PEER_WAIT_MS), "no EXIT came");
        ck_assert_uint_eq(wire_stream_exec(f.h.stream), exec);
        if (f.h.type == WIRE_EXIT)
            break;
        if (f.h.type != WIRE_DATA)
            continue;
        ck_assert_uint_le(f.h.length, size - n);
        memcpy(out + n, f.p, f.h.length);
        n += f.h.length;
        peer_credit(pe, f.h.stream, f.h.length);
    }
    ck_assert_int_eq(wire_exit_parse(f.p, f.h.length, ret), 0);
    return n;
}
