/* help: what --help prints. The man pages say the same at length. */
#include "cli/cli.h"

const char help_main[] =
    "usage: lazaret COMMAND [OPTION]... [-- CMD ARG...]\n"
    "\n"
    "Runs a program that is not trusted in a microVM of its own: a minimal guest from an\n"
    "immutable image, a nested container inside it, no network but what is allowed by name,\n"
    "nothing left afterwards.\n"
    "\n"
    "  run          run a command in a fresh guest\n"
    "  check        print the plan, domain XML and container of a run, change nothing\n"
    "\n"
    "  up NAME      start a sandbox: a guest that stays and takes commands\n"
    "  exec NAME    run a command in it, any number at once up to 16\n"
    "  cp SRC DST   copy files and folders; NAME:PATH is one in a sandbox\n"
    "  ps NAME      list its commands\n"
    "  attach NAME EXEC, logs NAME EXEC: what a detached command writes, or wrote\n"
    "  allow NAME DEST..., deny NAME DEST...: where it may connect to from now on\n"
    "  kill NAME    send one of its commands a signal, or end the sandbox the hard way\n"
    "  snapshot NAME [MARK]: keep what it is, memory and disk; revert NAME [MARK]: go back\n"
    "  marks NAME   what was kept, and how much; forget NAME MARK\n"
    "  diff NAME    which files were added, changed or removed since a mark\n"
    "  fork NAME NEW: another sandbox, that begins where this one is\n"
    "  pause NAME   stop its processors; resume NAME lets it go on\n"
    "  stats [NAME] what it has used, by the host's count; --watch: all of them, again and again\n"
    "  console NAME what its kernel and agent wrote to the console\n"
    "  down NAME    take it down: nothing of it is left\n"
    "\n"
    "  ls           list sandboxes, and runs that live (--all: kept and dead ones too)\n"
    "  show ID      all that is known of one run or sandbox\n"
    "  gc           finish what crashed runs and sandboxes left\n"
    "  image        make, list and look after images\n"
    "  warm         list and remove the saved guests that runs begin with\n"
    "  pool         list and remove the guests that are ready for runs\n"
    "  manifest diff A B: what one manifest allows more than another\n"
    "  keygen       make a key for sealed files; unseal: open one\n"
    "  record       what runs and sandboxes did: list, show, export\n"
    "  verify RUN   is its record whole, and what this host wrote?\n"
    "  report RUN   it as one page of HTML; events: what happens, line by line, as it comes\n"
    "  metrics      what sandboxes use, for Prometheus\n"
    "  doctor       what this host gives, and what to do about what it does not\n"
    "  prove        is what is promised true of a sandbox, live? Read from outside, tried inside\n"
    "\n"
    "  --version, --help, help COMMAND\n"
    "\n"
    "Exit status: the command's own (128 + signal if it was killed). Lazaret's: 120 the guest\n"
    "broke the protocol, 121 a budget ended the run, 124 deadline, 125 lazaret, host or image\n"
    "failed, 126 refused, 127 no such command in the guest. See lazaret(1).\n";

