// SPDX-License-Identifier: Apache-2.0
// Inner providers other than default: what is passed on, what is offloaded, no_cache.
#include <openssl/core_dispatch.h>

#include <cstring>

#include "support.hpp"

namespace {

using namespace test;

struct Unload {
    void operator()(OSSL_PROVIDER* provider) const { OSSL_PROVIDER_unload(provider); }
};
using ProviderPtr = std::unique_ptr<OSSL_PROVIDER, Unload>;

std::string names_of(const OSSL_ALGORITHM* algorithms) {
    std::string names;
    for (; algorithms != nullptr && algorithms->algorithm_names != nullptr; ++algorithms)
        names.append(algorithms->algorithm_names)
            .append("[")
            .append(algorithms->property_definition)
            .append("] ");
    return names;
}

TEST(Inner, AlgorithmsKeepTheirPropertiesButForTheProvider) {
    const InnerReset reset;
    const DeviceLibrary library;
    const ProviderPtr offload(OSSL_PROVIDER_load(library.get(), "offload"));
    int no_cache = -1;
    const OSSL_ALGORITHM* const offered =
        OSSL_PROVIDER_query_operation(offload.get(), OSSL_OP_SIGNATURE, &no_cache);
    EXPECT_EQ(names_of(offered),
              "RSA[provider=offload,test.kind=device] TEST[provider=offload,test.kind=device] ");
    EXPECT_EQ(no_cache, 0);
    OSSL_PROVIDER_unquery_operation(offload.get(), OSSL_OP_SIGNATURE, offered);
    EXPECT_EQ(OSSL_PROVIDER_query_operation(offload.get(), OSSL_OP_DIGEST, &no_cache), nullptr);
}

// A provider whose algorithms come and go, as a device is plugged in and out.
TEST(Inner, ItsNoCacheIsHonoured) {
    const InnerReset reset;
    tell_inner([](auto& told) { told.no_cache = true; });
    {
        const DeviceLibrary library;
        const ProviderPtr offload(OSSL_PROVIDER_load(library.get(), "offload"));
        const int unanswered = inner().queries - inner().unqueries;
        for (int round = 0; round < 3; ++round) {
            int no_cache = -1;
            tell_inner([round](auto& told) { told.no_signatures = round == 1; });
            const OSSL_ALGORITHM* const offered =
                OSSL_PROVIDER_query_operation(offload.get(), OSSL_OP_SIGNATURE, &no_cache);
            EXPECT_EQ(no_cache, 1);
            EXPECT_EQ(names_of(offered).empty(), round == 1);
            OSSL_PROVIDER_unquery_operation(offload.get(), OSSL_OP_SIGNATURE, offered);
            EXPECT_EQ(inner().queries - inner().unqueries, unanswered) << "round " << round;
        }
    }
    const DeviceLibrary library;
    DeviceSignature signature(library);
    const WaitCtxPtr wait = new_wait_ctx();
    TestJob job([&] { return signature.sign(); }, wait.get());
    run_to_end(job, wait.get());
    EXPECT_EQ(signature.result, (Bytes{1, 'a', 'b', 'c'}));
}

TEST(Inner, EveryQueryIsEnded) {
    const InnerReset reset;
    tell_inner([](auto& told) { told.queries = told.unqueries = 0; });
    {
        const DeviceLibrary library;
        DeviceSignature signature(library);
        EXPECT_EQ(signature.sign(), 1);
    }
    EXPECT_GT(inner().queries, 0);
    EXPECT_EQ(inner().queries, inner().unqueries);
}

// Where the inner provider is a device, all its private-key operations are offloaded, and
// not only those whose algorithms are known here.
TEST(Inner, ADevicesKeysOfAnyTypeAreOffloaded) {
    const InnerReset reset;
    const DeviceLibrary library;
    for (const char* type : {"RSA", "TEST"}) {
        const PkeyPtr key = library.new_key(type);
        const auto in_a_job = [&](auto body) {
            const WaitCtxPtr wait = new_wait_ctx();
            TestJob job(
                [&] {
                    const PkeyCtxPtr context(
                        EVP_PKEY_CTX_new_from_pkey(library.get(), key.get(), nullptr));
                    return body(context.get());
                },
                wait.get());
            run_to_end(job, wait.get());
            EXPECT_EQ(job.result, 1) << type;
            EXPECT_NE(inner().thread, std::this_thread::get_id()) << type;
        };
        Bytes out(64);
        std::size_t length = out.size();
        in_a_job([&](EVP_PKEY_CTX* context) {
            EXPECT_EQ(EVP_PKEY_sign_init(context), 1);
            return EVP_PKEY_sign(context, out.data(), &length, out.data(), 3);
        });
        length = out.size();
        in_a_job([&](EVP_PKEY_CTX* context) {
            EXPECT_EQ(EVP_PKEY_decrypt_init(context), 1);
            return EVP_PKEY_decrypt(context, out.data(), &length, out.data(), 3);
        });
        length = out.size();
        in_a_job([&](EVP_PKEY_CTX* context) {
            EXPECT_EQ(EVP_PKEY_derive_init(context), 1);
            EXPECT_EQ(EVP_PKEY_derive_set_peer(context, key.get()), 1);
            return EVP_PKEY_derive(context, out.data(), &length);
        });
    }
}

TEST(Inner, WorksOnAWorkerInAJobAndInPlaceOutside) {
    const InnerReset reset;
    const DeviceLibrary library;
    DeviceSignature signature(library);
    EXPECT_EQ(signature.sign(), 1);
    EXPECT_EQ(inner().thread, std::this_thread::get_id());
    const WaitCtxPtr wait = new_wait_ctx();
    TestJob job([&] { return signature.sign(); }, wait.get());
    run_to_end(job, wait.get());
    EXPECT_NE(inner().thread, std::this_thread::get_id());
}

// Providers may have a context that says nothing.
TEST(Inner, TwoInstancesWithTheSameContextWork) {
    const InnerReset reset;
    tell_inner([](auto& told) { told.one_context = true; });
    const DeviceLibrary one(Options{{"operations", "rsa-sign"}});
    auto other = std::make_unique<DeviceLibrary>();
    DeviceSignature first(one);
    DeviceSignature second(*other);
    EXPECT_EQ(first.sign(), 1);
    EXPECT_EQ(second.sign(), 1);
    second.free_context();
    second = DeviceSignature(one);
    other.reset();
    EXPECT_EQ(inner().used_after_teardown, 0);
    DeviceSignature again(one);
    EXPECT_EQ(again.sign(), 1);
    EXPECT_EQ(inner().providers, 1);
}

}  // namespace
