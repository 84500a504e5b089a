/*
 * armor: plan -> AppArmor profile of the nested container. See armor.h.
 *
 * How it works
 *   What no rule allows is refused and told. Without declared paths a job reads and executes what
 *   there is and writes where its mounts take writes. With them it touches those and what starting
 *   a program needs. Its kernel asks AppArmor before Landlock (domain.c has the order), so that
 *   what both refuse is told, but for what is executed.
 *
 *   AppArmor knows a file by where it is, not by the link that led there, and what links an image
 *   has nobody on the host knows. So the folders of programs and libraries, which nearly all links
 *   of images lead to, are open for reading and executing here, and Landlock alone holds what is
 *   declared of them. What nearly every system has as links is allowed by both names.
 *
 * Must: never let a path be anything but one path, whatever bytes it has: all but the harmless are
 * written as numbers, which the parser takes for the byte and for nothing else.
 */
#include "oci/armor.h"

#include "base/own.h"
#include "shared/guest.h"

#include <string.h>

/*
 * Debian's 6.12 and ours (security/apparmor/apparmorfs.c), as far as the parser of Debian 12 knows
 * it. A class that is not named here would not be mediated.
 */
const char armor_features[] =
    "signal {mask {hup int quit ill trap abrt bus fpe kill usr1 segv usr2 pipe alrm term stkflt "
    "chld cont stop stp ttin ttou urg xcpu xfsz vtalrm prof winch io pwr sys emt lost\n}\n}\n"
    "ptrace {mask {read trace\n}\n}\n"
    "caps {mask {chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap "
    "linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner "
    "sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice "
    "sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap "
    "mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf "
    "checkpoint_restore\n}\n}\n"
    "rlimit {mask {cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue "
    "nice rtprio rttime\n}\n}\n"
    "capability {0xffffff\n}\n"
    "namespaces {pivot_root {no\n}\nprofile {yes\n}\n}\n"
    "mount {mask {mount umount pivot_root\n}\n}\n"
    "network_v8 {af_mask {unspec unix inet ax25 ipx appletalk netrom bridge atmpvc x25 inet6 rose "
    "netbeui security key netlink packet ash econet atmsvc rds sna irda pppox wanpipe llc ib mpls "
    "can tipc bluetooth iucv rxrpc isdn phonet ieee802154 caif alg nfc vsock kcm qipcrtr smc "
    "xdp\n}\n}\n"
    "file {mask {create read write exec append mmap_exec link lock\n}\n}\n"
    "domain {version {1.2\n}\ncomputed_longest_left {yes\n}\npost_nnp_subset {yes\n}\n"
    "fix_binfmt_elf_mmap {yes\n}\nstack {yes\n}\nchange_profile {yes\n}\nchange_onexec {yes\n}\n"
    "change_hatv {yes\n}\nchange_hat {yes\n}\n}\n"
    "policy {set_load {yes\n}\nversions {v8 {yes\n}\nv7 {yes\n}\nv6 {yes\n}\nv5 {yes\n}\n}\n}\n";

/* Those that seccomp lets a job have (seccomp.c). */
static const char sockets[] = "  network unix,\n"
                              "  network inet stream,\n"
                              "  network inet dgram,\n"
                              "  network inet6 stream,\n"
                              "  network inet6 dgram,\n"
                              "  network netlink raw,\n"
                              "  network netlink dgram,\n";

/* Whatever else a rule allows. A process has nothing to tell AppArmor about itself. */
static const char never[] = "  audit deny /proc/{,**/}attr/{,**} w,\n"
                            "  audit deny /proc/sys/{,**} w,\n"
                            "  audit deny /proc/{sysrq-trigger,kcore,kmem,mem,kmsg} rw,\n"
                            "  audit deny /sys/{,**} w,\n";

/* What is mounted to take writes, and files of /proc that are the job's own. /dev/null of a job
 * without input is the guest's, and has no other name here. */
static const char anywhere[] = "  / r,\n"
                               "  /** rkmix,\n"
                               "  /{work,out,tmp,dev,proc}/{,**} wl,\n"
                               "  /null rw,\n";

/*
 * What starting needs (guest.h), and the folders of programs. The network that GUEST_JOB_INIT shows
 * the agent is no file anywhere and has the name of the root, so that Landlock alone refuses to
 * list that. What leads to an open file, as /dev/stdout does, is asked for as if it could be made;
 * that file has a name of its own.
 */
static const char starting[] =
    "  /{usr,opt,bin,sbin,lib,lib32,lib64,libx32,.lazaret}/{,**} rkmix,\n"
    "  / r,\n"
    "  /etc/ld.so.cache rk,\n"
    "  /dev/{null,zero,full,random,urandom,tty} rwk,\n"
    "  /dev/pts/{,*} rwk,\n"
    "  /proc/{,**/}fd/* w,\n"
    "  /null rw,\n";

/* Folders that are links on nearly every system, and where those lead. */
static const struct {
    const char *from, *to;
} links[] = {
    {"/bin", "/usr/bin"},     {"/sbin", "/usr/sbin"},     {"/lib", "/usr/lib"},
    {"/lib32", "/usr/lib32"}, {"/lib64", "/usr/lib64"},   {"/libx32", "/usr/libx32"},
    {"/var/run", "/run"},     {"/var/lock", "/run/lock"},
};

