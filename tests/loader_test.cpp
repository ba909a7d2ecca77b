// SPDX-License-Identifier: Apache-2.0
// Lookups in the loader's tables while another thread is loading a library. The program is not
// linked with libcrypto, so each reason is a reason to look for one.
#include "lookup_hook.hpp"
#include "misuse.hpp"

extern "C" void asyncjob_test_in_constructor() {
    test::run_in_constructor([] {
        test::expect_jobs_work();
        EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(test::no_context, nullptr), 0);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NULL_ARGUMENT);
    });
}

namespace test {
namespace {

TEST(Loader, AConstructorMayUseJobsDuringAnotherThreadsFirstLookup) {
    EXPECT_TRUE(
        passes_in_child([] { expect_no_deadlock_with_a_constructor([] { expect_jobs_work(); }); }));
}

}  // namespace
}  // namespace test
