/* monitor: questions to QEMU that libvirt has no call for. */
#include "base/doc.h"
#include "base/own.h"
#include "base/str.h"
#include "hv/hv_private.h"

#include <libvirt/libvirt-qemu.h>
#include <string.h>

#define REPLY_MAX 262144 /* bytes; one about disks with 100 marks has about 30,000 */

int hv_check_reply(const char *text, const char *doing, struct doc **ret, struct err *e)
{
    own_doc struct doc *d = NULL;
    const struct doc *error;
    const char *why;
    char shown[300];

    if (strnlen(text, REPLY_MAX) == REPLY_MAX)
        return err_set(e, ERR_HOST, "%s: QEMU's answer is too long", doing);
    if (doc_parse(text, strlen(text), "QEMU's answer", &d, e) < 0) {
        e->class = ERR_HOST;
        return err_wrap(e, "%s", doing);
    }
    if (doc_has(d, "error")) {
        if (doc_get_object(d, "error", &error, e) < 0 || doc_get_str(error, "desc", &why, e) < 0)
            why = "no reason given";
        str_escape(shown, sizeof(shown), why, strlen(why));
        return err_set(e, ERR_HOST, "%s: %s", doing, shown);
    }
    if (ret)
        *ret = own_steal_ptr(d);
    return 0;
}

int hv_opens(struct hv *h, const char *path, bool *ret, struct err *e)
{
    static const char doing[] = "cannot try what QEMU opens", refused[] = "Permission denied";
    static const char forget[] =
        "{\"execute\":\"blockdev-del\",\"arguments\":{\"node-name\":\"lz-try\"}}";
    own_free char *open =
        str_printf("{\"execute\":\"blockdev-add\",\"arguments\":{\"node-name\":\"lz-try\","
                   "\"driver\":\"file\",\"read-only\":true,\"filename\":\"%s\"}}",
                   path);

    if (!h->dom)
        return err_set(e, ERR_HOST, "%s: there is no domain", doing);
    *ret = hv_ask(h, open, doing, NULL, e) == 0;
    if (*ret)
        return hv_ask(h, forget, doing, NULL, e);
    return strstr(e->text, refused) ? 0 : -1;
}

int hv_ask(struct hv *h, const char *command, const char *doing, struct doc **ret, struct err *e)
{
    own_free char *reply = NULL;
    int r;

    hv_ask_within(h, HV_ANSWER_MS);
    r = virDomainQemuMonitorCommand(h->dom, command, &reply, 0);
    hv_answered(h);
    if (r < 0)
        return hv_failed(h, doing, e);
    return hv_check_reply(reply, doing, ret, e);
}