static void add_quoted(struct str *s, const char *bytes)
{
    static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "/._-";

    for (; *bytes; bytes++)
        if (strchr(harmless, *bytes))
            str_addf(s, "%c", *bytes);
        else
            str_addf(s, "\\%03o", (unsigned)(unsigned char)*bytes);
}

/* A path, its beginning and the rest of it, and all below it. */
static void add_rule(struct str *s, const char *to, const char *rest, const char *rights)
{
    str_add(s, "  \"");
    add_quoted(s, to);
    add_quoted(s, rest);
    str_addf(s, "{,/,/**}\" %s,\n", rights);
}

/* The path itself and all below it, by each of its names. False: there are too many, or only the
 * guest knows what it is: with "..", which may be behind a link. */
static bool add_path(struct str *s, const char *path, const char *rights)
{
    own_str struct str plain = {0};

    for (const char *at = path; *at;) {
        size_t n = strcspn(at, "/");

        if (n == 2 && strncmp(at, "..", 2) == 0)
            return false;
        if (n > 1 || (n == 1 && *at != '.')) {
            str_add(&plain, "/");
            str_add_bytes(&plain, at, n);
        }
        at += n + (at[n] == '/');
    }
    if (!plain.data) { /* the root */
        str_addf(s, "  /{,**} %s,\n", rights);
        return s->len <= ARMOR_RULES_MAX;
    }
    add_rule(s, "", plain.data, rights);
    for (size_t k = 0; k < sizeof(links) / sizeof(links[0]); k++) {
        size_t n = strlen(links[k].from);

        if (strncmp(plain.data, links[k].from, n) == 0 && (!plain.data[n] || plain.data[n] == '/'))
            add_rule(s, links[k].to, plain.data + n, rights);
    }
    return s->len <= ARMOR_RULES_MAX;
}

static bool add_paths(struct str *s, const struct strv *paths, const char *rights)
{
    for (size_t i = 0; i < paths->n; i++)
        if (!add_path(s, paths->items[i], rights))
            return false;
    return true;
}

/* The file that the command is, where GUEST_JOB_INIT looks for it (jobinit.c). */
static bool add_command(struct str *s, const struct plan *p)
{
    static const char key[] = "PATH=";
    const char *name = p->argv.n ? p->argv.items[0] : "";
    const char *dirs = strchr(name, '/') ? "." : "";

    for (size_t i = 0; !*dirs && i < p->env.n; i++)
        if (str_starts_with(p->env.items[i], key))
            dirs = p->env.items[i] + strlen(key);
    if (name[0] == '/')
        return add_path(s, name, "rkmix");
    while (*dirs) { /* without PATH it is in folders of programs */
        size_t n = strcspn(dirs, ":");
        own_free char *file =
            str_printf("%s/%.*s/%s", *dirs == '/' ? "" : p->workdir, (int)n, dirs, name);

        if (!add_path(s, file, "rkmix"))
            return false;
        dirs += n + (dirs[n] == ':');
    }
    return true;
}

/* False: they are not to be held here. To rename is to read, for AppArmor: what may be written may
 * be read as far as it goes. */
static bool add_declared(struct str *s, const struct plan *p)
{
    const struct plan_declared *d = &p->declared;

    str_add(s, starting);
    if (p->egress)
        str_add(s, "  /etc/resolv.conf rk,\n");
    return add_paths(s, &d->read, "rkm") && add_paths(s, &d->write, "rwlkm") &&
           add_paths(s, &d->exec, "rkmix") && add_command(s, p);
}

/* It looks at everything that confines a job, and Landlock does not hold it either. */
static bool is_probe(const struct plan *p)
{
    return p->argv.n > 1 && strcmp(p->argv.items[0], GUEST_JOB_INIT) == 0 &&
           strcmp(p->argv.items[1], "--probe") == 0;
}

static void add_files(struct str *s, const struct plan *p)
{
    own_str struct str declared = {0};

    if (plan_is_declared(p) && !is_probe(p) && add_declared(&declared, p)) {
        str_add(s, declared.data);
        return;
    }
    str_add(s, anywhere);
    if (p->writable_root)
        str_add(s, "  /{,**} wl,\n");
}

char *armor_profile(const struct plan *p, unsigned exec)
{
    own_free char *name = str_printf(GUEST_PROFILE "%u", exec);
    own_str struct str s = {0};

    str_addf(&s, "profile %s flags=(attach_disconnected,mediate_deleted) {\n%s", name, sockets);
    str_addf(&s, "  signal (send, receive) peer=%s,\n  signal (receive) peer=unconfined,\n", name);
    str_addf(&s, "  ptrace (%s) peer=%s,\n",
             p->debug ? "read, readby, trace, tracedby" : "read, readby", name);
    if (p->trace)
        str_add(&s, "  ptrace (readby, tracedby) peer=unconfined,\n");
    add_files(&s, p);
    str_addf(&s, "%s}\n", never);
    return str_steal(&s);
}
