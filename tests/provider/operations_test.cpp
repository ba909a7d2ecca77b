// SPDX-License-Identifier: Apache-2.0
// Each private-key operation: where it is offloaded, where not, and that its result is right.
// Results are checked with the default provider in the default library context.
#include <openssl/rsa.h>
#include <sys/resource.h>

#include <functional>

#include "support.hpp"

namespace {

using namespace test;

const Bytes message{'m', 'e', 's', 's', 'a', 'g', 'e'};
const Bytes digest(32, 0x5a);

struct OperationCase {
    const char* name;
    const char* option;  // its name in the configuration
    bool by_default;
    KeyType type;
    // With the key's own provider.
    Bytes (*compute)(OSSL_LIB_CTX* library, EVP_PKEY* key);
    // With the default provider's.
    bool (*is_right)(EVP_PKEY* key, const Bytes& result);
};

std::ostream& operator<<(std::ostream& out, const OperationCase& operation) {
    return out << operation.name;
}

MdCtxPtr digest_sign_init(OSSL_LIB_CTX* library, EVP_PKEY* key, const char* md, bool pss) {
    MdCtxPtr context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* parameters = nullptr;
    EXPECT_EQ(EVP_DigestSignInit_ex(context.get(), &parameters, md, library, nullptr, key, nullptr),
              1)
        << take_errors();
    if (pss) {
        EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
    }
    return context;
}

Bytes one_shot(OSSL_LIB_CTX* library, EVP_PKEY* key, const char* md, const Bytes& of) {
    const MdCtxPtr context = digest_sign_init(library, key, md, false);
    Bytes out(1024);
    std::size_t length = out.size();
    if (EVP_DigestSign(context.get(), out.data(), &length, of.data(), of.size()) != 1)
        length = 0;
    out.resize(length);
    return out;
}

Bytes in_parts(OSSL_LIB_CTX* library, EVP_PKEY* key, bool pss) {
    const MdCtxPtr context = digest_sign_init(library, key, "SHA256", pss);
    std::size_t length = 0;
    EXPECT_EQ(EVP_DigestSignUpdate(context.get(), message.data(), 3), 1);
    EXPECT_EQ(EVP_DigestSignUpdate(context.get(), message.data() + 3, message.size() - 3), 1);
    EXPECT_EQ(EVP_DigestSignFinal(context.get(), nullptr, &length), 1);
    Bytes out(length);
    if (EVP_DigestSignFinal(context.get(), out.data(), &length) != 1)
        length = 0;
    out.resize(length);
    return out;
}

bool verifies(EVP_PKEY* key, const char* md, bool pss, const Bytes& of, const Bytes& signature) {
    const MdCtxPtr context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* parameters = nullptr;
    return EVP_DigestVerifyInit_ex(context.get(), &parameters, md, nullptr, nullptr, key,
                                   nullptr) == 1 &&
           (!pss || EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1) &&
           EVP_DigestVerify(context.get(), signature.data(), signature.size(), of.data(),
                            of.size()) == 1;
}

Bytes sign_digest(OSSL_LIB_CTX* library, EVP_PKEY* key, int padding) {
    const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(library, key, nullptr));
    std::size_t length = 0;
    EXPECT_EQ(EVP_PKEY_sign_init(context.get()), 1);
    if (padding != 0) {
        EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(context.get(), padding), 1);
    }
    EXPECT_EQ(EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()), 1);
    EXPECT_EQ(EVP_PKEY_sign(context.get(), nullptr, &length, digest.data(), digest.size()), 1);
    Bytes out(length);
    if (EVP_PKEY_sign(context.get(), out.data(), &length, digest.data(), digest.size()) != 1)
        length = 0;
    out.resize(length);
    return out;
}

bool verifies_digest(EVP_PKEY* key, int padding, const Bytes& signature) {
    const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
    return EVP_PKEY_verify_init(context.get()) == 1 &&
           (padding == 0 || EVP_PKEY_CTX_set_rsa_padding(context.get(), padding) == 1) &&
           EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1 &&
           EVP_PKEY_verify(context.get(), signature.data(), signature.size(), digest.data(),
                           digest.size()) == 1;
}

