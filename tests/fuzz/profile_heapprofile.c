#include "lib/profile/heapprofile.h"
#include "tests/fuzz/profile_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_reader(heapprofile_read, data, size);
    check_reader(profile_read, data, size);
    return 0;
}
