// SPDX-License-Identifier: Apache-2.0
// The provider's section of openssl.cnf: what is wrong in it is an error of the load that
// names the option and its value.
#include <openssl/conf.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

#include <filesystem>

#include "support.hpp"

namespace {

using namespace test;

struct WrongOption {
    const char* test;
    const char* name;
    const char* value;
};

std::ostream& operator<<(std::ostream& out, const WrongOption& wrong) {
    return out << wrong.name << " = " << wrong.value;
}

class Config : public testing::TestWithParam<WrongOption> {};

INSTANTIATE_TEST_SUITE_P(
    Wrong, Config,
    testing::Values(WrongOption{"NoThreads", "threads", "0"},
                    WrongOption{"NoNumber", "threads", "abc"},
                    WrongOption{"NegativeThreads", "threads", "-1"},
                    WrongOption{"TooManyThreads", "threads", "1025"},
                    WrongOption{"FarTooManyThreads", "threads", "99999999999999999999"},
                    WrongOption{"NumberAndMore", "threads", "4x"},
                    WrongOption{"UnknownOperation", "operations", "rsa-sign foo"},
                    WrongOption{"NoOperations", "operations", ","},
                    WrongOption{"UnknownInner", "inner", "nosuch"},
                    WrongOption{"ItselfAsInner", "inner", "offload"},
                    WrongOption{"MissingInnerConfig", "inner_config", "/missing.cnf"},
                    WrongOption{"DirectoryAsInnerConfig", "inner_config", "/tmp"}),
    [](const auto& info) { return std::string(info.param.test); });

TEST_P(Config, IsALoadErrorThatNamesIt) {
    const auto& [test, name, value] = GetParam();
    const Library library(Options{{name, value}});
    EXPECT_NE(library.failure().find(name), std::string::npos) << library.failure();
    const std::string word = std::string(value) == "rsa-sign foo" ? "foo" : value;
    if (word != ",") {
        EXPECT_NE(library.failure().find(word), std::string::npos) << library.failure();
    }
    EXPECT_NE(library.failure().find("offload: "), std::string::npos) << library.failure();
    EXPECT_EQ(OSSL_PROVIDER_available(library.get(), "offload"), 0);
}

TEST(Config, AllOptionsAtTheirLimitsLoad) {
    const TextFile empty("# nothing\n");
    for (const Options& options :
         {Options{{"threads", "1"}}, Options{{"operations", "rsa-sign,ecdsa-sign  x-derive"}},
          Options{{"operations", "all"}}, Options{{"inner_config", empty.path()}}}) {
        const Library library(options);
        EXPECT_EQ(library.failure(), "");
        EXPECT_EQ(OSSL_PROVIDER_available(library.get(), "offload"), 1);
    }
}

// In a child: the number of threads is the process's.
TEST(Config, AsManyThreadsStartAsAreConfigured) {
    if (under_tsan)
        GTEST_SKIP() << "starts threads in a forked process";
    EXPECT_TRUE(passes_in_child([] {
        const Library library(Options{{"threads", "5"}});
        const PkeyPtr key = key_in(library.get(), KeyType::rsa);
        const DeviceLibrary device;
        DeviceSignature signature(device);
        const WaitCtxPtr wait = new_wait_ctx();
        const int before = interpose::threads;
        TestJob job([&] { return signature.sign(); }, wait.get());
        run_to_end(job, wait.get());
        EXPECT_EQ(interpose::threads - before, 5);
    }));
}

TEST(Config, LoadsByNameWithoutASection) {
    const std::filesystem::path module(OFFLOAD_MODULE);
    EXPECT_TRUE(passes_in_child([&module] {
        OSSL_LIB_CTX* const library = OSSL_LIB_CTX_new();
        EXPECT_EQ(OSSL_PROVIDER_set_default_search_path(library, module.parent_path().c_str()), 1);
        OSSL_PROVIDER* const provider = OSSL_PROVIDER_load(library, "offload");
        EXPECT_NE(provider, nullptr) << take_errors();
        EXPECT_EQ(OSSL_PROVIDER_self_test(provider), 1);
        EXPECT_EQ(OSSL_PROVIDER_unload(provider), 1);
        OSSL_LIB_CTX_free(library);
    }));
}

TEST(Config, TheProviderTellsItsNameVersionAndStatus) {
    const Library library;
    OSSL_PROVIDER* const provider = OSSL_PROVIDER_load(library.get(), "offload");
    ASSERT_NE(provider, nullptr);
    char* name = nullptr;
    char* version = nullptr;
    char* build = nullptr;
    int status = 0;
    OSSL_PARAM wanted[] = {OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, &name, 0),
                           OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, &version, 0),
                           OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_BUILDINFO, &build, 0),
                           OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, &status), OSSL_PARAM_END};
    EXPECT_EQ(OSSL_PROVIDER_get_params(provider, wanted), 1);
    EXPECT_NE(std::string(name).find("offload"), std::string::npos);
    EXPECT_NE(std::string(version), "");
    EXPECT_NE(std::string(build), "");
    EXPECT_EQ(status, 1);
    const OSSL_PARAM* const table = OSSL_PROVIDER_gettable_params(provider);
    EXPECT_NE(OSSL_PARAM_locate_const(table, OSSL_PROV_PARAM_NAME), nullptr);
    OSSL_PROVIDER_unload(provider);
}

// Two library contexts, each with its own instance: unloading one leaves the other.
TEST(Config, InstancesAreIndependent) {
    const Library one;
    auto other = std::make_unique<Library>(Options{{"operations", "all"}});
    other.reset();
    const PkeyPtr key = key_in(one.get(), KeyType::rsa);
    EXPECT_NE(key, nullptr);
    EXPECT_NE(PkeyCtxPtr(EVP_PKEY_CTX_new_from_name(one.get(), "RSA", "provider=offload")),
              nullptr);
    EXPECT_EQ(PkeyCtxPtr(EVP_PKEY_CTX_new_from_name(one.get(), "EC", "provider=offload")), nullptr);
}

}  // namespace
