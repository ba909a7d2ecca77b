// SPDX-License-Identifier: Apache-2.0
// Guards below stacks, by both methods: an overflow of a job faults at that job's guard,
// and nowhere else; a guard that cannot be had is an error. Each test runs in a child, which
// may take the kernel's first method away from itself with a seccomp filter.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

#include "job.hpp"
#include "os/memory.hpp"
#include "stack.hpp"
#include "support.hpp"

namespace test {
namespace {

namespace os = asyncjob::os;

constexpr int madvise_guard_install = 102;

// From here on `number` fails with `error` when its third argument is `value`.
void deny(long number, unsigned argument, unsigned value, int error) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 static_cast<unsigned>(offsetof(seccomp_data, args)) + argument * 8),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(filter), filter};
    ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

os::Guard method_of_this_process();

void deny_markers() {
    if (emulated && method_of_this_process() == os::Guard::mapping)
        return;  // there are none, and no filters
    deny(SYS_madvise, 2, madvise_guard_install, EINVAL);
    deny(SYS_process_madvise, 3, madvise_guard_install, EINVAL);
}

void deny_guards() {
    deny_markers();
    deny(SYS_mprotect, 2, PROT_NONE, ENOMEM);
}

os::Guard method_of_this_process() {
    std::byte* const page = os::map(os::page_size());
    const os::Guard method = os::guard(page, os::page_size());
    os::unmap(page, os::page_size());
    return method;
}

// Where a job's guard ends and its stack begins.
const std::byte* stack_of(ASYNC_JOB* handle) {
    return asyncjob::Job::of(handle)->rest.stack.low;
}

// The page of a guard that an overflow meets first.
const std::byte* guard_of(ASYNC_JOB* handle) {
    return stack_of(handle) - os::page_size();
}

// Uses the stack downwards in steps smaller than a page, until it ends.
[[gnu::noinline]] int overflow(int depth) {
    volatile char frame[512];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? 0 : overflow(depth + 1) + frame[0];
}

// Touches the lowest part of its frame alone: what -fstack-clash-protection is for, by which this
// file is compiled.
template <std::size_t size>
[[gnu::noinline]] int use_frame() {
    volatile char frame[size];
    asm volatile("" : : "r"(frame) : "memory");  // so that it stays so large
    frame[0] = 1;
    return frame[0];
}

// Uses the calling job's stack down to its end, and then a frame of so many bytes.
template <std::size_t size>
[[gnu::noinline]] int overflow_by_frame(int depth) {
    volatile char frame[512];
    frame[0] = static_cast<char>(depth);
    const auto* const here = reinterpret_cast<const std::byte*>(const_cast<char*>(frame));
    if (here < stack_of(ASYNC_get_current_job()) + 4 * kib)
        return use_frame<size>();
    return overflow_by_frame<size>(depth + 1) + frame[0];
}

constexpr int faulted_at_guard = 42;
const std::byte* expected_end = nullptr;  // of the guard
std::size_t expected_size = 0;            // of its part

void on_fault(int, siginfo_t* info, void*) {
    const auto* const address = static_cast<const std::byte*>(info->si_addr);
    const bool at_guard = address >= expected_end - expected_size && address < expected_end;
    _exit(at_guard ? faulted_at_guard : 1);
}

// Ends the process with faulted_at_guard if the calling job's stack is guarded.
void overflow_this_job(int (*by)(int) = overflow, std::size_t within = os::page_size()) {
    static std::byte signal_stack[64 * kib];
    const stack_t alternate{signal_stack, 0, sizeof(signal_stack)};
    EXPECT_EQ(sigaltstack(&alternate, nullptr), 0);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    EXPECT_EQ(sigaction(SIGSEGV, &action, nullptr), 0);
    expected_end = stack_of(ASYNC_get_current_job());
    expected_size = within;
    by(1);
}

// Paused jobs; each overflows when it is resumed, or just finishes.
class OverflowingJobs {
  public:
    explicit OverflowingJobs(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            jobs_.push_back(std::make_unique<TestJob>([this] {
                ASYNC_pause_job();
                if (overflow_)
                    overflow_this_job();
            }));
            EXPECT_EQ(jobs_.back()->go(), ASYNC_PAUSE);
        }
    }
    TestJob& operator[](std::size_t at) { return *jobs_[at]; }
    void overflow(std::size_t at) {
        overflow_ = true;
        jobs_[at]->go();
    }

  private:
    std::vector<std::unique_ptr<TestJob>> jobs_;
    bool overflow_ = false;
};

