/*
 * disk: what a writable disk held at a moment, kept in the disk itself.
 *
 * How it works (QEMU's qapi/block-core.json of 7.2: blockdev-snapshot-internal-sync)
 *   A qcow2 image keeps an internal snapshot by a name: its clusters are shared until written. The
 *   guest must stand still meanwhile, so that what its kernel sent is whole; libvirt's own
 * snapshots would need to own the memory too. The one writable qcow2 disk is found by what QEMU
 * says.
 *
 *   A throttle is QEMU's (block_set_io_throttle), not libvirt's <iotune>: that looks for the disk
 *   where there is none on a microvm.
 */
#include "base/own.h"
#include "base/str.h"
#include "hv/hv_private.h"

#include <inttypes.h>
#include <string.h>

/* 1: this row of query-block is the writable qcow2 disk. */
static bool is_ours(const struct doc *row, const struct doc **ret_inserted)
{
    const char *driver;
    bool read_only;
    struct err missing;

    return doc_get_object(row, "inserted", ret_inserted, &missing) == 0 &&
           doc_get_str(*ret_inserted, "drv", &driver, &missing) == 0 &&
           doc_get_bool(*ret_inserted, "ro", &read_only, &missing) == 0 && !read_only &&
           strcmp(driver, "qcow2") == 0;
}

/* Returns new: the name of its node. */
static int find_node(struct hv *h, const char *doing, char **ret, struct err *e)
{
    own_doc struct doc *answer = NULL;
    const struct doc *rows, *inserted;
    const char *node;

    if (!h->dom)
        return err_set(e, ERR_HOST, "%s: there is no domain", doing);
    if (hv_ask(h, "{\"execute\":\"query-block\"}", doing, &answer, e) < 0 ||
        doc_get_array(answer, "return", &rows, e) < 0)
        return -1;
    for (size_t i = 0; i < doc_len(rows); i++) {
        if (!is_ours(doc_at(rows, i), &inserted))
            continue;
        if (doc_get_str(inserted, "node-name", &node, e) < 0)
            return -1;
        if (!str_is_name(node))
            return err_set(e, ERR_HOST, "%s: QEMU's name for the disk is none", doing);
        *ret = str_dup(node);
        return 0;
    }
    return err_set(e, ERR_HOST, "%s: no disk of this guest can keep it", doing);
}

static int command(struct hv *h, const char *verb, const char *name, const char *doing,
                   struct err *e)
{
    own_free char *node = NULL, *text = NULL;

    if (find_node(h, doing, &node, e) < 0)
        return -1;
    text = str_printf("{\"execute\":\"%s\",\"arguments\":{\"device\":\"%s\",\"name\":\"%s\"}}",
                      verb, node, name);
    return hv_ask(h, text, doing, NULL, e);
}

int hv_disk_keep(struct hv *h, const char *name, struct err *e)
{
    return command(h, "blockdev-snapshot-internal-sync", name, "cannot keep the disk's state", e);
}

int hv_disk_forget(struct hv *h, const char *name, struct err *e)
{
    return command(h, "blockdev-snapshot-delete-internal-sync", name,
                   "cannot forget the disk's state", e);
}

/* What QEMU calls the device of the only disk that can be written, as it is sent back to it. */
static int find_device(struct hv *h, const char *doing, char **ret, struct err *e)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-_.";
    own_doc struct doc *answer = NULL;
    const struct doc *rows, *inserted;
    const char *name;
    bool read_only;
    struct err missing;

    if (hv_ask(h, "{\"execute\":\"query-block\"}", doing, &answer, e) < 0 ||
        doc_get_array(answer, "return", &rows, e) < 0)
        return -1;
    for (size_t i = 0; i < doc_len(rows); i++) {
        if (doc_get_object(doc_at(rows, i), "inserted", &inserted, &missing) < 0 ||
            doc_get_bool(inserted, "ro", &read_only, &missing) < 0 || read_only)
            continue;
        if (doc_get_str(doc_at(rows, i), "qdev", &name, e) < 0)
            return -1;
        if (name[strspn(name, allowed)] != '\0')
            return err_set(e, ERR_HOST, "%s: QEMU's name for the disk is none", doing);
        *ret = str_dup(name);
        return 0;
    }
    return err_set(e, ERR_HOST, "%s: no disk of this guest can be written", doing);
}

int hv_disk_throttle(struct hv *h, uint64_t bytes, uint64_t requests, struct err *e)
{
    static const char doing[] = "cannot bound the disk's traffic";
    own_free char *device = NULL, *text = NULL;

    if (!h->dom)
        return err_set(e, ERR_HOST, "%s: there is no domain", doing);
    if (find_device(h, doing, &device, e) < 0)
        return -1;
    text = str_printf("{\"execute\":\"block_set_io_throttle\",\"arguments\":{\"id\":\"%s\","
                      "\"bps\":%" PRIu64 ",\"bps_rd\":0,\"bps_wr\":0,"
                      "\"iops\":%" PRIu64 ",\"iops_rd\":0,\"iops_wr\":0}}",
                      device, bytes, requests);
    return hv_ask(h, text, doing, NULL, e);
}
