/* seccomp: the container's system call filter as the OCI configuration has it. Internal. */
#ifndef LZ_OCI_SECCOMP_H
#define LZ_OCI_SECCOMP_H

#include "base/doc.h"

#include <stdbool.h>

/* Returns new: the value of linux.seccomp, of a job with declared paths or without. */
struct doc *oci_seccomp(bool declared, bool debug);

#endif
