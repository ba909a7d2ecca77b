// SPDX-License-Identifier: Apache-2.0
// Each call that the library makes for memory, guards, fds and keys fails, one at a time and all
// from one on, in each step of each way into it, with both kinds of guards (S10): an error with a
// reason, or what the contract says instead; nothing is leaked, and the next call works. Every
// attempt runs in a child that has not used jobs yet, so that each step is a first one.
#include <openssl/err.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <tuple>
#include <vector>

#include "inject.hpp"
#include "steps.hpp"

namespace {

using namespace test;
using faults::Fails;
using faults::Injection;
using faults::Step;

enum class Guards { markers, mappings };

// What a child tells its parent.
struct Told {
    std::size_t bytes = 0;  // held after one undisturbed attempt and a cleanup
    std::size_t fds = 0;
    bool failed = false;  // whether there was an n-th call
    std::size_t failures = 0;
};

// S16: the starter of a paused job sees its own errors alone.
void expect_errors_are_carried() {
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 1);
    TestJob job([] {
        ERR_raise(ERR_LIB_USER, 2);
        ASYNC_pause_job();
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), 1);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), 2);
    ERR_clear_error();
}

class EachCall : public testing::TestWithParam<std::tuple<Step, Guards>> {
  protected:
    void SetUp() override {
        faults::watch({"libasyncjob.so"});
        step_ = std::get<0>(GetParam());
        told_ = static_cast<Told*>(
            mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    }
    void TearDown() override { munmap(told_, sizeof(Told)); }

    // In the child, as all that follows.
    static void choose_guards() {
        if (std::get<1>(GetParam()) == Guards::mappings)
            faults::deny_markers();
    }
    void clean_up() const {
        step_.undo();
        ERR_clear_error();
        expect_jobs_work();
        expect_errors_are_carried();
        ASYNC_cleanup_thread();
    }

    void run_undisturbed() const {
        choose_guards();
        step_.prepare();
        EXPECT_TRUE(step_.call());
        clean_up();
        told_->bytes = faults::held_bytes();
        told_->fds = faults::open_fds();
    }

    static void expect_reason(Fails how) {
        const int reason = asyncjob_last_reason();
        switch (reason) {
            case ASYNCJOB_R_NO_MEMORY:
            case ASYNCJOB_R_NO_STACK:
            case ASYNCJOB_R_NO_GUARD:
            case ASYNCJOB_R_NO_MAPPINGS:
            case ASYNCJOB_R_NO_FD:
            case ASYNC_R_INIT_FAILED:
                break;
            case ASYNCJOB_R_NULL_ARGUMENT:  // of UseOnAThread
                return;
            default:
                ADD_FAILURE() << reason << ": " << asyncjob_reason_string(reason);
        }
        // Where all memory is gone, the queue may not be found.
        if (how == Fails::one) {
            const unsigned long code = ERR_peek_last_error();
            EXPECT_EQ(ERR_GET_LIB(code), ERR_LIB_ASYNC);
            EXPECT_EQ(ERR_GET_REASON(code), reason);
        }
    }

    void fail_at(Fails how, int n) const {
        choose_guards();
        step_.prepare();
        EXPECT_EQ(asyncjob_last_reason(), 0);
        // Often enough for a leak of a few bytes to show; they are made at once by the hundred.
        constexpr int times = 40;
        bool succeeded = false;
        const std::size_t before = faults::held_bytes();
        for (int time = 0; time < times && !succeeded; ++time) {
            ERR_clear_error();
            const Injection injection(how, n);
            succeeded = step_.call();
            told_->failed = told_->failed || Injection::failed() > 0;
            told_->failures += static_cast<std::size_t>(Injection::failed());
            if (!succeeded) {
                EXPECT_GT(Injection::failed(), 0) << "it failed by itself";
                EXPECT_LT(faults::held_bytes(), before + step_.may_leave) << "something was made";
            }
        }
        if (!succeeded) {
            expect_reason(how);
            EXPECT_TRUE(step_.call()) << "the next call does not work";
        }
        clean_up();
        EXPECT_LE(faults::held_bytes(), told_->bytes + headers) << "something was leaked";
        EXPECT_LE(faults::open_fds(), told_->fds) << "an fd was leaked";
        EXPECT_TRUE(faults::nothing_is_leaked());
        if (HasFailure())
            std::fprintf(stderr, "what failed: %s\n", faults::failed_functions().c_str());
    }

    // Headers of jobs on stacks of the user's own stay for good, in chunks whose sizes depend on
    // which of them could be had.
    static constexpr std::size_t headers = 32 * kib;
    Step step_{};
    Told* told_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(S10, EachCall,
                         testing::Combine(testing::ValuesIn(faults::steps()),
                                          testing::Values(Guards::markers, Guards::mappings)),
                         [](const auto& info) {
                             const bool marked = std::get<1>(info.param) == Guards::markers;
                             return std::string(std::get<0>(info.param).name) +
                                    (marked ? "" : "WithMappedGuards");
                         });

TEST_P(EachCall, ThatFailsIsAnErrorThatLeaksNothingAndTheNextCallWorks) {
    constexpr int most_calls = 2000;
    ASSERT_TRUE(passes_in_child([&] { run_undisturbed(); }));
    for (const Fails how : {Fails::one, Fails::all_from_there}) {
        int n = 0;
        do {
            ++n;
            told_->failed = false;
            ASSERT_TRUE(passes_in_child([&] { fail_at(how, n); })) << "call " << n;
        } while (told_->failed && n < most_calls);
        EXPECT_GT(n, 1) << "no call was seen";
        EXPECT_LT(n, most_calls);
        std::printf("%d calls failed, %s\n", n - 1,
                    how == Fails::one ? "each alone" : "each with all that followed");
    }
}

// A thread cannot be registered without a key; when there is one again, it can.
TEST(KeysRunOut, S10IsAnErrorAndTheNextCallWorks) {
    EXPECT_TRUE(passes_in_child([] {
        std::vector<pthread_key_t> keys;
        for (pthread_key_t key = 0; pthread_key_create(&key, nullptr) == 0;)
            keys.push_back(key);
        ASYNC_JOB* job = nullptr;
        int result = 99;
        EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, return_seven, nullptr, 0), ASYNC_ERR);
        EXPECT_EQ(asyncjob_last_reason(), ASYNC_R_INIT_FAILED);
        EXPECT_EQ(ASYNC_init_thread(1, 1), 0);
        for (const pthread_key_t key : keys)
            pthread_key_delete(key);
        expect_jobs_work();
    }));
}

// Address space that runs out is no limit of the pool.
TEST(AddressSpaceRunsOut, S10IsAnErrorAndTheJobsThatThereAreGoOn) {
    if (memory_is_watched())
        GTEST_SKIP() << "the tool needs the address space";
    EXPECT_TRUE(passes_in_child([] {
        const std::size_t room = Memory::now().address_space + 64 * mib;
        const rlimit limit{room, room};
        ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
        constexpr std::size_t too_many = 64 * mib / (128 * kib);
        std::vector<ASYNC_JOB*> jobs;
        jobs.reserve(too_many);
        int status = ASYNC_ERR;
        int result = 0;
        do {
            ASYNC_JOB* job = nullptr;
            status = ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0);
            if (status == ASYNC_PAUSE)
                jobs.push_back(job);
        } while (status == ASYNC_PAUSE && jobs.size() < too_many);
        EXPECT_EQ(status, ASYNC_ERR);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_ADDRESSES);
        EXPECT_GT(jobs.size(), too_many * 8 / 10) << "smaller slabs would have fitted";
        for (ASYNC_JOB* job : jobs)
            EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0), ASYNC_FINISH);
        expect_jobs_work();
    }));
}

}  // namespace
