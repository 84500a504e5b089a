/*
 * alert: rules of a policy about what a guest does while it runs: when they are met, and what then.
 * Pure.
 *
 *     {"when": "cpu", "above": 90, "for": "30s", "action": "log"}          of one CPU, in percent
 *     {"when": "memory", "above": "600M", "action": "notify", "command": ["/usr/local/bin/page"]}
 *     {"when": "memory", "above": "600M", "action": "notify", "socket": "/run/pager"}
 *     {"when": "disk", "above": "1G", "for": "10s", "action": "pause"}      what its disks grew by
 *     {"when": "streams", "above": "50M", "for": "10s", ...}               what jobs read and wrote
 *     {"when": "output", "above": "50M", ...}                              what left the guest
 *     {"when": "denials", "above": 100, "for": "10s", ...}                 the guest's word
 *     {"when": "processes", "above": 200, ...}                             the guest's word
 *     {"when": "egress", "above": 20, "for": "60s", ...}                   refused tries
 *     {"when": "egress_bytes", "above": "100M", "for": "60s", ...}
 *     {"when": "silence", "for": "5m", ...}                                neither output nor CPU
 *     {"when": "canary", "destinations": ["canary.example.org"], "action": "freeze"}
 *     {"when": "canary", "files": ["/in/.aws/credentials"], ...}           the guest's word
 *
 * Alerts of all policies count, each by itself: none can be taken away by another.
 */
#ifndef LZ_PLAN_ALERT_H
#define LZ_PLAN_ALERT_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALERT_RULES_MAX 32u
#define ALERT_FOR_MAX   (24ull * 3600 * 1000) /* ms */

enum alert_when {
    ALERT_CPU,
    ALERT_MEMORY,
    ALERT_DISK,
    ALERT_STREAMS,
    ALERT_OUTPUT,
    ALERT_DENIALS,
    ALERT_PROCESSES,
    ALERT_EGRESS,
    ALERT_EGRESS_BYTES,
    ALERT_SILENCE,
    ALERT_CANARY,
    ALERT_WHENS
};

enum alert_action {
    ALERT_LOG,    /* the journal, the record, stderr */
    ALERT_NOTIFY, /* and a command or a socket of the policy's, as the user, on the host */
    ALERT_PAUSE,  /* a sandbox stands still; a run ends */
    ALERT_FREEZE, /* the same, and its memory and disk are kept apart */
    ALERT_KILL,   /* it ends */
    ALERT_ACTIONS
};

struct alert_rule {
    enum alert_when when;
    enum alert_action action;
    uint64_t above;           /* bytes, or a number; 0 of silence and canaries */
    uint64_t for_ms;          /* 0: at once */
    struct strv command;      /* of ALERT_NOTIFY: this, or the socket, or both */
    char *socket;             /* the same, NULL: none; an absolute path */
    struct strv destinations; /* of ALERT_CANARY: lower case, exact or "*.example.org" */
    struct strv files;        /* the same: absolute paths in the container */
    char *from;               /* "policy.json:7" */
};

struct alert_rules {
    struct alert_rule *items;
    size_t n;
};

const char *alert_when_name(enum alert_when w);
const char *alert_action_name(enum alert_action a);

void alert_rules_done(struct alert_rules *r);
/* Reads one rule into `ret`, which is empty. ERR_USAGE says what is wrong with it, without its
 * place. `from` is copied. */
int alert_rule_read(const struct doc *d, const char *from, struct alert_rule *ret, struct err *e);
void alert_rule_done(struct alert_rule *r);
#define own_alert_rule __attribute__((cleanup(alert_rule_done)))
/* Takes it. */
void alert_rules_take(struct alert_rules *r, struct alert_rule *rule);
/* But those that are there already. */
void alert_rules_add_all(struct alert_rules *r, const struct alert_rules *more);
/* Are they as many, and of as many files, as there may be? */
int alert_rules_check(const struct alert_rules *r, struct err *e);
/* Returns new: a list of objects, with "from". */
struct doc *alert_rules_to_doc(const struct alert_rules *r);
int alert_rules_from_doc(const struct doc *list, struct alert_rules *ret, struct err *e);
/* Returns new: "cpu above 90 % in 30.000 s: log", for people. */
char *alert_rule_text(const struct alert_rule *r);
/* Adds the files of all canaries, each once. */
void alert_rules_files(const struct alert_rules *r, struct strv *ret);
/* `host` is lower case. */
bool alert_is_canary(const struct alert_rule *r, const char *host);
/* A file of the rule; NULL: one that is not known, which may be any. */
bool alert_is_canary_file(const struct alert_rule *r, const char *path);

#endif