#define RUN_OPTIONS                                                                                \
    "  --image NAME       the image to boot (default: default)\n"                                  \
    "  --memory SIZE      what the job may use (512M); K, M, G, T\n"                               \
    "  --cpus N           virtual CPUs (1)\n"                                                      \
    "  --disk SIZE        scratch disk: /work and /out (1G)\n"                                     \
    "  --disk-rate SIZE, --disk-iops N: bytes and requests a second to it (no limit)\n"            \
    "  --pids N           processes and threads at once (512)\n"                                   \
    "  --timeout TIME     kill the job after TIME, counted from its start; s (default), ms, m, "   \
    "h\n"                                                                                          \
    "  --env NAME=VALUE   set a variable; NAME alone takes yours (repeatable)\n"                   \
    "  --secret NAME=FILE give it FILE as /run/secrets/NAME, for its user only, kept nowhere\n"    \
    "                     (NAME=fd:N, NAME=-: an open fd, stdin; repeatable)\n"                    \
    "  --secret-env NAME  that secret in the environment instead\n"                                \
    "  --workdir DIR      where the job starts (the image's, else /work)\n"                        \
    "  --user UID[:GID]   inside the container, never 0 (the image's, else 1000)\n"                \
    "  --idle-time TIME   kill it when for TIME it neither wrote, read nor used CPU time\n"        \
    "  --job-cpu-time TIME  CPU time of QEMU while it runs, all of it together; then SIGKILL\n"    \
    "  --cpu-time TIME    CPU time of each process; then SIGXCPU, a second later SIGKILL\n"        \
    "  --address-space SIZE, --file-size SIZE: the most of each process, none by default\n"        \
    "  --open-files N     files that each process may have open (4096)\n"                          \
    "  --tmp SIZE         /tmp, which is memory (half of --memory)\n"                              \
    "  --allow URL        let the job connect there, through a gateway on the host: "              \
    "https://HOST,\n"                                                                              \
    "                     http://HOST or tcp://HOST:PORT, HOST also *.NAME; behind it "            \
    ",KEY=VALUE\n"                                                                                 \
    "                     each: name, methods, bytes, rate, streams, secret, header: "             \
    "lazaret-run(1)\n"                                                                             \
    "                     (repeatable)\n"                                                          \
    "  --egress-proxy     by the proxy that https_proxy, all_proxy or http_proxy names\n"          \
    "  --manifest FILE    what the job asks for; options go before it: lazaret.manifest(5)\n"      \
    "  --policy FILE      what it may have at most, beside /etc/lazaret/policy.json and your "     \
    "own:\n"                                                                                       \
    "                     lazaret.policy(5); repeatable\n"                                         \
    "  --learn FILE       write to FILE the smallest manifest that would have allowed this run, "  \
    "or\n"                                                                                         \
    "                     widen the one that is there; the network is also what the policies "     \
    "allow\n"                                                                                      \
    "  --entrypoint CMD   in place of the image's entrypoint and command; '' for none\n"           \
    "  --writable         the root takes writes, on the scratch disk, gone with the run\n"         \
    "  --read PATH        let the job read below PATH, and nothing else (repeatable)\n"            \
    "  --write PATH       let it write below PATH, and nowhere else (repeatable)\n"                \
    "  --exec PATH        let it execute PATH, and nothing else (repeatable); any of the three\n"  \
    "                     forbids what is in none of them\n"                                       \
    "  --in DIR           a read-only copy of DIR at /in; given more than once: at /in/NAME\n"     \
    "  --in-max SIZE      most that may go in (1G)\n"                                              \
    "  --in-identity FILE --in is a tar archive that age sealed to the key in FILE: it is "        \
    "opened\n"                                                                                     \
    "                     into memory only, and the run's disks are in memory\n"                   \
    "  --out DIR          gets what the job wrote under /out; must be empty or new\n"              \
    "  --out-max SIZE     most that may come out (256M)\n"                                         \
    "  --out-recipient KEY  seal it to KEY (age1...), so that nobody here can read it: DIR gets\n" \
    "                     out.tar.age, the run's disks are in memory (repeatable)\n"               \
    "  -i, --interactive  connect stdin\n"                                                         \
    "  -t, --tty          a terminal for the job\n"                                                \
    "  --json             one JSON object on stdout: the result and the job's output\n"            \
    "  --keep-logs        keep the run's folder: journal, domain XML, console, result\n"           \
    "  --no-record        keep no record of it, if no policy requires one\n"                       \
    "  --no-output-content  nothing that the job says or is called is on its record\n"             \
    "  --record-changes   what changed on the guest's disk is on its record\n"                     \
    "  --record-recipient KEY  seal its record to KEY (age1...) at the end (repeatable)\n"         \
    "  --cold             boot, do not begin with a saved guest, and save none\n"                  \
    "  --amnesic          what the guest may change stays in the host's memory, never on a disk\n" \
    "  --machine TYPE     microvm (default) or q35\n"                                              \
    "  --accel WHICH      auto (default), kvm or tcg (software emulation)\n"                       \
    "  --debug            the job may trace its processes (strace, gdb); everything that is "      \
    "said\n"                                                                                       \
    "                     of the run is marked: debug, not confined\n"                             \
    "  --trace            with --debug: its system calls on the console, seen from outside\n"      \
    "  --connect URI      an ordinary user's own libvirt daemon: qemu:///session\n"

const char help_run[] =
    "usage: lazaret run [OPTION]... [--] CMD [ARG...]\n"
    "\n"
    "Boots a guest, runs CMD in a container inside it, and leaves nothing.\n"
    "\n" RUN_OPTIONS
    "  --fork-from NAME[:MARK] begin where the sandbox NAME is, or was at MARK; what the guest\n"
    "                     is and has is that sandbox's\n"
    "  --timing           a table of its steps on stderr at the end, with the time of each\n"
    "  --pool N           take a guest that is ready, and leave N ready for later runs (0 to 16)\n"
    "  --pool-idle TIME   how long they wait to be taken (10m)\n"
    "  --keep NAME        run it in a new sandbox NAME, which stays\n"
    "  --after WHAT       with --keep, the sandbox afterwards: revert (default) to what it was\n"
    "                     before, keep, or discard\n"
    "\nSee lazaret-run(1).\n";

