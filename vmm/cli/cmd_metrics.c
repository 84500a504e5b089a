/*
 * cmd_metrics: `lazaret metrics`: what sandboxes use, in Prometheus' text format (version 0.0.4).
 *
 * The format: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#include "base/own.h"
#include "cli/cli.h"
#include "cli/live.h"
#include "cli/output_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

const char help_metrics[] =
    "usage: lazaret metrics [--textfile FILE | --listen PORT]\n"
    "\n"
    "Prints what sandboxes use, by the host's count, in Prometheus' text format.\n"
    "\n"
    "  --textfile FILE  write it to FILE, whole or not at all: for the node exporter's textfile\n"
    "                   collector, whose files end with .prom\n"
    "  --listen PORT    answer GET /metrics on 127.0.0.1:PORT until interrupted\n";

struct metric {
    const char *name, *type, *help, *key;
    double scale;
};

/* Of each sandbox. */
static const struct metric of_sandbox[] = {
    {"lazaret_cpu_seconds_total", "counter", "processor time of QEMU", "cpu_ns", 1e-9},
    {"lazaret_vcpus", "gauge", "virtual processors", "vcpus", 1},
    {"lazaret_memory_bytes", "gauge", "memory of the guest", "memory_bytes", 1},
    {"lazaret_resident_bytes", "gauge", "resident memory of QEMU", "resident_bytes", 1},
};
/* Of each of its disks. */
static const struct metric of_disk[] = {
    {"lazaret_disk_read_bytes_total", "counter", "read by the guest", "read_bytes", 1},
    {"lazaret_disk_written_bytes_total", "counter", "written by the guest", "written_bytes", 1},
    {"lazaret_disk_physical_bytes", "gauge", "on the host", "physical_bytes", 1},
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void add_label(struct str *s, const char *name, const char *value)
{
    str_addf(s, "%s%s=\"", s->data[s->len - 1] == '{' ? "" : ",", name);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            str_add(s, "\\");
        str_add_bytes(s, *value == '\n' ? " " : value, 1);
    }
    str_add(s, "\"");
}

static void add_head(struct str *s, const struct metric *m)
{
    str_addf(s, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
}

static void add_value(struct str *s, const struct metric *m, const struct doc *d,
                      const char *sandbox, const char *disk)
{
    str_addf(s, "%s{", m->name);
    add_label(s, "sandbox", sandbox);
    if (disk)
        add_label(s, "disk", disk);
    str_addf(s, "} %.15g\n", (double)cli_number(d, m->key) * m->scale);
}

static void add_disks(struct str *s, const struct metric *m, const struct doc *row)
{
    const struct doc *disks = NULL;

    if (doc_get_array(row, "disks", &disks, &(struct err){0}) < 0)
        return;
    for (size_t i = 0; i < doc_len(disks); i++)
        add_value(s, m, doc_at(disks, i), cli_text(row, "name"),
                  cli_text(doc_at(disks, i), "target"));
}

static void add_states(struct str *s, const struct doc *all)
{
    static const char *const kinds[] = {"run", "sandbox"};
    static const char *const states[] = {"starting", "running", "paused", "kept", "dead"};

    str_add(s, "# HELP lazaret_guests runs and sandboxes, by state\n# TYPE lazaret_guests gauge\n");
    for (size_t k = 0; k < COUNT(kinds); k++)
        for (size_t i = 0; i < COUNT(states); i++) {
            unsigned n = 0;

            for (size_t j = 0; j < doc_len(all); j++)
                n += strcmp(cli_text(doc_at(all, j), "kind"), kinds[k]) == 0 &&
                     strcmp(cli_text(doc_at(all, j), "state"), states[i]) == 0;
            str_addf(s, "lazaret_guests{kind=\"%s\",state=\"%s\"} %u\n", kinds[k], states[i], n);
        }
}

static int format(const char *data_dir, struct str *s, struct err *e)
{
    own_doc struct doc *all = NULL, *live = NULL;

    if (run_list(data_dir, true, &all, e) < 0 || live_stats(data_dir, all, NULL, &live, e) < 0)
        return -1;
    add_states(s, all);
    for (size_t i = 0; i < COUNT(of_sandbox); i++) {
        add_head(s, &of_sandbox[i]);
        for (size_t j = 0; j < doc_len(live); j++)
            add_value(s, &of_sandbox[i], doc_at(live, j), cli_text(doc_at(live, j), "name"), NULL);
    }
    for (size_t i = 0; i < COUNT(of_disk); i++) {
        add_head(s, &of_disk[i]);
        for (size_t j = 0; j < doc_len(live); j++)
            add_disks(s, &of_disk[i], doc_at(live, j));
    }
    return 0;
}

static enum MHD_Result respond(struct MHD_Connection *c, unsigned status, char *text)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result rc;

    if (!r) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
                                  "text/plain; version=0.0.4; charset=utf-8");
    rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

