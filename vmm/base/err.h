/*
 * err: the error object of the host side.
 *
 * A function that can fail takes `struct err *e` last, returns 0 or -1, and sets `*e` only when it
 * fails. The class is chosen where the error is first set and fixes the exit status; wrapping only
 * adds context in front of the text. No allocation, so it works when memory is short.
 */
#ifndef LZ_BASE_ERR_H
#define LZ_BASE_ERR_H

#include <stdarg.h>

#define ERR_TEXT_MAX 1024 /* bytes, with the NUL; longer text is cut */

/* Also the value of "class" in result.json and --json: see err_class_name(). */
enum err_class {
    ERR_NONE = 0,
    ERR_USAGE,       /* the command line is wrong                        -> 125 */
    ERR_HOST,        /* this host: a tool, a file, libvirt, QEMU          -> 125 */
    ERR_IMAGE,       /* the image is missing, damaged or does not fit     -> 125 */
    ERR_GUEST,       /* the guest crashed, stopped or never came up       -> 125 */
    ERR_REFUSED,     /* manifest or policy says no                        -> 126 */
    ERR_PROTOCOL,    /* the guest broke the protocol                      -> 120 */
    ERR_LIMIT,       /* a rule or budget ended the run                    -> 121 */
    ERR_TIMEOUT,     /* the deadline ended the run                        -> 124 */
    ERR_NOT_EXEC,    /* the command is there but cannot be executed       -> 126 */
    ERR_NOT_FOUND,   /* the command is not there                          -> 127 */
    ERR_FENCE,       /* what confines the guest did not hold any more    -> 125 */
    ERR_INTERRUPTED, /* the user ended the run (SIGINT, SIGTERM)          -> 130 */
};

struct err {
    enum err_class class;
    char text[ERR_TEXT_MAX];
};

/* Sets class and text. Returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *e, enum err_class class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, followed by ": " and strerror(errnum). */
int err_sys(struct err *e, enum err_class class, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts context and ": " in front of the text; keeps the class. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Stable names ("usage", "host", ...) and the documented exit status of a class. */
const char *err_class_name(enum err_class class);
int err_class_status(enum err_class class);

#endif
