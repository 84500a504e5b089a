/* elf_facts: the few facts about x86-64 ELF files that the image builder needs. */
#include "images/elf_facts.h"

#include "base/own.h"

#include <elf.h>
#include <string.h>

struct bytes {
    const unsigned char *data;
    size_t len;
};

void elf_facts_done(struct elf_facts *f)
{
    free(f->interp);
    strv_done(&f->needed);
    strv_done(&f->depends);
    *f = (struct elf_facts){0};
}

static bool copy(struct bytes b, uint64_t offset, void *to, size_t size)
{
    if (offset > b.len || size > b.len - offset)
        return false;
    memcpy(to, b.data + offset, size);
    return true;
}

/* A NUL-terminated string that lies wholly inside, or NULL. */
static const char *string_at(struct bytes b, uint64_t offset)
{
    if (offset >= b.len || !memchr(b.data + offset, '\0', b.len - offset))
        return NULL;
    return (const char *)b.data + offset;
}

/* Where in the file the address `addr` lies. */
static bool file_offset(struct bytes b, const Elf64_Ehdr *h, uint64_t addr, uint64_t *ret)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;

        if (!copy(b, h->e_phoff + (uint64_t)i * sizeof(p), &p, sizeof(p)))
            return false;
        if (p.p_type == PT_LOAD && addr >= p.p_vaddr && addr - p.p_vaddr < p.p_filesz) {
            *ret = p.p_offset + (addr - p.p_vaddr);
            return true;
        }
    }
    return false;
}

/* Calls for every entry of the dynamic section: finds DT_STRTAB, then collects DT_NEEDED. */
static bool read_dynamic(struct bytes b, const Elf64_Ehdr *h, const Elf64_Phdr *p,
                         struct elf_facts *f)
{
    uint64_t n = p->p_filesz / sizeof(Elf64_Dyn);
    uint64_t strings = 0;
    Elf64_Dyn d;

    for (uint64_t i = 0; i < n; i++) {
        if (!copy(b, p->p_offset + i * sizeof(d), &d, sizeof(d)))
            return false;
        if (d.d_tag == DT_STRTAB && !file_offset(b, h, d.d_un.d_ptr, &strings))
            return false;
    }
    for (uint64_t i = 0; i < n; i++) {
        const char *name;

        if (!copy(b, p->p_offset + i * sizeof(d), &d, sizeof(d)))
            return false;
        if (d.d_tag == DT_NULL)
            break;
        if (d.d_tag != DT_NEEDED)
            continue;
        name = string_at(b, strings + d.d_un.d_val);
        if (!name)
            return false;
        strv_add(&f->needed, name);
    }
    return true;
}

static bool read_segments(struct bytes b, const Elf64_Ehdr *h, struct elf_facts *f)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;

        if (!copy(b, h->e_phoff + (uint64_t)i * sizeof(p), &p, sizeof(p)))
            return false;
        if (p.p_type == PT_INTERP && !f->interp) {
            const char *path = string_at(b, p.p_offset);

            if (!path)
                return false;
            f->interp = str_dup(path);
        }
        if (p.p_type == PT_DYNAMIC && !read_dynamic(b, h, &p, f))
            return false;
    }
    return true;
}

static void add_depends(struct elf_facts *f, const char *list)
{
    own_free char *copied = str_dup(list);
    char *rest = NULL;

    for (char *name = strtok_r(copied, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
        strv_add(&f->depends, name);
}

/* .modinfo of a kernel module: "key=value" strings, each with its NUL. */
static bool read_modinfo(struct bytes b, const Elf64_Shdr *s, struct elf_facts *f)
{
    struct bytes info = {b.data + s->sh_offset, s->sh_size};

    if (s->sh_offset > b.len || s->sh_size > b.len - s->sh_offset)
        return false;
    for (size_t at = 0; at < info.len;) {
        const char *text = string_at(info, at);

        if (!text)
            return false;
        if (str_starts_with(text, "depends="))
            add_depends(f, text + strlen("depends="));
        at += strlen(text) + 1;
    }
    return true;
}

static bool read_sections(struct bytes b, const Elf64_Ehdr *h, struct elf_facts *f)
{
    Elf64_Shdr names, s;

    if (h->e_shnum == 0)
        return true;
    if (!copy(b, h->e_shoff + (uint64_t)h->e_shstrndx * sizeof(names), &names, sizeof(names)))
        return false;
    for (unsigned i = 0; i < h->e_shnum; i++) {
        const char *name;

        if (!copy(b, h->e_shoff + (uint64_t)i * sizeof(s), &s, sizeof(s)))
            return false;
        name = string_at(b, names.sh_offset + s.sh_name);
        if (name && strcmp(name, ".modinfo") == 0 && !read_modinfo(b, &s, f))
            return false;
    }
    return true;
}

int elf_facts_read(const void *data, size_t len, struct elf_facts *ret, struct err *e)
{
    struct bytes b = {data, len};
    own_elf_facts struct elf_facts f = {0};
    Elf64_Ehdr h;

    if (!copy(b, 0, &h, sizeof(h)) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
        h.e_machine != EM_X86_64)
        return err_set(e, ERR_HOST, "not a 64-bit x86 ELF file");
    if ((h.e_phnum > 0 && h.e_phentsize != sizeof(Elf64_Phdr)) ||
        (h.e_shnum > 0 && h.e_shentsize != sizeof(Elf64_Shdr)) || !read_segments(b, &h, &f) ||
        !read_sections(b, &h, &f))
        return err_set(e, ERR_HOST, "damaged ELF file");
    *ret = f;
    f = (struct elf_facts){0};
    return 0;
}
