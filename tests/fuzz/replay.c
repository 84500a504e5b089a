/* replay: runs a fuzz target over files, or every file of a folder: the corpus as a test. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1u << 20)

static int replay(const char *path)
{
    uint8_t *data = malloc(INPUT_MAX), *exact;
    FILE *f = fopen(path, "re");
    size_t len;

    if (!data || !f) {
        perror(path);
        exit(1);
    }
    len = fread(data, 1, INPUT_MAX, f);
    fclose(f);
    exact = realloc(data, len ? len : 1); /* so that a read behind the input is seen */
    if (!exact) {
        perror(path);
        exit(1);
    }
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return 1;
}

static int replay_folder(DIR *d, const char *folder)
{
    const struct dirent *de;
    char path[4096];
    int n = 0;

    while ((de = readdir(d))) {
        if (de->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, de->d_name);
        n += replay(path);
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    int n = 0;

    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);

        n += d ? replay_folder(d, argv[i]) : replay(argv[i]);
    }
    printf("%d inputs\n", n);
    return n > 0 ? 0 : 1;
}
