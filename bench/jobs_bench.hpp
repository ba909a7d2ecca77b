// SPDX-License-Identifier: Apache-2.0
// The benchmarks of jobs_bench, which are a library because most callers of the job interface are
// in one: libssl, engines, providers. On some processors a jump from a program to a library, which
// lies terabytes away, takes longer than one between libraries; the results would be of that too.
//
// Next layer down: jobs_bench.cpp.
#pragma once

// What main() is otherwise.
[[gnu::visibility("default")]] int run_jobs_bench(int argc, char** argv);
