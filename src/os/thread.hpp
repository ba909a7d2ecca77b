// SPDX-License-Identifier: Apache-2.0
// What the system calls a thread.
//
// Owner: threads.cpp. Threads: any. Next layer down: the kernel.
#pragma once

namespace asyncjob::os {

// As in /proc/PID/task, and in a debugger.
[[nodiscard]] int thread_id() noexcept;

}  // namespace asyncjob::os