Bytes decrypt(OSSL_LIB_CTX* library, EVP_PKEY* key, int padding) {
    const PkeyPtr same = key_in(nullptr, KeyType::rsa);
    const PkeyCtxPtr encryption(EVP_PKEY_CTX_new_from_pkey(nullptr, same.get(), nullptr));
    Bytes secret(256);
    std::size_t secret_length = secret.size();
    EXPECT_EQ(EVP_PKEY_encrypt_init(encryption.get()), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(encryption.get(), padding), 1);
    EXPECT_EQ(EVP_PKEY_encrypt(encryption.get(), secret.data(), &secret_length, message.data(),
                               message.size()),
              1);

    const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(library, key, nullptr));
    Bytes out(256);
    std::size_t length = out.size();
    EXPECT_EQ(EVP_PKEY_decrypt_init(context.get()), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(context.get(), padding), 1);
    if (EVP_PKEY_decrypt(context.get(), out.data(), &length, secret.data(), secret_length) != 1)
        length = 0;
    out.resize(length);
    return out;
}

// The key with itself: as good a secret as any.
Bytes derive(OSSL_LIB_CTX* library, EVP_PKEY* key) {
    const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(library, key, nullptr));
    std::size_t length = 0;
    EXPECT_EQ(EVP_PKEY_derive_init(context.get()), 1);
    EXPECT_EQ(EVP_PKEY_derive_set_peer(context.get(), key), 1) << take_errors();
    EXPECT_EQ(EVP_PKEY_derive(context.get(), nullptr, &length), 1);
    Bytes out(length);
    if (EVP_PKEY_derive(context.get(), out.data(), &length) != 1)
        length = 0;
    out.resize(length);
    return out;
}

bool derives_the_same(EVP_PKEY* key, const Bytes& secret) {
    return !secret.empty() && derive(nullptr, key) == secret;
}

const OperationCase rsa_sign{
    "RsaDigestSign",
    "rsa-sign",
    true,
    KeyType::rsa,
    [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return one_shot(library, key, "SHA256", message); },
    [](EVP_PKEY* key, const Bytes& result) {
        return verifies(key, "SHA256", false, message, result);
    }};

const OperationCase operations[] = {
    rsa_sign,
    {"RsaDigestSignInParts", "rsa-sign", true, KeyType::rsa,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return in_parts(library, key, false); },
     [](EVP_PKEY* key, const Bytes& result) {
         return verifies(key, "SHA256", false, message, result);
     }},
    {"RsaPssDigestSignInParts", "rsa-sign", true, KeyType::rsa,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return in_parts(library, key, true); },
     [](EVP_PKEY* key, const Bytes& result) {
         return verifies(key, "SHA256", true, message, result);
     }},
    {"RsaSign", "rsa-sign", true, KeyType::rsa,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) {
         return sign_digest(library, key, RSA_PKCS1_PADDING);
     },
     [](EVP_PKEY* key, const Bytes& result) {
         return verifies_digest(key, RSA_PKCS1_PADDING, result);
     }},
    {"RsaPssSign", "rsa-sign", true, KeyType::rsa,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) {
         return sign_digest(library, key, RSA_PKCS1_PSS_PADDING);
     },
     [](EVP_PKEY* key, const Bytes& result) {
         return verifies_digest(key, RSA_PKCS1_PSS_PADDING, result);
     }},
    {"RsaDecrypt", "rsa-decrypt", true, KeyType::rsa,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return decrypt(library, key, RSA_PKCS1_PADDING); },
     [](EVP_PKEY*, const Bytes& result) { return result == message; }},
    {"RsaOaepDecrypt", "rsa-decrypt", true, KeyType::rsa,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) {
         return decrypt(library, key, RSA_PKCS1_OAEP_PADDING);
     },
     [](EVP_PKEY*, const Bytes& result) { return result == message; }},
    {"EcdsaDigestSign", "ecdsa-sign", false, KeyType::ec,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return one_shot(library, key, "SHA256", message); },
     [](EVP_PKEY* key, const Bytes& result) {
         return verifies(key, "SHA256", false, message, result);
     }},
    {"EcdsaSign", "ecdsa-sign", false, KeyType::ec,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return sign_digest(library, key, 0); },
     [](EVP_PKEY* key, const Bytes& result) { return verifies_digest(key, 0, result); }},
    {"Ed25519Sign", "eddsa-sign", false, KeyType::ed25519,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return one_shot(library, key, nullptr, message); },
     [](EVP_PKEY* key, const Bytes& result) {
         return verifies(key, nullptr, false, message, result);
     }},
    {"Ed25519SignOfNothing", "eddsa-sign", false, KeyType::ed25519,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return one_shot(library, key, nullptr, {}); },
     [](EVP_PKEY* key, const Bytes& result) { return verifies(key, nullptr, false, {}, result); }},
    {"Ed448Sign", "eddsa-sign", false, KeyType::ed448,
     [](OSSL_LIB_CTX* library, EVP_PKEY* key) { return one_shot(library, key, nullptr, message); },
     [](EVP_PKEY* key, const Bytes& result) {
         return verifies(key, nullptr, false, message, result);
     }},
    {"EcdhDerive", "ec-derive", false, KeyType::ec, derive, derives_the_same},
    {"X25519Derive", "x-derive", false, KeyType::x25519, derive, derives_the_same},
    {"X448Derive", "x-derive", false, KeyType::x448, derive, derives_the_same},
    {"DhDerive", "dh-derive", false, KeyType::dh, derive, derives_the_same},
};

