// SPDX-License-Identifier: Apache-2.0
// How a job's starter learns that the work is done: wait fds, callbacks, early resumes.
#include <fcntl.h>

#include <set>

#include "support.hpp"

namespace {

using namespace test;

class Notification : public testing::Test {
  protected:
    // A job that makes one signature on the device, in a wait context.
    struct SigningJob {
        explicit SigningJob(const DeviceLibrary& library, ASYNC_WAIT_CTX* wait)
            : signature(library), job([this] { return signature.sign(); }, wait) {}
        DeviceSignature signature;
        TestJob job;
    };

    static void hold() {
        tell_inner([](auto& told) { told.hold = true; });
    }
    static void let_go() {
        tell_inner([](auto& told) { told.hold = false; });
    }

    InnerReset reset_;
    DeviceLibrary library_;
    WaitCtxPtr wait_ = new_wait_ctx();
};

TEST_F(Notification, OneFdServesAWaitContextForAsLongAsItLives) {
    int first = -1;
    for (int round = 0; round < 50; ++round) {
        hold();
        SigningJob signing(library_, wait_.get());
        ASSERT_EQ(signing.job.go(), ASYNC_PAUSE);
        const int fd = wait_fd(wait_.get());
        if (round == 0) {
            first = fd;
        }
        EXPECT_EQ(fd, first);
        std::size_t added = 0;
        std::size_t deleted = 0;
        EXPECT_EQ(ASYNC_WAIT_CTX_get_changed_fds(wait_.get(), nullptr, &added, nullptr, &deleted),
                  1);
        EXPECT_EQ(added, round == 0 ? 1U : 0U);
        EXPECT_EQ(deleted, 0U);
        EXPECT_FALSE(becomes_readable(fd, Wait::not_at_all));
        let_go();
        EXPECT_EQ(run_to_end(signing.job, wait_.get()), 0);
        EXPECT_FALSE(becomes_readable(fd, Wait::not_at_all));
        EXPECT_EQ(signing.job.result, 1);
    }
    EXPECT_NE(fcntl(first, F_GETFD), -1);
    wait_.reset();
    EXPECT_EQ(fcntl(first, F_GETFD), -1);
}

// HAProxy takes the fds of a connection that ends for its own, and aborts at one that no
// pause has told it of.
TEST_F(Notification, AJobThatDidNotPauseHasPublishedNoFd) {
    int pauses = 0;
    for (int round = 0; round < 2000; ++round) {
        const WaitCtxPtr wait = new_wait_ctx();
        SigningJob signing(library_, wait.get());
        const int status = signing.job.go();
        if (status == ASYNC_FINISH) {
            ASSERT_TRUE(wait_fds(wait.get()).empty()) << "round " << round;
        } else {
            ++pauses;
            run_to_end(signing.job, wait.get());
        }
        ASSERT_EQ(signing.job.result, 1);
    }
    EXPECT_GT(pauses, 0);
}

TEST_F(Notification, TheFdIsNotInheritedAcrossExec) {
    hold();
    SigningJob signing(library_, wait_.get());
    ASSERT_EQ(signing.job.go(), ASYNC_PAUSE);
    EXPECT_EQ(fcntl(wait_fd(wait_.get()), F_GETFD), FD_CLOEXEC);
    let_go();
    run_to_end(signing.job, wait_.get());
}

TEST_F(Notification, WaitContextsHaveFdsOfTheirOwn) {
    constexpr std::size_t count = 8;
    hold();
    std::vector<WaitCtxPtr> waits;
    std::vector<std::unique_ptr<SigningJob>> jobs;
    std::set<int> fds;
    for (std::size_t at = 0; at < count; ++at) {
        waits.push_back(new_wait_ctx());
        jobs.push_back(std::make_unique<SigningJob>(library_, waits[at].get()));
        ASSERT_EQ(jobs[at]->job.go(), ASYNC_PAUSE);
        fds.insert(wait_fd(waits[at].get()));
    }
    EXPECT_EQ(fds.size(), count);
    let_go();
    for (std::size_t at = 0; at < count; ++at)
        EXPECT_EQ(run_to_end(jobs[at]->job, waits[at].get()), 0);
}

// S27: several jobs share a wait context. An early resume of one must not take the other's
// readiness away: its starter would sleep for ever.
TEST_F(Notification, AnEarlyResumeLeavesTheReadinessOfAJobInTheSameContext) {
    hold();
    SigningJob one(library_, wait_.get());
    ASSERT_EQ(one.job.go(), ASYNC_PAUSE);
    wait_for_inner([](auto& told) { return told.holding == 1; });
    const int computed = inner().computed;

    SigningJob other(library_, wait_.get());
    ASSERT_EQ(other.job.go(), ASYNC_PAUSE);
    // The one worker ends the first and is held again in the second.
    tell_inner([](auto& told) {
        told.before = [] { inner().hold = true; };
        told.hold = false;
    });
    wait_for_inner(
        [computed](auto& told) { return told.computed == computed + 1 && told.holding == 1; });
    const int fd = wait_fd(wait_.get());
    EXPECT_TRUE(becomes_readable(fd, Wait::long_enough));
    usleep(1000);
    EXPECT_EQ(other.job.go(), ASYNC_PAUSE);
    EXPECT_TRUE(becomes_readable(fd, Wait::not_at_all));
    EXPECT_EQ(one.job.go(), ASYNC_FINISH);
    EXPECT_FALSE(becomes_readable(fd, Wait::not_at_all));
    let_go();
    run_to_end(other.job, wait_.get());
}

TEST_F(Notification, EachOfTwoResultsInOneContextKeepsItReadable) {
    hold();
    SigningJob one(library_, wait_.get());
    SigningJob other(library_, wait_.get());
    ASSERT_EQ(one.job.go(), ASYNC_PAUSE);
    ASSERT_EQ(other.job.go(), ASYNC_PAUSE);
    const int computed = inner().computed;
    let_go();
    wait_for_inner([computed](auto& told) { return told.computed == computed + 2; });
    { const Gate the_worker_is_past_both; }
    const int fd = wait_fd(wait_.get());
    EXPECT_EQ(other.job.go(), ASYNC_FINISH);
    EXPECT_TRUE(becomes_readable(fd, Wait::not_at_all));
    EXPECT_EQ(one.job.go(), ASYNC_FINISH);
    EXPECT_FALSE(becomes_readable(fd, Wait::not_at_all));
}

// Servers that resume whatever is paused when their event loop comes round.
TEST_F(Notification, AnEarlyResumePausesAgain) {
    hold();
    SigningJob signing(library_, wait_.get());
    ASSERT_EQ(signing.job.go(), ASYNC_PAUSE);
    for (int round = 0; round < 50; ++round) {
        usleep(1000);
        ASSERT_EQ(signing.job.go(), ASYNC_PAUSE);
        EXPECT_FALSE(becomes_readable(wait_fd(wait_.get()), Wait::not_at_all));
    }
    let_go();
    EXPECT_EQ(run_to_end(signing.job, wait_.get()), 0);
    EXPECT_EQ(signing.signature.result, (Bytes{1, 'a', 'b', 'c'}));
}

// A starter that resumes in a loop gets a pause now and then, not one per microsecond.
TEST_F(Notification, ResumingInALoopDoesNotSpin) {
    hold();
    SigningJob signing(library_, wait_.get());
    ASSERT_EQ(signing.job.go(), ASYNC_PAUSE);
    std::thread device([] {
        usleep(300'000);
        let_go();
    });
    int resumes = 1;
    while (signing.job.go() == ASYNC_PAUSE)
        ++resumes;
    device.join();
    EXPECT_EQ(signing.job.result, 1);
    EXPECT_LT(resumes, 2000);
}

struct Called {
    std::atomic<int> times{0};
    std::thread::id by;
};

int count_call(void* called) {
    static_cast<Called*>(called)->by = std::this_thread::get_id();
    ++static_cast<Called*>(called)->times;
    return 1;
}

TEST_F(Notification, ACallbackIsCalledOnceForEachResultInsteadOfAnFd) {
    Called called;
    ASSERT_EQ(ASYNC_WAIT_CTX_set_callback(wait_.get(), count_call, &called), 1);
    for (int round = 1; round <= 5; ++round) {
        hold();
        SigningJob signing(library_, wait_.get());
        ASSERT_EQ(signing.job.go(), ASYNC_PAUSE);
        EXPECT_EQ(ASYNC_WAIT_CTX_get_status(wait_.get()), ASYNC_STATUS_OK);
        EXPECT_EQ(called.times, round - 1);
        let_go();
        while (called.times < round)
            usleep(100);
        EXPECT_NE(called.by, std::this_thread::get_id());
        EXPECT_EQ(signing.job.go(), ASYNC_FINISH);
        EXPECT_EQ(signing.job.result, 1);
        EXPECT_EQ(called.times, round);
    }
}

}  // namespace
