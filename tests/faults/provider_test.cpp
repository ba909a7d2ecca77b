// SPDX-License-Identifier: Apache-2.0
// Each call that the provider makes, by itself or through its C++ runtime, for memory, fds, threads
// and of libcrypto fails, one at a time and all from one on: loading it, fetching algorithms and
// keys, signing in place and in a job. An error that names its cause, or the operation is computed
// in place; nothing is leaked, no context stays in use, and the next operation works, on a worker.
// Every attempt runs in a child, which has no workers yet.
#include <dlfcn.h>
#include <openssl/err.h>
#include <sys/mman.h>

#include <memory>
#include <vector>

#include "../provider/support.hpp"
#include "inject.hpp"

namespace {

using namespace test;
using faults::Fails;
using faults::Injection;

// The configuration is read by libcrypto while calls fail, so it is written before.
class Config {
  public:
    [[nodiscard]] const char* path() const { return outer_.path().c_str(); }

  private:
    TextFile inner_{
        "openssl_conf = init\n"
        "[init]\nproviders = providers\n"
        "[providers]\ntest_inner = inner_section\n"
        "[inner_section]\nactivate = 1\n"
        "module = " TEST_INNER_MODULE "\n"};
    TextFile outer_{
        "openssl_conf = init\n"
        "[init]\nproviders = providers\n"
        "[providers]\noffload = offload_section\n"
        "[offload_section]\nmodule = " OFFLOAD_MODULE
        "\nthreads = 3\ninner = test_inner\n"
        "inner_config = " +
        inner_.path() + "\n"};
};
std::unique_ptr<const Config> config;  // of the test that runs

// A library context, the provider in it, a key of its and a signature's context: as far as each
// could be had.
struct World {
    OSSL_LIB_CTX* library = nullptr;
    OSSL_PROVIDER* provider = nullptr;
    EVP_PKEY* key = nullptr;
    EVP_PKEY_CTX* context = nullptr;

