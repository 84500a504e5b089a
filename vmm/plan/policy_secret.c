/* policy_secret: which secrets policies allow, and what a sandbox keeps of it. See policy.h. */
#include "base/own.h"
#include "plan/policy_private.h"

int policy_check_secret(const struct policies *ps, const char *name, const char *what,
                        struct err *e)
{
    for (size_t i = 0; i < ps->n; i++) {
        const struct policy_list *l = &ps->items[i].secrets;
        char place[REQUEST_PLACE];

        if (l->set && !strv_has(&l->texts, name))
            return err_set(e, ERR_REFUSED, "%s: '%s' is not allowed by %s (secrets)", what, name,
                           text_place(ps->items[i].file, l->line, place));
    }
    return 0;
}

int policy_check_secrets(const struct policies *ps, const struct strv *names, const char *what,
                         struct err *e)
{
    for (size_t i = 0; names && i < names->n; i++)
        if (policy_check_secret(ps, names->items[i], what, e) < 0)
            return -1;
    return 0;
}

void policies_add_secrets(struct policies *ret, const struct policies *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct policy *p = &from->items[i];
        struct policy *mine;

        if (!p->secrets.set)
            continue;
        mine = policies_grow(ret);
        mine->file = str_dup(p->file);
        mine->secrets.set = true;
        mine->secrets.line = p->secrets.line;
        strv_add_all(&mine->secrets.texts, &p->secrets.texts);
    }
}

struct doc *policies_secrets_to_doc(const struct policies *ps)
{
    struct doc *list = doc_new_array();

    for (size_t i = 0; i < ps->n; i++) {
        const struct policy *p = &ps->items[i];
        struct doc *d = doc_new_object();

        doc_set_str(d, "file", p->file);
        doc_set_u64(d, "line", p->secrets.line);
        doc_set_strv(d, "secrets", (const char *const *)p->secrets.texts.items);
        doc_add(list, d);
    }
    return list;
}

int policies_secrets_from_doc(const struct doc *list, struct policies *ret, struct err *e)
{
    for (size_t i = 0; i < doc_len(list); i++) {
        const struct doc *d = doc_at(list, i);
        struct policy *p = policies_grow(ret);
        const char *file;
        uint64_t line;

        if (doc_get_str(d, "file", &file, e) < 0 || doc_get_u64(d, "line", &line, e) < 0 ||
            doc_get_strv(d, "secrets", &p->secrets.texts, e) < 0)
            return err_wrap(e, "secret_policies[%zu]", i);
        p->file = str_dup(file);
        p->secrets.set = true;
        p->secrets.line = (unsigned)line;
    }
    return 0;
}
