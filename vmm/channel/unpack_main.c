/*
 * lazaret-unpack: turns a spooled output tree into files below one folder, or into one file there
 * that is sealed to public keys, or with `json` spooled text into a JSON string, and does nothing
 * else.
 *
 * Must: be the folder's owner, and confined, before the first byte of the spool is read.
 * Must not: reach anything outside the folder (Landlock), outlive the keeper, or say anything but
 * fixed-size records with escaped names.
 */
#include "channel/extract.h"
#include "channel/quote.h"
#include "channel/rights.h"
#include "channel/unpack.h"
#include "channel/unpack_record.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int print_json(void)
{
    const struct confine rights = rights_quote();
    struct err e;

    if (confine_self(&rights, &e) < 0) {
        (void)!write(STDERR_FILENO, e.text, strlen(e.text));
        return 1;
    }
    return quote_spool(UNPACK_SPOOL, UNPACK_DIR) < 0;
}

static struct sealed_out sealed;
static struct extract extract = {.spool_fd = UNPACK_SPOOL, .dir_fd = UNPACK_DIR, .parent_fd = -1};

static void send_record(const struct unpack_record *r)
{
    /* Blocking: the keeper reads while we work, and has the deadline. */
    while (send(UNPACK_RESULT, r, sizeof(*r), MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            _exit(1); /* nobody wants to know */
}

static void send_refused(struct extract *x, enum tree_why why, bool by_guest, const char *name,
                         size_t len)
{
    struct unpack_record r = {.type = UNPACK_REFUSED, .why = why, .by_guest = by_guest};

    if (x->n_refused > UNPACK_REFUSED_MAX)
        return;
    str_escape(r.text, sizeof(r.text), name, len);
    send_record(&r);
}

static void send_made(struct extract *x, const char *sha256)
{
    struct unpack_record r = {.type = UNPACK_MADE, .bytes = x->entry.size};

    if (x->files > UNPACK_MADE_MAX)
        return;
    memcpy(r.sha256, sha256, sizeof(r.sha256));
    str_escape(r.text, sizeof(r.text), x->entry.name, x->entry.name_len);
    send_record(&r);
}

/*
 * Root without capabilities could not write into another user's folder. As that user it can, the
 * files belong to them, and one right less is held. An ordinary user is who they are.
 */
static int become_owner(struct err *e)
{
    const pid_t parent = getppid();
    struct stat st;

    if (geteuid() != 0)
        return 0;
    if (fstat(UNPACK_DIR, &st) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
        setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot become the owner of the output folder");
    /* Whoever changes its user does not die with its parent any more. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_sys(e, ERR_HOST, errno, "prctl");
    return getppid() == parent ? 0 : err_set(e, ERR_HOST, "the keeper is gone");
}

/* Half a file never has the name of a whole one. */
static int extract_sealed(struct err *e)
{
    int fd = openat(UNPACK_DIR, EXTRACT_PART, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0666);
    int rc;

    if (fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make a file of the output");
    extract.sealed = &sealed;
    sealed.writer.fd = fd;
    rc = extract_run(&extract, e);
    if (rc == 0 &&
        (sealed_out_end(&sealed) < 0 || extract_give_name(UNPACK_DIR, UNPACK_SEALED) < 0))
        rc = err_sys(e, ERR_HOST, errno, "cannot write the sealed output");
    if (rc < 0)
        unlinkat(UNPACK_DIR, EXTRACT_PART, 0);
    return rc;
}

static int unpack(const char *max, bool list, const char *const *keys, size_t n_keys, struct err *e)
{
    struct confine rights;

    if (str_parse_u64(max, "size", 0, UINT64_MAX, &extract.max_bytes, e) < 0)
        return -1;
    rights = rights_unpack(UNPACK_DIR,
                           n_keys > 0 ? sealed_out_max_bytes(extract.max_bytes) : extract.max_bytes,
                           n_keys > 0);
    if (list && n_keys == 0) {
        if (digest_new(&extract.digest, e) < 0)
            return -1;
        extract.made = send_made;
    }
    if (n_keys > 0 && sealed_out_begin(&sealed, keys, n_keys, e) < 0)
        return -1;
    if (become_owner(e) < 0 || confine_self(&rights, e) < 0)
        return err_wrap(e, "lazaret-unpack cannot begin");
    return n_keys > 0 ? extract_sealed(e) : extract_run(&extract, e);
}

int main(int argc, char **argv)
{
    struct unpack_record r = {.type = UNPACK_DONE};
    struct err e;

    if (argc == 2 && strcmp(argv[1], "json") == 0)
        _exit(print_json());
    if (argc < 3)
        return 2; /* not started by unpack_run() */
    extract.refused = send_refused;
    if (unpack(argv[1], strcmp(argv[2], UNPACK_LIST) == 0, (const char *const *)argv + 3,
               (size_t)argc - 3, &e) < 0) {
        r.type = UNPACK_ERROR;
        r.class = e.class == ERR_PROTOCOL || e.class == ERR_LIMIT ? e.class : ERR_HOST;
        str_escape(r.text, sizeof(r.text), e.text, strlen(e.text));
    } else {
        r.files = extract.files;
        r.folders = extract.folders;
        r.bytes = extract.bytes;
        r.refused = extract.n_refused;
    }
    send_record(&r);
    _exit(0);
}
