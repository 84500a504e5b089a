/*
 * statement: what a record says, as an in-toto Statement v1 with a SLSA provenance v1 predicate, in
 * a DSSE envelope (https://in-toto.io, https://slsa.dev,
 * https://github.com/secure-systems-lab/dsse) signed with the host's key. For tools that people
 * have; the record says more.
 */
#ifndef LZ_RECORD_STATEMENT_H
#define LZ_RECORD_STATEMENT_H

#include "record/ledger.h"

/* Returns new: the envelope, of a record that was verified as whole. */
int statement_make(int record_fd, const struct ledger *l, struct doc **ret, struct err *e);

#endif
