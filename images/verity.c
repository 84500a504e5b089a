/* verity: a dm-verity hash tree behind a squashfs, and the numbers that a guest needs to use it. */
#include "images/verity.h"

#include "base/own.h"
#include "base/spawn.h"
#include "base/str.h"
#include "images/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define HASHES_PER_BLOCK (VERITY_BLOCK_SIZE / 32)
#define TIMEOUT_S        3600u
#define FILE_IN_TOOL     "/proc/self/fd/0"

/* Blocks of the whole tree. The hash of a single block is the root hash already. */
static uint64_t tree_blocks(uint64_t data_blocks)
{
    uint64_t all = 0;

    for (uint64_t n = data_blocks; n > 1; all += n)
        n = (n + HASHES_PER_BLOCK - 1) / HASHES_PER_BLOCK;
    return all;
}

int verity_check_layout(const struct verity *v, uint64_t size_bytes, struct err *e)
{
    if (!digest_is_hex(v->root_hash) || !digest_is_hex(v->salt))
        return err_set(e, ERR_IMAGE, "verity: root hash or salt is not a digest");
    if (v->data_blocks == 0 || v->data_blocks > VERITY_DATA_BYTES_MAX / VERITY_BLOCK_SIZE)
        return err_set(e, ERR_IMAGE, "verity: the number of data blocks is out of range");
    if (v->hash_start != v->data_blocks)
        return err_set(e, ERR_IMAGE, "verity: the hash tree does not follow the data");
    if (size_bytes != (v->hash_start + tree_blocks(v->data_blocks)) * VERITY_BLOCK_SIZE)
        return err_set(e, ERR_IMAGE,
                       "verity: %" PRIu64 " data blocks and their tree do not make a file of "
                       "%" PRIu64 " bytes",
                       v->data_blocks, size_bytes);
    return 0;
}

static int file_size(int fd, uint64_t *ret_bytes, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_HOST, errno, "verity");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_HOST, "verity: not a regular file");
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

/* Runs veritysetup on `fd`; with a root hash it compares, without it writes. Returns new output. */
static int run_tool(int fd, const struct verity *v, const char *root_hash, char **ret_out,
                    struct err *e)
{
    own_free char *salt = str_printf("--salt=%s", v->salt);
    own_free char *blocks = str_printf("--data-blocks=%" PRIu64, v->data_blocks);
    own_free char *offset = str_printf("--hash-offset=%" PRIu64, v->hash_start * VERITY_BLOCK_SIZE);
    const char *const argv[] = {
        "veritysetup",
        root_hash ? "verify" : "format",
        "--no-superblock",
        "--format=1",
        "--hash=sha256",
        "--data-block-size=4096",
        "--hash-block-size=4096",
        salt,
        blocks,
        offset,
        FILE_IN_TOOL,
        FILE_IN_TOOL,
        root_hash,
        NULL,
    };
    const struct tool t = {.argv = argv,
                           .package = "cryptsetup-bin",
                           .in = fd,
                           .out = SPAWN_NULL,
                           .timeout_s = TIMEOUT_S};

    return tool_capture(&t, ret_out, e);
}

/* "Root hash:      HEX" on a line of its own. */
static int take_root_hash(const char *out, char ret_hex[DIGEST_HEX_SIZE], struct err *e)
{
    static const char label[] = "\nRoot hash:";
    const char *p = strstr(out, label);
    char hex[DIGEST_HEX_SIZE] = "";

    if (p) {
        p += strlen(label);
        p += strspn(p, " \t");
        if (strcspn(p, "\n") == DIGEST_HEX_SIZE - 1)
            memcpy(hex, p, DIGEST_HEX_SIZE - 1);
    }
    if (!digest_is_hex(hex))
        return err_set(e, ERR_HOST, "veritysetup printed no root hash");
    memcpy(ret_hex, hex, DIGEST_HEX_SIZE);
    return 0;
}

int verity_append(int fd, struct verity *ret, struct err *e)
{
    struct verity v = {0};
    own_free char *out = NULL;
    uint64_t size_bytes;

    if (file_size(fd, &size_bytes, e) < 0)
        return -1;
    if (size_bytes == 0 || size_bytes > VERITY_DATA_BYTES_MAX)
        return err_set(e, ERR_HOST, "verity: %" PRIu64 " bytes is not a size for a file system",
                       size_bytes);
    if (digest_fd(fd, v.salt, &size_bytes, e) < 0)
        return err_wrap(e, "verity");
    v.data_blocks = (size_bytes + VERITY_BLOCK_SIZE - 1) / VERITY_BLOCK_SIZE;
    v.hash_start = v.data_blocks;
    if (ftruncate(fd, (off_t)(v.data_blocks * VERITY_BLOCK_SIZE)) < 0)
        return err_sys(e, ERR_HOST, errno, "verity: cannot fill up the last block");
    if (run_tool(fd, &v, NULL, &out, e) < 0 || take_root_hash(out, v.root_hash, e) < 0)
        return err_wrap(e, "verity");
    /* The tool has written what it should have, and all of it. */
    if (file_size(fd, &size_bytes, e) < 0)
        return -1;
    if (verity_check_layout(&v, size_bytes, e) < 0) {
        e->class = ERR_HOST;
        return -1;
    }
    *ret = v;
    return 0;
}

int verity_check(int fd, const struct verity *v, struct err *e)
{
    own_free char *out = NULL;
    uint64_t size_bytes;

    if (file_size(fd, &size_bytes, e) < 0 || verity_check_layout(v, size_bytes, e) < 0)
        return -1;
    if (run_tool(fd, v, v->root_hash, &out, e) == 0)
        return 0;
    /* In the C locale: "Verification of data area failed.", "Verification of root hash failed." */
    if (strstr(e->text, "Verification of"))
        return err_set(e, ERR_IMAGE, "verity: data, hash tree and root hash do not fit each other");
    return err_wrap(e, "verity");
}
