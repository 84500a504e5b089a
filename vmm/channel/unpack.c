/* unpack: the keeper's end of lazaret-unpack. See unpack.h. */
#include "channel/unpack.h"

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "channel/extract.h"
#include "channel/program.h"
#include "channel/unpack_record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A reader of ours may be slow, but not for ever. */
#define UNPACK_PRINT_MS (3600u * 1000)

/* Can a lazaret-unpack that does its duty have sent this? The tree that it read is hostile. */
static bool record_is_sane(const struct unpack_record *r, uint64_t max_bytes)
{
    if (!str_is_printable(r->text, sizeof(r->text)))
        return false;
    switch (r->type) {
    case UNPACK_REFUSED:
        return r->why > TREE_WHY_NONE && r->why < TREE_WHY_END && r->by_guest <= 1;
    case UNPACK_MADE:
        return r->bytes <= max_bytes && r->sha256[DIGEST_HEX_SIZE - 1] == '\0' &&
               digest_is_hex(r->sha256);
    case UNPACK_DONE:
        return r->bytes <= max_bytes && r->files <= TREE_ENTRIES_MAX &&
               r->folders <= TREE_ENTRIES_MAX && r->refused <= TREE_ENTRIES_MAX;
    case UNPACK_ERROR:
        return r->class == ERR_PROTOCOL || r->class == ERR_LIMIT || r->class == ERR_HOST;
    default:
        return false;
    }
}

/* The next record, before the deadline. */
static int next_record(int fd, uint64_t max_bytes, uint64_t deadline, struct unpack_record *ret,
                       struct err *e)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n;

    do
        n = poll(&p, 1, clock_poll_timeout(deadline));
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return err_set(e, ERR_HOST, "the output tree was not unpacked in time");
    if (n > 0)
        n = spawn_hear(fd, ret, sizeof(*ret));
    if (n < 0)
        return err_sys(e, ERR_HOST, errno, "cannot hear lazaret-unpack");
    if (n == 0)
        return err_set(e, ERR_HOST, "lazaret-unpack ended without a result");
    if ((size_t)n != sizeof(*ret) || !record_is_sane(ret, max_bytes))
        return err_set(e, ERR_PROTOCOL, "lazaret-unpack sent what is not a result");
    return 0;
}

static void add_refused(struct doc *list, const struct unpack_record *r)
{
    struct doc *d = doc_new_object();

    doc_set_str(d, "name", r->text);
    doc_set_str(d, "why", tree_why_text((enum tree_why)r->why));
    doc_set_str(d, "by", r->by_guest ? "guest" : "host");
    doc_add(list, d);
}

static int collect(int fd, uint64_t max_bytes, uint64_t deadline, const struct unpack_list *made,
                   struct unpack_result *ret, struct err *e)
{
    own_doc struct doc *list = doc_new_array();
    struct unpack_record r;
    unsigned n_made = 0;

    for (;;) {
        if (next_record(fd, max_bytes, deadline, &r, e) < 0)
            return -1;
        if (r.type == UNPACK_ERROR)
            return err_set(e, (enum err_class)r.class, "%s", r.text);
        if (r.type == UNPACK_DONE)
            break;
        if (r.type == UNPACK_MADE && made && n_made++ < UNPACK_MADE_MAX) {
            made->made(made->arg, r.text, r.bytes, r.sha256);
            continue;
        }
        if (r.type == UNPACK_MADE || doc_len(list) >= UNPACK_REFUSED_MAX)
            return err_set(e, ERR_PROTOCOL, "lazaret-unpack sent what is not a result");
        add_refused(list, &r);
    }
    *ret = (struct unpack_result){
        .files = r.files,
        .folders = r.folders,
        .bytes = r.bytes,
        .refused = r.refused,
        .refused_list = own_steal_ptr(list),
    };
    return 0;
}

int unpack_print_json(const char *unpack_path, int spool_fd, int out_fd, struct err *e)
{
    const char *const argv[] = {unpack_path, "json", NULL};
    const int fds[] = {spool_fd, out_fd};
    const struct spawn s = program_spawn(argv, fds, sizeof(fds) / sizeof(fds[0]));

    return spawn_tool(&s, NULL, UNPACK_PRINT_MS, NULL, e);
}

int unpack_listed(const char *unpack_path, int spool_fd, int out_dir_fd, const struct strv *to,
                  uint64_t max_bytes, uint64_t timeout_ms, const struct unpack_list *list,
                  struct unpack_result *ret, struct err *e)
{
    uint64_t deadline = clock_mono_ms() + timeout_ms;
    own_strv struct strv argv = {0};
    own_close int ours = -1, theirs = -1;
    int pair[2], r;
    pid_t pid;

    strv_add(&argv, unpack_path);
    strv_addf(&argv, "%" PRIu64, max_bytes);
    strv_add(&argv, list ? UNPACK_LIST : UNPACK_NO_LIST);
    strv_add_all(&argv, to);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, ERR_HOST, errno, "socketpair");
    ours = pair[0];
    theirs = pair[1];
    const int fds[] = {spool_fd, out_dir_fd, theirs};
    const struct spawn s =
        program_spawn((const char *const *)argv.items, fds, sizeof(fds) / sizeof(fds[0]));
    if (spawn_start(&s, &pid, e) < 0)
        return err_wrap(e, "unpack");
    close(own_steal_fd(theirs));
    r = collect(ours, max_bytes, deadline, list, ret, e);
    /* It has said all that it has to say, or is not worth waiting for. */
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (r < 0) /* of a program that has died; a sealed output has no other place for it */
        (void)unlinkat(out_dir_fd, EXTRACT_PART, 0);
    return r;
}

int unpack_run(const char *unpack_path, int spool_fd, int out_dir_fd, uint64_t max_bytes,
               uint64_t timeout_ms, struct unpack_result *ret, struct err *e)
{
    return unpack_listed(unpack_path, spool_fd, out_dir_fd, &(struct strv){0}, max_bytes,
                         timeout_ms, NULL, ret, e);
}
