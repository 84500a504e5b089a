/* learn_make: runs that learned, and what was observed of them: for tests of learn.h. */
#ifndef LZ_TESTS_LEARN_MAKE_H
#define LZ_TESTS_LEARN_MAKE_H

#include "plan/learn.h"
#include "plan/request_write.h"
#include "tests/unit/plan_world.h"

/* Of a run of `w`, resolved; the texts of paths are joined by '|'. */
struct observed {
    struct learned l;
    struct request r;
    struct strv notes;
};

static inline void observed_done(struct observed *o)
{
    for (int kind = 0; kind < LEARN_KINDS; kind++)
        strv_done(&o->l.paths[kind]);
    request_done(&o->r);
    strv_done(&o->notes);
}
#define own_observed __attribute__((cleanup(observed_done)))

static inline void saw(struct observed *o, enum learn_kind kind, const char *paths)
{
    own_free char *copy = str_dup(paths);
    char *rest = copy, *one;

    while (rest && (one = strsep(&rest, "|")))
        strv_add(&o->l.paths[kind], one);
}

static inline void learn(struct world *w, struct observed *o)
{
    must(learn_manifest(w->plan, &w->wish, &o->l, &o->r, &o->notes, &w->e), w);
}

/* Returns new. */
static inline char *joined(const struct request *r, enum key k)
{
    own_str struct str s = {0};

    for (size_t i = 0; i < r->of[k].texts.n; i++)
        str_addf(&s, "%s%s", i ? "|" : "", r->of[k].texts.items[i]);
    return str_steal(&s);
}

static inline void read_back(const struct request *r, struct request *ret)
{
    own_free char *text = request_format(r), *again = NULL;
    struct err e;

    if (request_parse(text, strlen(text), "learned.json", ret, &e) < 0)
        ck_abort_msg("%s: %s", text, e.text);
    again = request_format(ret);
    ck_assert_str_eq(text, again);
}

/* ---- anything at all, hostile too ------------------------------------------------------------ */

#define ROUNDS 60

static inline uint32_t chance(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

static inline void add_random_path(uint32_t *seed, struct strv *to)
{
    static const char *const parts[] = {
        "/etc",   "/usr", "/in", "/work", "/a",   "/b\n",  "/..",  "/\xff", "/c",    "/d",   "/out",
        "/share", "/1",   "/2",  "/3",    "/tmp", "/\x7f", "/x y", "//",    "/\xc3", "/proc"};
    own_str struct str path = {0};

    for (uint32_t n = chance(seed, 6); n > 0; n--)
        str_add(&path, parts[chance(seed, N(parts))]);
    str_addf(&path, "/%u", chance(seed, 40));
    strv_add(to, path.data);
}

static inline void observe_anything(uint32_t *seed, struct observed *o, struct learn_destination *d,
                                    size_t n)
{
    static const char *const hosts[] = {"a.org", "x.a.org", "b.org", "10.0.0.1",
                                        "*",     "A.ORG",   "",      "a,b"};

    for (int kind = 0; kind < LEARN_KINDS; kind++)
        for (uint32_t i = chance(seed, 90); i > 0; i--)
            add_random_path(seed, &o->l.paths[kind]);
    saw(o, LEARN_EXECUTED, "/bin/x");
    for (size_t i = 0; i < n; i++)
        d[i] = (struct learn_destination){.rule = chance(seed, 5),
                                          .host = hosts[chance(seed, N(hosts))],
                                          .port = chance(seed, 2) ? 443 : 22,
                                          .count = 1};
    o->l.destinations = d;
    o->l.n_destinations = n;
    o->l.peak_bytes = (uint64_t)chance(seed, 1u << 20) << chance(seed, 44);
    o->l.job_ms = (uint64_t)chance(seed, 1u << 20) << chance(seed, 44);
    o->l.job_cpu_ms = chance(seed, 1u << 20);
    o->l.pids = chance(seed, 1u << 20);
    o->l.disk_bytes = (uint64_t)chance(seed, 1u << 20) << chance(seed, 44);
    o->l.out_bytes = (uint64_t)chance(seed, 1u << 20) << chance(seed, 20);
    o->l.out_entries = chance(seed, 3);
}

/* Every other round is of a run that was declared paths. */
static inline void set_up(struct world *w, int round)
{
    static const char *const declared[] = {
        "", ", \"read\": [\"/etc/a/\", \"/in/c\", \"/usr\", \"/usr/share\"],"
            "\"write\": [\"/work/d\", \"/out\"], \"exec\": [\"/bin/x\", \"/a/1\"]"};
    own_free char *manifest = NULL;

    w->wish.learn = true;
    add_policy(
        w,
        P(", \"max\": {\"memory\": \"1G\", \"timeout\": \"10m\", \"pids\": 100, \"disk\": \"2G\","
          "\"job_cpu_time\": \"5m\", \"output_max\": \"10M\", \"cpus\": 2},"
          "\"on_excess\": {\"cpus\": \"trim\"},"
          "\"network\": [\"https://*.a.org,bytes=1M\", \"https://a.org\", "
          "\"tcp://*:22,streams=2\"]"),
        "p.json");
    manifest = str_printf(
        M(", \"memory\": \"1G\", \"output\": \"/o\", \"output_max\": \"10M\", \"pids\": 100,"
          "\"cpus\": 8, \"network\": [\"https://a.org/v1,name=api\"]%s"),
        declared[round % 2]);
    must(resolve(w, manifest), w);
}

#endif
