/* main: the command table of lazaret. */
#include "cli/cli.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
    bool takes_fds; /* --secret: the others are closed by secrets_open(), before any is ours */
} commands[] = {
    {"run", cmd_run, help_run, .takes_fds = true},
    {"check", cmd_check, help_check},
    {"ls", cmd_ls, help_ls},
    {"show", cmd_show, help_show},
    {"gc", cmd_gc, help_gc},
    {"doctor", cmd_doctor, help_doctor},
    {"prove", cmd_prove, help_prove, .takes_fds = true},
    {"image", cmd_image, help_image},
    {"warm", cmd_warm, help_warm},
    {"pool", cmd_pool, help_pool},
    {"up", cmd_up, help_up, .takes_fds = true},
    {"exec", cmd_exec, help_exec, .takes_fds = true},
    {"down", cmd_down, help_down},
    {"pause", cmd_pause, help_pause},
    {"resume", cmd_resume, help_resume},
    {"kill", cmd_kill, help_kill},
    {"allow", cmd_allow, help_allow, .takes_fds = true},
    {"deny", cmd_deny, help_deny},
    {"ps", cmd_ps, help_ps},
    {"console", cmd_console, help_console},
    {"cp", cmd_cp, help_cp},
    {"stats", cmd_stats, help_stats},
    {"snapshot", cmd_snapshot, help_snapshot},
    {"revert", cmd_revert, help_revert},
    {"marks", cmd_marks, help_marks},
    {"forget", cmd_forget, help_forget},
    {"fork", cmd_fork, help_fork, .takes_fds = true},
    {"diff", cmd_diff, help_diff},
    {"attach", cmd_attach, help_attach},
    {"logs", cmd_logs, help_logs},
    {"metrics", cmd_metrics, help_metrics},
    {"report", cmd_report, help_report},
    {"events", cmd_events, help_events},
    {"record", cmd_record, help_record},
    {"verify", cmd_verify, help_verify},
    {"manifest", cmd_manifest, help_manifest},
    {"keygen", cmd_keygen, help_keygen},
    {"unseal", cmd_unseal, help_unseal},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int show_help(const char *topic)
{
    const struct command *c = topic ? find(topic) : NULL;

    if (topic && !c) {
        log_msg(LOG_ERROR, "there is no command '%s' (see 'lazaret --help')", topic);
        return err_class_status(ERR_USAGE);
    }
    fputs(c ? c->help : help_main, stdout);
    return cli_flush();
}

int main(int argc, char **argv)
{
    const struct command *c;
    int status = cli_begin();

    if (status >= 0)
        return status;
    if (argc < 2) {
        fputs(help_main, stderr);
        return err_class_status(ERR_USAGE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("lazaret " LZ_VERSION);
        return cli_flush();
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return show_help(NULL);
    if (strcmp(argv[1], "help") == 0)
        return show_help(argc > 2 ? argv[2] : NULL);
    c = find(argv[1]);
    if (!c) {
        log_msg(LOG_ERROR, "there is no command '%s' (see 'lazaret --help')", argv[1]);
        return err_class_status(ERR_USAGE);
    }
    if (!c->takes_fds)
        close_range(STDERR_FILENO + 1, ~0u, 0);
    return c->run(argc - 1, argv + 1);
}
