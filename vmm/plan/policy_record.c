/* policy_record: for how long policies let records be kept. See policy.h. */
#include "base/own.h"
#include "plan/policy_private.h"

#include <string.h>

#define DAY_MS     86400000ull
#define AGE_MAX_MS (36500 * DAY_MS)

int policy_parse_age(const char *text, const char *what, uint64_t *ret_ms, struct err *e)
{
    size_t len = strlen(text);
    own_free char *days = NULL;
    uint64_t n;

    if (len == 0 || text[len - 1] != 'd')
        return str_parse_duration(text, what, AGE_MAX_MS, ret_ms, e);
    days = str_printf("%.*s", (int)(len - 1), text);
    if (str_parse_u64(days, what, 0, AGE_MAX_MS / DAY_MS, &n, e) < 0)
        return -1;
    *ret_ms = n * DAY_MS;
    return 0;
}

int policy_take_retention(const struct text *t, struct policy *p, struct err *e)
{
    static const char age[] = "record_max_age", size[] = "records_max_size";
    own_free char *age_text = NULL, *size_text = NULL;

    if (doc_has(t->d, age) && (text_number(t->d, age, &age_text, e) < 0 ||
                               policy_parse_age(age_text, "it", &p->record_age_ms, e) < 0))
        return text_wrap(t, age, e);
    if (age_text && p->record_age_ms == 0)
        return text_wrong(t, age, "it is 0: nothing could be on record", e);
    if (doc_has(t->d, size) &&
        (text_number(t->d, size, &size_text, e) < 0 ||
         str_parse_size(size_text, "it", 1, INT64_MAX, &p->records_bytes, e) < 0))
        return text_wrap(t, size, e);
    return 0;
}

static void lower(uint64_t *value, uint64_t max)
{
    if (max > 0 && max < *value)
        *value = max;
}

void policies_bound_retention(const struct policies *ps, uint64_t *age_ms, uint64_t *bytes)
{
    for (size_t i = 0; i < ps->n; i++) {
        lower(age_ms, ps->items[i].record_age_ms);
        lower(bytes, ps->items[i].records_bytes);
    }
}