const char help_check[] =
    "usage: lazaret check [OPTION]... [--] CMD [ARG...]\n"
    "\n"
    "Prints the plan, the domain XML, the container and the layers of `lazaret run`\n"
    "with the same options, and changes nothing. --json prints one object.\n"
    "\n" RUN_OPTIONS;

const char help_doctor[] =
    "usage: lazaret doctor [--json]\n"
    "\n"
    "Looks at what runs need from this host. Exit status 1 if runs cannot work.\n";

const char help_prove[] =
    "usage: lazaret prove [OPTION]...\n"
    "       lazaret prove [--json] NAME\n"
    "\n"
    "Looks whether what is promised holds: for a sandbox of its own with the options of `lazaret\n"
    "up`, or for NAME as it is now. Its QEMU, relay and devices are read on the host; in the "
    "guest\n"
    "a probe tries what a job would, the limits too. One line a promise: it holds, is broken, or\n"
    "is absent on this host. Exit status 1 if one is broken.\n"
    "\n"
    "  --json             one JSON object on stdout\n"
    "\nSee lazaret-sandbox(1).\n";

const char help_ls[] =
    "usage: lazaret ls [--all] [--json]\n"
    "\n"
    "Lists sandboxes, and runs that live; with --all also kept runs and those left by a crash.\n";

const char help_show[] =
    "usage: lazaret show [--json] ID\n"
    "\n"
    "Prints what is known of a run or sandbox, as JSON. ID is a sandbox's name, or the beginning\n"
    "of a run's id.\n";

const char help_gc[] =
    "usage: lazaret gc [--kept] [--records-older-than AGE] [--records-max-size SIZE] [--json]\n"
    "\n"
    "Finishes what crashed runs and sandboxes left: disks, domains, folders. Never touches one\n"
    "that lives.\n"
    "\n"
    "  --kept             remove the folders of --keep-logs, and evidence, too\n"
    "  --records-older-than AGE  remove records that were closed before: s (default), m, h, d\n"
    "  --records-max-size SIZE   and the oldest, until those that are left fit into SIZE;\n"
    "                            policies may say both, too, and the less counts\n"
    "  --json             what was swept, on stdout\n";

const char help_image[] = "usage: lazaret image COMMAND [OPTION]...\n"
                          "\n"
                          "  audit    compare its packages with Debian's security tracker\n"
                          "  build    make an image\n"
                          "  export   write an image to a file\n"
                          "  import   take an image from a file, or from docker or OCI\n"
                          "  inspect  all that is known of an image\n"
                          "  keygen   make a key to sign images with\n"
                          "  kernel   build kernels of our own for images\n"
                          "  ls       list images\n"
                          "  prune    remove what no image needs\n"
                          "  rm       remove an image\n"
                          "  sign     sign an image\n"
                          "  tag      give an image another name\n"
                          "  verify   check images: every blob, and who signed them\n"
                          "\n"
                          "Each has a --help of its own. See lazaret-image(1).\n";

