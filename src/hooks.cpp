// SPDX-License-Identifier: Apache-2.0
// A thread's switch hooks. Contract: hooks.hpp.
#include "hooks.hpp"

#include <algorithm>
#include <cstdlib>

namespace asyncjob {

// There are few, and they are added rarely: the memory fits.
Reason SwitchHooks::add(const SwitchHook& hook) noexcept {
    void* const memory = std::realloc(hooks_, (count_ + 1) * sizeof(SwitchHook));
    if (memory == nullptr)
        return Reason::no_memory;
    hooks_ = static_cast<SwitchHook*>(memory);
    hooks_[count_++] = hook;
    return Reason::none;
}

Reason SwitchHooks::remove(const SwitchHook& hook) noexcept {
    for (std::size_t at = count_; at-- > 0;) {
        const SwitchHook& other = hooks_[at];
        if (other.enter != hook.enter || other.leave != hook.leave || other.arg != hook.arg)
            continue;
        std::copy(hooks_ + at + 1, hooks_ + count_, hooks_ + at);
        if (--count_ == 0)
            clear();
        return Reason::none;
    }
    return Reason::no_hooks;
}

void SwitchHooks::clear() noexcept {
    std::free(hooks_);
    *this = {};
}

void SwitchHooks::enter(ASYNC_JOB* job) noexcept {
    running_ = true;
    for (std::size_t at = 0; at < count_; ++at)
        if (hooks_[at].enter != nullptr)
            hooks_[at].enter(job, hooks_[at].arg);
    running_ = false;
}

void SwitchHooks::leave(ASYNC_JOB* job) noexcept {
    running_ = true;
    for (std::size_t at = count_; at-- > 0;)
        if (hooks_[at].leave != nullptr)
            hooks_[at].leave(job, hooks_[at].arg);
    running_ = false;
}

}  // namespace asyncjob