class Offload : public testing::TestWithParam<OperationCase> {
  protected:
    Bytes compute(const Library& library) const {
        const PkeyPtr key = key_in(library.get(), GetParam().type);
        return GetParam().compute(library.get(), key.get());
    }
    [[nodiscard]] bool is_right(const Bytes& result) const {
        return GetParam().is_right(key_in(nullptr, GetParam().type).get(), result);
    }
    Options opt_in() const { return {{"operations", GetParam().option}}; }
};

INSTANTIATE_TEST_SUITE_P(Operations, Offload, testing::ValuesIn(operations),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(Offload, PausesOnceInAJobUntilTheResultIsThere) {
    const Library library(opt_in());
    ASSERT_EQ(library.failure(), "");
    const WaitCtxPtr wait = new_wait_ctx();
    Bytes result;
    TestJob job([&] { result = compute(library); }, wait.get());
    Gate gate;
    ASSERT_EQ(job.go(), ASYNC_PAUSE);
    const int fd = wait_fd(wait.get());
    EXPECT_FALSE(becomes_readable(fd, Wait::not_at_all));
    gate.open();
    EXPECT_TRUE(becomes_readable(fd, Wait::long_enough));
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_FALSE(becomes_readable(fd, Wait::not_at_all));
    EXPECT_TRUE(is_right(result));
}

// The worker is held, so only what is computed in place comes to an end.
TEST_P(Offload, ComputesInPlaceOutsideAJob) {
    const Library library(opt_in());
    const Gate gate;
    const int before = interpose::pauses;
    EXPECT_TRUE(is_right(compute(library)));
    EXPECT_EQ(interpose::pauses, before);
}

TEST_P(Offload, OffloadsByDefaultWhatCostsMoreThanTheHandOver) {
    const Library library;
    const WaitCtxPtr wait = new_wait_ctx();
    Bytes result;
    TestJob job([&] { result = compute(library); }, wait.get());
    Gate gate;
    EXPECT_EQ(job.go(), GetParam().by_default ? ASYNC_PAUSE : ASYNC_FINISH);
    gate.open();
    if (job.handle != nullptr) {
        EXPECT_EQ(run_to_end(job, wait.get()), 0);
    }
    EXPECT_TRUE(is_right(result));
}

TEST_P(Offload, AllMeansAll) {
    const Library library(Options{{"operations", "all"}});
    const WaitCtxPtr wait = new_wait_ctx();
    Bytes result;
    TestJob job([&] { result = compute(library); }, wait.get());
    Gate gate;
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    gate.open();
    EXPECT_EQ(run_to_end(job, wait.get()), 0);
    EXPECT_TRUE(is_right(result));
}

// Whatever is short, the result is right.
class InPlace : public testing::Test {
  protected:
    void expect_result() const {
        EXPECT_TRUE(rsa_sign.is_right(key_in(nullptr, KeyType::rsa).get(), result_));
    }
    void sign() { result_ = rsa_sign.compute(library_.get(), key_.get()); }

    Library library_;
    PkeyPtr key_ = key_in(library_.get(), KeyType::rsa);
    WaitCtxPtr wait_ = new_wait_ctx();
    Bytes result_;
};

TEST_F(InPlace, SignsWhilePausingIsBlocked) {
    TestJob job(
        [this] {
            ASYNC_block_pause();
            sign();
            ASYNC_unblock_pause();
        },
        wait_.get());
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    expect_result();
}

// A blocked pause returns at once: who calls it until the work is done spins.
TEST_F(InPlace, DoesNotSpinWhilePausingIsBlocked) {
    const InnerReset reset;
    const DeviceLibrary library;
    DeviceSignature signature(library);
    tell_inner([](auto& told) { told.hold = true; });
    std::thread device([] {
        wait_for_inner([](auto& told) { return told.holding == 1; });
        usleep(300'000);
        tell_inner([](auto& told) { told.hold = false; });
    });
    TestJob job(
        [&] {
            ASYNC_block_pause();
            const int status = signature.sign();
            ASYNC_unblock_pause();
            return status;
        },
        wait_.get());
    const int before = interpose::pauses;
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(job.result, 1);
    EXPECT_LT(interpose::pauses - before, 2000);
    device.join();
}

// S27: a job may have no wait context. Stock libcrypto starts such jobs too.
TEST_F(InPlace, SignsWithoutAWaitContext) {
    TestJob job([this] { sign(); });
    const Gate gate;
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    expect_result();
}

TEST_F(InPlace, SignsWithoutFileDescriptors) {
    if (under_asan)
        GTEST_SKIP() << "UBSan looks at an object through a pipe";
    TestJob job([this] { sign(); }, wait_.get());
    const Gate gate;
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 0;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_result();
    EXPECT_TRUE(wait_fds(wait_.get()).empty());
}

// A child, since a process that has its workers needs no more.
TEST_F(InPlace, SignsWithoutThreadsAndOffloadsOnceThereAreSome) {
    if (under_tsan)
        GTEST_SKIP() << "starts threads in a forked process";
    EXPECT_TRUE(passes_in_child([this] {
        interpose::no_thread = true;
        for (int round = 0; round < 3; ++round) {
            TestJob job([this] { sign(); }, wait_.get());
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            EXPECT_TRUE(wait_fds(wait_.get()).empty());
            expect_result();
        }
        interpose::no_thread = false;
        TestJob job([this] { sign(); }, wait_.get());
        Gate gate;
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        gate.open();
        run_to_end(job, wait_.get());
        expect_result();
    }));
}

TEST_F(InPlace, SignsInputsOfAnySize) {
    const Library library(Options{{"operations", "eddsa-sign"}});
    const PkeyPtr key = key_in(library.get(), KeyType::ed25519);
    const PkeyPtr check = key_in(nullptr, KeyType::ed25519);
    for (const std::size_t size : {65535U, 65536U, 65537U, 1000000U}) {
        const Bytes large(size, 'x');
        TestJob job([&] { result_ = one_shot(library.get(), key.get(), nullptr, large); },
                    wait_.get());
        run_to_end(job, wait_.get());
        EXPECT_TRUE(verifies(check.get(), nullptr, false, large, result_)) << size;
    }
}

// What the caller says of its buffer's size is not always what it has.
TEST_F(InPlace, TakesAnyOutputSize) {
    const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_pkey(library_.get(), key_.get(), nullptr));
    ASSERT_EQ(EVP_PKEY_sign_init(context.get()), 1);
    TestJob job(
        [&] {
            result_.resize(256);
            std::size_t length = SIZE_MAX;
            EXPECT_EQ(
                EVP_PKEY_sign(context.get(), result_.data(), &length, digest.data(), digest.size()),
                1);
            EXPECT_EQ(length, 256U);
            length = 255;
            EXPECT_LE(
                EVP_PKEY_sign(context.get(), result_.data(), &length, digest.data(), digest.size()),
                0);
        },
        wait_.get());
    run_to_end(job, wait_.get());
}

}  // namespace
