/*
 * tar_apart: the headers of a tar (tar.h), read in a process without rights (reader.h).
 *
 * How it works: the child sends a record for each entry; the parent checks each against what tar.h
 * promises, so that whoever asks here may rely on the same.
 */
#ifndef LZ_IMAGES_TAR_APART_H
#define LZ_IMAGES_TAR_APART_H

#include "images/reader.h"
#include "images/tar.h"

struct tar_apart {
    struct reader reader;
    uint64_t size; /* of the archive */
};
#define TAR_APART_INIT                                                                             \
    {                                                                                              \
        .reader.fd = -1                                                                            \
    }

/* `fd` is a regular file, which only the child reads. */
int tar_apart_open(struct tar_apart *t, int fd, struct err *e);
void tar_apart_done(struct tar_apart *t);
#define own_tar_apart __attribute__((cleanup(tar_apart_done)))

/* As tar_next(). */
int tar_apart_next(struct tar_apart *t, struct tar_entry *en, bool *ret_more, struct err *e);

#endif
