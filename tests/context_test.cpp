// SPDX-License-Identifier: Apache-2.0
// The contract of arch/context.hpp, held to whichever backend this build has.
#include "arch/context.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

using namespace asyncjob::arch;

// A fiber by hand: a stack and a slot.
struct Context {
    Slot slot = nullptr;
    std::vector<std::byte> stack = std::vector<std::byte>(256 * kib);
    std::vector<std::string> trace;

    int start(Entry entry) {
        return asyncjob_context_start(&slot, align_top(stack.data() + stack.size()), entry, this);
    }
    int go(int value) { return asyncjob_context_switch(&slot, value); }
    int go_shared(int value) { return asyncjob_context_switch_shared(&slot, value); }
};

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

TEST_F(Backend, PassesTheArgumentInAndTheOutcomeOut) {
    Context context;
    EXPECT_EQ(context.start([](void* arg) noexcept -> Outcome {
        static_cast<Context*>(arg)->trace.emplace_back("ran");
        return {static_cast<std::uint32_t>(-5), nullptr};
    }),
              -5);
    EXPECT_EQ(context.trace, (std::vector<std::string>{"ran"}));
}

TEST_F(Backend, PassesValuesBothWaysThroughEitherSwitch) {
    Context context;
    int value = context.start([](void* arg) noexcept -> Outcome {
        auto& self = *static_cast<Context*>(arg);
        int got = 0;
        for (int times = 0; times < 1000; ++times)
            got = times % 2 == 0 ? self.go(got + 1) : self.go_shared(got + 1);
        return {static_cast<std::uint32_t>(got + 1), nullptr};
    });
    for (int times = 0; times < 1000; ++times) {
        EXPECT_EQ(value, 2 * times + 1);
        value = times % 3 == 0 ? context.go_shared(value + 1) : context.go(value + 1);
    }
    EXPECT_EQ(value, 2001);
}

TEST_F(Backend, EntersWithTheStackAlignedAsForACall) {
    Context context;
    for (const std::size_t below : {0, 16, 32, 48, 64}) {
        void* const top = align_top(context.stack.data() + context.stack.size() - below);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(top) % 16, 0U);
        const int aligned = asyncjob_context_start(
            &context.slot, top,
            [](void* arg) noexcept -> Outcome {
                auto& self = *static_cast<Context*>(arg);
                const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
                const auto* const byte = reinterpret_cast<std::byte*>(frame);
                EXPECT_TRUE(byte > self.stack.data());
                EXPECT_TRUE(byte < self.stack.data() + self.stack.size());
                return {frame % 16 == 0 ? 1U : 0U, nullptr};
            },
            &context);
        EXPECT_EQ(aligned, 1);
    }
}

TEST_F(Backend, KeepsManyFibersApart) {
    std::array<Context, 8> contexts;
    for (Context& context : contexts) {
        EXPECT_EQ(context.start([](void* arg) noexcept -> Outcome {
            auto& self = *static_cast<Context*>(arg);
            int sum = 0;
            for (int times = 0; times < 10; ++times)
                sum += self.go(sum);
            return {static_cast<std::uint32_t>(sum), nullptr};
        }),
                  0);
    }
    for (int times = 1; times <= 10; ++times) {
        for (std::size_t i = 0; i < contexts.size(); ++i)
            EXPECT_EQ(contexts[i].go(static_cast<int>(i)), static_cast<int>(i) * times);
    }
}

// A fiber that was started on one frame may end when another has resumed it.
TEST_F(Backend, EndsInTheSideThatResumedLast) {
    Context outer;
    static Context inner;
    EXPECT_EQ(inner.start([](void* arg) noexcept -> Outcome {
        (void)static_cast<Context*>(arg)->go(1);
        return {2, nullptr};
    }),
              1);
    EXPECT_EQ(outer.start([](void*) noexcept -> Outcome {
        return {static_cast<std::uint32_t>(inner.go(0) + 10), nullptr};
    }),
              12);
}

}  // namespace
}  // namespace test
