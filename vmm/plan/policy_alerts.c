/* policy_alerts: the alerts of policies. See policy.h and alert.h. */
#include "base/own.h"
#include "plan/policy_private.h"

int policy_take_alerts(const struct text *t, struct policy *p, struct err *e)
{
    const struct doc *list;

    if (!doc_has(t->d, "alerts"))
        return 0;
    if (doc_get_array(t->d, "alerts", &list, e) < 0)
        return text_wrong(t, "alerts", "not a list", e);
    if (doc_len(list) > ALERT_RULES_MAX)
        return text_wrong(t, "alerts", "more alerts than there may be", e);
    for (size_t i = 0; i < doc_len(list); i++) {
        own_free char *path = str_printf("alerts[%zu]", i);
        struct alert_rule r = {0};
        char place[REQUEST_PLACE];

        text_place(t->file, lines_near(&t->lines, path), place);
        if (alert_rule_read(doc_at(list, i), place, &r, e) < 0)
            return text_wrap(t, path, e);
        alert_rules_take(&p->alerts, &r);
    }
    return 0;
}

int policies_add_alerts(const struct policies *ps, struct alert_rules *ret, struct err *e)
{
    for (size_t i = 0; i < ps->n; i++)
        alert_rules_add_all(ret, &ps->items[i].alerts);
    return alert_rules_check(ret, e);
}
