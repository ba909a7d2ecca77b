// SPDX-License-Identifier: Apache-2.0
// The error queue of a libcrypto that comes into the process with a dlopen(), after jobs have been
// used (S16). Nothing else is in here, as a process loads it for the first time once.
#include <dlfcn.h>

#include <thread>

#include "support.hpp"

namespace test {
namespace {

struct Libcrypto {
    void (*make)();
    void (*set_error)(int, int, const char*, ...);
    unsigned long (*get)();

    void push() const {
        make();
        set_error(128, 5, nullptr);
    }
};

template <typename Function>
void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
}

void expect_entries_carried(const Libcrypto& libcrypto) {
    TestJob job([&libcrypto] {
        libcrypto.push();
        ASYNC_pause_job();
        EXPECT_NE(libcrypto.get(), 0U);
        EXPECT_EQ(libcrypto.get(), 0U);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(libcrypto.get(), 0U);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
}

TEST(LateLibcrypto, ItsEntriesAreCarriedFromTheNextJobThatIsMade) {
    ASSERT_EQ(dlopen("libcrypto.so.3", RTLD_NOW | RTLD_NOLOAD), nullptr) << "it is here already";
    expect_jobs_work();
    TestJob paused([] { ASYNC_pause_job(); });
    EXPECT_EQ(paused.go(), ASYNC_PAUSE);  // takes the idle job

    void* const library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        GTEST_SKIP() << dlerror();
    Libcrypto libcrypto{};
    find(library, "ERR_new", libcrypto.make);
    find(library, "ERR_set_error", libcrypto.set_error);
    find(library, "ERR_get_error", libcrypto.get);
    expect_entries_carried(libcrypto);
    EXPECT_EQ(paused.go(), ASYNC_FINISH);
    std::thread([&libcrypto] { expect_entries_carried(libcrypto); }).join();
}

}  // namespace
}  // namespace test
