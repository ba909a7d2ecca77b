// SPDX-License-Identifier: Apache-2.0
// A library's constructor that calls libssl while another thread's first call looks for one.
#include <openssl/ssl.h>

#include "../lookup_hook.hpp"

extern "C" void asyncjob_test_in_constructor() {
    test::run_in_constructor([] { SSL_free(nullptr); });
}

namespace ssl_test {
namespace {

TEST(Constructor, MayCallLibsslDuringAnotherThreadsFirstLookup) {
    EXPECT_TRUE(test::passes_in_child(
        [] { test::expect_no_deadlock_with_a_constructor([] { SSL_free(nullptr); }); }));
}

}  // namespace
}  // namespace ssl_test
