// SPDX-License-Identifier: Apache-2.0
// Two libcryptos in the process's global scope, of which the first lacks what came with 3.0
// (S16, S28): the library uses the newer one alone. Each test is the first use of jobs in a child.
#include <dlfcn.h>
#include <openssl/async.h>

#include <string>

#include "support.hpp"

// old_libcrypto.c
extern "C" int old_libcrypto_calls;
extern "C" unsigned long ERR_get_error();

namespace test {
namespace {

// Of libcrypto 3: by its names this program is bound to the other one.
struct Libcrypto {
    Libcrypto() {
        void* const library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_NOLOAD);
        EXPECT_NE(library, nullptr) << dlerror();
        find(library, "ERR_new", make);
        find(library, "ERR_set_error", set_error);
        find(library, "ERR_get_error_all", get_all);
        find(library, "ERR_set_mark", set_mark);
        find(library, "ERR_pop_to_mark", pop_to_mark);
        find(library, "ERR_reason_error_string", reason_string);
    }

    template <typename Function>
    static void find(void* library, const char* name, Function& function) {
        function = reinterpret_cast<Function>(dlsym(library, name));
        EXPECT_NE(function, nullptr) << name;
    }

    void push(int reason) const {
        make();
        set_error(128, reason, "data %d", reason);
    }
    // Takes the oldest entry's reason out, 0 if there is none, and its data.
    int take(std::string* data = nullptr) const {
        const char* text = "";
        int flags = 0;
        const unsigned long code = get_all(nullptr, nullptr, nullptr, &text, &flags);
        if (data != nullptr)
            *data = text;
        return static_cast<int>(code & 0x7fffffU);
    }

    void (*make)() = nullptr;
    void (*set_error)(int, int, const char*, ...) = nullptr;
    unsigned long (*get_all)(const char**, int*, const char**, const char**, int*) = nullptr;
    int (*set_mark)() = nullptr;
    int (*pop_to_mark)() = nullptr;
    const char* (*reason_string)(unsigned long) = nullptr;
};

void in_child(void (*body)(const Libcrypto&)) {
    EXPECT_TRUE(passes_in_child([body] {
        alarm(20);
        body(Libcrypto());
        EXPECT_EQ(old_libcrypto_calls, 0);
    }));
}

TEST(TwoLibcryptos, TheProgramIsBoundToTheOldOne) {
    EXPECT_TRUE(passes_in_child([] {
        EXPECT_NE(ERR_get_error(), 0U);
        EXPECT_EQ(old_libcrypto_calls, 1);
    }));
}

TEST(TwoLibcryptos, S16EntriesOfTheNewOneAreCarriedWithTheirDataAndMarks) {
    in_child([](const Libcrypto& libcrypto) {
        TestJob job([&libcrypto] {
            libcrypto.push(1);
            libcrypto.set_mark();
            libcrypto.push(2);
            ASYNC_pause_job();
            EXPECT_EQ(libcrypto.pop_to_mark(), 1);
            std::string data;
            EXPECT_EQ(libcrypto.take(&data), 1);
            EXPECT_EQ(data, "data 1");
            EXPECT_EQ(libcrypto.take(), 0);
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(libcrypto.take(), 0);
        libcrypto.push(3);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(libcrypto.take(), 3);
    });
}

TEST(TwoLibcryptos, S28ReasonsGoToTheNewOnesQueueAndHaveTheirTextsThere) {
    in_child([](const Libcrypto& libcrypto) {
        EXPECT_EQ(ASYNC_init_thread(1, 2), 0);
        EXPECT_EQ(libcrypto.take(), ASYNC_R_INVALID_POOL_SIZE);
        constexpr unsigned long code = 51UL << 23U | ASYNCJOB_R_NULL_ARGUMENT;
        EXPECT_STREQ(libcrypto.reason_string(code),
                     asyncjob_reason_string(ASYNCJOB_R_NULL_ARGUMENT));
    });
}

}  // namespace
}  // namespace test
