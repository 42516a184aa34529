#include "supervisor/instance_keep.h"

#include "supervisor/instance.h"

void instance_commit(struct instance *in)
{
}
