/*
 * connect: prepares libvirt's root and environment, opens the connection and closes it.
 *
 * How it works
 *   The embedded driver keeps everything below its root: qemu.conf is written there before it is
 *   opened, and cache/qemu is a link to the shared capability cache, without which the first start
 *   probes QEMU for 0.6 s. What an unprivileged libvirt would put into the home folder goes below
 *   the root too. Libvirt reads its log settings from the environment, once, in virInitialize().
 */
#include "base/file.h"
#include "base/own.h"
#include "base/str.h"
#include "hv/conf.h"
#include "hv/hv_private.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define QEMU_USER "libvirt-qemu"

static void be_quiet(void *opaque, virErrorPtr error)
{
}

int hv_qemu_owner(const char *uri, uid_t *ret_uid, gid_t *ret_gid, struct err *e)
{
    const struct passwd *pw;

    if (geteuid() != 0 && !(uri && strcmp(uri, "qemu:///system") == 0)) {
        *ret_uid = geteuid();
        *ret_gid = getegid();
        return 0;
    }
    errno = 0;
    pw = getpwnam(QEMU_USER);
    /* Where there is none, each source of accounts has its own errno, or none. */
    if (!pw && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EIO))
        return err_sys(e, ERR_HOST, errno, "cannot look for the account '%s'", QEMU_USER);
    if (!pw)
        return err_set(e, ERR_HOST,
                       "there is no account '%s', which QEMU runs as when root starts it (add it: "
                       "useradd --system --user-group --home-dir /nonexistent libvirt-qemu)",
                       QEMU_USER);
    *ret_uid = pw->pw_uid;
    *ret_gid = pw->pw_gid;
    return 0;
}

/*
 * Libvirt's messages go to a file. It parts the setting at spaces, and opens the file again in each
 * child, so the embedded driver gets a link in its root, and no fd of ours would do.
 */
static int set_log(const struct hv_config *c, struct err *e)
{
    own_close int fd =
        open(c->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    own_free char *real = fd < 0 ? NULL : realpath(c->log_path, NULL);
    own_free char *link = c->uri ? NULL : str_printf("%s/libvirt.log", c->root);
    own_free char *outputs = NULL;

    if (!real)
        return err_sys(e, ERR_HOST, errno, "cannot open log file '%s'", c->log_path);
    if (link && ((unlink(link) < 0 && errno != ENOENT) || symlink(real, link) < 0))
        return err_sys(e, ERR_HOST, errno, "cannot link '%s'", link);
    if (!link && strchr(real, ' '))
        return err_set(e, ERR_HOST,
                       "libvirt cannot write its log to '%s' (use a folder without a "
                       "space in its name)",
                       real);
    outputs = str_printf("3:file:%s", link ? link : real);
    if (setenv("LIBVIRT_LOG_OUTPUTS", outputs, 1) < 0 || unsetenv("LIBVIRT_LOG_FILTERS") < 0 ||
        unsetenv("LIBVIRT_DEBUG") < 0)
        return err_sys(e, ERR_HOST, errno, "cannot set the environment");
    virSetErrorFunc(NULL, be_quiet);
    if (virInitialize() < 0)
        return hv_error_set(e, "cannot initialise libvirt");
    return 0;
}

static int set_user_dirs(int root_fd, const char *root, struct err *e)
{
    static const char *const dirs[][2] = {
        {"XDG_RUNTIME_DIR", "user-run"},
        {"XDG_CACHE_HOME", "user-cache"},
        {"XDG_CONFIG_HOME", "user-config"},
    };

    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        own_free char *path = str_printf("%s/%s", root, dirs[i][1]);

        if (mkdirat(root_fd, dirs[i][1], 0700) < 0 && errno != EEXIST)
            return err_sys(e, ERR_HOST, errno, "cannot make folder '%s'", path);
        if (setenv(dirs[i][0], path, 1) < 0)
            return err_sys(e, ERR_HOST, errno, "cannot set the environment");
    }
    return 0;
}

static int link_cache(int root_fd, const char *cache_dir, struct err *e)
{
    own_free char *real = NULL;

    if (file_make_dirs(cache_dir, 0700, e) < 0)
        return -1;
    real = realpath(cache_dir, NULL);
    if (!real)
        return err_sys(e, ERR_HOST, errno, "cannot open folder '%s'", cache_dir);
    if (mkdirat(root_fd, "cache", 0755) < 0 && errno != EEXIST)
        return err_sys(e, ERR_HOST, errno, "cannot make libvirt's cache folder");
    if (symlinkat(real, root_fd, "cache/qemu") < 0 && errno != EEXIST)
        return err_sys(e, ERR_HOST, errno, "cannot link libvirt's cache folder");
    return 0;
}

static int write_conf(int etc_fd, uid_t uid, gid_t gid, struct err *e)
{
    own_free char *text = NULL;
    struct rlimit r;

    if (getrlimit(RLIMIT_CORE, &r) < 0)
        return err_sys(e, ERR_HOST, errno, "getrlimit");
    text = hv_conf_text(&(struct hv_conf){
        .as_root = geteuid() == 0, .uid = uid, .gid = gid, .core_to_nobody = r.rlim_max > 0});
    return file_write(etc_fd, "qemu.conf", text, strlen(text), 0644, e);
}

