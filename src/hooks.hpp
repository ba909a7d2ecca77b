// SPDX-License-Identifier: Apache-2.0
// Switch hooks: functions that a thread calls as it goes into one of its jobs and as it comes out.
//
// They are a thread's, not the process's: whoever adds some to a running process could not do it
// between two switches of another thread, and each switch would have to look at what others write.
// They are added and removed outside jobs, so that every leaving has had its entering.
//
// Owner: thread_state.hpp. Threads: its own. Next layer down: reason.hpp.
#pragma once

#include <cstddef>

#include "reason.hpp"

namespace asyncjob {

struct SwitchHook {
    using Function = void (*)(ASYNC_JOB* job, void* arg);

    Function enter;  // may be NULL, but not both
    Function leave;
    void* arg;
};

class SwitchHooks {
  public:
    // Fails without memory.
    Reason add(const SwitchHook& hook) noexcept;

    // The one of these that was added last. Fails if there is none.
    Reason remove(const SwitchHook& hook) noexcept;

    void clear() noexcept;

    [[nodiscard]] bool any() const { return count_ != 0; }
    [[nodiscard]] bool are_running() const { return running_; }

    // In the order in which they were added, and in the opposite one.
    void enter(ASYNC_JOB* job) noexcept;
    void leave(ASYNC_JOB* job) noexcept;

  private:
    SwitchHook* hooks_ = nullptr;
    std::size_t count_ = 0;
    bool running_ = false;
};

}  // namespace asyncjob