const char help_up[] =
    "usage: lazaret up NAME [OPTION]...\n"
    "\n"
    "Boots a guest and leaves it in the background, where it takes commands until it is taken\n"
    "down. The options are those of `lazaret run` that say what the guest is, and what its\n"
    "commands find unless `exec` says otherwise.\n"
    "\n"
    "  --image NAME       the image to boot (default: default)\n"
    "  --memory SIZE      what each command may use (512M); K, M, G, T\n"
    "  --cpus N           virtual CPUs (1)\n"
    "  --disk SIZE        scratch disk: /work (1G)\n"
    "  --disk-rate SIZE, --disk-iops N: bytes and requests a second to it (no limit)\n"
    "  --pids N           processes and threads of each command (512)\n"
    "  --env NAME=VALUE   set a variable; NAME alone takes yours (repeatable)\n"
    "  --workdir DIR      where commands start (the image's, else /work)\n"
    "  --user UID[:GID]   inside the container, never 0 (the image's, else 1000)\n"
    "  --idle-time TIME, --job-cpu-time TIME: of each command, by the host's count\n"
    "  --cpu-time TIME, --address-space SIZE, --file-size SIZE, --open-files N: the most of each\n"
    "                     process; see lazaret-run(1)\n"
    "  --tmp SIZE         /tmp, which is memory (half of --memory)\n"
    "  --manifest FILE, --policy FILE: what is asked for, and what is allowed\n"
    "  --writable         the root takes writes, on the scratch disk\n"
    "  --read PATH        let commands read below PATH, and nothing else (repeatable)\n"
    "  --write PATH       let them write below PATH, and nowhere else (repeatable)\n"
    "  --exec PATH        let them execute PATH, and nothing else (repeatable)\n"
    "  --allow URL        let commands connect there (repeatable; 'lazaret allow' adds more "
    "later)\n"
    "  --secret NAME=FILE one that a network rule uses; for the gateway only (repeatable)\n"
    "  --egress-proxy     by the proxy that https_proxy, all_proxy or http_proxy names\n"
    "  --in DIR           a read-only copy of DIR at /in; given more than once: at /in/NAME\n"
    "  --in-max SIZE      most that may go in (1G)\n"
    "  --machine TYPE     microvm (default) or q35\n"
    "  --accel WHICH      auto (default), kvm or tcg (software emulation)\n"
    "  --cold             boot, do not begin with a saved guest, and save none\n"
    "  --debug            its commands may trace their processes (strace, gdb); everything that "
    "is\n"
    "                     said of them is marked: debug, not confined\n"
    "  --trace            with --debug: their system calls on the console\n"
    "  --mark-each-exec   make a mark before each command\n"
    "  --max-marks N      how many marks are kept; then the oldest goes (32, at most 128; 4 with\n"
    "                     --amnesic)\n"
    "  --amnesic          what the guest may change stays in the host's memory, never on a disk\n"
    "  --no-record        keep no record of it, if no policy requires one\n"
    "  --no-output-content  nothing that its commands say or are called is on its record\n"
    "  --record-changes   what changed on its disk is on its record, when it goes down\n"
    "  --record-recipient KEY  seal its record to KEY (age1...) at the end (repeatable)\n"
    "  --keep-logs        if it cannot come up, keep its folder, to see why\n"
    "  --json             one JSON object on stdout\n"
    "\nSee lazaret-sandbox(1).\n";

const char help_exec[] =
    "usage: lazaret exec NAME [OPTION]... [--] CMD [ARG...]\n"
    "       lazaret exec NAME [OPTION]... --shell\n"
    "\n"
    "Runs CMD in a container of its own in the sandbox NAME; its status is the status.\n"
    "\n"
    "  --timeout TIME     kill it after TIME, counted from its start; s (default), ms, m, h\n"
    "  --env NAME=VALUE   set a variable; NAME alone takes yours (repeatable)\n"
    "  --secret NAME=FILE give it FILE as /run/secrets/NAME, for its user only, kept nowhere\n"
    "                     (NAME=fd:N, NAME=-: an open fd, stdin; repeatable)\n"
    "  --secret-env NAME  that secret in the environment instead\n"
    "  --workdir DIR      where it starts\n"
    "  --user UID[:GID]   inside the container, never 0\n"
    "  -i, --interactive  connect stdin\n"
    "  -t, --tty          a terminal for it\n"
    "  --shell            in place of CMD: bash, or else sh, with -i, and -t on a terminal\n"
    "  -d, --detach       print its number once it has started, and leave it; its output is kept\n"
    "  --mark             make a mark before it, named before-N\n"
    "  --after WHAT       the sandbox when it has ended, however: keep (default), revert to\n"
    "                     what it was before, or discard\n"
    "  --revert-after     the same as --after revert\n"
    "  --json             one JSON object on stdout: the result and its output\n"
    "\nSee lazaret-sandbox(1).\n";

const char help_down[] =
    "usage: lazaret down NAME\n"
    "\n"
    "Takes a sandbox down: its commands are killed, and nothing of it is left.\n"
    "Removes what is left of a dead one.\n";

const char help_pause[] =
    "usage: lazaret pause NAME\n"
    "\n"
    "Stops the processors of a sandbox. Deadlines of its commands stand still.\n";

const char help_resume[] = "usage: lazaret resume NAME\n"
                           "\n"
                           "Lets a paused sandbox go on.\n";

const char help_kill[] =
    "usage: lazaret kill NAME [EXEC [SIGNAL]]\n"
    "\n"
    "Sends SIGNAL (KILL; a name or a number) to the command EXEC, a number from `lazaret ps`.\n"
    "Without EXEC, ends the sandbox without asking its keeper, and leaves nothing of it.\n";

