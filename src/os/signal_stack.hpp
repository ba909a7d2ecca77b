// SPDX-License-Identifier: Apache-2.0
// The stack that a thread's signal handlers run on when its own has overflowed (SA_ONSTACK).
//
// Owner: overflow.cpp. Threads: the calling one. Next layer down: os/memory.hpp.
#pragma once

#include <cstddef>

namespace asyncjob::os {

// Gives the calling thread an alternate signal stack if it has none, or none any more; else it
// keeps the one that it has. `made` is NULL at first, and then the memory that it was given, which
// serves again. False: no memory.
[[nodiscard]] bool have_signal_stack(std::byte*& made) noexcept;

// Takes it away from the calling thread again, if it has it still, and frees it.
void drop_signal_stack(std::byte* made) noexcept;

}  // namespace asyncjob::os
