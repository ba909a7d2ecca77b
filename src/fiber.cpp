// SPDX-License-Identifier: Apache-2.0
// Finding the thread's state that a switch carries. Contract: fiber.hpp.
#include "fiber.hpp"

#include <dlfcn.h>

#include <cerrno>

// Of the C++ runtime, if the program has one; ours needs none. libstdc++ and libc++abi give
// each thread one block and return the same address every time.
extern "C" __attribute__((weak)) void* __cxa_get_globals();

namespace asyncjob {

namespace {

using GetGlobals = void* (*)();

// A runtime that came with dlopen() is not seen by the weak reference.
GetGlobals find_runtime() {
    if (&__cxa_get_globals != nullptr)
        return __cxa_get_globals;
    for (const char* name : {"libstdc++.so.6", "libc++abi.so.1"}) {
        void* const library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
        if (library == nullptr)
            continue;
        void* const found = dlsym(library, "__cxa_get_globals");
        if (found != nullptr)
            return reinterpret_cast<GetGlobals>(found);  // stays open: we keep the address
        dlclose(library);
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
