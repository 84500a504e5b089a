/* kernel_config: the wanted configuration of a guest kernel of our own, and the check of the final
 * one. */
#include "images/kernel_config.h"

#include "base/own.h"
#include "base/str.h"

#include <string.h>

/* images/kernel/ *.config, put into the program by scripts/embed. */
extern const char kernel_common_config[], kernel_airgap_config[], kernel_net_config[];

const char *const kernel_flavours[] = {KERNEL_AIRGAP, KERNEL_NET, NULL};

bool kernel_is_flavour(const char *name)
{
    for (size_t i = 0; kernel_flavours[i]; i++)
        if (strcmp(kernel_flavours[i], name) == 0)
            return true;
    return false;
}

char *kernel_config_wanted(const char *flavour)
{
    return str_printf("%s\n%s", kernel_common_config,
                      strcmp(flavour, KERNEL_NET) == 0 ? kernel_net_config : kernel_airgap_config);
}

/* One line "CONFIG_NAME=VALUE"; both parts are borrowed from the text. */
struct setting {
    const char *name, *value;
    size_t name_len, value_len;
};

/* The next line of this kind from *p on; *p moves behind it. False at the end. */
static bool next_setting(const char **p, struct setting *ret)
{
    while (**p) {
        const char *line = *p;
        size_t len = strcspn(line, "\n");
        const char *equals = memchr(line, '=', len);

        *p = line + len + (line[len] == '\n');
        if (!str_starts_with(line, "CONFIG_") || !equals)
            continue;
        ret->name = line + strlen("CONFIG_");
        ret->name_len = (size_t)(equals - ret->name);
        ret->value = equals + 1;
        ret->value_len = (size_t)(line + len - ret->value);
        return true;
    }
    return false;
}

/* What a final configuration sets, sorted by name; borrows from its text. */
struct settings {
    struct setting *items;
    size_t n;
};

static void settings_done(struct settings *s)
{
    free(s->items);
}

static int by_name(const void *a, const void *b)
{
    const struct setting *x = a, *y = b;
    int order = memcmp(x->name, y->name, x->name_len < y->name_len ? x->name_len : y->name_len);

    return order ? order : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

static void read_settings(const char *config, struct settings *ret)
{
    struct setting s;

    while (next_setting(&config, &s)) {
        struct setting *items = reallocarray(ret->items, ret->n + 1, sizeof(s));

        if (!items)
            abort(); /* as in base/str: the host itself is out of memory */
        items[ret->n++] = s;
        ret->items = items;
    }
    if (ret->n > 0)
        qsort(ret->items, ret->n, sizeof(*ret->items), by_name);
}

/* `want` has value "n" for what must not be set. */
static int check_one(const struct settings *have, const struct setting *want, const char *why,
                     struct err *e)
{
    static const struct setting unset = {.value = "n", .value_len = 1};
    const struct setting *got =
        have->n > 0 ? bsearch(want, have->items, have->n, sizeof(*want), by_name) : NULL;

    if (!got)
        got = &unset;
    if (got->value_len == want->value_len && memcmp(got->value, want->value, got->value_len) == 0)
        return 0;
    return err_set(e, ERR_HOST,
                   "the kernel's configuration has CONFIG_%.*s=%.*s, it must be %.*s (%s)",
                   (int)want->name_len, want->name, (int)got->value_len, got->value,
                   (int)want->value_len, want->value, why);
}

static int check_required(const char *flavour, const struct settings *have, struct err *e)
{
    for (size_t i = 0; i < kernel_required_n; i++) {
        const struct kernel_required *r = &kernel_required[i];
        const char *value = r->value ? r->value : "n";
        const struct setting want = {r->option, value, strlen(r->option), strlen(value)};

        if (!r->flavour || strcmp(r->flavour, flavour) == 0)
            if (check_one(have, &want, r->why, e) < 0)
                return -1;
    }
    return 0;
}

static int check_wanted(const char *flavour, const struct settings *have, struct err *e)
{
    own_free char *wanted = kernel_config_wanted(flavour);
    const char *p = wanted;
    struct setting want;

    while (next_setting(&p, &want))
        if (check_one(have, &want, "it is on the list, but Kconfig dropped it", e) < 0)
            return -1;
    return 0;
}

int kernel_config_check(const char *flavour, const char *config, struct err *e)
{
    __attribute__((cleanup(settings_done))) struct settings have = {0};

    read_settings(config, &have);
    /* The table first: it says why. */
    return check_required(flavour, &have, e) < 0 || check_wanted(flavour, &have, e) < 0 ? -1 : 0;
}
