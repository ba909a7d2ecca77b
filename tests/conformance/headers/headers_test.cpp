// SPDX-License-Identifier: Apache-2.0
// The mixed program: parts that were compiled against OpenSSL's header, against ours and
// against both, as C and as C++, use each other's jobs. That it links is half of the test.
#include <asyncjob/async.h>
#include <gtest/gtest.h>

#include <string>

#include "parts.h"

extern "C" {
extern const Part part_openssls_c;
extern const Part part_ours_c;
extern const Part part_openssls_then_ours_c;
extern const Part part_ours_then_openssls_c;
extern const Part part_openssls_cpp;
extern const Part part_ours_cpp;
extern const Part part_openssls_then_ours_cpp;
extern const Part part_ours_then_openssls_cpp;
}

ASYNC_JOB* same_types_openssls_cpp(ASYNC_JOB*, ASYNC_WAIT_CTX*, ASYNC_callback_fn, OSSL_ASYNC_FD);
ASYNC_JOB* same_types_ours_cpp(ASYNC_JOB*, ASYNC_WAIT_CTX*, ASYNC_callback_fn, OSSL_ASYNC_FD);
ASYNC_JOB* same_types_openssls_then_ours_cpp(ASYNC_JOB*, ASYNC_WAIT_CTX*, ASYNC_callback_fn,
                                             OSSL_ASYNC_FD);
ASYNC_JOB* same_types_ours_then_openssls_cpp(ASYNC_JOB*, ASYNC_WAIT_CTX*, ASYNC_callback_fn,
                                             OSSL_ASYNC_FD);

namespace {

const Part* const parts[] = {
    &part_openssls_c,   &part_ours_c,   &part_openssls_then_ours_c,   &part_ours_then_openssls_c,
    &part_openssls_cpp, &part_ours_cpp, &part_openssls_then_ours_cpp, &part_ours_then_openssls_cpp,
};

TEST(Headers, PartsRunAndResumeEachOthersJobs) {
    ASYNC_WAIT_CTX* const ctx = ASYNC_WAIT_CTX_new();
    for (const Part* const starts : parts) {
        for (const Part* const runs : parts) {
            for (const Part* const resumes : parts) {
                SCOPED_TRACE(std::string(starts->name) + " starts, " + runs->name + " runs, " +
                             resumes->name + " resumes");
                ASYNC_JOB* job = nullptr;
                int result = 0;
                ASSERT_EQ(starts->start(&job, ctx, &result, runs->function), ASYNC_PAUSE);
                ASSERT_EQ(resumes->start(&job, ctx, &result, nullptr), ASYNC_FINISH);
                EXPECT_EQ(result, 3);
            }
        }
    }
    ASYNC_WAIT_CTX_free(ctx);
}

TEST(Headers, TypesHaveTheSameCppNames) {
    EXPECT_EQ(same_types_openssls_cpp(nullptr, nullptr, nullptr, 0), nullptr);
    EXPECT_EQ(same_types_ours_cpp(nullptr, nullptr, nullptr, 0), nullptr);
    EXPECT_EQ(same_types_openssls_then_ours_cpp(nullptr, nullptr, nullptr, 0), nullptr);
    EXPECT_EQ(same_types_ours_then_openssls_cpp(nullptr, nullptr, nullptr, 0), nullptr);
}

TEST(Headers, S17StackFunctionsAreDeclaredBehindAnOlderOpenSslHeader) {
    for (const Part* const part : parts)
        EXPECT_EQ(part->has_stack_functions(), 1) << part->name;
}

}  // namespace