static int prepare_root(const struct hv_config *c, struct err *e)
{
    own_close int root_fd = -1, etc_fd = -1;
    uid_t uid;
    gid_t gid;

    if (!c->root || c->root[0] != '/')
        return err_set(e, ERR_HOST, "libvirt's root needs an absolute path");
    if (strlen(c->root) > HV_ROOT_MAX)
        return err_set(
            e, ERR_HOST,
            "libvirt's root '%s' is over %d bytes, so its socket names do not fit (use a "
            "shorter path)",
            c->root, HV_ROOT_MAX);
    if (hv_qemu_owner(NULL, &uid, &gid, e) < 0 || file_open_dir(c->root, &root_fd, e) < 0)
        return -1;
    if (mkdirat(root_fd, "etc", 0755) < 0 && errno != EEXIST)
        return err_sys(e, ERR_HOST, errno, "cannot make folder '%s/etc'", c->root);
    etc_fd = openat(root_fd, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (etc_fd < 0)
        return err_sys(e, ERR_HOST, errno, "cannot open folder '%s/etc'", c->root);
    if (write_conf(etc_fd, uid, gid, e) < 0)
        return -1;
    if (geteuid() != 0 && set_user_dirs(root_fd, c->root, e) < 0)
        return -1;
    return c->cache_dir ? link_cache(root_fd, c->cache_dir, e) : 0;
}

/* Returns new: the path as it stands in a URI, everything but the plainest characters escaped. */
static char *embed_uri(const char *root)
{
    struct str uri = {0};

    str_add(&uri, "qemu:///embed?root=");
    for (const char *p = root; *p; p++)
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
            strchr("/._-", *p))
            str_add_bytes(&uri, p, 1);
        else
            str_addf(&uri, "%%%02X", (unsigned)(unsigned char)*p);
    return str_steal(&uri);
}

/* What the thread has that opens a connection, and that it keeps if it is late. */
struct opening {
    char *uri;
    const char *doing;
    virConnectPtr conn;
    struct err err;
};

static void *open_main(void *arg)
{
    struct opening *o = arg;

    o->conn = virConnectOpen(o->uri);
    if (!o->conn)
        hv_error_set(&o->err, o->doing); /* libvirt's errors are each thread's own */
    return NULL;
}

static void opening_free(struct opening *o)
{
    free(o->uri);
    free(o);
}

/* A daemon that hangs takes a connection and says nothing, and libvirt waits for it without end. */
static int open_within(struct opening *o, uint64_t ms, virConnectPtr *ret, struct err *e)
{
    pthread_t thread;
    int r = hv_thread_start(&thread, open_main, o);

    if (r != 0)
        err_sys(&o->err, ERR_HOST, r, "%s", o->doing);
    else if (!hv_thread_ended(thread, ms))
        return err_set(e, ERR_HOST, "%s: it did not answer within %u s", o->doing,
                       (unsigned)(ms / 1000));
    r = o->conn ? 0 : -1;
    if (o->conn)
        *ret = o->conn;
    else
        *e = o->err;
    opening_free(o);
    return r;
}

static int connect_to(struct hv *h, const struct hv_config *c, struct err *e)
{
    struct opening *o = calloc(1, sizeof(*o));

    if (!o)
        return err_set(e, ERR_HOST, "out of memory");
    o->uri = h->embedded ? embed_uri(c->root) : str_dup(c->uri);
    o->doing = h->embedded ? "cannot start libvirt's embedded driver" : "cannot connect to libvirt";
    if (open_within(o, c->open_ms ? c->open_ms : HV_OPEN_MS, &h->conn, e) < 0)
        return -1;
    /* The embedded and the test driver live in this process: nothing that could be lost. */
    if (h->embedded || str_starts_with(c->uri, "test:"))
        return 0;
    return hv_watch_connection(h, e);
}

static int open_all(struct hv *h, const struct hv_config *c, struct err *e)
{
    if (c->uri && !str_starts_with(c->uri, "qemu:///") && !str_starts_with(c->uri, "test:///"))
        return err_set(e, ERR_USAGE,
                       "'%s' is not a local QEMU connection (use qemu:///session or "
                       "qemu:///system; for another host, run lazaret there)",
                       c->uri);
    if (h->embedded && prepare_root(c, e) < 0)
        return -1;
    if (pipe2(h->event_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot make a pipe");
    if (set_log(c, e) < 0 || hv_loop_start(h, e) < 0 || hv_patience_open(h, e) < 0)
        return -1;
    return connect_to(h, c, e);
}

int hv_open(const struct hv_config *c, struct hv **ret, struct err *e)
{
    struct hv *h = calloc(1, sizeof(*h));

    if (!h)
        return err_set(e, ERR_HOST, "out of memory");
    h->embedded = !c->uri;
    h->event_fds[0] = h->event_fds[1] = h->qemu_fd = -1;
    h->lifecycle_id = h->io_error_id = h->loop_timer = h->late_timer = -1;
    pthread_mutex_init(&h->patience, NULL);
    h->root = c->root ? str_dup(c->root) : NULL;
    if (open_all(h, c, e) < 0) {
        hv_close(h);
        return -1;
    }
    *ret = h;
    return 0;
}

void hv_close(struct hv *h)
{
    if (!h)
        return;
    if (h->conn) {
        hv_unwatch(h);
        hv_unwatch_connection(h);
        if (h->dom)
            virDomainFree(h->dom);
        virConnectClose(h->conn);
    }
    if (!hv_loop_stop(h))
        return; /* a callback hangs: it keeps what it may still use */
    own_close_p(&h->event_fds[0]);
    own_close_p(&h->event_fds[1]);
    own_close_p(&h->qemu_fd);
    free(h->root);
    free(h);
}
