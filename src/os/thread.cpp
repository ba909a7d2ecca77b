// SPDX-License-Identifier: Apache-2.0
// Threads on Linux. Contract: thread.hpp.
#include "os/thread.hpp"

#include <sys/syscall.h>
#include <unistd.h>

namespace asyncjob::os {

int thread_id() noexcept {
#ifdef SYS_gettid
    return static_cast<int>(syscall(SYS_gettid));
#else
    return getpid();
#endif
}

}  // namespace asyncjob::os
