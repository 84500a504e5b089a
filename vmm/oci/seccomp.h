/* seccomp: the container's system call filter as the OCI configuration has it. Internal. */
#ifndef LZ_OCI_SECCOMP_H
#define LZ_OCI_SECCOMP_H

#include "base/doc.h"

/* Returns new: the value of linux.seccomp. */
struct doc *oci_seccomp(void);

#endif
