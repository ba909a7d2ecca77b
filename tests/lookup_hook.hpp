// SPDX-License-Identifier: Apache-2.0
// For tests of look-ups in the loader's tables while another thread is loading a library whose
// constructor calls the library under test, too. Included once in a program, which defines
// asyncjob_test_in_constructor(); that calls run_in_constructor().
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <thread>

#include "support.hpp"

namespace test {

// What runs, once, when the library under test asks the loader for a library.
inline std::atomic<void (*)()> in_lookup = nullptr;

inline std::atomic<bool> constructor_runs = false;
inline std::atomic<bool> constructor_ends = false;
inline std::thread loading_thread;

}  // namespace test

// Binds before libc's, for the library under test and for this program.
extern "C" void* dlopen(const char* name, int mode) {
    static const auto next = reinterpret_cast<decltype(&dlopen)>(dlsym(RTLD_NEXT, "dlopen"));
    if ((mode & RTLD_NOLOAD) != 0) {
        if (void (*const hook)() = test::in_lookup.exchange(nullptr); hook != nullptr)
            hook();
    }
    return next(name, mode);
}

// Called by the plugin's constructor, while the loader's lock is held by its thread.
extern "C" void asyncjob_test_in_constructor();

namespace test {

template <typename Calls>
void run_in_constructor(Calls calls) {
    constructor_runs = true;
    calls();
    constructor_ends = true;
}

inline void load_plugin() {
    loading_thread = std::thread([] {
        void* const plugin = dlopen(LOADER_PLUGIN, RTLD_NOW);
        EXPECT_NE(plugin, nullptr) << dlerror();
    });
    while (!constructor_runs)
        std::this_thread::yield();
}

// A look-up waits for a library that is being loaded; that library's constructor must not wait for
// the look-up that `calls` begins.
template <typename Calls>
void expect_no_deadlock_with_a_constructor(Calls calls) {
    alarm(30);
    in_lookup = load_plugin;
    calls();
    ASSERT_TRUE(loading_thread.joinable());
    loading_thread.join();
    EXPECT_TRUE(constructor_ends);
}

}  // namespace test
