// SPDX-License-Identifier: Apache-2.0
// How a command ends when it cannot go on: a sentence that names the cause and what to do,
// and an exit status. main() prints the one and returns the other.
//
// Threads: any. Next layer down: none.
#pragma once

#include <stdexcept>
#include <string>

namespace asyncjob::cli {

// Exit statuses. Those of `run` are the shell's and env(1)'s, as PROGRAM's own take the rest.
inline constexpr int status_failed = 1;
inline constexpr int status_usage = 2;
inline constexpr int status_run_failed = 125;
inline constexpr int status_not_executable = 126;
inline constexpr int status_not_found = 127;

class Failure : public std::runtime_error {
  public:
    Failure(int status, const std::string& what) : std::runtime_error(what), status_(status) {}
    int status() const { return status_; }

  private:
    int status_;
};

}  // namespace asyncjob::cli
