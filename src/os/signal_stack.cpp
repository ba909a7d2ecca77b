// SPDX-License-Identifier: Apache-2.0
// Alternate signal stacks. Contract: signal_stack.hpp.
#include "os/signal_stack.hpp"

#include <csignal>

#include "os/keep_errno.hpp"
#include "os/memory.hpp"

namespace asyncjob::os {

namespace {

// Not for the library's own handler alone, but for one of the program's that it passes a fault on
// to, which may print a backtrace. Pages that are not touched take no memory.
constexpr std::size_t size = std::size_t{64} * 1024;

std::size_t with_guard() {
    return page_size() + size;
}

}  // namespace

bool have_signal_stack(std::byte*& made) noexcept {
    const KeepErrno keep;
    stack_t now{};
    if (sigaltstack(nullptr, &now) != 0)
        return false;
    if ((now.ss_flags & SS_DISABLE) == 0)
        return true;
    if (made == nullptr) {
        made = map(with_guard());
        if (made == nullptr)
            return false;
        (void)guard(made, page_size());  // not to have it is no more than a smaller risk
    }
    stack_t ours{};
    ours.ss_sp = made + page_size();
    ours.ss_size = size;
    return sigaltstack(&ours, nullptr) == 0;
}

void drop_signal_stack(std::byte* made) noexcept {
    const KeepErrno keep;
    stack_t now{};
    if (sigaltstack(nullptr, &now) != 0)
        return;
    if (now.ss_sp == made + page_size()) {
        stack_t none{};
        none.ss_flags = SS_DISABLE;
        if (sigaltstack(&none, nullptr) != 0)
            return;  // the thread ends in a handler that runs there
    }
    unmap(made, with_guard());
}

}  // namespace asyncjob::os
