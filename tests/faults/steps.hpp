// SPDX-License-Identifier: Apache-2.0
// Every way into the library that needs something of the system, as steps that may fail.
#pragma once

#include <cstddef>
#include <ostream>
#include <vector>

#include "../support.hpp"

namespace faults {

// Calls that need memory, fds or guards.
struct Step {
    const char* name;
    void (*prepare)();
    // Whether the calls succeeded; by contract, of those that cannot fail. Checks its own results.
    bool (*call)();
    void (*undo)();  // gives back what prepare() and a successful call() have made
    // Bytes that a failed call may leave to the next: the descriptor of the slab that a job was to
    // stand in, and its memory if a job was made in it.
    std::size_t may_leave = 128 * test::kib;
};

inline std::ostream& operator<<(std::ostream& out, const Step& step) {
    return out << step.name;
}

// With ASYNCJOB_TRACE in the environment, those of a program that is watched.
const std::vector<Step>& steps();

}  // namespace faults
