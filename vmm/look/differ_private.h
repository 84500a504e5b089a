/* differ_private: what the walk (differ.c) and the comparison (differ_entry.c) share. */
#ifndef LZ_LOOK_DIFFER_PRIVATE_H
#define LZ_LOOK_DIFFER_PRIVATE_H

#include "look/differ.h"

bool differ_is_folder(const struct sight *s);

/* Compares what both disks have at the path; `l` is the folder that it is in, or NULL for a place.
 * What was added or changed goes into the tree. */
void differ_put_difference(struct differ *d, const struct level *l);

void differ_put_unread(struct differ *d, unsigned side, enum look_why why);
void differ_put_row(struct differ *d); /* d->row, as it is */

#endif
