/* err: the error object of the host side. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int status;
} classes[] = {
    [ERR_NONE] = {"none", 0},
    [ERR_USAGE] = {"usage", 125},
    [ERR_HOST] = {"host", 125},
    [ERR_IMAGE] = {"image", 125},
    [ERR_GUEST] = {"guest", 125},
    [ERR_REFUSED] = {"refused", 126},
    [ERR_PROTOCOL] = {"protocol", 120},
    [ERR_LIMIT] = {"limit", 121},
    [ERR_TIMEOUT] = {"timeout", 124},
    [ERR_NOT_EXEC] = {"not-executable", 126},
    [ERR_NOT_FOUND] = {"not-found", 127},
    [ERR_FENCE] = {"fence", 125},
    [ERR_INTERRUPTED] = {"interrupted", 130},
};

int err_set(struct err *e, enum err_class class, const char *fmt, ...)
{
    va_list ap;

    e->class = class;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return -1;
}

int err_sys(struct err *e, enum err_class class, int errnum, const char *fmt, ...)
{
    char buf[128];
    size_t len;
    va_list ap;

    e->class = class;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    len = strlen(e->text);
    snprintf(e->text + len, sizeof(e->text) - len, ": %s", strerror_r(errnum, buf, sizeof(buf)));
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char old[ERR_TEXT_MAX];
    size_t len;
    va_list ap;

    memcpy(old, e->text, sizeof(old));
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    len = strlen(e->text);
    snprintf(e->text + len, sizeof(e->text) - len, ": %s", old);
    return -1;
}

const char *err_class_name(enum err_class class)
{
    return classes[class].name;
}

int err_class_status(enum err_class class)
{
    return classes[class].status;
}
