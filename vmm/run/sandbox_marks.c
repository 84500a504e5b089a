/* sandbox: its marks, as its keeper is asked for them. See sandbox.h and mark.h. */
#include "run/sandbox_private.h"

#include "base/clock.h"
#include "base/own.h"
#include "run/folder.h"
#include "run/fork.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_S 600 /* a mark writes the guest's memory, where the disk may be slow */

static int set_name(struct talk_request *r, const char *mark, struct err *e)
{
    if (!mark || !*mark)
        return 0;
    if (mark_check_name(mark, e) < 0)
        return -1;
    snprintf(r->name, sizeof(r->name), "%s", mark);
    return 0;
}

static struct doc *to_doc(const struct talk_mark *m)
{
    struct doc *d = doc_new_object();
    char when[32];

    doc_set_str(d, "mark", m->name);
    doc_set_str(d, "parent", m->parent);
    doc_set_bool(d, "here", m->here);
    doc_set_str(d, "made", clock_format_utc(when, m->made_real_ns));
    doc_set_u64(d, "bytes", m->state_bytes);
    return d;
}

static int ask_one(const char *data_dir, const char *name, enum talk_what what, const char *mark,
                   struct doc **ret, struct err *e)
{
    struct talk_request r = {.what = what};
    struct talk_answer a;

    if (set_name(&r, mark, e) < 0 || sandbox_ask(data_dir, name, &r, PATIENCE_S, &a, e) < 0)
        return -1;
    if (ret)
        *ret = to_doc(&a.marks[0]);
    return 0;
}

int sandbox_snapshot(const char *data_dir, const char *name, const char *mark, struct doc **ret,
                     struct err *e)
{
    return ask_one(data_dir, name, TALK_SNAPSHOT, mark, ret, e);
}

int sandbox_revert(const char *data_dir, const char *name, const char *mark, struct doc **ret,
                   struct err *e)
{
    return ask_one(data_dir, name, TALK_REVERT, mark, ret, e);
}

int sandbox_forget(const char *data_dir, const char *name, const char *mark, struct err *e)
{
    return ask_one(data_dir, name, TALK_FORGET, mark, NULL, e);
}

int sandbox_marks(const char *data_dir, const char *name, struct doc **ret, struct err *e)
{
    struct talk_answer a;
    struct doc *d, *rows;

    if (sandbox_ask(data_dir, name, &(struct talk_request){.what = TALK_MARKS}, PATIENCE_S, &a, e) <
        0)
        return -1;
    d = doc_new_object();
    rows = doc_new_array();
    for (size_t i = 0; i < a.n_marks && i < MARK_ROOM; i++)
        doc_add(rows, to_doc(&a.marks[i]));
    doc_set(d, "marks", rows);
    doc_set_u64(d, "marks_bytes", a.marks_bytes);
    doc_set_u64(d, "disk_bytes", a.disk_bytes);
    *ret = d;
    return 0;
}

/* The rules as they are now, where they were changed. */
static int read_network(int folder, struct plan *p, struct err *e)
{
    own_doc struct doc *d = NULL;
    const struct doc *rules;

    if (faccessat(folder, FOLDER_NETWORK, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    net_rules_done(&p->network);
    strv_done(&p->gateway_secrets);
    if (folder_read_doc(folder, FOLDER_NETWORK, &d, e) < 0 ||
        doc_get_array(d, "network", &rules, e) < 0 ||
        net_rules_from_doc(rules, &p->network, e) < 0 ||
        doc_get_strv(d, "gateway_secrets", &p->gateway_secrets, e) < 0) {
        e->class = ERR_HOST;
        return err_wrap(e, FOLDER_NETWORK);
    }
    return 0;
}

int sandbox_plan(const char *data_dir, const char *name, struct plan **ret, struct err *e)
{
    own_close int folder = -1;
    own_doc struct doc *d = NULL;
    own_plan struct plan *p = NULL;
    const char *state;

    if (sandbox_open(data_dir, name, &folder, &state, e) < 0 ||
        folder_read_doc(folder, "plan.json", &d, e) < 0)
        return -1;
    if (plan_from_doc(d, &p, e) < 0 || read_network(folder, p, e) < 0)
        return -1;
    *ret = own_steal_ptr(p);
    return 0;
}

int sandbox_fork(const char *data_dir, const char *name, const char *mark, struct run_from *ret,
                 struct err *e)
{
    struct talk_request r = {.what = TALK_FORK};
    int fds[TALK_GIVEN_MAX];
    struct talk_answer a;

    if (set_name(&r, mark, e) < 0 ||
        sandbox_ask_fds(data_dir, name, &r, NULL, 0, PATIENCE_S, &a, fds, e) < 0)
        return -1;
    *ret = (struct run_from){.mark = a.forked,
                             .blank_input = a.blank_input,
                             .record_seq = a.record_seq,
                             .in_memory = fds[TALK_GIVEN_SHARE] >= 0,
                             .state_fd = fds[TALK_GIVEN_STATE],
                             .share_fd = fds[TALK_GIVEN_SHARE]};
    snprintf(ret->sandbox, sizeof(ret->sandbox), "%s", name);
    memcpy(ret->record, a.record, sizeof(ret->record));
    return 0;
}
