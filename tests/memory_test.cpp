// SPDX-License-Identifier: Apache-2.0
// What the library asks of the operating system: maps, guards, discards.
#include "os/memory.hpp"

#include <cerrno>
#include <limits>

#include "support.hpp"

namespace test {
namespace {

namespace os = asyncjob::os;

class Mapping : public testing::Test {
  protected:
    static constexpr std::size_t pages = 4;
    ~Mapping() override { os::unmap(base_, pages * page_); }
    const std::size_t page_ = os::page_size();
    std::byte* const base_ = os::map(pages * page_);
};

TEST_F(Mapping, IsZeroedAndWritable) {
    ASSERT_NE(base_, nullptr);
    for (std::size_t at = 0; at < pages * page_; ++at) {
        EXPECT_EQ(base_[at], std::byte{0});
        base_[at] = std::byte{1};
    }
}

TEST_F(Mapping, ThatCannotBeHadIsNullAndLeavesErrnoAlone) {
    errno = 71;
    EXPECT_EQ(os::map(std::numeric_limits<std::size_t>::max() / page_ * page_), nullptr);
    EXPECT_EQ(errno, 71);
}

TEST_F(Mapping, DiscardedReadsAsZeroAndIsStillUsable) {
    base_[page_] = std::byte{1};
    base_[2 * page_] = std::byte{1};
    base_[3 * page_] = std::byte{1};
    const os::Range ranges[] = {{base_ + page_, page_}, {base_ + 3 * page_, page_}};
    os::discard_many(ranges, 2);
    EXPECT_EQ(base_[page_], std::byte{0});
    EXPECT_EQ(base_[2 * page_], std::byte{1});
    EXPECT_EQ(base_[3 * page_], std::byte{0});
    base_[page_] = std::byte{2};
    EXPECT_EQ(base_[page_], std::byte{2});
}

TEST_F(Mapping, GuardFaultsOnReadAndWriteAndItsNeighboursDoNot) {
    if (faults_are_watched())
        GTEST_SKIP() << "a tool takes the fault";
    ASSERT_NE(os::guard(base_ + page_, page_), os::Guard::refused);
    auto* const guard = reinterpret_cast<volatile char*>(base_ + page_);
    for (const std::size_t at : {std::size_t{0}, page_ - 1}) {
        EXPECT_EXIT(guard[at] = 1, testing::KilledBySignal(SIGSEGV), "");
        EXPECT_EXIT((void)guard[at], testing::KilledBySignal(SIGSEGV), "");
    }
    base_[page_ - 1] = std::byte{1};
    base_[2 * page_] = std::byte{1};
}

TEST_F(Mapping, GuardOutlivesADiscard) {
    if (faults_are_watched())
        GTEST_SKIP() << "a tool takes the fault";
    ASSERT_NE(os::guard(base_, page_), os::Guard::refused);
    const os::Range all{base_, pages * page_};
    os::discard_many(&all, 1);
    EXPECT_EXIT(base_[0] = std::byte{1}, testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(Mapping, ManyGuardsAreMadeInOneCallWhereTheKernelCan) {
    if (faults_are_watched())
        GTEST_SKIP() << "a tool takes the fault";
    const os::Range ranges[] = {{base_, page_}, {base_ + 2 * page_, page_}};
    const std::size_t guarded = os::guard_many(ranges, 2);
    if (guarded == 0)
        GTEST_SKIP() << "needs Linux 6.15";
    EXPECT_EQ(guarded, 2U);
    for (const os::Range& range : ranges)
        EXPECT_EXIT(range.address[0] = std::byte{1}, testing::KilledBySignal(SIGSEGV), "");
    base_[page_] = std::byte{1};
}

TEST_F(Mapping, OfManyGuardsOnlyThoseThatAreThereAreCounted) {
    errno = 71;
    const os::Range ranges[] = {{base_, page_}, {base_ + page_ + 1, page_}};  // not whole pages
    EXPECT_LE(os::guard_many(ranges, 2), 1U);
    EXPECT_EQ(errno, 71);
}

TEST_F(Mapping, RetiredReadsAsZeroCannotBeWrittenAndCanBeRevived) {
    base_[0] = std::byte{1};
    (void)os::guard(base_ + page_, page_);
    ASSERT_TRUE(os::retire(base_, pages * page_));
    EXPECT_EQ(base_[0], std::byte{0});
    EXPECT_EQ(base_[page_], std::byte{0}) << "the guard is gone too";
    if (!faults_are_watched()) {
        EXPECT_EXIT(base_[0] = std::byte{1}, testing::KilledBySignal(SIGSEGV), "");
    }
    ASSERT_TRUE(os::revive(base_, pages * page_));
    base_[0] = std::byte{2};
    EXPECT_EQ(base_[0], std::byte{2});
}

TEST_F(Mapping, WithAHoleIsNotMappedAndCannotBeRevived) {
    if (emulated_32_bit)
        GTEST_SKIP() << "to msync() and mprotect() the hole is mapped under qemu-user";
    EXPECT_TRUE(os::is_mapped(base_, pages * page_));
    os::unmap(base_ + page_, page_);
    EXPECT_FALSE(os::is_mapped(base_, pages * page_));
    EXPECT_FALSE(os::revive(base_, pages * page_));
}

TEST_F(Mapping, GuardThatCannotBeHadIsRefusedAndLeavesErrnoAlone) {
    errno = 71;
    EXPECT_EQ(os::guard(base_ + 1, page_), os::Guard::refused);
    EXPECT_EQ(errno, 71);
}

}  // namespace
}  // namespace test
