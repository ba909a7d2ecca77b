// SPDX-License-Identifier: Apache-2.0
// __cxa_eh_globals of the C++ ABI: what a thread's exceptions are up to. Itanium's layout,
// with what the ARM one adds.
//
// Owner: fiber.hpp. Threads: a record belongs to one. Next layer down: the C++ runtime.
#pragma once

#include <cstdint>

namespace asyncjob::arch {

struct ExceptionGlobals {
    void* caught;       // those being handled
    unsigned uncaught;  // how many are in flight
#if defined(__ARM_EABI_UNWINDER__)
    void* propagating;
#endif

    // Whether there is any exception.
    [[nodiscard]] bool any() const {
#if defined(__ARM_EABI_UNWINDER__)
        if (propagating != nullptr)
            return true;
#endif
        return (reinterpret_cast<std::uintptr_t>(caught) | uncaught) != 0;
    }
};

}  // namespace asyncjob::arch
