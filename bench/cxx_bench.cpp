// SPDX-License-Identifier: Apache-2.0
// Times jobs through asyncjob/job.hpp, in the way that jobs_bench.cpp times the C calls: the
// difference is what Job costs.
//
// Next layer down: asyncjob/job.hpp.
#include <benchmark/benchmark.h>
#include <asyncjob/job.hpp>

#include "fp_flags.hpp"
#include "peers.hpp"

namespace {

using benchmark::State;

void wrong_result(State& state) {
    state.SkipWithError("Job::resume() gave another result than expected");
}

void pause_resume(State& state) {
    clear_fp_flags();
    raise_inexact();
    asyncjob::WaitContext wait;
    bool stop = false;
    asyncjob::Job<void> job(wait, [&stop] {
        while (!stop)
            asyncjob::pause();
    });
    if (job.resume())
        return wrong_result(state);
    raise_inexact();
    for (auto _ : state) {
        if (job.resume())
            return wrong_result(state);
    }
    stop = true;
    if (!job.resume())
        wrong_result(state);
}

// With the making of the Job, which allocates memory.
void whole_life(State& state) {
    asyncjob::WaitContext wait;
    for (auto _ : state) {
        asyncjob::Job<void> job(wait, [] { asyncjob::pause(); });
        if (job.resume() || !job.resume())
            return wrong_result(state);
    }
}

}  // namespace

void add_cxx_benchmarks() {
    benchmark::RegisterBenchmark("pause-resume-cxx/ours", pause_resume);
    benchmark::RegisterBenchmark("whole-life-cxx/ours", whole_life);
}
