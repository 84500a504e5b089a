/*
 * policy: what this host allows: maxima, images, folders. All policies that apply bound a plan: the
 * tightest wins, so a user cannot widen the host's.
 *
 *     {"format": "lazaret-policy", "version": 1,
 *      "max": {"memory": "2G", ...},        any number of the table (key.h)
 *      "on_excess": "refuse",               or "trim"; or {"memory": "trim", ...}: those keys only
 *      "images": ["sha256:HEX", "key:HEX"], by digest, or signed by a key that the store trusts
 *      "input_roots": ["/srv/data"], "output_roots": [...],     real paths
 *      "secrets": ["NAME"],                 names of secrets that a job may be given
 *      "writable": false,                   no writable root
 *      "allow_debug": false,                no job that may trace its processes
 *      "require_amnesic": true,             only guests that leave nothing behind
 *      "required_layers": ["landlock"],     what must be there: policy_layers
 *      "network": ["https://example.org"],   rules (net.h) without names and secrets
 *      "network_ranges": ["10.0.0.0/8"],    addresses that may be connected to though not public
 *      "egress_proxies": ["HOST:PORT"],     proxies that may be the way out (net_proxy.h)
 *      "alerts": [...],                     what is to be told or ended: alert.h
 *      "require_record": true,              no run without a record
 *      "record_content": false,             records say how much, and not what
 *      "record_changes": true,              ... and what changed on the disk, but of an amnesic
 * guest "redact": ["sk-*"],                  what is taken out of records: record/redact.h
 *      "record_max_age": "30d",             gc removes what was closed before
 *      "records_max_size": "1G"}            and the oldest, until the rest fits
 *
 * A list that is there allows what is in it; one that is not there allows all; but a policy that
 * has `network` lets no addresses that are not public, and no proxies, but those that it names.
 * (The policy of the image store, images/trust.h, is another: whose signatures count at all.)
 */
#ifndef LZ_PLAN_POLICY_H
#define LZ_PLAN_POLICY_H

#include "plan/alert.h"
#include "plan/net.h"
#include "plan/net_proxy.h"
#include "plan/request.h"

#define POLICY_FORMAT  "lazaret-policy"
#define POLICY_VERSION 1u
/* What may be required: NULL-terminated. */
extern const char *const policy_layers[];

struct policy_list {
    bool set;
    unsigned line;
    struct strv texts;
};

struct policy {
    char *file;
    struct {
        bool set, trim;
        unsigned line;
        uint64_t value;
    } max[KEYS];
    struct policy_list images, input_roots, output_roots, secrets, layers, redact, proxies;
    struct {
        bool set;
        unsigned line;
        struct net_rules rules;
    } network; /* max[KEY_NETWORK].trim says whether it trims */
    struct {
        bool set;
        struct net_ranges ranges;
    } ranges;
    struct alert_rules alerts;
    bool no_writable, no_debug, amnesic, record, no_content, changes;
    unsigned writable_line, debug_line, amnesic_line, record_line;
    uint64_t record_age_ms, records_bytes; /* that records may have; 0: any */
};

/* ERR_USAGE: file, line and key. `ret` is empty. */
int policy_parse(const char *text, size_t len, const char *file, struct policy *ret, struct err *e);
void policy_done(struct policy *p);
#define own_policy __attribute__((cleanup(policy_done)))

/* The policies that apply. */
struct policies {
    const struct policy *items;
    size_t n;
};
/* Of policies that belong to no one else. */
void policies_free(struct policies *ps);

/*
 * Bounds one number, 0 of an optional one being no limit. `what` begins a message. What was asked
 * for (`wished`) is refused (ERR_REFUSED, both places) or trimmed, which is added to `notes`; a
 * default just gives way. *ret_place, new, is set where a policy decided.
 */
int policy_bound(const struct policies *ps, enum key k, const char *what, bool wished,
                 uint64_t *value, char **ret_place, struct strv *notes, struct err *e);
/*
 * Bounds the rules that were asked for: what is above a policy is refused (ERR_REFUSED, both
 * places), or where the policy trims is less or left out, which is added to `notes`. A number that
 * nobody asked for is the policy's.
 */
int policy_bound_network(const struct policies *ps, struct net_rules *rules, struct strv *notes,
                         struct err *e);
/*
 * Adds, each once, the raw connections that policies name and all of them allow: what a run that
 * learns may reach beside what it asks for. Where no policy bounds the network there are none.
 */
void policies_add_reach(const struct policies *ps, struct net_rules *ret);
/* Adds the alerts of all. ERR_USAGE: there are too many. */
int policies_add_alerts(const struct policies *ps, struct alert_rules *ret, struct err *e);
/* ERR_REFUSED: one of the rules is above one of the policies. */
int policy_check_network(const struct policies *ps, const struct net_rules *rules, struct err *e);
/* ERR_REFUSED: one that bounds the network does not name it. */
int policy_check_proxy(const struct policies *ps, const struct net_proxy *proxy, struct err *e);
/* What may be connected to though it is not public: of those that bound the network, what all
 * name. False: none bounds it, and there is nothing. */
bool policy_ranges(const struct policies *ps, struct net_ranges *ret);
/* Adds to `ret`, which owns it, what policies say of the network; returns new: the same as JSON;
 * and back. */
void policies_add_network(struct policies *ret, const struct policies *from);
struct doc *policies_network_to_doc(const struct policies *ps);
int policies_network_from_doc(const struct doc *list, struct policies *ret, struct err *e);
/* The same of the secrets that they allow. */
void policies_add_secrets(struct policies *ret, const struct policies *from);
struct doc *policies_secrets_to_doc(const struct policies *ps);
int policies_secrets_from_doc(const struct doc *list, struct policies *ret, struct err *e);
/* ERR_REFUSED: the image is on no list. `signers` are the ids of keys whose signature was checked.
 */
int policy_check_image(const struct policies *ps, const char *digest, const struct strv *signers,
                       const char *what, struct err *e);
/* KEY_INPUTS or KEY_OUTPUT: the real path is below none of the roots. */
int policy_check_folder(const struct policies *ps, enum key k, const char *path, const char *what,
                        struct err *e);
/* ERR_REFUSED: one that lists secrets does not name it, or one of them (NULL: none). */
int policy_check_secret(const struct policies *ps, const char *name, const char *what,
                        struct err *e);
int policy_check_secrets(const struct policies *ps, const struct strv *names, const char *what,
                         struct err *e);
int policy_check_writable(const struct policies *ps, const char *what, struct err *e);
int policy_check_debug(const struct policies *ps, const char *what, struct err *e);
/* "90", "12h", "30d": ERR_USAGE says what is wrong with `what`. */
int policy_parse_age(const char *text, const char *what, uint64_t *ret_ms, struct err *e);
/* Lowers both to what the policies let records have. */
void policies_bound_retention(const struct policies *ps, uint64_t *age_ms, uint64_t *bytes);
int policy_check_record(const struct policies *ps, const char *what, struct err *e);
/* `held`: the names of the layers that will be there; NULL: none is known of. */
int policy_check_layers(const struct policies *ps, const struct strv *held, struct err *e);
/* It is not amnesic. */
int policy_check_amnesic(const struct policies *ps, struct err *e);

#endif
