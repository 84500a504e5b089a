/* progress: what a long operation tells the person who waits: one line a step. */
#ifndef LZ_IMAGES_PROGRESS_H
#define LZ_IMAGES_PROGRESS_H

struct progress {
    void (*line)(void *arg, const char *line); /* NULL: nobody listens */
    void *arg;
};

/* `p` may be NULL. A line over 255 bytes is cut. */
void progress(const struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