testing::AssertionResult faults_at_guard(const std::function<void()>& body) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        body();
        _exit(2);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == faulted_at_guard)
        return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << (WIFEXITED(status) ? WEXITSTATUS(status) == 2 ? "no fault" : "a fault elsewhere"
                                 : strsignal(WTERMSIG(status)));
}

// The protection of the mapping around `address` if it is one guard, or "".
std::string protection_at(const std::byte* address) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        std::istringstream fields(line);
        std::uintptr_t low = 0;
        std::uintptr_t high = 0;
        char dash = 0;
        std::string protection;
        fields >> std::hex >> low >> dash >> high >> protection;
        const auto at = reinterpret_cast<std::uintptr_t>(address);
        if (low <= at && at < high && high - low == asyncjob::guard_size())
            return protection;
    }
    return "";
}

class Guard : public testing::Test {
  protected:
    void SetUp() override {
        if (faults_are_watched())
            GTEST_SKIP() << "a tool takes the fault, or the memory";
    }
    static void skip_without_filters() {
        if (emulated)
            GTEST_SKIP() << "qemu-user refuses filters of system calls";
    }
    static void skip_without_addresses() {
        if (sizeof(void*) < 8)
            GTEST_SKIP() << "addresses of 32 bits are too few for so many jobs";
    }
    static void skip_without_markers() {
        if (method_of_this_process() != os::Guard::marker)
            GTEST_SKIP() << "this kernel has no MADV_GUARD_INSTALL";
    }
};

class GuardBy : public Guard, public testing::WithParamInterface<os::Guard> {
  protected:
    void SetUp() override {
        Guard::SetUp();
        if (GetParam() == os::Guard::marker && !IsSkipped())
            skip_without_markers();
    }
    // In the child.
    static void choose_method() {
        if (GetParam() == os::Guard::mapping)
            deny_markers();
        EXPECT_EQ(method_of_this_process(), GetParam());
    }
};
INSTANTIATE_TEST_SUITE_P(, GuardBy, testing::Values(os::Guard::marker, os::Guard::mapping),
                         [](const auto& info) {
                             return info.param == os::Guard::marker ? "Marker" : "Mapping";
                         });

TEST_P(GuardBy, StopsAnOverflowOfEachJob) {
    for (const bool is_rounded : {false, true}) {
        for (const std::size_t victim : {0, 1, 4, 20}) {
            EXPECT_TRUE(faults_at_guard([=] {
                choose_method();
                if (is_rounded) {  // what it sets are sizes in whole pages
                    asyncjob_thread_options options{};
                    EXPECT_EQ(asyncjob_options_default(&options, sizeof options), 1);
                    EXPECT_EQ(asyncjob_init_thread(&options), 1);
                }
                OverflowingJobs jobs(21);
                jobs.overflow(victim);
            })) << victim;
        }
    }
}

TEST_P(GuardBy, StopsAnOverflowOnTheFirstRunOfAJobMadeAhead) {
    EXPECT_TRUE(faults_at_guard([] {
        choose_method();
        EXPECT_EQ(ASYNC_init_thread(0, 3), 1);
        TestJob job([] { overflow_this_job(); });
        job.go();
    }));
}

TEST_P(GuardBy, StopsAFrameThatIsProbedAsItGrows) {
#ifdef __riscv
    GTEST_SKIP() << "GCC 12 takes -fstack-clash-protection on this CPU, and probes nothing";
#endif
    for (int (*const by)(int) : {overflow_by_frame<20 * kib>, overflow_by_frame<40 * kib>,
                                 overflow_by_frame<60 * kib>, overflow_by_frame<200 * kib>}) {
        EXPECT_TRUE(faults_at_guard([by] {
            choose_method();
            TestJob neighbour([] { ASYNC_pause_job(); });
            EXPECT_EQ(neighbour.go(), ASYNC_PAUSE);
            TestJob job([by] { overflow_this_job(by, asyncjob::guard_size()); });
            job.go();
        }));
    }
}

TEST_P(GuardBy, EndsTheProgramThatHasNoHandlerBySigsegv) {
    EXPECT_EXIT(
        {
            choose_method();
            TestJob job([] { overflow(1); });
            job.go();
        },
        testing::KilledBySignal(SIGSEGV), "");
}