    void have_library() {
        library = OSSL_LIB_CTX_new();
        ASSERT_EQ(OSSL_LIB_CTX_load_config(library, config->path()), 1);
    }
    bool load() {
        provider = OSSL_PROVIDER_load(library, "offload");
        return provider != nullptr;
    }
    bool make_key() {
        EVP_PKEY_CTX* const maker = EVP_PKEY_CTX_new_from_name(library, "RSA", nullptr);
        const bool made = maker != nullptr && EVP_PKEY_keygen_init(maker) == 1 &&
                          EVP_PKEY_generate(maker, &key) == 1;
        EVP_PKEY_CTX_free(maker);
        return made;
    }
    bool begin() {
        context = EVP_PKEY_CTX_new_from_pkey(library, key, nullptr);
        return context != nullptr && EVP_PKEY_sign_init(context) == 1;
    }
    bool sign() const {
        static constexpr unsigned char input[] = {'a', 'b', 'c'};
        unsigned char out[64];
        std::size_t size = sizeof out;
        return EVP_PKEY_sign(context, out, &size, input, sizeof input) == 1;
    }
    void end() {
        EVP_PKEY_CTX_free(std::exchange(context, nullptr));
        EVP_PKEY_free(std::exchange(key, nullptr));
        if (provider != nullptr)
            OSSL_PROVIDER_unload(std::exchange(provider, nullptr));
        OSSL_LIB_CTX_free(std::exchange(library, nullptr));
    }
} world;

// Signs in a job that waits by an fd or a callback.
bool sign_in_job(ASYNC_callback_fn callback) {
    ASYNC_WAIT_CTX* const wait = ASYNC_WAIT_CTX_new();
    if (callback != nullptr)
        ASYNC_WAIT_CTX_set_callback(wait, callback, nullptr);
    ASYNC_JOB* job = nullptr;
    int result = 0;
    int status = ASYNC_PAUSE;
    while (status == ASYNC_PAUSE) {
        status = ASYNC_start_job(
            &job, wait, &result, [](void*) { return world.sign() ? 1 : 0; }, nullptr, 0);
    }
    EXPECT_EQ(status, ASYNC_FINISH);
    ASYNC_WAIT_CTX_free(wait);
    return result == 1;
}

struct Operation {
    const char* name;
    void (*prepare)();
    bool (*run)();  // while calls fail
    // Whether it succeeds whatever fails: it is computed in place then.
    bool always_works;
};

void have_context() {
    world.have_library();
    ASSERT_TRUE(world.load());
    ASSERT_TRUE(world.make_key());
    ASSERT_TRUE(world.begin());
}

const std::vector<Operation> operations = {
    {"Load", [] { world.have_library(); }, [] { return world.load(); }, false},
    {"FetchAndMakeAKey",
     [] {
         world.have_library();
         ASSERT_TRUE(world.load());
     },
     [] { return world.make_key(); }, false},
    {"BeginASignature",
     [] {
         world.have_library();
         ASSERT_TRUE(world.load());
         ASSERT_TRUE(world.make_key());
     },
     [] { return world.begin(); }, false},
    {"SignInPlace", have_context, [] { return world.sign(); }, true},
    {"SignInAJob", have_context, [] { return sign_in_job(nullptr); }, true},
    {"SignInAJobWithACallback", have_context, [] { return sign_in_job([](void*) { return 1; }); },
     true},
    {"SignTwice", have_context,
     [] {
         const bool first = sign_in_job(nullptr);
         return sign_in_job(nullptr) && first;
     },
     true},
    {"EndWithWorkers",
     [] {
         have_context();
         EXPECT_TRUE(sign_in_job(nullptr));
     },
     [] {
         world.end();
         return true;
     },
     true},
};

class EachCall : public testing::TestWithParam<Operation> {
  protected:
    void SetUp() override {
        // It stays where it is when libcrypto unloads it.
        ASSERT_NE(dlopen(OFFLOAD_MODULE, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE), nullptr);
        (void)inner();
        faults::watch({"offload.so", "libstdc++.so"});
        config = std::make_unique<const Config>();
        told_ = static_cast<bool*>(
            mmap(nullptr, sizeof(bool), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    }
    void TearDown() override {
        munmap(told_, sizeof(bool));
        config.reset();
    }

    // In the child. Whether there was an n-th call.
    static bool fail_at(Fails how, int n) {
        const Operation& operation = GetParam();
        operation.prepare();
        ERR_clear_error();
        const std::size_t fds = faults::open_fds();
        const int contexts = inner().contexts;
        bool succeeded = false;
        bool failed = false;
        {
            const Injection injection(how, n);
            succeeded = operation.run();
            failed = Injection::failed() > 0;
        }
        EXPECT_TRUE(succeeded || failed) << "it failed by itself: " << take_errors();
        EXPECT_TRUE(succeeded || !operation.always_works);
        if (!succeeded) {
            EXPECT_NE(ERR_peek_error(), 0UL) << "no reason";
        }
        if (world.context != nullptr && inner().contexts > 0) {
            EXPECT_EQ(inner().contexts, std::max(contexts, 1)) << "a context stays";
        }
        ERR_clear_error();
        finish_undisturbed();  // after which no worker has anything
        EXPECT_LE(faults::open_fds(), fds) << "an fd was leaked";
        EXPECT_EQ(inner().contexts, 0);
        EXPECT_EQ(inner().providers, 0);
        EXPECT_EQ(inner().queries, inner().unqueries);
        EXPECT_TRUE(faults::nothing_is_leaked());
        if (HasFailure())
            std::fprintf(stderr, "what failed: %s\n", faults::failed_functions().c_str());
        return failed;
    }

    // All that could not be had can be now; what has the context goes on with it.
    static void finish_undisturbed() {
        if (world.library == nullptr)
            have_context();
        EXPECT_TRUE(world.provider != nullptr || world.load()) << take_errors();
        EXPECT_TRUE(world.key != nullptr || world.make_key()) << take_errors();
        if (world.context == nullptr || inner().contexts == 0) {
            EVP_PKEY_CTX_free(std::exchange(world.context, nullptr));
            EXPECT_TRUE(world.begin()) << take_errors();
        }
        const int computed = inner().computed;
        EXPECT_TRUE(sign_in_job(nullptr)) << take_errors();
        EXPECT_EQ(inner().computed, computed + 1);
        EXPECT_NE(inner().thread, std::this_thread::get_id()) << "not on a worker";
        world.end();
        ASYNC_cleanup_thread();
    }

    bool* told_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Provider, EachCall, testing::ValuesIn(operations),
                         [](const auto& info) { return info.param.name; });

TEST_P(EachCall, ThatFailsIsAnErrorOrComputedInPlaceAndTheNextOperationWorks) {
    constexpr int most_calls = 500;
    for (const Fails how : {Fails::one, Fails::all_from_there}) {
        int n = 0;
        do {
            ++n;
            *told_ = false;
            ASSERT_TRUE(passes_in_child([&] { *told_ = fail_at(how, n); })) << "call " << n;
        } while (*told_ && n < most_calls);
        EXPECT_LT(n, most_calls);
        std::printf("%d calls failed, %s\n", n - 1,
                    how == Fails::one ? "each alone" : "each with all that followed");
    }
}

}  // namespace
