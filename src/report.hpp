// SPDX-License-Identifier: Apache-2.0
// Whether there is anything to report when the process exits; see report.cpp.
//
// Owner: thread_state.cpp. Threads: any. Next layer down: report.cpp, stats.hpp.
#pragma once

namespace asyncjob {

// A thread uses jobs for the first time in this process. (The call is also what takes report.cpp
// out of the static library.)
void expect_report() noexcept;

// The child of a fork has used no jobs yet.
void expect_no_report() noexcept;

}  // namespace asyncjob
