// SPDX-License-Identifier: Apache-2.0
// What a thread polls for its ready jobs: one fd that becomes readable by a signal from any thread
// and by a timer.
//
// Owner: wake.cpp. Threads: signal() any, the rest the owner's. Next layer down: the kernel.
#pragma once

#include "os/clock.hpp"

namespace asyncjob::os {

inline constexpr int no_fd = -1;

struct EventFds {
    int ready = no_fd;  // an epoll fd over the other two, which are not polled by themselves
    int event = no_fd;
    int timer = no_fd;
};

// False, and no fd is open, where the system has none to give. errno is then what it says.
[[nodiscard]] bool open_event(EventFds& fds) noexcept;
void close_event(EventFds& fds) noexcept;

// The rest leaves errno alone.

// Makes the fd readable until it is drained.
void signal_event(int event) noexcept;
void drain_event(int event) noexcept;

// Makes the fd readable from `at` on, and not before, whatever was set until now.
void set_timer(int timer, Time at) noexcept;

}  // namespace asyncjob::os
