// SPDX-License-Identifier: Apache-2.0
// Why there is no job (S10): a full pool, memory, addresses and mappings that have run out are
// told apart. The limits are the system's own, in a child that runs into them.
#include <sys/mman.h>
#include <sys/resource.h>

#include <memory>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

int start_one() {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    return ASYNC_start_job(&job, nullptr, &result, return_seven, nullptr, 0);
}

// Fails for `reason` each time, and init_thread too; once undo() has been called, jobs work.
template <typename Undo>
void expect_none_until(int reason, Undo undo) {
    for (int times = 0; times < 3; ++times) {
        EXPECT_EQ(start_one(), ASYNC_ERR);
        EXPECT_EQ(asyncjob_last_reason(), reason) << asyncjob_reason_string(asyncjob_last_reason());
        EXPECT_EQ(ASYNC_init_thread(0, 2), 0);
        EXPECT_EQ(asyncjob_last_reason(), reason) << asyncjob_reason_string(asyncjob_last_reason());
    }
    undo();
    expect_jobs_work();
}

class NoJob : public testing::Test {
  protected:
    void SetUp() override {
        if (faults_are_watched())
            GTEST_SKIP() << "the tool needs memory, addresses and mappings itself";
    }
};

rlimit limit_of(decltype(RLIMIT_AS) resource) {
    rlimit limit{};
    EXPECT_EQ(getrlimit(resource, &limit), 0);
    return limit;
}

void set_soft_limit(decltype(RLIMIT_AS) resource, rlim_t soft) {
    rlimit limit = limit_of(resource);
    limit.rlim_cur = soft;
    EXPECT_EQ(setrlimit(resource, &limit), 0);
}

TEST_F(NoJob, S10ForTheAddressSpaceThatIsLimited) {
    if (emulated)
        GTEST_SKIP() << "limits of memory are those of qemu-user";
    EXPECT_TRUE(passes_in_child([] {
        const rlim_t before = limit_of(RLIMIT_AS).rlim_cur;
        set_soft_limit(RLIMIT_AS, Memory::now().address_space + 100 * kib);
        expect_none_until(ASYNCJOB_R_NO_ADDRESSES, [before] { set_soft_limit(RLIMIT_AS, before); });
    }));
}

// The kernel refuses writable memory here as it does when it has promised all that there is.
TEST_F(NoJob, S10ForMemoryThatIsNotToBeHad) {
    if (emulated)
        GTEST_SKIP() << "limits of memory are those of qemu-user";
    EXPECT_TRUE(passes_in_child([] {
        const rlim_t before = limit_of(RLIMIT_DATA).rlim_cur;
        set_soft_limit(RLIMIT_DATA, 4096);
        if (mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
            MAP_FAILED) {
            std::puts("skipped: this kernel does not hold RLIMIT_DATA against mappings");
            return;
        }
        expect_none_until(ASYNCJOB_R_NO_STACK, [before] { set_soft_limit(RLIMIT_DATA, before); });
    }));
}

// Mappings of other protections side by side, which the kernel cannot join.
class ManyMappings {
  public:
    explicit ManyMappings(std::size_t count) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        size_ = count * page;
        base_ = static_cast<std::byte*>(
            mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        for (std::size_t at = page; at < size_; at += 2 * page) {
            if (mprotect(base_ + at, page, PROT_READ) != 0)
                break;
        }
    }
    ManyMappings(const ManyMappings&) = delete;
    ManyMappings& operator=(const ManyMappings&) = delete;
    ~ManyMappings() { undo(); }

    void undo() {
        if (base_ != nullptr)
            munmap(base_, size_);
        base_ = nullptr;
    }

  private:
    std::byte* base_;
    std::size_t size_;
};

TEST_F(NoJob, S10ForMappingsThatAreLimited) {
    if (emulated)
        GTEST_SKIP() << "limits of memory are those of qemu-user";
    std::size_t limit = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> limit;
    if (limit == 0 || limit > 300000)
        GTEST_SKIP() << "vm.max_map_count is " << limit;
    EXPECT_TRUE(passes_in_child([limit] {
        ManyMappings many(limit + 10);
        // What is left of them.
        std::vector<void*> rest;
        rest.reserve(64);
        for (int protection = PROT_READ; rest.size() < 64; protection ^= PROT_READ) {
            void* const one = mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (one == MAP_FAILED)
                break;
            rest.push_back(one);
        }
        expect_none_until(ASYNCJOB_R_NO_MAPPINGS, [&many] { many.undo(); });
    }));
}

TEST_F(NoJob, S10ForTheLimitOfThePoolIsNoErrorAndLeavesItsReason) {
    EXPECT_TRUE(passes_in_child([] {
        EXPECT_EQ(ASYNC_init_thread(2, 0), 1);
        TestJob one([] { ASYNC_pause_job(); });
        TestJob two([] { ASYNC_pause_job(); });
        EXPECT_EQ(one.go(), ASYNC_PAUSE);
        EXPECT_EQ(two.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_last_reason(), 0);
        EXPECT_EQ(start_one(), ASYNC_NO_JOBS);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_POOL_IS_FULL);
        EXPECT_EQ(one.go(), ASYNC_FINISH);
        EXPECT_EQ(start_one(), ASYNC_FINISH);
        EXPECT_EQ(two.go(), ASYNC_FINISH);
    }));
}

}  // namespace
}  // namespace test
