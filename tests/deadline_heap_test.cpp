// SPDX-License-Identifier: Apache-2.0
// The heap of deadlines, against the standard library's.
#include "deadlines.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace asyncjob {
namespace {

TEST(DeadlineHeap, GivesTheEarliestWhateverIsAddedAndRemoved) {
    constexpr std::size_t count = 500;
    std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same in every run
    std::vector<Deadline> deadlines(count);
    std::multimap<os::Time, Deadline*> expected;
    Deadlines heap;
    EXPECT_EQ(heap.earliest(), nullptr);
    EXPECT_EQ(heap.earliest_time(), os::never);
    for (int step = 0; step < 100'000; ++step) {
        Deadline& deadline = deadlines[random() % count];
        if (deadline.place == 0) {
            ASSERT_TRUE(heap.add(&deadline, static_cast<os::Time>(random() % 100)));
            expected.emplace(deadline.at, &deadline);
        } else {
            heap.remove(&deadline);
            heap.remove(&deadline);
            auto [at, end] = expected.equal_range(deadline.at);
            while (at != end && at->second != &deadline)
                ++at;
            ASSERT_NE(at, end);
            expected.erase(at);
        }
        ASSERT_EQ(heap.earliest_time(), expected.empty() ? os::never : expected.begin()->first);
    }
    while (heap.earliest() != nullptr) {
        ASSERT_EQ(heap.earliest_time(), expected.begin()->first);
        expected.erase(expected.begin());
        heap.remove(heap.earliest());
    }
    EXPECT_TRUE(expected.empty());
    heap.clear();
}

TEST(DeadlineHeap, IsEmptyAfterClearAndGoesOn) {
    std::vector<Deadline> deadlines(100);
    Deadlines heap;
    for (Deadline& deadline : deadlines)
        ASSERT_TRUE(heap.add(&deadline, 5));
    heap.clear();
    EXPECT_EQ(heap.earliest(), nullptr);
    for (Deadline& deadline : deadlines)
        EXPECT_EQ(deadline.place, 0U);
    ASSERT_TRUE(heap.add(deadlines.data(), 7));
    EXPECT_EQ(heap.earliest(), deadlines.data());
    heap.clear();
}

}  // namespace
}  // namespace asyncjob
