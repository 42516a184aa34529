/* proctor -- the command line of the supervisor. */
#include "supervisor/cli/cmd.h"

int main(int argc, char **argv)
{
    return cmd_main(argc, argv);
}
