/*
 * liar: a guest's /init that breaks the protocol in the one way that the kernel argument `liar=`
 * names. For q35, where Debian's kernel has the port's drivers built in.
 *
 * It meets the host first, where the lie comes later than that: the host's first frame is a HELLO.
 */
#include "tests/hostile/liar.h"
#include "shared/wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

static int port;

static void put(uint16_t type, uint32_t stream, const void *payload, uint32_t length)
{
    uint8_t raw[WIRE_HEADER_SIZE + 4096];
    struct wire_header h = {.type = type, .stream = stream, .length = length};

    wire_header_format(raw, &h);
    if (length > 0)
        memcpy(raw + WIRE_HEADER_SIZE, payload, length);
    (void)!write(port, raw, WIRE_HEADER_SIZE + length);
}

void liar_get(int fd, void *to, size_t len)
{
    uint8_t *p = to;

    while (len > 0) {
        ssize_t n = read(fd, p, len);

        if (n <= 0) {
            usleep(1000); /* no host yet */
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

/* Reads the HELLO and answers it, with this much added to the nonce's first byte. */
static void answer(uint16_t type, unsigned add, uint32_t kept)
{
    uint8_t raw[WIRE_HEADER_SIZE + WIRE_HELLO_SIZE], out[WIRE_READY_SIZE];
    struct wire_ready ready = {
        .version = WIRE_VERSION, .kept = kept, .boot_us = UINT64_MAX}; /* nobody believes it */
    struct wire_hello hello;

    liar_get(port, raw, sizeof(raw));
    if (wire_hello_parse(raw + WIRE_HEADER_SIZE, WIRE_HELLO_SIZE, &hello) < 0)
        return;
    memcpy(ready.nonce, hello.nonce, sizeof(ready.nonce));
    ready.nonce[0] = (uint8_t)(ready.nonce[0] + add);
    wire_ready_format(out, &ready);
    put(type, 0, out, sizeof(out));
}

static void meet(unsigned add)
{
    answer(WIRE_READY, add, 0);
}

static void parked_that_nobody_asked_for(void)
{
    answer(WIRE_PARKED, 0, 0);
}

static void keeps_what_nobody_asked_for(void)
{
    answer(WIRE_READY, 0, wire_exec_bit(1));
}

static void garbage(void)
{
    (void)!write(port, "GET / HTTP/1.1\r\n\r\n", 18);
}

static void wrong_nonce(void)
{
    meet(1);
}

static void ready_before_hello(void)
{
    uint8_t out[WIRE_READY_SIZE] = {0};

    put(WIRE_READY, 0, out, sizeof(out));
}

static void output_of_no_job(void)
{
    meet(0);
    put(WIRE_DATA, wire_stream(7, WIRE_STDOUT), "hello", 5);
}

static void exit_of_no_job(void)
{
    uint8_t out[WIRE_EXIT_SIZE];
    struct wire_exit ex = {0};

    meet(0);
    wire_exit_format(out, &ex);
    put(WIRE_EXIT, wire_stream(1, WIRE_CONTROL), out, sizeof(out));
}

static void denials_of_no_job(void)
{
    uint8_t out[WIRE_DENIED_SIZE];

    meet(0);
    put(WIRE_DENIED, wire_stream(1, WIRE_CONTROL), out,
        (uint32_t)wire_denied_format(out, &(struct wire_denied){WIRE_DENIED_CALL, 165, 1}));
}

static void synced_that_nobody_asked_for(void)
{
    uint8_t out[4];

    meet(0);
    wire_u32_format(out, WIRE_SYNC_DONE);
    put(WIRE_SYNCED, 0, out, sizeof(out));
}

static void flood_of_log(void)
{
    char text[WIRE_TEXT_MAX];

    meet(0);
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < 2 * WIRE_LOG_TOTAL / sizeof(text); i++)
        put(WIRE_LOG, 0, text, sizeof(text));
}

static void lying_length(void)
{
    uint8_t raw[WIRE_HEADER_SIZE];
    struct wire_header h = {.type = WIRE_LOG, .length = WIRE_PAYLOAD_MAX + 1};

    wire_header_format(raw, &h);
    (void)!write(port, raw, sizeof(raw));
}

static void half_a_frame_and_power_off(void)
{
    struct wire_header h = {.type = WIRE_LOG, .length = 100};
    uint8_t raw[WIRE_HEADER_SIZE];

    wire_header_format(raw, &h);
    (void)!write(port, raw, sizeof(raw));
    sleep(1);
    reboot(RB_POWER_OFF);
}

/* Escapes for a terminal, on every way that text can take to the host. */
static void terminal_escapes(void)
{
    static const char evil[] = "\033]0;owned\007\033[2J\xff\n";

    printf("%s", evil);
    fflush(stdout);
    meet(0);
    put(WIRE_LOG, 0, evil, sizeof(evil) - 1);
    sleep(1);
    garbage();
}

int liar_start(void)
{
    static uint8_t payload[WIRE_PAYLOAD_MAX];
    uint8_t raw[WIRE_HEADER_SIZE];
    struct wire_header h = {0};
    struct wire_exec x = {0};
    uint32_t left = 1;

    meet(0);
    while (left > 0) {
        liar_get(port, raw, sizeof(raw));
        if (wire_header_parse(raw, &h) < 0)
            return port;
        liar_get(port, payload, h.length);
        if (h.type == WIRE_EXEC && wire_exec_parse(payload, h.length, &x) == 0)
            left = x.config_size + x.profile_size;
        else if (h.type == WIRE_CONFIG)
            left -= h.length;
    }
    put(WIRE_STARTED, wire_stream(1, WIRE_CONTROL), NULL, 0);
    return port;
}

/* All that the host cannot see for itself, as large as it gets. */
static void claims_of_all_ones(void)
{
    const struct wire_exit ex = {.code = 7,
                                 .oom = UINT32_MAX,
                                 .cpu_us = UINT64_MAX,
                                 .peak_bytes = UINT64_MAX,
                                 .peak_pids = UINT32_MAX};
    uint8_t out[WIRE_EXIT_SIZE];

    liar_start();
    wire_exit_format(out, &ex);
    put(WIRE_EXIT, wire_stream(1, WIRE_CONTROL), out, sizeof(out));
}

static void halts(void)
{
    liar_start();
    reboot(RB_HALT_SYSTEM);
}

static void sleeps(void)
{
    int fd;

    liar_start();
    fd = open("/sys/power/state", O_WRONLY | O_CLOEXEC);
    if (write(fd, "mem", 3) < 0)
        (void)!write(fd, "freeze", 6);
}

/* With reboot=t on its command line: by a triple fault. */
static void resets(void)
{
    meet(0);
    reboot(RB_AUTOBOOT);
}

static void panics(void)
{
    meet(0);
    _exit(1); /* it is the first process */
}

static void flood_of_the_console(void)
{
    char text[4096];

    meet(0);
    memset(text, '\033', sizeof(text));
    for (int i = 0; i < 100; i++)
        (void)!write(STDOUT_FILENO, text, sizeof(text));
    garbage();
}

static const struct {
    const char *name;
    void (*tell)(void);
} lies[] = {
    {"claims_of_all_ones", claims_of_all_ones},
    {"halts", halts},
    {"sleeps", sleeps},
    {"resets", resets},
    {"panics", panics},
    {"flood_of_the_console", flood_of_the_console},
    {"garbage", garbage},
    {"wrong_nonce", wrong_nonce},
    {"ready_before_hello", ready_before_hello},
    {"parked_that_nobody_asked_for", parked_that_nobody_asked_for},
    {"keeps_what_nobody_asked_for", keeps_what_nobody_asked_for},
    {"output_of_no_job", output_of_no_job},
    {"exit_of_no_job", exit_of_no_job},
    {"denials_of_no_job", denials_of_no_job},
    {"synced_that_nobody_asked_for", synced_that_nobody_asked_for},
    {"flood_of_log", flood_of_log},
    {"flood_of_events", liar_flood_of_events},
    {"flood_of_tries", liar_flood_of_tries},
    {"lying_length", lying_length},
    {"half_a_frame_and_power_off", half_a_frame_and_power_off},
    {"terminal_escapes", terminal_escapes},
};

/* Is the port's device there, and has it this name? */
static int open_named(int device, int n, const char *name)
{
    char path[64], is[64] = "";
    FILE *f;

    (void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/vport%dp%d/name", device, n);
    f = fopen(path, "re");
    if (!f)
        return -1;
    if (!fgets(is, sizeof(is), f))
        is[0] = '\0';
    (void)fclose(f);
    if (strncmp(is, name, strlen(name)) != 0 || is[strlen(name)] != '\n')
        return -1;
    (void)snprintf(path, sizeof(path), "/dev/vport%dp%d", device, n);
    return open(path, O_RDWR | O_CLOEXEC);
}

int liar_open(const char *port_name)
{
    for (;;) {
        for (int device = 0; device < 4; device++) {
            for (int n = 0; n < 4; n++) {
                int fd = open_named(device, n, port_name);

                if (fd >= 0)
                    return fd;
            }
        }
        usleep(1000);
    }
}

int main(void)
{
    char line[2048] = "";
    const char *lie;
    FILE *f;

    mkdir("/proc", 0755);
    mkdir("/dev", 0755);
    mkdir("/sys", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sys", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    f = fopen("/proc/cmdline", "re");
    if (!f || !fgets(line, sizeof(line), f))
        return 1;
    lie = strstr(line, "liar=");
    port = liar_open(WIRE_PORT_NAME);
    for (size_t i = 0; lie && i < sizeof(lies) / sizeof(lies[0]); i++)
        if (strncmp(lie + 5, lies[i].name, strlen(lies[i].name)) == 0)
            lies[i].tell();
    for (;;)
        pause();
}
