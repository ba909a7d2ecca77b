// SPDX-License-Identifier: Apache-2.0
// Programs with the GNU C library, and with others. Contract: program.hpp.
#include "os/program.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace asyncjob::os {

const char* trusted_variable(const char* name) noexcept {
#ifdef __GLIBC__
    return secure_getenv(name);
#else
    return getuid() == geteuid() && getgid() == getegid() ? std::getenv(name) : nullptr;
#endif
}

const char* program_name() noexcept {
#ifdef __GLIBC__
    return program_invocation_short_name;
#else
    return "";
#endif
}

}  // namespace asyncjob::os
