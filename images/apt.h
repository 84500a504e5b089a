/*
 * apt: a private apt state in the cache folder, so that packages can be resolved and downloaded by
 * an ordinary user, without regard to what the host has installed or which other sources it uses.
 *
 * How it works: the host's own Debian sources (mirrors, proxies) are taken over, third-party ones
 * are not; lists, archives and an empty dpkg status live under the cache folder. apt checks the
 * signatures against Debian's archive keyring and every package against the signed lists.
 */
#ifndef LZ_IMAGES_APT_H
#define LZ_IMAGES_APT_H

#include "base/err.h"
#include "base/str.h"

#define APT_SUITE   "bookworm"
#define APT_KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"

struct progress;

struct apt {
    char *dir;      /* CACHE/apt */
    char *conf;     /* configuration for apt-get -c */
    char *sources;  /* sources.list, one-line format */
    char *archives; /* downloaded packages */
};

/* Makes folders, configuration and sources. */
int apt_open(const char *cache_dir, struct apt *ret, struct err *e);
void apt_done(struct apt *a);
#define own_apt __attribute__((cleanup(apt_done)))

/* Refreshes the lists, and says so. Fails only if there are none at all: old ones serve. */
int apt_update(const struct apt *a, const struct progress *progress_to, struct err *e);

/* One package of a resolved set. */
struct apt_package {
    char *name, *version, *arch;
};
struct apt_packages {
    struct apt_package *items;
    size_t n;
};
void apt_packages_done(struct apt_packages *p);
#define own_apt_packages __attribute__((cleanup(apt_packages_done)))

/* What installing `patterns` (NULL-terminated) on an empty system takes, sorted by name. */
int apt_resolve(const struct apt *a, const char *const *patterns, struct apt_packages *ret,
                struct err *e);
/* The newest version of one package, and the first package that it depends on or NULL (new). */
int apt_show(const struct apt *a, const char *name, char **ret_version, char **ret_depends,
             struct err *e);

/* Downloads what apt_resolve(patterns) named. */
int apt_download_set(const struct apt *a, const char *const *patterns, struct err *e);
/* Downloads one package without what it depends on. */
int apt_download(const struct apt *a, const char *name, struct err *e);
/* Downloads the source package that this version of `name` was built from into the folder `to`;
 * apt has checked its files by the signed lists. */
int apt_source(const struct apt *a, const char *name, const char *version, const char *to,
               struct err *e);
/* Returns new: the path of a downloaded package. */
char *apt_archive_path(const struct apt *a, const struct apt_package *p);
/* What dpkg would know of the package in the archive `deb`: the path in a root where distroless
 * images have it, a file for each, and its text. Both new. */
int apt_read_status(const struct apt_package *p, const char *deb, char **ret_path, char **ret_text,
                    struct err *e);

/* Drops downloaded packages that the lists no longer know. */
int apt_clean(const struct apt *a, struct err *e);

#endif
