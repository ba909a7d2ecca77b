// SPDX-License-Identifier: Apache-2.0
// Lookups in the loader's tables while another thread is loading a library. The program is not
// linked with libcrypto, so each reason is a reason to look for one.
#include <dlfcn.h>

#include <thread>

#include "misuse.hpp"

namespace {

// What runs, once, when the library under test begins its next lookup.
std::atomic<void (*)()> before_lookup = nullptr;

std::atomic<bool> constructor_runs = false;
std::atomic<bool> constructor_ends = false;

}  // namespace

// Binds before libc's, for the library under test and for this program.
extern "C" void* dlopen(const char* name, int mode) {
    static const auto next = reinterpret_cast<decltype(&dlopen)>(dlsym(RTLD_NEXT, "dlopen"));
    if ((mode & RTLD_NOLOAD) != 0) {
        void (*const hook)() = before_lookup.exchange(nullptr);
        if (hook != nullptr)
            hook();
    }
    return next(name, mode);
}

// Called by the plugin's constructor, while the loader's lock is held by its thread.
extern "C" void asyncjob_test_in_constructor() {
    constructor_runs = true;
    test::expect_jobs_work();
    EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(test::no_context, nullptr), 0);
    EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NULL_ARGUMENT);
    constructor_ends = true;
}

namespace test {
namespace {

std::thread loading_thread;

void load_plugin() {
    loading_thread = std::thread([] {
        void* const plugin = dlopen(LOADER_PLUGIN, RTLD_NOW);
        EXPECT_NE(plugin, nullptr) << dlerror();
    });
    while (!constructor_runs)
        std::this_thread::yield();
}

// A lookup waits for a library that is being loaded; that library's constructor must not wait
// for the lookup.
TEST(Loader, AConstructorMayUseJobsDuringAnotherThreadsFirstLookup) {
    EXPECT_TRUE(passes_in_child([] {
        alarm(30);
        before_lookup = load_plugin;
        expect_jobs_work();
        ASSERT_TRUE(loading_thread.joinable());
        loading_thread.join();
        EXPECT_TRUE(constructor_ends);
    }));
}

}  // namespace
}  // namespace test
