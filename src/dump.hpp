// SPDX-License-Identifier: Apache-2.0
// One line for each job that is running or paused, of all threads, for people who look at a
// process that hangs.
//
// May be called in a signal handler: no memory is allocated, no lock is waited for that the
// interrupted code may hold, and what other threads may be changing is copied by the kernel, which
// fails where there is nothing instead of faulting. No lock is held while a line is written or a
// symbol looked for, which may take any time.
//
// Owner: capi_stats.cpp. Threads: any. Next layer down: threads.hpp, wait_ctx.hpp.
#pragma once

namespace asyncjob {

// False: not all could be written, and errno says why; else errno stays.
[[nodiscard]] bool dump(int fd) noexcept;

}  // namespace asyncjob