/* A page in a browser may reach a loopback address by a name of its own: not with our numbers. */
static bool is_loopback(struct MHD_Connection *c)
{
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    size_t len = host ? strcspn(host, ":") : 0;

    return host && ((len == 9 && strncasecmp(host, "localhost", len) == 0) ||
                    (len == 9 && strncmp(host, "127.0.0.1", len) == 0));
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **request)
{
    const char *data_dir = arg;
    struct str s = {0};
    struct err e;

    (void)version, (void)data, (void)request;
    if (*data_size > 0)
        return MHD_NO;
    if (strcmp(method, "GET") != 0 || strcmp(url, "/metrics") != 0 || !is_loopback(c))
        return respond(c, MHD_HTTP_NOT_FOUND, str_dup("GET /metrics\n"));
    if (format(data_dir, &s, &e) < 0) {
        str_done(&s);
        return respond(c, MHD_HTTP_INTERNAL_SERVER_ERROR, str_printf("%s\n", e.text));
    }
    return respond(c, MHD_HTTP_OK, str_steal(&s));
}

/* Until a signal ends us. No thread: the library is driven from here. */
static int listen_on(const char *data_dir, uint16_t port, struct err *e)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL, port, NULL, NULL, answer, (void *)(uintptr_t)data_dir, MHD_OPTION_SOCK_ADDR,
        &at, MHD_OPTION_CONNECTION_LIMIT, 16u, MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
    const union MHD_DaemonInfo *info;

    if (!d)
        return err_sys(e, ERR_HOST, errno, "cannot listen on 127.0.0.1:%u", port);
    info = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD);
    for (;;) {
        struct pollfd p = {.fd = info ? info->listen_fd : -1, .events = POLLIN};

        (void)poll(&p, 1, 1000);
        if (MHD_run(d) != MHD_YES)
            break;
    }
    MHD_stop_daemon(d);
    return err_set(e, ERR_HOST, "cannot go on listening on 127.0.0.1:%u", port);
}

int cmd_metrics(int argc, char **argv)
{
    const char *file = NULL, *port_text = NULL;
    const struct cli_option options[] = {{.name = "--textfile", .ret_value = &file},
                                         {.name = "--listen", .ret_value = &port_text},
                                         {0}};
    own_paths struct cli_paths paths = {0};
    own_str struct str s = {0};
    uint64_t port = 0;
    struct err e;
    int status = cli_parse(&argc, argv, options, help_metrics);

    if (status >= 0)
        return status;
    if (argc > 1)
        return cli_misuse(argv[0], "unexpected argument '%s'", argv[1]);
    if (file && port_text)
        return cli_misuse(argv[0], "--textfile and --listen exclude each other");
    if ((port_text && str_parse_u64(port_text, "--listen", 1, 65535, &port, &e) < 0) ||
        cli_paths_find(&paths, &e) < 0 ||
        (port && listen_on(paths.data_dir, (uint16_t)port, &e) < 0) ||
        format(paths.data_dir, &s, &e) < 0 ||
        (file && output_file(file, s.data, s.len, 0644, &e) < 0))
        return cli_fail(&e);
    if (!file)
        fputs(s.data, stdout);
    return cli_flush();
}
