/*
 * lines: where each key of a JSON text stands, and that no key is there twice.
 *
 * json-c silently takes the last of two equal keys and knows no positions, so a text that people
 * wrote is walked here first. Structure is checked; the values themselves are left to json-c.
 *
 * Must not: recurse. Keys are of a-z, 0-9 and '_' without escapes: two spellings of one key, or one
 * that looks like another, cannot be written.
 */
#ifndef LZ_PLAN_LINES_H
#define LZ_PLAN_LINES_H

#include "base/err.h"

#include <stddef.h>

#define LINES_KEYS_MAX   4096 /* in one text */
#define LINES_PLACES_MAX 1024 /* of them, values of lists */
#define LINES_NAME_MAX   64   /* bytes of a path of keys: "max.memory", "network[3].to" */
#define LINES_DEPTH      8

struct lines {
    size_t n;
    struct {
        char path[LINES_NAME_MAX + 1];
        unsigned line; /* from 1 */
    } * keys;
};

/* Fills `ret`, which is empty. ERR_USAGE: "LINE: what is wrong". */
int lines_scan(const char *text, size_t len, struct lines *ret, struct err *e);
/* 0: there is no such key. */
unsigned lines_find(const struct lines *l, const char *path);
/* Of it, or else of what it is in. */
unsigned lines_near(const struct lines *l, const char *path);
void lines_done(struct lines *l);

#endif
