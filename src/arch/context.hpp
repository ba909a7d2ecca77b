// SPDX-License-Identifier: Apache-2.0
// Switching between stacks, the one interface that every CPU implements.
//
// A fiber has two sides, the code on its stack and the code that started or last resumed
// it, and one of them is suspended at any time. A Slot points to the frame of a suspended side;
// a switch saves the running side, leaves its frame in a slot, and continues the other one. Both
// sides make ordinary calls: callee-saved registers and the floating-point control words are
// kept, all else is as after any call.
//
// The two sides have a slot each, so that neither has to look up the fiber to find the other.
//
// All code that a side still has to run runs before its switch, so that callers can end in
// a tail call and no code of ours lies between the switch and the user's code. The end of a
// fiber is the exception: it leaves to asyncjob_context_ended(), which returns to the user.
//
// Owner: fiber.hpp, the only user. Threads: a slot belongs to one thread.
// Next layer down: context_<cpu>.S, or context_ucontext.cpp where there is no assembly;
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

// What a switch does with the floating-point control words.
enum class FpMode {
    kept,       // each side keeps its own
    comparing,  // the same, loaded only where they differ; also after sides that were `shared`
    shared,     // they stay as they are at this moment
};

// Whether a switch can leave the control words alone (FpMode::shared).
extern const bool can_share_fp_mode;

// Whether this processor is quicker by `comparing` than by `kept`.
bool prefers_comparing() noexcept;

// Where in a paused side's frame the address is that its pause returns to; NULL where that cannot
// be told.
const void* return_place(Slot paused) noexcept;

// What stands there, as an address of code.
const void* code_address(const void* stored) noexcept;

// The highest address that a first frame may start at, below `end`: the alignment of a call.
inline void* align_top(std::byte* end) {
    return end - (reinterpret_cast<std::uintptr_t>(end) & 15U);
}

extern "C" {

// Runs function(arg) on the stack that ends at `top` (16-byte aligned). The caller's frame goes
// to *outside, and so must that of whoever resumes the fiber later, since there the end of the
// fiber looks for it. Returns the value that the fiber's next pause passes; when the function
// returns, what asyncjob_context_ended() makes of its result. The control words of the new side
// are the caller's. Without a pause, the function's end is that of a call: it has kept the words,
// or has meant to change them.
int asyncjob_context_start(Slot* outside, void* top, int (*function)(void*), void* arg,
                           void* fiber) noexcept;

// Called in the fiber: leaves its frame in *own and continues `outside`, where `value` becomes
// the result of a start or resume. Returns the value of the resume that comes back. The first
// pause of a fiber is told from later ones, with the `top` that the fiber was started with.
int asyncjob_context_first_pause(Slot* own, Slot outside, int value, void* top) noexcept;
int asyncjob_context_pause(Slot* own, Slot outside, int value) noexcept;

// Leaves the caller's frame in *outside and continues a paused fiber, where `value` becomes the
// result of its pause. Returns the value that its next pause passes, or what
// asyncjob_context_ended() returns.
int asyncjob_context_resume(Slot* outside, Slot fiber, int value) noexcept;

// The same in the other modes. All may be mixed, but that a side which was left by a shared one
// keeps no control words to come back to, and the next switch to it has to be one of these.
int asyncjob_context_start_shared(Slot* outside, void* top, int (*function)(void*), void* arg,
                                  void* fiber) noexcept;
int asyncjob_context_first_pause_comparing(Slot* own, Slot outside, int value, void* top) noexcept;
int asyncjob_context_pause_comparing(Slot* own, Slot outside, int value) noexcept;
int asyncjob_context_resume_comparing(Slot* outside, Slot fiber, int value) noexcept;
int asyncjob_context_first_pause_shared(Slot* own, Slot outside, int value, void* top) noexcept;
int asyncjob_context_pause_shared(Slot* own, Slot outside, int value) noexcept;
int asyncjob_context_resume_shared(Slot* outside, Slot fiber, int value) noexcept;

// Called when a fiber's function has returned `value`, on the other side's stack and with its
// registers, in place of a return from its start or resume; `fiber` is what its start was given.
// Defined by whoever uses fibers.
int asyncjob_context_ended(void* fiber, int value) noexcept;

}  // extern "C"

// The functions above by their mode. Callers pass a constant or have a branch for it.
inline int start(Slot* outside, void* top, int (*function)(void*), void* arg, void* fiber,
                 FpMode mode) {
    if (mode == FpMode::shared)
        return asyncjob_context_start_shared(outside, top, function, arg, fiber);
    return asyncjob_context_start(outside, top, function, arg, fiber);
}
inline int first_pause(Slot* own, Slot outside, int value, void* top, FpMode mode) {
    switch (mode) {
        case FpMode::kept:
            return asyncjob_context_first_pause(own, outside, value, top);
        case FpMode::comparing:
            return asyncjob_context_first_pause_comparing(own, outside, value, top);
        default:
            return asyncjob_context_first_pause_shared(own, outside, value, top);
    }
}
inline int pause(Slot* own, Slot outside, int value, FpMode mode) {
    switch (mode) {
        case FpMode::kept:
            return asyncjob_context_pause(own, outside, value);
        case FpMode::comparing:
            return asyncjob_context_pause_comparing(own, outside, value);
        default:
            return asyncjob_context_pause_shared(own, outside, value);
    }
}
inline int resume(Slot* outside, Slot fiber, int value, FpMode mode) {
    switch (mode) {
        case FpMode::kept:
            return asyncjob_context_resume(outside, fiber, value);
        case FpMode::comparing:
            return asyncjob_context_resume_comparing(outside, fiber, value);
        default:
            return asyncjob_context_resume_shared(outside, fiber, value);
    }
}

}  // namespace asyncjob::arch
