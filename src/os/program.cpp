// SPDX-License-Identifier: Apache-2.0
// Programs with the GNU C library, and with others. Contract: program.hpp.
#include "os/program.hpp"

#include <sys/auxv.h>

#include <cerrno>
#include <cstdlib>

namespace asyncjob::os {

const char* trusted_variable(const char* name) noexcept {
    // What secure_getenv() asks, which not every libc has. It knows of capabilities, too.
    return getauxval(AT_SECURE) == 0 ? std::getenv(name) : nullptr;
}

const char* program_name() noexcept {
#ifdef __GLIBC__
    return program_invocation_short_name;
#else
    return "";
#endif
}

}  // namespace asyncjob::os