// The stack was given back, its pages were discarded, and it was cut for another job.
TEST_P(GuardBy, IsStillThereWhenAStackIsUsedAgain) {
    EXPECT_TRUE(faults_at_guard([] {
        choose_method();
        OverflowingJobs kept(2);
        TestJob gone([] { ASYNC_pause_job(); });
        EXPECT_EQ(gone.go(), ASYNC_PAUSE);
        const std::byte* const guard = guard_of(gone.handle);
        ASYNC_cleanup_thread();
        EXPECT_EQ(gone.go(), ASYNC_FINISH);
        OverflowingJobs next(1);
        EXPECT_EQ(guard_of(next[0].handle), guard);
        next.overflow(0);
    }));
}

// S14.
TEST_P(GuardBy, IsThereInTheChildOfAFork) {
    EXPECT_TRUE(passes_in_child([] {
        choose_method();
        OverflowingJobs jobs(3);
        EXPECT_TRUE(faults_at_guard([&] { jobs.overflow(1); }));
        EXPECT_TRUE(faults_at_guard([] { OverflowingJobs(1).overflow(0); }));
    }));
}

TEST_P(GuardBy, IsThereBelowStacksOfTheOwnMemoryFunctionsWhenWrapped) {
    static ASYNC_stack_alloc_fn allocate = nullptr;
    static ASYNC_stack_free_fn release = nullptr;
    EXPECT_TRUE(faults_at_guard([] {
        choose_method();
        ASYNC_get_mem_functions(&allocate, &release);
        EXPECT_EQ(ASYNC_set_mem_functions([](std::size_t* size) { return allocate(size); },
                                          [](void* stack) { release(stack); }),
                  1);
        OverflowingJobs(3).overflow(1);
    }));
}

// A program that locks its memory, as those do that keep keys there.
TEST_F(Guard, StopsAnOverflowInLockedMemory) {
    EXPECT_TRUE(faults_at_guard([] {
        if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
            _exit(faulted_at_guard);  // not allowed here
        OverflowingJobs(3).overflow(1);
    }));
}

TEST_F(Guard, WithoutMarkersIsAPageOfNoAccessInTheProcesssMaps) {
    if (emulated_32_bit)
        GTEST_SKIP() << "qemu-user's maps leave out a guard beside unmapped addresses";
    EXPECT_TRUE(passes_in_child([] {
        deny_markers();
        OverflowingJobs jobs(5);
        for (std::size_t i = 0; i < 5; ++i)
            EXPECT_EQ(protection_at(guard_of(jobs[i].handle)), "---p") << i;
        for (std::size_t i = 0; i < 5; ++i)
            EXPECT_EQ(jobs[i].go(), ASYNC_FINISH);
    }));
}

TEST_F(Guard, AsAMarkerIsNoMapping) {
    skip_without_markers();
    if (IsSkipped())
        return;
    EXPECT_TRUE(passes_in_child([] {
        expect_jobs_work();
        const std::size_t before = Memory::now().mappings;
        EXPECT_EQ(ASYNC_init_thread(0, 1000), 1);
        EXPECT_LT(Memory::now().mappings, before + 20);
        ASYNC_cleanup_thread();
    }));
}

// S10.
TEST_F(Guard, ThatIsRefusedIsAnErrorWithItsReason) {
    skip_without_filters();
    if (IsSkipped())
        return;
    EXPECT_TRUE(passes_in_child([] {
        deny_guards();
        const std::size_t before = Memory::now().address_space;
        for (int times = 0; times < 3; ++times) {
            ASYNC_JOB* job = nullptr;
            int result = 99;
            EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, return_seven, nullptr, 0), ASYNC_ERR);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_GUARD);
            EXPECT_EQ(job, nullptr);
            EXPECT_EQ(result, 99);
            EXPECT_EQ(ASYNC_init_thread(0, 3), 0);
            EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_GUARD);
        }
        EXPECT_LT(Memory::now().address_space, before + 128 * kib);
        ASYNC_stack_alloc_fn allocate = nullptr;
        ASYNC_get_mem_functions(&allocate, nullptr);
        std::size_t size = 64 * kib;
        EXPECT_EQ(allocate(&size), nullptr);
    }));
}

TEST_F(Guard, ThatIsRefusedToNewJobsLeavesTheOthersAlone) {
    skip_without_filters();
    if (IsSkipped())
        return;
    EXPECT_TRUE(passes_in_child([] {
        EXPECT_EQ(ASYNC_init_thread(0, 2), 1);
        TestJob paused([] { ASYNC_pause_job(); });
        EXPECT_EQ(paused.go(), ASYNC_PAUSE);
        deny_guards();
        EXPECT_EQ(ASYNC_init_thread(0, 50), 0);  // more than guards were made for
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_GUARD);
        expect_jobs_work();  // in the job that is left of the two
        EXPECT_EQ(paused.go(), ASYNC_FINISH);
    }));
}

