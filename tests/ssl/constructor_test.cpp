// SPDX-License-Identifier: Apache-2.0
// A library's constructor that calls libssl while another thread's first call looks for one.
#include <dlfcn.h>
#include <openssl/ssl.h>

#include <atomic>
#include <thread>

#include "../support.hpp"

namespace {

// What runs, once, when libasyncjob-ssl.so asks for a library in the midst of its first look-up.
std::atomic<void (*)()> in_lookup = nullptr;

std::atomic<bool> constructor_runs = false;
std::atomic<bool> constructor_ends = false;

}  // namespace

// Binds before libc's.
extern "C" void* dlopen(const char* name, int mode) {
    static const auto next = reinterpret_cast<decltype(&dlopen)>(dlsym(RTLD_NEXT, "dlopen"));
    if ((mode & RTLD_NOLOAD) != 0) {
        if (void (*const hook)() = in_lookup.exchange(nullptr); hook != nullptr)
            hook();
    }
    return next(name, mode);
}

// Called by the plugin's constructor, while the loader's lock is held by its thread.
extern "C" void asyncjob_test_in_constructor() {
    constructor_runs = true;
    SSL_free(nullptr);
    constructor_ends = true;
}

namespace ssl_test {
namespace {

std::thread loading_thread;

void load_plugin() {
    loading_thread = std::thread([] { EXPECT_NE(dlopen(LOADER_PLUGIN, RTLD_NOW), nullptr); });
    while (!constructor_runs)
        std::this_thread::yield();
}

TEST(Constructor, MayCallLibsslDuringAnotherThreadsFirstLookup) {
    EXPECT_TRUE(test::passes_in_child([] {
        alarm(30);
        in_lookup = load_plugin;
        SSL_free(nullptr);
        ASSERT_TRUE(loading_thread.joinable());
        loading_thread.join();
        EXPECT_TRUE(constructor_ends);
    }));
}

}  // namespace
}  // namespace ssl_test
