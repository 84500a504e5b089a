/*
 * elf_facts: the few facts about x86-64 ELF files that the image builder needs (System V gABI,
 * elf(5)).
 *
 * The files come from signed packages; every offset is checked all the same.
 */
#ifndef LZ_IMAGES_ELF_H
#define LZ_IMAGES_ELF_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

struct elf_facts {
    char *interp;        /* path of the loader; NULL: static or not a program */
    struct strv needed;  /* sonames of DT_NEEDED */
    struct strv depends; /* names in a kernel module's "depends=" */
};
void elf_facts_done(struct elf_facts *f);
#define own_elf_facts __attribute__((cleanup(elf_facts_done)))

/* Fills `ret` (to be zero before); ERR_HOST when it is not a whole 64-bit x86 ELF file. */
int elf_facts_read(const void *data, size_t len, struct elf_facts *ret, struct err *e);

#endif
