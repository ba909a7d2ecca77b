// SPDX-License-Identifier: Apache-2.0
// Boost.Coroutine2 doing what a job does, as far as it does it, on pooled stacks
// ("coroutine2"): a coroutine starts when it is made, and is pulled to go on.
//
// Next layer down: Boost.Coroutine2, over Boost.Context.
#include "peers.hpp"

#if defined(ASYNCJOB_BENCH_COROUTINE2)
#include <benchmark/benchmark.h>

#include <boost/coroutine2/coroutine.hpp>
#include <boost/coroutine2/pooled_fixedsize_stack.hpp>

#include <cstddef>
#include <string>

#include "fp_flags.hpp"
#include "frames.hpp"

namespace {

using benchmark::State;
using Coroutine = boost::coroutines2::coroutine<void>;
using Stacks = boost::coroutines2::pooled_fixedsize_stack;

constexpr std::size_t stack_size = std::size_t{128} * 1024;

template <int frames>
void pause_resume(State& state) {
    raise_inexact();
    bool stop = false;
    Coroutine::pull_type paused(Stacks(stack_size), [&stop](Coroutine::push_type& pause) {
        while (!stop) {
            beneath<frames>([&pause] {
                pause();
                return 0;
            });
        }
    });
    for (auto _ : state) {
        beneath<frames>([&paused] {
            paused();
            return 0;
        });
    }
    stop = true;
    paused();
}

void start_finish(State& state) {
    Stacks stacks(stack_size);
    for (auto _ : state)
        const Coroutine::pull_type finished(stacks, [](Coroutine::push_type& /*pause*/) {});
}

void whole_life(State& state) {
    Stacks stacks(stack_size);
    for (auto _ : state) {
        Coroutine::pull_type paused(stacks, [](Coroutine::push_type& pause) { pause(); });
        paused();
    }
}

}  // namespace

void add_coroutine2_benchmarks() {
    for_each_frames("pause-resume", [](auto frames, const std::string& name) {
        benchmark::RegisterBenchmark((name + "/coroutine2").c_str(),
                                     pause_resume<decltype(frames)::value>);
    });
    benchmark::RegisterBenchmark("start-finish/coroutine2", start_finish);
    benchmark::RegisterBenchmark("whole-life/coroutine2", whole_life);
}

#else

void add_coroutine2_benchmarks() {}

#endif
