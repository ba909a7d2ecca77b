// SPDX-License-Identifier: Apache-2.0
// Threads on Linux. Contract: thread.hpp.
#include "os/thread.hpp"

#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace asyncjob::os {

int thread_id() noexcept {
#ifdef SYS_gettid
    return static_cast<int>(syscall(SYS_gettid));
#else
    return getpid();
#endif
}

bool has_thread(int id) noexcept {
#ifdef SYS_tgkill
    const int before = errno;
    // Where the call is not allowed (seccomp), none is known to have gone.
    const bool is_there = syscall(SYS_tgkill, getpid(), id, 0) == 0 || errno != ESRCH;
    errno = before;
    return is_there;
#else
    return id == getpid();
#endif
}

void copy_thread_name(char (&name)[thread_name_size]) noexcept {
    name[0] = '\0';
#ifdef PR_GET_NAME
    (void)prctl(PR_GET_NAME, name);
#endif
}

}  // namespace asyncjob::os
