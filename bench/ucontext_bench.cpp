// SPDX-License-Identifier: Apache-2.0
// glibc's swapcontext() doing what a job does, as far as it does it ("ucontext"). It keeps
// the signal mask, which takes a system call for each switch.
//
// Next layer down: glibc.
#include <cstddef>  // defines __GLIBC__

#include "peers.hpp"

#if defined(__GLIBC__)
#include <benchmark/benchmark.h>
#include <ucontext.h>

#include <array>
#include <string>

#include "fp_flags.hpp"
#include "frames.hpp"

namespace {

using benchmark::State;

// Of the side that does not run.
ucontext_t starter;
ucontext_t paused;
bool stop = false;

int pause() {
    return swapcontext(&paused, &starter);
}

int resume() {
    return swapcontext(&starter, &paused);
}

// Makes a context that resume() enters at the function, and that ends in its starter.
void prepare(void (*function)()) {
    alignas(64) static std::array<std::byte, std::size_t{128} * 1024> stack;
    getcontext(&paused);
    paused.uc_stack.ss_sp = stack.data();
    paused.uc_stack.ss_size = stack.size();
    paused.uc_link = &starter;
    makecontext(&paused, function, 0);
}

void finish_at_once() {}

void pause_once() {
    pause();
}

template <int frames>
void pause_until_stop() {
    while (!stop)
        beneath<frames>([] { return pause(); });
}

template <int frames>
void pause_resume(State& state) {
    raise_inexact();
    stop = false;
    prepare(pause_until_stop<frames>);
    for (auto _ : state) {
        if (beneath<frames>([] { return resume(); }) != 0)
            return state.SkipWithError("swapcontext() failed");
    }
    stop = true;
    resume();
}

void start_finish(State& state) {
    for (auto _ : state) {
        prepare(finish_at_once);
        resume();
    }
}

void whole_life(State& state) {
    for (auto _ : state) {
        prepare(pause_once);
        resume();
        resume();
    }
}

}  // namespace

void add_ucontext_benchmarks() {
    for_each_frames("pause-resume", [](auto frames, const std::string& name) {
        benchmark::RegisterBenchmark((name + "/ucontext").c_str(),
                                     pause_resume<decltype(frames)::value>);
    });
    benchmark::RegisterBenchmark("start-finish/ucontext", start_finish);
    benchmark::RegisterBenchmark("whole-life/ucontext", whole_life);
}

#else

void add_ucontext_benchmarks() {}

#endif
