// SPDX-License-Identifier: Apache-2.0
// The program jobs_bench. Next layer down: jobs_bench.hpp.
#include "jobs_bench.hpp"

int main(int argc, char** argv) {
    return run_jobs_bench(argc, argv);
}
