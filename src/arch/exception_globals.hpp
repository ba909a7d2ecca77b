// SPDX-License-Identifier: Apache-2.0
// __cxa_eh_globals of the C++ ABI: what a thread's exceptions are up to. Itanium's layout,
// with what the ARM one adds, which 32-bit Arm has wherever it unwinds by its own tables.
//
// Owner: fiber.hpp. Threads: a record belongs to one. Next layer down: the C++ runtime.
#pragma once

#include <cstdint>

#if defined(__arm__) && !defined(__ARM_DWARF_EH__) && !defined(__USING_SJLJ_EXCEPTIONS__)
#define ASYNCJOB_EXCEPTIONS_OF_ARM 1
#endif

namespace asyncjob::arch {

struct ExceptionGlobals {
    void* caught;       // those being handled
    unsigned uncaught;  // how many are in flight
#ifdef ASYNCJOB_EXCEPTIONS_OF_ARM
    void* propagating;  // those that wait for the end of a cleanup, the last one first
#endif

    // Whether there is any exception.
    [[nodiscard]] bool any() const {
#ifdef ASYNCJOB_EXCEPTIONS_OF_ARM
        if (propagating != nullptr)
            return true;
#endif
        return (reinterpret_cast<std::uintptr_t>(caught) | uncaught) != 0;
    }
};

}  // namespace asyncjob::arch
