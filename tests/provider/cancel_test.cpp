// SPDX-License-Identifier: Apache-2.0
// asyncjob_cancel() of jobs that wait for the provider's work (S6): the operation fails, and the
// worker may go on with what the job has let go. On this library's jobs only; lifetime_test has
// what a pause that returns 0 means to the provider, whatever brought it about.
#include <openssl/err.h>
#include <poll.h>

#include "support.hpp"

namespace {

using namespace test;

class CancelledJob : public testing::Test {
  protected:
    void SetUp() override {
        computed_ = inner().computed;
        contexts_ = inner().contexts;
        signature_ = std::make_unique<DeviceSignature>(*library_);
    }

    // Signs in the job that is to be cancelled; afterwards the context is the test's to free.
    void sign() {
        std::size_t length = out_.size();
        ERR_clear_error();
        status_ = EVP_PKEY_sign(signature_->context(), out_.data(), &length,
                                DeviceSignature::input.data(), DeviceSignature::input.size());
        errors_ = take_errors();
    }

    void expect_cancelled() {
        EXPECT_LE(status_, 0);
        EXPECT_NE(errors_.find("cancelled"), std::string::npos) << errors_;
    }

    InnerReset reset_;
    std::unique_ptr<DeviceLibrary> library_ = std::make_unique<DeviceLibrary>();
    WaitCtxPtr wait_ = new_wait_ctx();
    std::unique_ptr<DeviceSignature> signature_;
    Bytes out_ = Bytes(64, 'x');
    int status_ = 1;
    std::string errors_;
    int computed_ = 0;
    int contexts_ = 0;
};

TEST_F(CancelledJob, S6AbandonsWorkThatIsUnderWayAndMayLoseAllThatItUsed) {
    tell_inner([](auto& told) { told.hold = true; });
    TestJob job([this] { sign(); }, wait_.get());
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    wait_for_inner([](auto& told) { return told.holding == 1; });
    EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
    expect_cancelled();
    signature_->free_context();
    wait_.reset();
    EXPECT_EQ(inner().contexts, contexts_ + 1) << "the worker has it";
    tell_inner([](auto& told) { told.hold = false; });
    wait_for_inner([this](auto& told) { return told.contexts == contexts_; });
    EXPECT_EQ(inner().computed, computed_ + 1);
    EXPECT_EQ(out_, Bytes(64, 'x'));
}

TEST_F(CancelledJob, S6WorkThatHasNotBegunIsNotDone) {
    TestJob job([this] { sign(); }, wait_.get());
    {
        const Gate gate;
        computed_ = inner().computed;
        ASSERT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
        expect_cancelled();
    }
    { const Gate gate; }  // the worker is past it
    EXPECT_EQ(inner().computed, computed_ + 2) << "the gates' own, and no other";
    EXPECT_EQ(out_, Bytes(64, 'x'));
}

TEST_F(CancelledJob, S6FailsItsLaterOperationsToo) {
    tell_inner([](auto& told) { told.hold = true; });
    DeviceSignature second(*library_);
    int second_status = 1;
    TestJob job(
        [&] {
            sign();
            second_status = second.sign();
        },
        wait_.get());
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    wait_for_inner([](auto& told) { return told.holding == 1; });
    EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
    expect_cancelled();
    EXPECT_LE(second_status, 0);
    EXPECT_NE(take_errors().find("cancelled"), std::string::npos);
    tell_inner([](auto& told) { told.hold = false; });
}

// What a child inherits it may cancel: the parent's signal stays where it is, and no lock is
// waited for that a worker had.
TEST_F(CancelledJob, S6S14InTheChildOfAForkLeavesTheParentsAlone) {
    if (under_asan || under_tsan)
        GTEST_SKIP() << "the tool's own locks do not survive a fork with threads";
    TestJob job([this] { sign(); }, wait_.get());
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    const auto is_signalled = [this](int milliseconds) {
        int fd = -1;
        std::size_t count = 1;
        EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(wait_.get(), &fd, &count), 1);
        pollfd ready{fd, POLLIN, 0};
        return poll(&ready, 1, milliseconds) == 1;
    };
    constexpr int patience = 20'000;
    ASSERT_TRUE(is_signalled(patience));
    EXPECT_TRUE(passes_in_child([&] {
        EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
        EXPECT_LE(status_, 0);
    }));
    EXPECT_TRUE(is_signalled(0));
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(status_, 1);
}

TEST_F(CancelledJob, S6AllOfAThreadThatEnds) {
    const std::size_t left = asyncjob_left_behind();
    tell_inner([](auto& told) { told.hold = true; });
    std::thread([this] {
        TestJob job([this] { sign(); }, wait_.get());
        ASSERT_EQ(job.go(), ASYNC_PAUSE);
        wait_for_inner([](auto& told) { return told.holding == 1; });
        EXPECT_EQ(asyncjob_cancel_all(), 1U);
        expect_cancelled();
    }).join();
    EXPECT_EQ(asyncjob_left_behind(), left);
    signature_->free_context();
    tell_inner([](auto& told) { told.hold = false; });
    wait_for_inner([this](auto& told) { return told.contexts == contexts_; });
}

}  // namespace
