/*
 * request: what was asked for, key by key, as texts with the place that said so: a manifest, or the
 * options of the command line, which are a small manifest of their own.
 *
 * A manifest is {"format": "lazaret-manifest", "version": 1} and keys of the table (key.h). Beside
 * them it may say why: a list of objects, for people, that decides nothing,
 *
 *     "why": [{"key": "read",           of the table
 *              "line": "/in",           of a list: which one; else left out
 *              "by": "guest",           who saw it: "host", or it is the guest's word; or "wish"
 *              "text": "3 of its files",
 *              "widened": true}]        a later run needed more (learn.h); else left out
 */
#ifndef LZ_PLAN_REQUEST_H
#define LZ_PLAN_REQUEST_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"
#include "plan/key.h"

#define REQUEST_FORMAT  "lazaret-manifest"
#define REQUEST_VERSION 1u
#define REQUEST_MAX     (1u << 20) /* bytes of a manifest, or of a policy */
#define REQUEST_WHY     "why"
#define REQUEST_PLACE   256 /* bytes of a place, with the NUL */

/* Who may have seen it: NULL-terminated. */
extern const char *const request_why_by[];

struct request_value {
    bool set;
    unsigned line;
    struct strv texts;  /* of a flag: "true" or "false"; rules in the form of net.h */
    struct strv places; /* of a manifest's rules: of each */
};

struct request {
    char *file;      /* for messages; NULL: the command line */
    struct doc *why; /* the list, or NULL */
    struct request_value of[KEYS];
};

/* Reads a manifest. The texts are not judged yet. ERR_USAGE: file, line and key. `ret` is empty. */
int request_parse(const char *text, size_t len, const char *file, struct request *ret,
                  struct err *e);
void request_done(struct request *r);
#define own_request __attribute__((cleanup(request_done)))

/* What an option says: a list grows, anything else is replaced. */
void request_add(struct request *r, enum key k, const char *text);
void request_drop(struct request *r, enum key k);
/* The last text of a key, NULL if it was not asked for. */
const char *request_text(const struct request *r, enum key k);

/* Where: "agent.json:7" or "command line"; and as the beginning of a message: "agent.json:7:
 * memory" or "--memory". Into `out`, printable. Return out. */
const char *request_place(const struct request *r, enum key k, char out[REQUEST_PLACE]);
const char *request_what(const struct request *r, enum key k, char out[REQUEST_PLACE]);

#endif
