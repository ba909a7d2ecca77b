// SPDX-License-Identifier: Apache-2.0
// What the system calls a thread.
//
// Owner: threads.cpp and trace.cpp. Threads: any. Next layer down: the kernel.
#pragma once

#include <cstddef>

namespace asyncjob::os {

// As in /proc/PID/task, and in a debugger.
[[nodiscard]] int thread_id() noexcept;

// Whether the process has a thread that is called so.
[[nodiscard]] bool has_thread(int id) noexcept;

// What a thread is named, as debuggers show it. Of the calling thread.
inline constexpr std::size_t thread_name_size = 16;
void copy_thread_name(char (&name)[thread_name_size]) noexcept;

}  // namespace asyncjob::os
