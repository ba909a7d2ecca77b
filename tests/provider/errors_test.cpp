// SPDX-License-Identifier: Apache-2.0
// libcrypto's error queue around a pause: the starter sees none of the job's errors, the job
// sees its own and those of its worker.
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "support.hpp"

namespace {

using namespace test;

class Errors : public testing::Test {
  protected:
    void SetUp() override { ERR_clear_error(); }

    InnerReset reset_;
    DeviceLibrary library_;
    DeviceSignature signature_{library_};
    WaitCtxPtr wait_ = new_wait_ctx();
};

TEST_F(Errors, OfTheJobAreHiddenFromItsStarterWhileItIsPaused) {
    std::string after;
    unsigned long first = 0;
    const char* file = nullptr;
    int line = 0;
    TestJob job(
        [&] {
            ERR_raise_data(ERR_LIB_USER, 7, "left behind %s", "by the job");
            ERR_raise(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE);
            const int status = signature_.sign();
            first = ERR_peek_error_all(&file, &line, nullptr, nullptr, nullptr);
            EXPECT_NE(std::string(file).find("errors_test.cpp"), std::string::npos);
            EXPECT_GT(line, 0);
            after = take_errors();
            return status;
        },
        wait_.get());
    Gate gate;
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(take_errors(), "");
    gate.open();
    run_to_end(job, wait_.get());
    EXPECT_EQ(job.result, 1);
    EXPECT_EQ(ERR_GET_LIB(first), ERR_LIB_USER);
    EXPECT_EQ(ERR_GET_REASON(first), 7);
    EXPECT_NE(after.find(":left behind by the job\n"), std::string::npos) << after;
    EXPECT_NE(after.find("malloc failure"), std::string::npos) << after;
}

// ERR_pop_to_mark() in the job's callers removes what came after their mark, not what was
// there before it.
TEST_F(Errors, BeforeAMarkSurviveAPauseBehindIt) {
    std::string after;
    TestJob job(
        [&] {
            ERR_raise_data(ERR_LIB_USER, 7, "before the mark");
            EXPECT_EQ(ERR_set_mark(), 1);
            const int status = signature_.sign();
            EXPECT_EQ(ERR_pop_to_mark(), 1);
            after = take_errors();
            return status;
        },
        wait_.get());
    run_to_end(job, wait_.get());
    EXPECT_NE(after.find("before the mark"), std::string::npos) << after;
}

TEST_F(Errors, OfTheWorkerArriveInTheJobWithTheirTexts) {
    tell_inner([](auto& told) { told.fail = true; });
    std::string texts;
    TestJob job(
        [&] {
            const int status = signature_.sign();
            texts = take_errors();
            return status;
        },
        wait_.get());
    run_to_end(job, wait_.get());
    EXPECT_EQ(job.result, 0);
    EXPECT_NE(texts.find("the device says no, code 7\n"), std::string::npos) << texts;
    EXPECT_NE(texts.find("and once more\n"), std::string::npos) << texts;
    EXPECT_LT(texts.find("the device"), texts.find("and once")) << texts;
}

// The same failures in place and on a worker leave the same errors.
TEST_F(Errors, OfTheWorkerAreThoseOfASynchronousCall) {
    const Library library;
    const PkeyPtr key = key_in(library.get(), KeyType::rsa);
    const auto wrong_length = [&] {
        const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(library.get(), key.get(), nullptr));
        EXPECT_EQ(EVP_PKEY_sign_init(context.get()), 1);
        EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING), 1);
        EXPECT_EQ(EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()), 1);
        Bytes out(256);
        std::size_t length = out.size();
        EXPECT_LE(EVP_PKEY_sign(context.get(), out.data(), &length, out.data(), 31), 0);
        return take_errors();
    };
    const auto not_a_cipher_text = [&] {
        const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(library.get(), key.get(), nullptr));
        EXPECT_EQ(EVP_PKEY_decrypt_init(context.get()), 1);
        EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING), 1);
        const Bytes in(256, 0xff);
        Bytes out(256);
        std::size_t length = out.size();
        EXPECT_LE(EVP_PKEY_decrypt(context.get(), out.data(), &length, in.data(), in.size()), 0);
        return take_errors();
    };
    const auto in_a_job = [this](const auto& body) {
        std::string texts;
        TestJob job([&] { texts = body(); }, wait_.get());
        Gate gate;
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        gate.open();
        run_to_end(job, wait_.get());
        return texts;
    };
    EXPECT_NE(wrong_length(), "");
    EXPECT_EQ(in_a_job(wrong_length), wrong_length());
    EXPECT_NE(not_a_cipher_text(), "");
    EXPECT_EQ(in_a_job(not_a_cipher_text), not_a_cipher_text());
}

// A worker's errors do not pile up for the next job.
TEST_F(Errors, OfOneJobDoNotReachAnother) {
    tell_inner([](auto& told) { told.fail = true; });
    TestJob failing([this] { return signature_.sign(); }, wait_.get());
    run_to_end(failing, wait_.get());
    ERR_clear_error();
    tell_inner([](auto& told) { told.fail = false; });
    TestJob job([this] { return signature_.sign(); }, wait_.get());
    run_to_end(job, wait_.get());
    EXPECT_EQ(job.result, 1);
    EXPECT_EQ(take_errors(), "");
}

}  // namespace
