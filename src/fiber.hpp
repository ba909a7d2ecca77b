// SPDX-License-Identifier: Apache-2.0
// A fiber: a stack plus the context of its suspended side, and what a switch must carry
// beside the registers (S16): errno and the C++ runtime's exception globals.
//
// A fiber has two sides, the code on its stack and whoever started or last resumed it; one
// is suspended at any time. What is carried is kept here for whichever it is, so a switch
// exchanges: errno always, the exceptions only if a side has any. The frames have a place each:
// the fiber's own is here, that of the outside belongs to the thread.
//
// Owner: job.hpp, which begins with a Fiber and keeps the FiberRest, which a switch does not
// touch, behind what it touches itself. Threads: those of the job.
// Next layer down: arch/context.hpp, stack.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "arch/context.hpp"
#include "arch/exception_globals.hpp"
#include "sanitizer.hpp"
#include "stack.hpp"
#include "unusual.hpp"

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

struct Fiber {
    arch::Slot suspended;  // the fiber's own frame, while it is paused
    int error_number;
    // Bits that say why a switch has to go another way; 0 for nearly all. See unusual.hpp.
    std::uint32_t unusual;

    void exchange_errno(const CarriedPlaces& places) {
        if (*places.error_number != error_number) [[unlikely]]
            std::swap(*places.error_number, error_number);
    }
};

struct FiberRest {
    ExceptionGlobals exceptions;  // with unusual::carries_exceptions only
    Stack stack;
    arch::Slot outer_outside;  // of a nested fiber: the outside of the one that it was entered from
    [[no_unique_address]] sanitizer::Fiber watched;
};

inline void exchange_exceptions(Fiber& fiber, FiberRest& rest, const CarriedPlaces& places) {
    const ExceptionGlobals arriving =
        (fiber.unusual & unusual::carries_exceptions) != 0 ? rest.exceptions : ExceptionGlobals{};
    rest.exceptions = *places.exceptions;
    *places.exceptions = arriving;
    if (rest.exceptions.any())
        fiber.unusual |= unusual::carries_exceptions;
    else
        fiber.unusual &= ~unusual::carries_exceptions;
}

}  // namespace asyncjob
