// SPDX-License-Identifier: Apache-2.0
// The moment when the library finds libcrypto, on several threads at once. Each test needs a
// process that has not used jobs yet, so it runs in a child and nothing else is in here.
#include <dlfcn.h>
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>

#include <chrono>
#include <thread>

#include "support.hpp"

namespace {
// What runs, once, while the library tells libcrypto its reasons for the first time.
std::atomic<void (*)()> while_loading_strings = nullptr;
}  // namespace

// Binds before libcrypto's, for libcrypto and for the library under test.
extern "C" int ERR_load_strings(int lib, ERR_STRING_DATA* strings) {
    if (lib == ERR_LIB_ASYNC) {
        void (*const hook)() = while_loading_strings.exchange(nullptr);
        if (hook != nullptr)
            hook();
    }
    static const auto next =
        reinterpret_cast<decltype(&ERR_load_strings)>(dlsym(RTLD_NEXT, "ERR_load_strings"));
    return next(lib, strings);
}

namespace test {
namespace {

// What a second thread does while the first is still getting to know libcrypto.
OSSL_LIB_CTX* second_threads_context = nullptr;
std::atomic<bool> second_thread_is_done = false;
std::thread second_thread;

// Gives the second thread time to go wrong; one that waits its turn goes on later.
void run_second_thread(void (*body)()) {
    second_thread = std::thread([body] {
        body();
        second_thread_is_done = true;
    });
    for (int tries = 0; tries < 200 && !second_thread_is_done; ++tries)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// S2: threads that use jobs for the first time at the same moment.
TEST(FirstUse, OnTwoThreadsAtOnceLosesNoReason) {
    EXPECT_TRUE(passes_in_child([] {
        while_loading_strings = [] {
            run_second_thread([] {
                EXPECT_EQ(ASYNC_init_thread(1, 2), 0);
                EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), ASYNC_R_INVALID_POOL_SIZE);
            });
        };
        expect_jobs_work();
        ASSERT_TRUE(second_thread.joinable());
        second_thread.join();
    }));
}

// S15: the same for the default library context, which another part of the program sets.
TEST(FirstUse, OnTwoThreadsAtOnceLosesNoLibraryContext) {
    EXPECT_TRUE(passes_in_child([] {
        second_threads_context = OSSL_LIB_CTX_new();
        while_loading_strings = [] {
            run_second_thread([] {
                EXPECT_NE(OSSL_LIB_CTX_set0_default(second_threads_context), nullptr);
                EXPECT_EQ(OSSL_LIB_CTX_set0_default(nullptr), second_threads_context);
            });
        };
        expect_jobs_work();
        ASSERT_TRUE(second_thread.joinable());
        second_thread.join();
    }));
}

// S16: glibc has the values of the first 32 keys in each thread's control block, where the library
// looks for libcrypto's.
TEST(FirstUse, BehindManyKeysOfOthersCarriesErrors) {
    EXPECT_TRUE(passes_in_child([] {
        for (int i = 0; i < 40; ++i) {
            pthread_key_t key{};
            ASSERT_EQ(pthread_key_create(&key, nullptr), 0);
        }
        TestJob job([] {
            ERR_raise(ERR_LIB_USER, 1);
            ASYNC_pause_job();
            EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), 1);
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(ERR_peek_error(), 0U);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    }));
}

}  // namespace
}  // namespace test
