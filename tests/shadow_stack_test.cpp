// SPDX-License-Identifier: Apache-2.0
// A thread that runs with a shadow stack is refused jobs, and told why (S9). That there is one is
// the test's say: few machines have any. So it is of the kernel's answer, on riscv64.
#if defined(__riscv) && defined(__linux__)
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#endif
#include <thread>

#include "misuse.hpp"
#include "thread_state.hpp"

namespace test {
namespace {

class ShadowStack : public testing::Test {
  protected:
    ShadowStack() {
        asyncjob::has_shadow_stack = []() noexcept { return true; };
    }
    ~ShadowStack() override { asyncjob::has_shadow_stack = before_; }

  private:
    bool (*const before_)() noexcept = asyncjob::has_shadow_stack;
};

TEST_F(ShadowStack, S9OfAThreadIsAnErrorWithItsReasonForEachOfItsStarts) {
    std::thread([] {
        EXPECT_EQ(ASYNC_is_capable(), 0);
        for (int times = 0; times < 3; ++times) {
            EXPECT_EQ(start_wrongly(nullptr), ASYNC_ERR);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_SHADOW_STACK);
        }
        EXPECT_EQ(ASYNC_init_thread(0, 1), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_SHADOW_STACK);
        const std::string text = asyncjob_reason_string(ASYNCJOB_R_SHADOW_STACK);
        EXPECT_NE(text.find("shadow stack"), std::string::npos);
        EXPECT_NE(text.find("GLIBC_TUNABLES"), std::string::npos) << "it says what to do";
    }).join();
}

TEST_F(ShadowStack, S9ThatIsNotThereAnyMoreRefusesNothing) {
    std::thread([] {
        EXPECT_EQ(start_wrongly(nullptr), ASYNC_ERR);
        asyncjob::has_shadow_stack = []() noexcept { return false; };
        EXPECT_EQ(ASYNC_is_capable(), 1);
        expect_jobs_work();
    }).join();
}

// The processor is asked without a fault, whatever it is.
TEST(NoShadowStack, S9IsWhatThisProcessHas) {
    EXPECT_FALSE(asyncjob::has_shadow_stack());
    EXPECT_EQ(ASYNC_is_capable(), 1);
}

}  // namespace
}  // namespace test

#if defined(__riscv) && defined(__linux__)

// What the kernel says of shadow stacks; -1: it knows of none.
static long told_status = -1;

// The library's, as it is within this program.
extern "C" int prctl(int option, ...) noexcept {
    std::va_list list;
    va_start(list, option);
    auto* const place = va_arg(list, unsigned long*);
    va_end(list);
    if (option != 74)
        return static_cast<int>(syscall(SYS_prctl, option, place, 0, 0, 0));
    if (told_status == -1) {
        errno = EINVAL;
        return -1;
    }
    *place = static_cast<unsigned long>(told_status);
    return 0;
}

TEST(ShadowStackOfTheKernel, S9IsThereIfTheKernelSaysSo) {
    errno = 0;
    EXPECT_FALSE(asyncjob::has_shadow_stack());
    EXPECT_EQ(errno, 0);
    told_status = 0;
    EXPECT_FALSE(asyncjob::has_shadow_stack());
    told_status = 1 | 2;  // on, and written by programs
    EXPECT_TRUE(asyncjob::has_shadow_stack());
    EXPECT_EQ(ASYNC_is_capable(), 0);
    told_status = -1;
    EXPECT_EQ(ASYNC_is_capable(), 1);
}

#endif
