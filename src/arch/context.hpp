// SPDX-License-Identifier: Apache-2.0
// Switching between stacks, the one interface that every CPU implements.
//
// A fiber has two sides, the code on its stack and the code that started or last resumed
// it, and one of them is suspended at any time. A Slot points to the frame of the suspended
// side, so that a switch is an exchange: save the running side, leave its frame in the
// slot, continue the one that was there. Both sides make ordinary calls: callee-saved
// registers and the floating-point control words are kept, all else is as after any call.
//
// All code that a side still has to run runs before its switch, so that callers can end in
// a tail call and no code of ours lies between the switch and the user's code.
//
// Owner: fiber.hpp, the only user. Threads: a slot belongs to one thread.
// Next layer down: context_x86_64.S, or context_ucontext.cpp where there is no assembly;
// README.md tells how to add a CPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/frame.h"

namespace asyncjob::arch {

// Where the suspended side's frame is.
using Slot = void*;

// Whether this build can switch at all.
extern const bool capable;

// How the build switches: "x86_64 assembly", "ucontext" or "none".
extern const char* const backend;

// What a fiber's entry function returns when it is done with the fiber's stack.
struct Outcome {
    std::uint64_t value;  // the low half goes to the other side; see share_fp_mode
    void* reclaim;        // if not NULL, given to asyncjob_reclaim() once off this stack
};

// In Outcome::value: leave the control words to the other side as they are.
inline constexpr std::uint64_t share_fp_mode = std::uint64_t{1} << 32;

using Entry = Outcome (*)(void* arg) noexcept;

// Whether the *_shared switch can leave the control words alone.
extern const bool can_share_fp_mode;

// The highest address that a first frame may start at, below `end`: the alignment of a call.
inline void* align_top(std::byte* end) {
    return end - (reinterpret_cast<std::uintptr_t>(end) & 15U);
}

extern "C" {

// Runs entry(arg) on the stack that ends at `top` (16-byte aligned). Returns the value that
// the fiber's next switch passes, or that of entry's Outcome. The control words of the new
// side are the caller's.
int asyncjob_context_start(Slot* slot, void* top, Entry entry, void* arg) noexcept;

// Suspends the caller and continues the side that the slot holds, where `value` becomes the
// result of its switch. Returns the value of the switch that comes back.
int asyncjob_context_switch(Slot* slot, int value) noexcept;

// The same, but the control words stay as they are at this moment.
int asyncjob_context_switch_shared(Slot* slot, int value) noexcept;

// Called by the switch on the other side's stack after a fiber has ended with a `reclaim`.
// Defined by fiber.cpp's user, thread_state.cpp.
void asyncjob_reclaim(void* reclaim) noexcept;

}  // extern "C"

}  // namespace asyncjob::arch
