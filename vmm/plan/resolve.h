/* resolve: what the parts of the resolver share. */
#ifndef LZ_PLAN_RESOLVE_H
#define LZ_PLAN_RESOLVE_H

#include "plan/plan.h"

/* Who said it, NULL: nobody. */
const struct request *wish_who(const struct plan_wish *w, enum key k);
/* The beginning of a message about a key. */
const char *wish_what(const struct plan_wish *w, enum key k, char out[REQUEST_PLACE]);

void plan_decide(struct plan *p, enum key k, const char *place);
/* Its own place, or else `otherwise`. */
void plan_decide_by(const struct plan_wish *w, struct plan *p, enum key k, const char *otherwise);

/* What it is if nobody asks, of a plan whose memory, debug and amnesic are known. */
uint64_t plan_number_default(const struct plan *p, enum key k);
int plan_resolve_number(const struct plan_wish *w, struct plan *p, enum key k, struct err *e);
bool plan_resolve_flag(const struct plan_wish *w, struct plan *p, enum key k);
/* UID or UID:GID, numbers of the container's own user namespace. NULL: as it is. */
int plan_take_user(const char *text, const char *name, uint64_t *uid, uint64_t *gid, struct err *e);
int plan_resolve_name(const struct plan_wish *w, struct plan *p, struct err *e);
int plan_put_env(struct plan *p, const struct strv *env, const char *name, const char *from,
                 struct err *e);
void plan_put_env_defaults(struct plan *p);
int plan_check_utf8(const struct strv *v, const char *name, struct err *e);
int plan_check_process(const struct plan *p, const char *workdir, struct err *e);

/* Whether it is amnesic, and whether it may be traced: before any number. */
int plan_resolve_guards(const struct plan_wish *w, struct plan *p, struct err *e);
/* How much memory an amnesic guest takes beside its own: behind everything else. */
void plan_resolve_amnesic(const struct plan_wish *w, struct plan *p);
int plan_resolve_inputs(const struct plan_wish *w, struct plan *p, struct err *e);
/* Where to, and for whom. */
int plan_resolve_output(const struct plan_wish *w, struct plan *p, struct err *e);
int plan_resolve_declared(const struct plan_wish *w, struct plan *p, struct err *e);
/*
 * The rules of `base`'s (NULL: none), the manifest and the command line, the later before the
 * earlier where two are of one name or destination, within the policies.
 */
int plan_resolve_network(const struct plan_wish *w, const struct plan *base, struct plan *p,
                         struct err *e);
/* The rules of a request, in place of those of the same name or destination; NULL: none. */
int plan_put_rules(const struct request *r, struct net_rules *rules, struct err *e);
/* Behind the network: what a rule names is the gateway's. Adds to `rest` the names that are not the
 * gateway's. */
int plan_resolve_gateway_secrets(const struct strv *files, const struct strv *env, struct plan *p,
                                 struct strv *rest, struct err *e);
/* The same, and the rest is the job's. */
int plan_resolve_secrets(const struct strv *files, const struct strv *env, struct plan *p,
                         struct err *e);
/* Then: those of a manifest, all of them and no other, where it says; and within the policies. */
int plan_sort_secrets(const struct plan_wish *w, struct plan *p, struct err *e);

#endif
