// SPDX-License-Identifier: Apache-2.0
// Failures on demand: the program's own malloc(), mmap(), eventfd() and so on stand in front of
// libc's, and fail the n-th call that comes from the code under test. Also what that code holds:
// blocks, mappings, fds.
//
// A call is told by its return address, so what libc, libcrypto, a sanitizer and the test call
// themselves neither fails nor counts. Not for ThreadSanitizer, which has its own malloc().
//
// Threads: any; calls of all threads count. Next layer down: libc, or AddressSanitizer.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace faults {

// The code under test: shared libraries with these words in their paths, which must be loaded.
void watch(const std::vector<std::string>& libraries);

enum class Fails { one, all_from_there };

// While it lives, the n-th call fails.
class Injection {
  public:
    Injection(Fails how, int n);
    ~Injection();
    Injection(const Injection&) = delete;
    Injection& operator=(const Injection&) = delete;

    // How many calls have failed by now.
    [[nodiscard]] static int failed();
};

// The names of the functions that have failed in this process, for messages.
std::string failed_functions();

// From here on the kernel has no MADV_GUARD_INSTALL.
void deny_markers();

// Bytes of blocks and mappings that the code under test has asked for and not given back.
std::size_t held_bytes();

// Open fds of the process.
std::size_t open_fds();

// LeakSanitizer's word; true without it.
bool nothing_is_leaked();

}  // namespace faults
