/* verify_main: `lazaret verify` as a program of its own, for a machine that has no libvirt. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    static char name[] = "verify";
    int status = cli_begin();

    if (status >= 0)
        return status;
    if (argc > 0)
        argv[0] = name;
    return cmd_verify(argc, argv);
}