// How many jobs a process can have; starts until one fails. `count` is never reached by
// the mapping method under the kernel's usual vm.max_map_count.
class Crowd {
  public:
    void start(std::size_t count) {
        jobs_.reserve(count);
        results_.resize(count, -1);
        for (std::size_t i = 0; i < count; ++i) {
            ASYNC_JOB* job = nullptr;
            status = ASYNC_start_job(&job, nullptr, &results_[i], run, &i, sizeof(i));
            if (status != ASYNC_PAUSE)
                return;
            jobs_.push_back(job);
        }
    }
    // In random order, a pause further and then to the end.
    void finish() {
        std::mt19937 random(20240229);
        std::vector<std::size_t> order(jobs_.size());
        for (std::size_t i = 0; i < order.size(); ++i)
            order[i] = i;
        std::size_t wrong = 0;
        for (const int expected : {ASYNC_PAUSE, ASYNC_FINISH}) {
            std::shuffle(order.begin(), order.end(), random);
            for (const std::size_t i : order) {
                wrong += ASYNC_start_job(&jobs_[i], nullptr, &results_[i], nullptr, nullptr, 0) !=
                         expected;
            }
        }
        for (std::size_t i = 0; i < jobs_.size(); ++i)
            wrong += results_[i] != static_cast<int>(i) || jobs_[i] != nullptr;
        EXPECT_EQ(wrong, 0U);
    }
    [[nodiscard]] std::size_t size() const { return jobs_.size(); }

    int status = ASYNC_ERR;

  private:
    static int run(void* args) {
        const std::size_t index = *static_cast<std::size_t*>(args);
        ASYNC_pause_job();
        ASYNC_pause_job();
        return static_cast<int>(index);
    }
    std::vector<ASYNC_JOB*> jobs_;
    std::vector<int> results_;
};

TEST_F(Guard, HundredThousandPausedJobsLiveOnOneThreadAndGiveTheirMemoryBack) {
    skip_without_addresses();
    if (IsSkipped())
        return;
    skip_without_markers();
    if (IsSkipped())
        return;
    EXPECT_TRUE(passes_in_child([] {
        const Memory before = Memory::now();
        Crowd crowd;
        crowd.start(100000);
        EXPECT_EQ(crowd.status, ASYNC_PAUSE);
        EXPECT_EQ(crowd.size(), 100000U);
        EXPECT_LT(Memory::now().mappings, before.mappings + 1000);
        crowd.finish();
        ASYNC_cleanup_thread();
        const Memory after = Memory::now();
        // What stays is the addresses, for those who still have a handle, with nothing behind
        // them; descriptors of slabs; and the test's own list.
        constexpr std::size_t list = sizeof(ASYNC_JOB*) + sizeof(int);
        EXPECT_LT(after.resident, before.resident + 100000 * (list + 50));
        EXPECT_LT(after.mappings, before.mappings + 300);
        // The next jobs stand where the last ones stood.
        Crowd another;
        another.start(100000);
        EXPECT_EQ(another.status, ASYNC_PAUSE);
        EXPECT_LT(Memory::now().address_space, after.address_space + (std::size_t{256} << 20U));
        another.finish();
        expect_jobs_work();
    }));
}

TEST_F(Guard, WithoutMarkersThatTheMapLimitRefusesIsAnErrorAndAllElseGoesOn) {
    if (emulated)
        GTEST_SKIP() << "qemu-user needs mappings itself";
    skip_without_addresses();
    if (IsSkipped())
        return;
    std::size_t limit = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> limit;
    if (limit == 0 || limit > 100000)
        GTEST_SKIP() << "vm.max_map_count is " << limit;
    EXPECT_TRUE(passes_in_child([limit] {
        deny_markers();
        Crowd crowd;
        crowd.start(limit);
        const int reason = asyncjob_last_reason();
        EXPECT_EQ(crowd.status, ASYNC_ERR);
        EXPECT_EQ(reason, ASYNCJOB_R_NO_MAPPINGS) << asyncjob_reason_string(reason);
        EXPECT_GT(crowd.size(), limit * 4 / 10);
        crowd.finish();
        ASYNC_cleanup_thread();
        crowd = Crowd();
        crowd.start(1000);
        EXPECT_EQ(crowd.status, ASYNC_PAUSE);
        crowd.finish();
    }));
}

}  // namespace
}  // namespace test
