// SPDX-License-Identifier: Apache-2.0
// Finding the thread's state that a switch carries. Contract: fiber.hpp.
#include "fiber.hpp"

#include <atomic>
#include <cerrno>

#include "os/loader.hpp"

// Of the C++ runtime, if the program has one; ours needs none. libstdc++ and libc++abi give
// each thread one block and return the same address every time.
extern "C" __attribute__((weak)) void* __cxa_get_globals();

namespace asyncjob {

namespace {

using GetGlobals = void* (*)();

// One that was found stays: it is kept loaded, and the child of a fork may be unable to find it
// again.
std::atomic<GetGlobals> known_runtime = nullptr;

// A runtime that came with dlopen() is not seen by the weak reference.
GetGlobals find_runtime() {
    if (&__cxa_get_globals != nullptr)
        return __cxa_get_globals;
    if (const GetGlobals known = known_runtime.load(std::memory_order_relaxed))
        return known;
    for (const char* name : {"libstdc++.so.6", "libc++abi.so.1"}) {
        void* const library = os::loaded_library(name);
        if (library == nullptr)
            continue;
        void* const found = os::find_symbol(library, "__cxa_get_globals");
        if (found == nullptr)
            continue;
        const auto get = reinterpret_cast<GetGlobals>(found);
        known_runtime.store(get, std::memory_order_relaxed);
        return get;
    }
    return nullptr;
}

}  // namespace

CarriedPlaces find_carried_places(ExceptionGlobals* none) noexcept {
    const GetGlobals get = find_runtime();
    void* const globals = get != nullptr ? get() : none;
    return {&errno, static_cast<ExceptionGlobals*>(globals)};
}

}  // namespace asyncjob
