// SPDX-License-Identifier: Apache-2.0
// What ends before the work does: buffers, contexts, wait contexts, jobs, libraries. Run
// under valgrind and the sanitizers these tests say the most.
#include <openssl/err.h>

#include "support.hpp"

namespace {

using namespace test;

// A signature held in the device, its job paused.
class Held : public testing::Test {
  protected:
    void SetUp() override {
        tell_inner([](auto& told) { told.hold = true; });
        computed_ = inner().computed;
        contexts_ = inner().contexts;
        signature_ = std::make_unique<DeviceSignature>(*library_);
    }

    // Some jobs are never resumed; the frames that they leave are theirs, so all that such a
    // test looks at later has to outlive it.
    void pause(TestJob& job) {
        ASSERT_EQ(job.go(), ASYNC_PAUSE);
        wait_for_inner([](auto& told) { return told.holding == 1; });
    }

    void let_go() {
        tell_inner([](auto& told) { told.hold = false; });
        wait_for_inner([this](auto& told) { return told.computed == computed_ + 1; });
    }

    InnerReset reset_;
    std::unique_ptr<DeviceLibrary> library_ = std::make_unique<DeviceLibrary>();
    WaitCtxPtr wait_ = new_wait_ctx();
    std::unique_ptr<DeviceSignature> signature_;
    int computed_ = 0;
    int contexts_ = 0;
};

TEST_F(Held, TheInputMayBeOverwrittenAndFreed) {
    auto input = std::make_unique<Bytes>(DeviceSignature::input);
    Bytes result(64);
    TestJob job(
        [&] {
            std::size_t length = result.size();
            const int status = EVP_PKEY_sign(signature_->context(), result.data(), &length,
                                             input->data(), input->size());
            result.resize(length);
            return status;
        },
        wait_.get());
    pause(job);
    input->assign(input->size(), 'z');
    input.reset();
    let_go();
    EXPECT_EQ(run_to_end(job, wait_.get()), 0);
    EXPECT_EQ(result, (Bytes{1, 'a', 'b', 'c'}));
}

TEST_F(Held, TheOutputIsWrittenOnlyAfterTheResume) {
    Bytes result(64, 'x');
    std::size_t length = result.size();
    TestJob job(
        [&] {
            return EVP_PKEY_sign(signature_->context(), result.data(), &length,
                                 DeviceSignature::input.data(), DeviceSignature::input.size());
        },
        wait_.get());
    pause(job);
    let_go();
    EXPECT_TRUE(becomes_readable(wait_fd(wait_.get()), Wait::long_enough));
    EXPECT_EQ(result, Bytes(64, 'x'));
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(length, 4U);
    EXPECT_EQ(result[0], 1);
}

// SSL_free() of a connection whose handshake is paused: wait context and buffers go, the
// job is never resumed.
TEST_F(Held, AJobThatIsAbandonedMayLoseItsWaitContextAndItsSignatureContext) {
    auto* const job = new TestJob([this] { return signature_->sign(); }, wait_.get());
    pause(*job);
    const int fd = wait_fd(wait_.get());
    wait_.reset();
    signature_->free_context();
    EXPECT_EQ(inner().contexts, contexts_ + 1);
    let_go();
    wait_for_inner([this](auto& told) { return told.contexts == contexts_; });
    EXPECT_FALSE(becomes_readable(fd, Wait::not_at_all));
}

TEST_F(Held, AContextOfAnUnfinalisedDigestSignMayBeFreed) {
    const PkeyPtr key = library_->new_key();
    struct Signing {
        MdCtxPtr context{EVP_MD_CTX_new()};
        Bytes result = Bytes(64);
        std::size_t length = 64;
    };
    auto* const signing = new Signing;
    EVP_MD_CTX_set_flags(signing->context.get(), EVP_MD_CTX_FLAG_FINALISE);
    ASSERT_EQ(EVP_DigestSignInit_ex(signing->context.get(), nullptr, "SHA256", library_->get(),
                                    nullptr, key.get(), nullptr),
              1);
    ASSERT_EQ(EVP_DigestSignUpdate(signing->context.get(), "abc", 3), 1);
    auto* const job = new TestJob(
        [signing] {
            return EVP_DigestSignFinal(signing->context.get(), signing->result.data(),
                                       &signing->length);
        },
        wait_.get());
    pause(*job);
    signing->context.reset();
    wait_.reset();
    EXPECT_EQ(inner().contexts, contexts_ + 2);
    let_go();
    wait_for_inner([this](auto& told) { return told.contexts == contexts_ + 1; });
}

// A callback's argument dies with the connection that its wait context belongs to.
TEST_F(Held, ACallbackIsNotCalledOnceItsWaitContextIsFreed) {
    static std::atomic<int> calls;
    calls = 0;
    ASSERT_EQ(ASYNC_WAIT_CTX_set_callback(
                  wait_.get(), [](void*) { return ++calls; }, nullptr),
              1);
    auto* const job = new TestJob([this] { return signature_->sign(); }, wait_.get());
    pause(*job);
    wait_.reset();
    let_go();
    signature_->free_context();
    wait_for_inner([this](auto& told) { return told.contexts == contexts_; });
    // The worker is free again, so it is past the notification.
    { const Gate gate; }
    EXPECT_EQ(calls, 0);
}

// The library context that the work runs in is needed until the work is done.
TEST_F(Held, UnloadingTheProviderWaitsForItsWork) {
    auto* const job = new TestJob([this] { return signature_->sign(); }, wait_.get());
    pause(*job);
    wait_.reset();
    std::thread device([this] {
        usleep(200'000);
        let_go();
    });
    signature_->free_context();
    signature_.reset();
    library_.reset();
    EXPECT_EQ(inner().computed, computed_ + 1);
    device.join();
    EXPECT_EQ(inner().used_after_teardown, 0);
}

// ASYNC_pause_job() returns 0: the job was cancelled. By then the worker has begun.
class Cancelled : public Held {
  protected:
    void cancel_and_sign() {
        interpose::cancel_pauses = 1;
        interpose::before_cancel = [] {
            wait_for_inner([](auto& told) { return told.holding == 1; });
        };
        std::size_t length = out_.size();
        ERR_clear_error();
        status_ = EVP_PKEY_sign(signature_->context(), out_.data(), &length,
                                DeviceSignature::input.data(), DeviceSignature::input.size());
        errors_ = take_errors();
    }
    Bytes out_ = Bytes(64, 'x');
    int status_ = -1;
    std::string errors_;
};

TEST_F(Cancelled, TheOperationFailsAndSaysSo) {
    TestJob job([this] { cancel_and_sign(); }, wait_.get());
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_LE(status_, 0);
    EXPECT_NE(errors_.find("cancelled"), std::string::npos) << errors_;
    signature_->free_context();
    let_go();
    wait_for_inner([this](auto& told) { return told.contexts == contexts_; });
    EXPECT_EQ(out_, Bytes(64, 'x'));
    EXPECT_EQ(interpose::cancel_pauses, 0);
}

TEST_F(Cancelled, TheNextOperationOfTheWaitContextIsNotWokenByTheLast) {
    TestJob job([this] { cancel_and_sign(); }, wait_.get());
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    DeviceSignature next(*library_);
    TestJob next_job([&next] { return next.sign(); }, wait_.get());
    tell_inner([](auto& told) { told.before = [] { inner().hold = true; }; });
    EXPECT_EQ(next_job.go(), ASYNC_PAUSE);
    tell_inner([](auto& told) { told.hold = false; });
    wait_for_inner(
        [this](auto& told) { return told.computed == computed_ + 1 && told.holding == 1; });
    EXPECT_FALSE(becomes_readable(wait_fd(wait_.get()), Wait::not_at_all));
    tell_inner([](auto& told) {
        told.before = nullptr;
        told.hold = false;
    });
    EXPECT_EQ(run_to_end(next_job, wait_.get()), 0);
    EXPECT_EQ(next_job.result, 1);
}

// The same context again: two computations must not be at it at the same time.
TEST_F(Cancelled, TheSameContextMaySignAgain) {
    TestJob job(
        [this] {
            cancel_and_sign();
            return signature_->sign();
        },
        wait_.get());
    std::thread device([] {
        wait_for_inner([](auto& told) { return told.holding >= 1; });
        usleep(50'000);
        EXPECT_EQ(inner().holding, 1);
        tell_inner([](auto& told) { told.hold = false; });
    });
    while (job.go() == ASYNC_PAUSE)
        usleep(1000);
    device.join();
    EXPECT_EQ(job.result, 1);
    EXPECT_EQ(signature_->result, (Bytes{1, 'a', 'b', 'c'}));
}

}  // namespace
