/*
 * recipe: what an image is to be made of, as its author wrote it down. See lazaret-recipe(5).
 *
 * A recipe is trusted as a makefile is: its packages and files go into the image. Its commands do
 * not run on the host, but in a guest of the image under way.
 */
#ifndef LZ_IMAGES_RECIPE_H
#define LZ_IMAGES_RECIPE_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"
#include "images/manifest.h"

#include <sys/types.h>

#define RECIPE_FORMAT  "lazaret-recipe"
#define RECIPE_VERSION 1u

enum recipe_variant {
    RECIPE_MINBASE, /* Debian's minimal system and the packages, installed */
    RECIPE_EXTRACT, /* the packages and what they depend on, unpacked; no system around them */
};

enum recipe_kind { RECIPE_TEXT, RECIPE_SOURCE, RECIPE_LINK, RECIPE_FOLDER };

struct recipe_file {
    char *path; /* absolute, in the image */
    enum recipe_kind kind;
    char *value; /* text; path of the source; target of the link; NULL for a folder */
    mode_t mode; /* permissions */
};

struct recipe {
    char *name; /* of its file, without ".json" */
    char *dir;  /* the folder that sources are relative to */
    char *description;
    enum recipe_variant variant;
    struct strv packages;
    struct recipe_file *files;
    size_t n_files;
    struct strv run; /* shell lines */
    struct image_config config;
    struct doc *doc; /* as it was read */
};
void recipe_done(struct recipe *r);
#define own_recipe __attribute__((cleanup(recipe_done)))

/* Reads the recipe in the file `path`; ERR_USAGE names the file and the key. */
int recipe_read(const char *path, struct recipe *ret, struct err *e);

#endif
