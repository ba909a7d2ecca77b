// SPDX-License-Identifier: Apache-2.0
// Boost.Context doing what a job does, as far as it does it: the raw jump ("boost-jump"),
// which is about the least a switch can cost, and boost::context::fiber on pooled stacks
// ("boost-fiber"). Neither copies arguments, keeps errno or the exception globals, knows a
// current job or refuses misuse.
//
// Next layer down: Boost.Context.
#include "peers.hpp"

#if defined(ASYNCJOB_BENCH_BOOST)
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <boost/version.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fp_flags.hpp"
#include "frames.hpp"
#include "sweep.hpp"

namespace {

using benchmark::State;
using boost::context::fiber;
using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr std::size_t stack_size = std::size_t{128} * 1024;

void* top_of_stack() {
    alignas(64) static std::array<std::byte, stack_size> stack;
    return stack.data() + stack.size();
}

// A raw context must not return: it gives the thread away for good.
void finish_at_once(transfer_t starter) {
    jump_fcontext(starter.fctx, nullptr);
}

void pause_once(transfer_t starter) {
    starter = jump_fcontext(starter.fctx, nullptr);
    jump_fcontext(starter.fctx, nullptr);
}

template <int frames>
void pause_for_ever(transfer_t resumer) {
    for (;;)
        resumer = beneath<frames>([&resumer] { return jump_fcontext(resumer.fctx, nullptr); });
}

fcontext_t start(void* top, void (*function)(transfer_t)) {
    return jump_fcontext(make_fcontext(top, stack_size, function), nullptr).fctx;
}

template <int frames>
void jump_pause_resume(State& state) {
    raise_inexact();
    fcontext_t paused = start(top_of_stack(), pause_for_ever<frames>);
    for (auto _ : state)
        paused = beneath<frames>([&paused] { return jump_fcontext(paused, nullptr).fctx; });
}

void jump_other_fp_flags(State& state) {
    clear_fp_flags();
    fcontext_t paused = start(top_of_stack(), pause_for_ever<0>);
    raise_inexact();
    for (auto _ : state)
        paused = jump_fcontext(paused, nullptr).fctx;
}

void jump_start_finish(State& state) {
    void* const top = top_of_stack();
    for (auto _ : state)
        jump_fcontext(make_fcontext(top, stack_size, finish_at_once), nullptr);
}

void jump_whole_life(State& state) {
    void* const top = top_of_stack();
    for (auto _ : state) {
        const transfer_t paused =
            jump_fcontext(make_fcontext(top, stack_size, pause_once), nullptr);
        jump_fcontext(paused.fctx, nullptr);
    }
}

// The round trips of a second context, inside one.
void jump_nested(State& state) {
    alignas(64) static std::array<std::byte, stack_size> outer;
    const auto function = [](transfer_t starter) {
        jump_pause_resume<0>(*static_cast<State*>(starter.data));
        jump_fcontext(starter.fctx, nullptr);
    };
    jump_fcontext(make_fcontext(outer.data() + outer.size(), stack_size, function), &state);
}

// Contexts on stacks of one mapping, without guards, their tops staggered as this library
// staggers its own: Boost leaves all that to its user, and the sweep is to compare switches.
const std::vector<fcontext_t>& crowd(std::size_t count) {
    static std::vector<fcontext_t> contexts;
    if (contexts.size() < count) {
        void* const mapped = mmap(nullptr, count * stack_size, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapped == MAP_FAILED)
            return contexts;
        madvise(mapped, count * stack_size, MADV_NOHUGEPAGE);
        contexts.clear();
        raise_inexact();
        for (std::size_t index = 0; index < count; ++index) {
            std::byte* const end = static_cast<std::byte*>(mapped) + (index + 1) * stack_size;
            contexts.push_back(start(end - index % 48 * 64, pause_for_ever<0>));
        }
    }
    return contexts;
}

void jump_sweep(State& state, std::size_t count, Order order) {
    const auto& contexts = crowd(count);
    if (contexts.size() < count)
        return state.SkipWithError("no address space for the stacks");
    auto& sweep = Sweep<fcontext_t>::of(contexts, count, order);
    for (auto _ : state) {
        fcontext_t& context = sweep.next();
        context = jump_fcontext(context, nullptr).fctx;
    }
}

using Stacks = boost::context::pooled_fixedsize_stack;

// Resumes the fiber, and gives it its next value.
template <int frames>
void resume(fiber& other) {
    beneath<frames>([&other] {
        other = std::move(other).resume();
        return 0;
    });
}

template <int frames>
void fiber_pause_resume(State& state) {
    raise_inexact();
    bool stop = false;
    fiber paused{std::allocator_arg, Stacks(stack_size), [&stop](fiber&& resumer) {
                     while (!stop)
                         resume<frames>(resumer);
                     return std::move(resumer);
                 }};
    for (auto _ : state)
        resume<frames>(paused);
    stop = true;
    std::move(paused).resume();
}

void fiber_start_finish(State& state) {
    Stacks stacks(stack_size);
    for (auto _ : state) {
        fiber{std::allocator_arg, stacks, [](fiber&& starter) { return std::move(starter); }}
            .resume();
    }
}

void fiber_whole_life(State& state) {
    Stacks stacks(stack_size);
    for (auto _ : state) {
        fiber paused = fiber{
            std::allocator_arg, stacks, [](fiber&& starter) {
                return std::move(starter).resume();
            }}.resume();
        std::move(paused).resume();
    }
}

void fiber_nested(State& state) {
    fiber{std::allocator_arg, Stacks(stack_size),
          [&state](fiber&& starter) {
              fiber_pause_resume<0>(state);
              return std::move(starter);
          }}
        .resume();
}

}  // namespace

void add_boost_benchmarks(const std::vector<std::size_t>& sweeps) {
    benchmark::AddCustomContext("boost", "Boost.Context " BOOST_LIB_VERSION);
    const auto add = [](const std::string& name, auto measure, auto... arguments) {
        benchmark::RegisterBenchmark(name.c_str(), measure, arguments...);
    };
    for_each_frames("pause-resume", [&add](auto frames, const std::string& name) {
        add(name + "/boost-jump", jump_pause_resume<decltype(frames)::value>);
        add(name + "/boost-fiber", fiber_pause_resume<decltype(frames)::value>);
    });
    add("pause-resume-other-fp-flags/boost-jump", jump_other_fp_flags);
    add("start-finish/boost-jump", jump_start_finish);
    add("start-finish/boost-fiber", fiber_start_finish);
    add("whole-life/boost-jump", jump_whole_life);
    add("whole-life/boost-fiber", fiber_whole_life);
    add("pause-resume-nested/boost-jump", jump_nested);
    add("pause-resume-nested/boost-fiber", fiber_nested);
    for_each_sweep(sweeps, [&add](const std::string& name, std::size_t count, Order order) {
        add(name + "/boost-jump", jump_sweep, count, order);
    });
}

#else

void add_boost_benchmarks(const std::vector<std::size_t>& /*sweeps*/) {}

#endif
