// SPDX-License-Identifier: Apache-2.0
// A fiber: a stack plus the context of its suspended side, and what a switch must carry
// beside the registers (S16): errno and the C++ runtime's exception globals.
//
// A fiber has two sides, the code on its stack and whoever started or last resumed it; one
// is suspended at any time. `suspended` and `carried` hold what belongs to that one, so a
// switch exchanges. Everything is inline and ends in a tail call of the switch: each frame
// between the user's code and the switch would cost a mispredicted return.
//
// Owner: job.hpp. Threads: those of the job. Next layer down: arch/context.hpp, stack.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "arch/context.hpp"
#include "arch/exception_globals.hpp"
#include "sanitizer.hpp"
#include "stack.hpp"

namespace asyncjob {

using arch::ExceptionGlobals;

// Where a thread has the state that a switch carries.
struct CarriedPlaces {
    int* error_number;
    ExceptionGlobals* exceptions;
};

// The places of the calling thread. Without a C++ runtime in the process, `exceptions` is
// `none`, which the caller provides.
CarriedPlaces find_carried_places(ExceptionGlobals* none) noexcept;

// The suspended side's values.
struct Carried {
    int error_number;
    ExceptionGlobals exceptions;
};

struct Fiber {
    arch::Slot suspended;
    Carried carried;
    Stack stack;
    [[no_unique_address]] sanitizer::Fiber watched;

    void exchange(const CarriedPlaces& places) {
        std::swap(*places.error_number, carried.error_number);
        std::swap(*places.exceptions, carried.exceptions);
    }

    // Runs entry(arg) on the fiber's stack below `top`, with the starter's errno and no
    // exception in flight. Returns what the fiber's next switch passes. entry begins with
    // arrived().
    int start(void* top, arch::Entry entry, void* arg, const CarriedPlaces& places) {
        carried.error_number = *places.error_number;
        carried.exceptions = *places.exceptions;
        *places.exceptions = ExceptionGlobals{};
        sanitizer::leave_to_fiber(watched);
        if constexpr (sanitizer::watched) {
            const int value = arch::asyncjob_context_start(&suspended, top, entry, arg);
            sanitizer::arrive_outside(watched);
            return value;
        }
        return arch::asyncjob_context_start(&suspended, top, entry, arg);
    }

    void arrived() { sanitizer::arrive_in_fiber(watched, true); }

    // Continues the fiber: `value` becomes the result of its pause. Returns what its next
    // switch passes.
    int resume(int value, const CarriedPlaces& places, bool share_fp_mode) {
        exchange(places);
        sanitizer::leave_to_fiber(watched);
        if constexpr (sanitizer::watched) {
            const int result = change(value, share_fp_mode);
            sanitizer::arrive_outside(watched);
            return result;
        }
        return change(value, share_fp_mode);
    }

    // Called on the fiber: its resumer goes on with `value`. Returns the value of the resume.
    int pause(int value, const CarriedPlaces& places, bool share_fp_mode) {
        exchange(places);
        sanitizer::leave_fiber(watched, false);
        if constexpr (sanitizer::watched) {
            const int result = change(value, share_fp_mode);
            sanitizer::arrive_in_fiber(watched, false);
            return result;
        }
        return change(value, share_fp_mode);
    }

    // Called on the fiber as the last thing before entry returns the outcome. The end of a
    // fiber is a return and no pause: errno goes with it, as from any function.
    arch::Outcome end(int value, void* reclaim, const CarriedPlaces& places, bool share_fp_mode) {
        *places.exceptions = carried.exceptions;
        sanitizer::leave_fiber(watched, true);
        return {static_cast<std::uint32_t>(value) | (share_fp_mode ? arch::share_fp_mode : 0U),
                reclaim};
    }

  private:
    int change(int value, bool share_fp_mode) {
        if (share_fp_mode) [[unlikely]]
            return arch::asyncjob_context_switch_shared(&suspended, value);
        return arch::asyncjob_context_switch(&suspended, value);
    }
};

}  // namespace asyncjob
