// SPDX-License-Identifier: Apache-2.0
// The contract of arch/context.hpp, held to whichever backend this build has. The program has
// the backend alone of the library: the end of a fiber is the test's to define.
#include "arch/context.hpp"

#include <array>
#include <cfenv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "registers.hpp"
#include "support.hpp"

namespace test {
namespace {

namespace arch = asyncjob::arch;
using namespace asyncjob::arch;

// A fiber by hand: the two sides' slots, and a stack.
struct Context {
    Slot outside = nullptr;
    Slot slot = nullptr;
    bool paused = false;
    std::vector<std::byte> stack = std::vector<std::byte>(256 * kib);
    std::vector<std::string> trace;

    [[nodiscard]] void* top() { return align_top(stack.data() + stack.size()); }
    int start(int (*function)(void*)) {
        paused = false;
        return asyncjob_context_start(&outside, top(), function, this, this);
    }
    // In the fiber and outside of it.
    int pause(int value, FpMode mode = FpMode::kept) {
        if (std::exchange(paused, true))
            return arch::pause(&slot, outside, value, mode);
        return first_pause(&slot, outside, value, top(), mode);
    }
    int resume(int value, FpMode mode = FpMode::kept) {
        return arch::resume(&outside, slot, value, mode);
    }
};

constexpr int ended = 1'000'000;

class Backend : public testing::Test {
  protected:
    void SetUp() override {
        if (under_asan || under_tsan)
            GTEST_SKIP() << "the tool is told of switches one layer up, in fiber.hpp";
    }
};

TEST_F(Backend, IsOneThatCanSwitch) {
    EXPECT_TRUE(capable);
    EXPECT_NE(std::string(backend), "none");
}

TEST_F(Backend, PassesTheArgumentInAndTheEndOut) {
    Context context;
    EXPECT_EQ(context.start([](void* arg) {
        static_cast<Context*>(arg)->trace.emplace_back("ran");
        return -5;
    }),
              ended - 5);
    EXPECT_EQ(context.trace, (std::vector<std::string>{"ran"}));
}

// A side that was left by a shared switch has to be entered by one that knows of such.
FpMode mode_of(int times, bool share) {
    if (share)
        return times % 2 == 0 ? FpMode::shared : FpMode::comparing;
    return times % 2 == 0 ? FpMode::kept : FpMode::comparing;
}

TEST_F(Backend, PassesValuesBothWaysThroughEveryPauseAndResume) {
    for (const bool share : {false, true}) {
        static bool fiber_shares;
        fiber_shares = share;
        Context context;
        int value = context.start([](void* arg) {
            auto& self = *static_cast<Context*>(arg);
            int got = 0;
            for (int times = 0; times < 1000; ++times)
                got = self.pause(got + 1, mode_of(times, fiber_shares));
            return got + 1;
        });
        for (int times = 0; times < 1000; ++times) {
            EXPECT_EQ(value, 2 * times + 1);
            value = context.resume(value + 1, mode_of(times / 2, share));
        }
        EXPECT_EQ(value, ended + 2001);
    }
}

TEST_F(Backend, EntersWithTheStackAlignedAsForACall) {
    Context context;
    for (const std::size_t below : {0, 16, 32, 48, 64}) {
        void* const top = align_top(context.stack.data() + context.stack.size() - below);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(top) % 16, 0U);
        const int aligned = asyncjob_context_start(
            &context.outside, top,
            [](void* arg) {
                // The compiler takes the stack for aligned as this asks for at the most.
                alignas(std::max_align_t) std::byte local[sizeof(std::max_align_t)];
                std::byte* byte = local;
                asm volatile("" : "+r"(byte) : : "memory");
                auto& self = *static_cast<Context*>(arg);
                EXPECT_TRUE(byte > self.stack.data());
                EXPECT_TRUE(byte < self.stack.data() + self.stack.size());
                const auto address = reinterpret_cast<std::uintptr_t>(byte);
                return address % alignof(std::max_align_t) == 0 ? 1 : 0;
            },
            &context, &context);
        EXPECT_EQ(aligned, ended + 1);
    }
}

// For profilers, which follow them.
TEST_F(Backend, EndsTheChainOfFramePointersAtTheEntry) {
    if (std::string(backend) == "ucontext")
        GTEST_SKIP() << "the C library's";
    ASSERT_NE(__builtin_frame_address(0), nullptr);  // so this function's register has one
    for (const FpMode mode : {FpMode::kept, FpMode::shared}) {
        Context context;
        const int outermost = arch::start(
            &context.outside, context.top(),
            [](void* arg) {
                static_cast<Context*>(arg)->trace.emplace_back("has a whole frame, for this call");
#ifdef __riscv
                constexpr int callers = -2;
#else
                constexpr int callers = 0;
#endif
                const auto* const frame = static_cast<void**>(__builtin_frame_address(0));
                return frame[callers] == nullptr ? 1 : 0;
            },
            &context, &context, mode);
        EXPECT_EQ(outermost, ended + 1);
    }
}

TEST_F(Backend, KeepsManyFibersApart) {
    std::array<Context, 8> contexts;
    for (Context& context : contexts) {
        EXPECT_EQ(context.start([](void* arg) {
            auto& self = *static_cast<Context*>(arg);
            int sum = 0;
            for (int times = 0; times < 10; ++times)
                sum += self.pause(sum);
            return sum;
        }),
                  0);
    }
    for (int times = 1; times <= 10; ++times) {
        for (std::size_t i = 0; i < contexts.size(); ++i) {
            EXPECT_EQ(contexts[i].resume(static_cast<int>(i)),
                      static_cast<int>(i) * times + (times == 10 ? ended : 0));
        }
    }
}

// A fiber that was started on one frame may end when another has resumed it.
TEST_F(Backend, EndsInTheSideThatResumedLast) {
    Context outer;
    static Context inner;
    EXPECT_EQ(inner.start([](void* arg) {
        (void)static_cast<Context*>(arg)->pause(1);
        return 2;
    }),
              1);
    EXPECT_EQ(outer.start([](void*) { return inner.resume(0) + 10; }), ended + ended + 12);
}

// The end finds the registers of the side that it returns to, which the compiler has filled
// with whatever it needs after the loop's switches.
TEST_F(Backend, GivesTheRegistersBackAtTheEnd) {
    long sums[2] = {};
    for (int pauses : {0, 1, 2}) {
        static int wanted;
        wanted = pauses;
        Context context;
        for (long i = 1; i <= 100; ++i) {
            sums[0] += i;
            int value = context.start([](void* arg) {
                volatile long many[8] = {1, 2, 3, 4, 5, 6, 7, 8};
                for (int times = 0; times < wanted; ++times)
                    (void)static_cast<Context*>(arg)->pause(1);
                return static_cast<int>(many[0] + many[7]);
            });
            while (value != ended + 9)
                value = context.resume(0);
            sums[1] += i;
        }
    }
    EXPECT_EQ(sums[0], sums[1]);
}

// Both sides have their own after each switch, whichever function of a mode made it.
TEST_F(Backend, KeepsTheRoundingOfEachSide) {
    for (const FpMode mode : {FpMode::kept, FpMode::comparing}) {
        static FpMode in_fiber;
        in_fiber = mode;
        Context context;
        std::fesetround(FE_UPWARD);
        int value = context.start([](void* arg) {
            EXPECT_EQ(std::fegetround(), FE_UPWARD) << "its starter's";
            for (const int own : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
                std::fesetround(own);
                (void)static_cast<Context*>(arg)->pause(0, in_fiber);
                EXPECT_EQ(std::fegetround(), own);
            }
            return 1;
        });
        for (const int own : {FE_TONEAREST, FE_TOWARDZERO, FE_UPWARD}) {
            EXPECT_EQ(value, 0);
            EXPECT_EQ(std::fegetround(), FE_UPWARD);
            std::fesetround(own);
            value = context.resume(0, mode);
            EXPECT_EQ(std::fegetround(), own);
            std::fesetround(FE_UPWARD);
        }
        EXPECT_EQ(value, ended + 1);
        std::fesetround(FE_TONEAREST);
    }
}

// And a side that was left by a shared switch goes on with what is in force.
TEST_F(Backend, SharesTheRoundingIfItCan) {
    if (!can_share_fp_mode)
        GTEST_SKIP() << "by this backend it cannot";
    for (const FpMode back : {FpMode::shared, FpMode::comparing}) {
        static FpMode in_fiber;
        in_fiber = back;
        Context context;
        context.paused = false;
        EXPECT_EQ(arch::start(
                      &context.outside, context.top(),
                      [](void* arg) {
                          auto& self = *static_cast<Context*>(arg);
                          std::fesetround(FE_DOWNWARD);
                          (void)self.pause(0, FpMode::shared);
                          EXPECT_EQ(std::fegetround(), FE_UPWARD);
                          (void)self.pause(0, in_fiber);
                          std::fesetround(FE_TOWARDZERO);
                          return 1;
                      },
                      &context, &context, FpMode::shared),
                  0);
        EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
        std::fesetround(FE_UPWARD);
        EXPECT_EQ(context.resume(0, FpMode::shared), 0);
        EXPECT_EQ(std::fegetround(), FE_UPWARD);
        EXPECT_EQ(context.resume(0, FpMode::shared), ended + 1);
        EXPECT_EQ(std::fegetround(), FE_TOWARDZERO);
        std::fesetround(FE_TONEAREST);
    }
}

// One that never pauses is as a call, in its words too.
TEST_F(Backend, LeavesTheRoundingOfAFiberThatNeverPaused) {
    Context context;
    EXPECT_EQ(context.start([](void*) {
        std::fesetround(FE_DOWNWARD);
        return 0;
    }),
              ended);
    EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
    std::fesetround(FE_TONEAREST);
}

#ifdef ASYNCJOB_TEST_HAS_REGISTERS

// The functions of one mode.
struct Functions {
    int (*start)(Slot*, void*, int (*)(void*), void*, void*) noexcept;
    int (*first_pause)(Slot*, Slot, int, void*) noexcept;
    int (*pause)(Slot*, Slot, int) noexcept;
    int (*resume)(Slot*, Slot, int) noexcept;
};
const Functions functions_of_modes[] = {
    {asyncjob_context_start, asyncjob_context_first_pause, asyncjob_context_pause,
     asyncjob_context_resume},
    {asyncjob_context_start, asyncjob_context_first_pause_comparing,
     asyncjob_context_pause_comparing, asyncjob_context_resume_comparing},
    {asyncjob_context_start_shared, asyncjob_context_first_pause_shared,
     asyncjob_context_pause_shared, asyncjob_context_resume_shared},
};

TEST_F(Backend, KeepsEachCalleeSavedRegisterOfEachSide) {
    static const Functions* functions;
    for (const Functions& of_mode : functions_of_modes) {
        functions = &of_mode;
        for (const int pauses : {0, 1, 3}) {
            static int wanted;
            wanted = pauses;
            Context context;
            const auto scramble = [](void* arg) {
                auto& self = *static_cast<Context*>(arg);
                for (int times = 0; times < wanted; ++times) {
                    Registers registers(0xA0U + static_cast<unsigned>(times));
                    const Registers before = registers;
                    if (times == 0)
                        call_with(registers, functions->first_pause,
                                  {&self.slot, self.outside, nullptr, self.top()});
                    else
                        call_with(registers, functions->pause, {&self.slot, self.outside});
                    EXPECT_EQ(registers, before);
                }
                return 7;
            };
            Registers registers(0x11);
            int value = call_with(registers, of_mode.start,
                                  {&context.outside, context.top(),
                                   reinterpret_cast<void*>(+scramble), &context, &context});
            EXPECT_EQ(registers, Registers(0x11));
            for (int times = 0; times < pauses; ++times) {
                EXPECT_EQ(value, 0);
                registers = Registers(0x22U + static_cast<unsigned>(times));
                value = call_with(registers, of_mode.resume, {&context.outside, context.slot});
                EXPECT_EQ(registers, Registers(0x22U + static_cast<unsigned>(times)));
            }
            EXPECT_EQ(value, ended + 7);
        }
    }
}

#endif

}  // namespace
}  // namespace test

int asyncjob::arch::asyncjob_context_ended(void* fiber, int value) noexcept {
    EXPECT_NE(static_cast<test::Context*>(fiber)->outside, nullptr);
    return test::ended + value;
}
