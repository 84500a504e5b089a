/* text: a manifest's or policy's JSON text, with its lines. Internal. */
#ifndef LZ_PLAN_TEXT_H
#define LZ_PLAN_TEXT_H

#include "base/doc.h"
#include "plan/lines.h"
#include "plan/net.h"
#include "plan/request.h"

struct text {
    const char *file; /* borrowed */
    struct doc *d;    /* an object of this format and version */
    struct lines lines;
};

int text_open(struct text *t, const char *text, size_t len, const char *file, const char *format,
              uint64_t version, struct err *e);
void text_done(struct text *t);
#define own_text __attribute__((cleanup(text_done)))

bool text_is_head(const char *key); /* "format", "version" */
/* "FILE:LINE" into `out`, printable. */
const char *text_place(const char *file, unsigned line, char out[REQUEST_PLACE]);
/* Returns new: a member that is a whole number or a text with a unit, as text. */
int text_number(const struct doc *d, const char *key, char **ret, struct err *e);
/* Adds the rules of a list, each with its place. */
int text_rules(const struct text *t, const char *key, enum net_use use, struct net_rules *ret,
               struct err *e);
/* Sets "FILE:LINE: PATH: why". Returns -1. */
int text_wrong(const struct text *t, const char *path, const char *why, struct err *e);
/* The same with what `e` says as why. */
int text_wrap(const struct text *t, const char *path, struct err *e);

#endif
