// SPDX-License-Identifier: Apache-2.0
// Lookups. Contract: loader.hpp.
#include "os/loader.hpp"

#include <dlfcn.h>

#include "os/fork_lock.hpp"

namespace asyncjob::os {

namespace {

ForkLock lookups;

__attribute__((constructor)) void start() {
    follow_forks<lookups>();
}

}  // namespace

void* loaded_library(const char* name) noexcept {
    const ForkLock::Guard guard(lookups);
    return name == nullptr ? dlopen(nullptr, RTLD_LAZY)
                           : dlopen(name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

void* find_symbol(void* library, const char* name) noexcept {
    const ForkLock::Guard guard(lookups);
    return dlsym(library, name);
}

void* find_next_symbol(const char* name) noexcept {
    const ForkLock::Guard guard(lookups);
    return dlsym(RTLD_NEXT, name);
}

}  // namespace asyncjob::os