const char help_allow[] =
    "usage: lazaret allow [OPTION]... NAME DEST...\n"
    "\n"
    "Lets a sandbox that came up with a network connect to DEST too, within its policies and "
    "those\n"
    "of now. DEST is a rule as --allow of `lazaret up` takes it; one with the same URL or name is\n"
    "replaced.\n"
    "\n"
    "  --secret NAME=FILE a secret that a rule of DEST uses; for the gateway only (repeatable)\n"
    "  --policy FILE      what may be allowed at most, beside the standing ones (repeatable)\n"
    "\nSee lazaret-sandbox(1).\n";

const char help_deny[] =
    "usage: lazaret deny NAME DEST...\n"
    "\n"
    "Takes rules of a sandbox's network away; connections that they let through end. DEST is a\n"
    "rule's URL, or its name, as `lazaret show NAME` has it.\n";

const char help_manifest[] =
    "usage: lazaret manifest diff [--json] A B\n"
    "\n"
    "Says what the manifest B allows more than A, a line each, and exits with 1 if there is\n"
    "anything, else with 0. What cannot be compared (another image, another command) is more.\n"
    "\nSee lazaret.manifest(5).\n";

const char help_ps[] = "usage: lazaret ps [--json] NAME\n"
                       "\n"
                       "Lists the commands that run in a sandbox.\n";

const char help_console[] = "usage: lazaret console [--follow] NAME\n"
                            "\n"
                            "Prints what the guest wrote to its console: escaped, the first MiB.\n"
                            "\n"
                            "  --follow  go on until the sandbox ends\n";

const char help_cp[] =
    "usage: lazaret cp [--max SIZE] NAME:PATH DST|- | SRC|- NAME:PATH\n"
    "\n"
    "Copies a file or folder out of a sandbox or into it, as the sandbox's user. '-' is a tar, on\n"
    "stdout or on stdin. Links, devices and set-id files are left out, and said.\n"
    "\n"
    "  --max SIZE  the most that may come out, and that a tar on stdin may have (256M)\n";

const char help_snapshot[] =
    "usage: lazaret snapshot [--json] NAME [MARK]\n"
    "\n"
    "Keeps what a sandbox is, memory and disk, as a mark, and prints the mark's name.\n";

const char help_revert[] =
    "usage: lazaret revert [--json] NAME [MARK]\n"
    "\n"
    "Takes a sandbox back to a mark (the newest), memory and disk. What ran at the mark runs on;\n"
    "commands begun since have ended. Prints the mark's name.\n";

const char help_marks[] =
    "usage: lazaret marks [--json] NAME\n"
    "\n"
    "Lists the marks of a sandbox, oldest first, and what they take on the disk. '*' is where the\n"
    "sandbox goes on from.\n";

const char help_forget[] = "usage: lazaret forget NAME MARK\n"
                           "\n"
                           "Removes a mark of a sandbox.\n";

const char help_diff[] =
    "usage: lazaret diff [OPTION]... NAME [MARK [MARK]]\n"
    "\n"
    "Lists which files of a sandbox were added (A), changed (C) or removed (R) since MARK (the\n"
    "newest), or between two marks. Those that cannot be compared are listed with '?'.\n"
    "\n"
    "  --out DIR       gets what was added or changed; must be empty or new\n"
    "  --out-max SIZE  most that may come out (256M)\n"
    "  --json          one JSON object on stdout\n"
    "\nSee lazaret-sandbox(1).\n";

const char help_fork[] =
    "usage: lazaret fork [--json] [--secret NAME=FILE]... NAME[:MARK] NEW\n"
    "       lazaret fork [--json] -n N NAME[:MARK] NEW\n"
    "\n"
    "Makes a sandbox NEW that begins where NAME is now, or was at MARK: an independent copy, "
    "which\n"
    "shares memory and disk until it writes. With -n: N of them, NEW-1 and so on; all or none.\n"
    "Secrets that its network rules use are given again, with --secret.\n";

const char help_attach[] =
    "usage: lazaret attach NAME EXEC\n"
    "\n"
    "Prints what the detached command EXEC wrote and writes, until it ends; its status is the\n"
    "status. Ctrl-C ends attach, not the command.\n";

const char help_logs[] =
    "usage: lazaret logs [--follow] NAME EXEC\n"
    "\n"
    "Prints what the detached command EXEC wrote so far; with --follow until it ends.\n";
