/* cli: what the commands share: where things are, and how results are printed. */
#include "cli/cli.h"

#include "base/file.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What a careless parent may have left: a closed standard fd would be taken by a file of ours and
 * then handed to the job; other fds would live on in the keeper; ignored children could not be
 * waited for; and a umask that takes the owner's own bits would lock us out of our folders.
 */
static void normalize_process(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
    signal(SIGCHLD, SIG_DFL);
    umask(umask(0) & 077);
}

int cli_begin(void)
{
    normalize_process();
    /* A set-user-id manager would be a second way into the host. */
    if (getuid() == geteuid() && getgid() == getegid())
        return -1;
    log_msg(LOG_ERROR, "must not be installed set-user-id or set-group-id");
    return err_class_status(ERR_HOST);
}

static int find_data_dir(char **ret, struct err *e)
{
    const char *own = getenv("LAZARET_DATA_DIR");
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    own_free char *path = NULL;
    struct stat st;

    if (own && own[0] == '/')
        path = str_dup(own);
    else if (own && own[0])
        return err_set(e, ERR_USAGE, "LAZARET_DATA_DIR: '%s' is not an absolute path", own);
    else if (geteuid() == 0)
        path = str_dup("/var/lib/lazaret");
    else if (xdg && xdg[0] == '/')
        path = str_printf("%s/lazaret", xdg);
    else if (home && home[0] == '/')
        path = str_printf("%s/.local/share/lazaret", home);
    else
        return err_set(e, ERR_USAGE, "no place for data: set HOME or LAZARET_DATA_DIR");
    if (file_make_dirs(path, 0700, e) < 0)
        return -1;
    if (stat(path, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "cannot look at '%s'", path);
    if (st.st_uid != geteuid() || (st.st_mode & 022))
        return err_set(
            e, ERR_HOST,
            "'%s' must be a folder that belongs to you and that nobody else can write to", path);
    *ret = own_steal_ptr(path);
    return 0;
}

/*
 * In a build folder: where meson built it, seen by our own place there. Else where it is installed:
 * what lies around somewhere near us is not ours to run.
 */
static char *find_own(const char *name, const char *built_in, const char *installed_in)
{
    static const char own_place[] = "/vmm/cli/lazaret";
    own_free char *exe = realpath("/proc/self/exe", NULL);
    size_t len = exe ? strlen(exe) : 0;
    size_t tail = sizeof(own_place) - 1;

    if (len > tail && strcmp(exe + len - tail, own_place) == 0)
        return str_printf("%.*s/%s/%s", (int)(len - tail), exe, built_in, name);
    return str_printf("%s/%s", installed_in, name);
}

int cli_paths_find(struct cli_paths *ret, struct err *e)
{
    struct cli_paths p = {0};

    if (find_data_dir(&p.data_dir, e) < 0)
        return -1;
    p.relay = find_own("lazaret-relay", "vmm/channel", LZ_LIBEXECDIR);
    p.preload = find_own("liblazaret-preload.so", "vmm/hv", LZ_LIBEXECDIR);
    p.wrap = find_own("lazaret-qemu", "vmm/wrap", LZ_LIBEXECDIR);
    p.unpack = find_own("lazaret-unpack", "vmm/channel", LZ_LIBEXECDIR);
    p.gateway = find_own("lazaret-gateway", "vmm/gateway", LZ_LIBEXECDIR);
    p.look = find_own("lazaret-look", "vmm/look", LZ_LIBEXECDIR);
    p.agent = find_own("lazaret-agent", "guest-agent/agent", LZ_LIBEXECDIR);
    p.recipes = find_own("recipes", "images", LZ_DATADIR);
    *ret = p;
    return 0;
}

void cli_paths_done(struct cli_paths *p)
{
    free(p->data_dir);
    free(p->relay);
    free(p->unpack);
    free(p->look);
    free(p->gateway);
    free(p->preload);
    free(p->wrap);
    free(p->agent);
    free(p->recipes);
}

int cli_fail(const struct err *e)
{
    log_err(e);
    return err_class_status(e->class);
}

int cli_misuse(const char *command, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_msg(LOG_ERROR, "%s: %s (see 'lazaret %s --help')", command, text, command);
    return err_class_status(ERR_USAGE);
}

void cli_print_doc(const struct doc *d)
{
    own_free char *text = doc_format(d, true);

    fputs(text, stdout);
}

int cli_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    log_msg(LOG_ERROR, "cannot write to stdout: %s", strerror(errno));
    return err_class_status(ERR_HOST);
}

const char *cli_text(const struct doc *d, const char *key)
{
    const char *text;
    struct err missing;

    return doc_get_str(d, key, &text, &missing) == 0 && *text ? text : "-";
}

uint64_t cli_number(const struct doc *d, const char *key)
{
    uint64_t n;
    struct err missing;

    return doc_get_u64(d, key, &n, &missing) == 0 ? n : 0;
}

int cli_simple_options(int argc, char **argv, const char *help, bool *ret_json, const char *flag,
                       bool *ret_flag)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return cli_flush();
        }
        if (ret_json && strcmp(argv[i], "--json") == 0)
            *ret_json = true;
        else if (flag && strcmp(argv[i], flag) == 0)
            *ret_flag = true;
        else if (argv[i][0] == '-')
            return cli_misuse(argv[0], "unknown option '%s'", argv[i]);
        else
            return cli_misuse(argv[0], "unexpected argument '%s'", argv[i]);
    }
    return -1;
}

/* The option that `word` is, with or without "=VALUE". */
static const struct cli_option *find_option(const struct cli_option *options, const char *word)
{
    size_t len = str_starts_with(word, "--") ? strcspn(word, "=") : strlen(word);

    for (; options->name; options++)
        if (strlen(options->name) == len && strncmp(options->name, word, len) == 0)
            return options;
    return NULL;
}

int cli_parse(int *argc, char **argv, const struct cli_option *options, const char *help)
{
    int kept = 1, i;

    for (i = 1; help && i < *argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return cli_flush();
        }
    }
    for (i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const struct cli_option *o = find_option(options, argv[i]);
        const char *value = str_starts_with(argv[i], "--") ? strchr(argv[i], '=') : NULL;

        if (argv[i][0] != '-' || !argv[i][1]) {
            argv[kept++] = argv[i];
            continue;
        }
        if (!o)
            return cli_misuse(argv[0], "unknown option '%s'", argv[i]);
        if (o->ret_flag) {
            if (value)
                return cli_misuse(argv[0], "option '%s' takes no value", o->name);
            *o->ret_flag = true;
            continue;
        }
        if (!value && i + 1 == *argc)
            return cli_misuse(argv[0], "option '%s' needs a value", o->name);
        value = value ? value + 1 : argv[++i];
        if (o->ret_value)
            *o->ret_value = value;
        else
            strv_add(o->ret_values, value);
    }
    for (i++; i < *argc; i++) /* behind "--" */
        argv[kept++] = argv[i];
    *argc = kept;
    argv[kept] = NULL;
    return -1;
}

int cli_parse_sandbox(int *argc, char **argv, const struct cli_option *options, const char *help,
                      int more)
{
    int status = cli_parse(argc, argv, options, help);

    if (status >= 0)
        return status;
    if (*argc < 2)
        return cli_misuse(argv[0], "which sandbox?");
    if (*argc > 2 + more)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[2 + more]);
    return -1;
}
