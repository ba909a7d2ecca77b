// SPDX-License-Identifier: Apache-2.0
// The floor: what is left when a switch keeps the callee-saved registers and the stack
// pointer, and nothing else ("floor"). x86-64 only. It keeps no floating-point control words,
// passes no argument or result, and a function on another stack must never return. For a function
// that only tells something, the floor is one that does nothing.
//
// Next layer down: the processor.
#include "peers.hpp"

#if defined(__x86_64__)
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <string>

#include "frames.hpp"

// Suspends the caller, leaving its stack pointer in *suspended, and goes on where the stack
// pointer `resumed` was left. It returns by a jump: a ret would be predicted to go to the
// other side, and mispredict each time.
extern "C" void bench_floor_switch(void** suspended, void* resumed);

// Returns at once.
extern "C" void* bench_floor_return();

asm(R"(
    .pushsection .text
    .p2align 6
    .globl bench_floor_switch
    .hidden bench_floor_switch
    .type bench_floor_switch, @function
bench_floor_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rdx
    jmpq *%rdx
    .size bench_floor_switch, . - bench_floor_switch

    .p2align 6
    .globl bench_floor_return
    .hidden bench_floor_return
    .type bench_floor_return, @function
bench_floor_return:
    ret
    .size bench_floor_return, . - bench_floor_return
    .popsection
)");

namespace {

using benchmark::State;

constexpr std::size_t saved_registers = 6;

// Of the side that does not run.
void* starter = nullptr;
void* paused = nullptr;

void pause() {
    bench_floor_switch(&paused, starter);
}

void resume() {
    bench_floor_switch(&starter, paused);
}

// Makes a stack on which resume() enters the function.
void prepare(void (*function)()) {
    alignas(64) static std::array<std::uintptr_t, 16 * 1024> stack;
    // The address of the function, then one of nothing, where its return address would be.
    std::uintptr_t* const top = stack.data() + stack.size();
    top[-1] = 0;
    top[-2] = reinterpret_cast<std::uintptr_t>(function);
    paused = top - 2 - saved_registers;
}

template <int frames>
void pause_for_ever() {
    for (;;) {
        beneath<frames>([] {
            pause();
            return 0;
        });
    }
}

template <int frames>
void pause_resume(State& state) {
    prepare(pause_for_ever<frames>);
    for (auto _ : state) {
        beneath<frames>([] {
            resume();
            return 0;
        });
    }
}

void start_finish(State& state) {
    for (auto _ : state) {
        prepare(pause_for_ever<0>);
        resume();
    }
}

// Called as the functions of the interface are in api.hpp: by a pointer that is in memory.
struct {
    void* (*volatile returns)();
} floor_api{bench_floor_return};

void call(State& state) {
    for (auto _ : state)
        benchmark::DoNotOptimize(floor_api.returns());
}

void whole_life(State& state) {
    for (auto _ : state) {
        prepare(pause_for_ever<0>);
        resume();
        resume();
    }
}

}  // namespace

void add_floor_benchmarks() {
    for_each_frames("pause-resume", [](auto frames, const std::string& name) {
        benchmark::RegisterBenchmark((name + "/floor").c_str(),
                                     pause_resume<decltype(frames)::value>);
    });
    benchmark::RegisterBenchmark("start-finish/floor", start_finish);
    benchmark::RegisterBenchmark("whole-life/floor", whole_life);
    benchmark::RegisterBenchmark("current-job-outside/floor", call);
}

#else

void add_floor_benchmarks() {}

#endif
