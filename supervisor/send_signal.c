#include "supervisor/send_signal.h"

#include <errno.h>
#include <signal.h>

#include "lib/base/log.h"
#include "supervisor/instance.h"
#include "supervisor/instance_keep.h"
#include "supervisor/process.h"

int send_signal(struct instance *in, int sig, bool force)
{
    if (!in->process)
        return -ESRCH;
    if (sig == SIGUSR1 && in->runtime.is_node && !force)
        return -EPERM;
    in->sent_signal = sig;
    instance_commit(in);
    log_info("%s: signal %d, by a command", instance_name(in), sig);
    return process_signal(in->process, sig);
}
