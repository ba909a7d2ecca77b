// SPDX-License-Identifier: Apache-2.0
// Going through all jobs of a pool while they come and go. What a walk is for, cancel_test has.
#include <gtest/gtest.h>

#include <set>

#include "job_pool.hpp"

namespace test {
namespace {

using asyncjob::Job;
using asyncjob::JobPool;
using asyncjob::Reason;

class Walk : public testing::Test {
  protected:
    ~Walk() override { pool_.abandon(); }

    void make(std::size_t count) {
        for (; count > 0; --count)
            EXPECT_EQ(pool_.make(key), Reason::none);
    }
    // What a walk that has begun comes by from here on.
    std::set<Job*> rest_of_walk() {
        std::set<Job*> jobs;
        while (Job* const job = pool_.walk())
            EXPECT_TRUE(jobs.insert(job).second);
        return jobs;
    }
    std::set<Job*> all() {
        pool_.begin_walk();
        return rest_of_walk();
    }

    static constexpr std::uint64_t key = 64;
    JobPool pool_;
};

TEST_F(Walk, ComesByEachJobOnceAndThenEnds) {
    EXPECT_TRUE(all().empty());
    make(50);
    EXPECT_EQ(all().size(), 50U);
    EXPECT_EQ(pool_.walk(), nullptr);
    EXPECT_EQ(all().size(), 50U);
}

TEST_F(Walk, DoesNotComeByJobsThatAreMadeMeanwhile) {
    make(3);
    pool_.begin_walk();
    EXPECT_NE(pool_.walk(), nullptr);
    make(5);
    EXPECT_EQ(rest_of_walk().size(), 2U);
    EXPECT_EQ(all().size(), 8U);
}

TEST_F(Walk, GoesOnBehindJobsThatAreDestroyedMeanwhile) {
    make(4);
    pool_.begin_walk();
    EXPECT_NE(pool_.walk(), nullptr);
    // The limit takes the newest three: the one that the walk was at, and where it goes next.
    asyncjob::PoolOptions options = pool_.options();
    options.max = 1;
    EXPECT_EQ(pool_.configure(options, key), Reason::none);
    const std::set<Job*> rest = rest_of_walk();
    EXPECT_EQ(rest.size(), 1U);
    EXPECT_EQ(rest, all());
}

TEST_F(Walk, EndsWhenAllAreDestroyedMeanwhile) {
    make(4);
    pool_.begin_walk();
    EXPECT_NE(pool_.walk(), nullptr);
    pool_.close();
    EXPECT_EQ(pool_.walk(), nullptr);
    make(1);
    EXPECT_EQ(all().size(), 1U);
}

// Jobs that are in flight stay, idle ones between them go.
TEST_F(Walk, ComesByTheJobsThatAreLeftWhicheverAreDestroyed) {
    make(10);
    std::set<Job*> in_flight;
    std::set<Job*> idle;
    while (Job* const job = pool_.first_idle()) {
        pool_.take_first();
        (in_flight.size() <= idle.size() ? in_flight : idle).insert(job);
    }
    for (Job* const job : idle)
        pool_.put(job);
    pool_.close();
    EXPECT_EQ(all(), in_flight);
    for (Job* const job : in_flight) {
        pool_.keep_or_destroy(job);
        EXPECT_EQ(all().count(job), 0U);
    }
    EXPECT_TRUE(all().empty());
}

}  // namespace
}  // namespace test
