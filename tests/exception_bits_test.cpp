// SPDX-License-Identifier: Apache-2.0
// Exceptions that are handled or in flight stay on their side of a switch (S16), whatever the
// address of one and however many they are: the short ways of a switch look at them and at other
// bits in one test.
#include <cxxabi.h>
#include <unwind.h>

#include <cstdint>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

// What the C++ ABI calls __cxa_eh_globals.
struct Globals {
    std::uintptr_t caught;
    unsigned uncaught;
#if defined(__ARM_EABI_UNWINDER__)  // by <unwind.h>
    std::uintptr_t propagating = 0;
#endif

    bool operator==(const Globals&) const = default;
};

Globals& globals() {
    return *reinterpret_cast<Globals*>(abi::__cxa_get_globals());
}

// No exception, and such as have few bits set: an address is 64 Ki at least.
std::vector<Globals> cases() {
    constexpr int address_bits = sizeof(std::uintptr_t) == 8 ? 47 : 32;
    std::vector<Globals> all{{0, 0}, {static_cast<std::uintptr_t>(0x7f0000101230), 1}};
    for (int bit = 16; bit < address_bits; ++bit)
        for (int other = 16; other <= bit; ++other)
            all.push_back({std::uintptr_t{1} << bit | std::uintptr_t{1} << other, 0});
    for (int bit = 0; bit < 32; ++bit)
        all.push_back({0, 1U << bit});
#if defined(__ARM_EABI_UNWINDER__)
    for (int bit = 16; bit < address_bits; ++bit)
        all.push_back({0, 0, std::uintptr_t{1} << bit});
#endif
    return all;
}

// A job that has been resumed so often is no longer a young one.
constexpr int resumes = 20;

void expect_own_exceptions_on_each_side() {
    for (const Globals& mine : cases()) {
        for (const bool in_job : {false, true}) {
            const Globals outside = in_job ? Globals{} : mine;
            const Globals inside = in_job ? mine : Globals{};
            int wrong = 0;
            TestJob job([&] {
                for (int i = 0; i < resumes; ++i) {
                    globals() = inside;
                    ASYNC_pause_job();
                    wrong += globals() == inside ? 0 : 1;
                }
                globals() = {};
            });
            for (int i = 0; i < resumes; ++i) {
                globals() = i == 0 ? Globals{} : outside;
                const int status = job.go();
                wrong +=
                    status == ASYNC_PAUSE && globals() == (i == 0 ? Globals{} : outside) ? 0 : 1;
            }
            globals() = {};
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            ASSERT_EQ(wrong, 0) << std::hex << mine.caught << ", " << mine.uncaught
                                << (in_job ? " in the job" : " in its resumer");
        }
    }
}

TEST(ExceptionBits, S16StayOnTheirSide) {
    expect_own_exceptions_on_each_side();
}

TEST(ExceptionBits, S16StayOnTheirSideWithControlWordsShared) {
    asyncjob_share_fp_mode(1);
    expect_own_exceptions_on_each_side();
    asyncjob_share_fp_mode(0);
}

}  // namespace
}  // namespace test
