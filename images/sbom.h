/*
 * sbom: an image's packages as a bill of materials: CycloneDX 1.5, JSON.
 *
 * The same image gives the same bytes: there is no time stamp and no serial number in it. Packages
 * are named by package URLs (purl, ECMA-427).
 */
#ifndef LZ_IMAGES_SBOM_H
#define LZ_IMAGES_SBOM_H

#include "base/doc.h"
#include "images/packages.h"

/* Borrows everything. */
struct sbom {
    const char *name;           /* of the image */
    const char *digest;         /* SHA-256 of its manifest, hexadecimal */
    const char *kernel_release; /* version of Debian's package that the kernel was made from */
    const char *kernel_sha256;
    const struct packages *packages;
    const struct packages *runtime; /* what the container runtime was made of */
};

/* Returns new. */
struct doc *sbom_cyclonedx(const struct sbom *s);

#endif
