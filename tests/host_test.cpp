// SPDX-License-Identifier: Apache-2.0
// With libcrypto in the process: reasons are on its error queue, and each job has its own
// default OSSL_LIB_CTX.
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "misuse.hpp"

namespace test {
namespace {

class ErrorQueue : public testing::TestWithParam<Misuse> {};

// S2, S4, S28.
TEST_P(ErrorQueue, HasTheReasonWithItsText) {
    ERR_clear_error();
    EXPECT_EQ(GetParam().provoke(), 0);
    const unsigned long error = ERR_get_error();
    EXPECT_EQ(ERR_GET_LIB(error), ERR_LIB_ASYNC);
    EXPECT_EQ(ERR_GET_REASON(error), GetParam().reason);
    EXPECT_EQ(asyncjob_last_reason(), GetParam().reason);
    ASSERT_NE(ERR_reason_error_string(error), nullptr);
    if (GetParam().reason >= 200) {
        EXPECT_STREQ(ERR_reason_error_string(error), asyncjob_reason_string(GetParam().reason));
    }
}
INSTANTIATE_TEST_SUITE_P(S4S28, ErrorQueue, testing::ValuesIn(misuses), name_of);

TEST(ErrorQueueOfACall, IsLeftAloneBySuccessAndByAnswersThatAreNoErrors) {
    ERR_clear_error();
    expect_jobs_work();
    EXPECT_EQ(ASYNC_init_thread(1, 1), 1);
    TestJob first([] { ASYNC_pause_job(); });
    TestJob second([] {});
    EXPECT_EQ(first.go(), ASYNC_PAUSE);
    EXPECT_EQ(second.go(), ASYNC_NO_JOBS);
    EXPECT_EQ(first.go(), ASYNC_FINISH);
    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
    EXPECT_EQ(ASYNC_WAIT_CTX_get_fd(wait, wait, nullptr, nullptr), 0);
    EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(wait, wait), 0);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_callback(wait, nullptr, nullptr), 0);
    ASYNC_WAIT_CTX_free(wait);
    ASYNC_cleanup_thread();
    EXPECT_EQ(ERR_peek_error(), 0U);
}

// Completions that come late are no mistake.
TEST(ErrorQueueOfACall, IsLeftAloneByAWakeThatComesLate) {
    ERR_clear_error();
    asyncjob_handle handle{};
    TestJob job([&] { EXPECT_EQ(asyncjob_get_handle(ASYNC_get_current_job(), &handle), 1); });
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(asyncjob_wake(handle), 0);
    EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_STALE_HANDLE);
    EXPECT_EQ(ERR_peek_error(), 0U);
}

TEST(ErrorQueueOfACall, NamesTheFunction) {
    ERR_clear_error();
    EXPECT_EQ(ASYNC_init_thread(1, 2), 0);
    const char* function = nullptr;
    (void)ERR_get_error_all(nullptr, nullptr, &function, nullptr, nullptr);
    EXPECT_STREQ(function, "ASYNC_init_thread");
}

TEST(ErrorQueueOfACall, S28HasTheReasonsOfTheHeaderAsTheyAreInLibcryptos) {
    EXPECT_EQ(ASYNC_R_FAILED_TO_SET_POOL, 101);
    EXPECT_EQ(ASYNC_R_FAILED_TO_SWAP_CONTEXT, 102);
    EXPECT_EQ(ASYNC_R_INVALID_POOL_SIZE, 103);
    EXPECT_EQ(ASYNC_R_INIT_FAILED, 105);
    EXPECT_EQ(ASYNC_init_thread(1, 2), 0);  // libcrypto loads its texts with the first error
    for (const int reason : {101, 102, 103, 105})
        EXPECT_NE(ERR_reason_error_string(ERR_PACK(ERR_LIB_ASYNC, 0, reason)), nullptr) << reason;
}

TEST(ErrorQueueOfACall, IsTheCallingThreads) {
    ERR_clear_error();
    std::thread([] {
        EXPECT_EQ(ASYNC_init_thread(1, 2), 0);
        EXPECT_NE(ERR_get_error(), 0U);
    }).join();
    EXPECT_EQ(ERR_peek_error(), 0U);
}

OSSL_LIB_CTX* default_context() {
    return OSSL_LIB_CTX_set0_default(nullptr);
}

class LibraryContext : public testing::Test {
  protected:
    ~LibraryContext() override {
        OSSL_LIB_CTX_set0_default(process_default_);
        OSSL_LIB_CTX_free(one_);
        OSSL_LIB_CTX_free(two_);
    }
    OSSL_LIB_CTX* const process_default_ = default_context();
    OSSL_LIB_CTX* const one_ = OSSL_LIB_CTX_new();
    OSSL_LIB_CTX* const two_ = OSSL_LIB_CTX_new();
};

TEST_F(LibraryContext, S15OfAJobIsItsOwnAcrossPausesAndTheStartersIsBack) {
    TestJob job([this] {
        EXPECT_EQ(default_context(), process_default_) << "a job begins with its starter's";
        OSSL_LIB_CTX_set0_default(one_);
        ASYNC_pause_job();
        EXPECT_EQ(default_context(), one_);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(default_context(), process_default_);
    OSSL_LIB_CTX_set0_default(two_);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(default_context(), two_);
}

TEST_F(LibraryContext, S15OfNestedJobsAreEachTheirOwn) {
    TestJob outer([this] {
        OSSL_LIB_CTX_set0_default(one_);
        TestJob inner([this] {
            EXPECT_EQ(default_context(), one_);
            OSSL_LIB_CTX_set0_default(two_);
            ASYNC_pause_job();
            EXPECT_EQ(default_context(), two_);
        });
        EXPECT_EQ(inner.go(), ASYNC_PAUSE);
        EXPECT_EQ(default_context(), one_);
        ASYNC_pause_job();
        EXPECT_EQ(default_context(), one_);
        EXPECT_EQ(inner.go(), ASYNC_FINISH);
        EXPECT_EQ(default_context(), one_);
    });
    EXPECT_EQ(outer.go(), ASYNC_PAUSE);
    EXPECT_EQ(default_context(), process_default_);
    EXPECT_EQ(outer.go(), ASYNC_FINISH);
    EXPECT_EQ(default_context(), process_default_);
}

TEST_F(LibraryContext, S6S15OfAJobIsItsOwnWhenItIsCancelledAndTheCancellersIsBack) {
    TestJob job([this] {
        OSSL_LIB_CTX_set0_default(one_);
        EXPECT_EQ(ASYNC_pause_job(), 0);
        EXPECT_EQ(default_context(), one_);
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    OSSL_LIB_CTX_set0_default(two_);
    EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
    EXPECT_EQ(default_context(), two_);
}

TEST_F(LibraryContext, S15OfAFinishedJobIsNotTheNextJobs) {
    TestJob first([this] { OSSL_LIB_CTX_set0_default(one_); });
    EXPECT_EQ(first.go(), ASYNC_FINISH);
    EXPECT_EQ(default_context(), process_default_);
    TestJob second([this] { EXPECT_EQ(default_context(), process_default_); });
    EXPECT_EQ(second.go(), ASYNC_FINISH);
}

}  // namespace
}  // namespace test
