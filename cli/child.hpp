// SPDX-License-Identifier: Apache-2.0
// Work in a process of its own, for what it prints.
//
// Threads: one at a time. Next layer down: the system.
#pragma once

#include <functional>
#include <string>

namespace asyncjob::cli {

struct ChildsEnd {
    std::string output;
    int status;  // as of waitpid()
};

// Runs `body` in a forked process whose standard output is kept, to its end; body does not
// return. Throws Failure with 1 if there can be no such process.
ChildsEnd run_in_child(const std::function<void()>& body);

}  // namespace asyncjob::cli
