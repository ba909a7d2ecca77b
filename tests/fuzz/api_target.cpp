// SPDX-License-Identifier: Apache-2.0
// The API target: bytes are calls of any function of the two C headers, by several threads, in and
// outside jobs, checked against a model of their contracts. See api/machine.hpp.
#include <asyncjob/async.h>

#include "api/machine.hpp"
#include "target.hpp"

// Memory functions are refused from the first stack on, so there is one before the first input.
int LLVMFuzzerInitialize(int* /*count*/, char*** /*arguments*/) {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    const int status = ASYNC_start_job(
        &job, nullptr, &result, [](void*) { return 5; }, nullptr, 0);
    ASYNC_cleanup_thread();
    return status == ASYNC_FINISH && result == 5 ? 0 : 1;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    fuzz::Machine(bytes, size).run();
    return 0;
}
