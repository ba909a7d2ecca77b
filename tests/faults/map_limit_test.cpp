// SPDX-License-Identifier: Apache-2.0
// A process with as many mappings as vm.max_map_count allows, which are not the library's (S10):
// jobs that there are go on, new ones start as long as they need no mapping, others are refused
// with a reason, and all works when there is room again.
#include <sys/mman.h>

#include <vector>

#include "../support.hpp"
#include "inject.hpp"

namespace {

using namespace test;

std::size_t map_limit() {
    std::size_t limit = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> limit;
    return limit;
}

// All mappings that the process may have.
class AllMappings {
  public:
    AllMappings() : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
        size_ = 2 * map_limit() * page_;
        base_ = static_cast<char*>(
            mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        EXPECT_NE(base_, MAP_FAILED);
        std::size_t at = page_;
        while (at < size_ && mprotect(base_ + at, page_, PROT_READ) == 0)
            at += 2 * page_;
        EXPECT_LT(at, size_);
        // Those took two at a time; this is the last one.
        last_ = mmap(nullptr, page_, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        EXPECT_EQ(mmap(nullptr, page_, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), MAP_FAILED);
    }
    ~AllMappings() {
        munmap(base_, size_);
        if (last_ != MAP_FAILED)
            munmap(last_, page_);
    }
    AllMappings(const AllMappings&) = delete;
    AllMappings& operator=(const AllMappings&) = delete;

  private:
    std::size_t page_;
    std::size_t size_ = 0;
    char* base_ = nullptr;
    void* last_ = nullptr;
};

class MapLimit : public testing::TestWithParam<bool> {
  protected:
    void SetUp() override {
        if (memory_is_watched())
            GTEST_SKIP() << "a tool needs mappings of its own";
        if (map_limit() == 0 || map_limit() > 1'000'000)
            GTEST_SKIP() << "vm.max_map_count is " << map_limit();
    }
};
INSTANTIATE_TEST_SUITE_P(S10, MapLimit, testing::Bool(), [](const auto& info) {
    return info.param ? "WithMarkers" : "WithMappedGuards";
});

TEST_P(MapLimit, ReachedByOthersRefusesNewJobsWithAReasonAndTheRestGoOn) {
    EXPECT_TRUE(passes_in_child([] {
        if (!GetParam())
            faults::deny_markers();
        constexpr std::size_t prepared = 20;
        constexpr std::size_t too_many = 5000;
        EXPECT_EQ(ASYNC_init_thread(0, prepared), 1);
        std::vector<ASYNC_JOB*> jobs;
        jobs.reserve(2 * too_many);
        int result = 0;
        const auto start_until_refused = [&] {
            int status = ASYNC_PAUSE;
            std::size_t started = 0;
            while (status == ASYNC_PAUSE && started < too_many) {
                ASYNC_JOB* job = nullptr;
                status = ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0);
                if (status == ASYNC_PAUSE) {
                    jobs.push_back(job);
                    ++started;
                }
            }
            return status;
        };
        const auto finish_all = [&] {
            for (ASYNC_JOB*& job : jobs)
                EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0),
                          ASYNC_FINISH);
            jobs.clear();
        };
        {
            const AllMappings all;
            EXPECT_EQ(start_until_refused(), ASYNC_ERR);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_MAPPINGS)
                << asyncjob_reason_string(asyncjob_last_reason());
            EXPECT_GE(jobs.size(), prepared);
            const std::size_t had = jobs.size();
            finish_all();
            // What they gave back can be had again, and no more.
            EXPECT_EQ(start_until_refused(), ASYNC_ERR);
            EXPECT_EQ(jobs.size(), had);
            EXPECT_EQ(ASYNC_init_thread(0, 2000), 0);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_MAPPINGS);
            finish_all();
            ASYNC_cleanup_thread();
            EXPECT_EQ(start_until_refused(), ASYNC_ERR) << jobs.size();
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_MAPPINGS);
        }
        EXPECT_EQ(start_until_refused(), ASYNC_PAUSE) << "there is room again";
        finish_all();
        ASYNC_cleanup_thread();
        expect_jobs_work();
    }));
}

}  // namespace
