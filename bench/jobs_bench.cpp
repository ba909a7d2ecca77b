// SPDX-License-Identifier: Apache-2.0
// Times the operations of the job interface, for this library and for stock libcrypto, with
// Google Benchmark. Names are operation/implementation; compare.py makes one table of them.
//
// No function lies between a benchmark's loop or a job's function and the library, so that
// the figures hold no returns but the library's own; except in those named "-frames".
//
// Next layer down: api.hpp.
#include <asyncjob/control.h>
#include <benchmark/benchmark.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "api.hpp"
#include "fp_flags.hpp"
#include "frames.hpp"
#include "jobs_bench.hpp"
#include "peers.hpp"
#include "sweep.hpp"

namespace {

using benchmark::State;

// The library broke its promise; the time means nothing.
void wrong_result(State& state) {
    state.SkipWithError("ASYNC_start_job() gave another result than expected");
}

// Whether jobs that pause for ever should come to their end.
bool stop = false;

// Every job has a wait context, as libcrypto cannot pause without one.
template <const Api& api>
ASYNC_WAIT_CTX* wait_ctx() {
    static ASYNC_WAIT_CTX* const ctx = api.wait_ctx_new();
    return ctx;
}

int finish_at_once(void* /*args*/) {
    return 0;
}

template <const Api& api, int frames = 0>
int pause_until_stop(void* /*args*/) {
    while (!stop)
        beneath<frames>([] { return api.pause_job(); });
    return 0;
}

template <const Api& api>
int pause_once(void* /*args*/) {
    api.pause_job();
    return 0;
}

// When the starter of the job calculates for the first time.
enum class Calculates { before_start, after_start };

// Round trips of one job, by the caller of this function: the thread, or another job.
template <const Api& api, int frames = 0, Calculates calculates = Calculates::before_start>
void pause_resume(State& state) {
    clear_fp_flags();
    if (calculates == Calculates::before_start)
        raise_inexact();
    ASYNC_WAIT_CTX* const wait = wait_ctx<api>();
    ASYNC_JOB* job = nullptr;
    int result = 0;
    stop = false;
    if (api.start_job(&job, wait, &result, pause_until_stop<api, frames>, nullptr, 0) !=
        ASYNC_PAUSE)
        return wrong_result(state);
    raise_inexact();
    for (auto _ : state) {
        if (beneath<frames>([wait, &job, &result] {
                return api.start_job(&job, wait, &result, nullptr, nullptr, 0);
            }) != ASYNC_PAUSE)
            return wrong_result(state);
    }
    stop = true;
    if (api.start_job(&job, wait, &result, nullptr, nullptr, 0) != ASYNC_FINISH)
        wrong_result(state);
}

template <const Api& api, std::size_t args_size>
void start_finish(State& state) {
    std::array<char, args_size + 1> args{};
    void* const passed = args_size != 0 ? args.data() : nullptr;
    ASYNC_WAIT_CTX* const wait = wait_ctx<api>();
    ASYNC_JOB* job = nullptr;
    int result = 0;
    for (auto _ : state) {
        if (api.start_job(&job, wait, &result, finish_at_once, passed, args_size) != ASYNC_FINISH)
            return wrong_result(state);
    }
}

template <const Api& api>
void whole_life(State& state) {
    ASYNC_WAIT_CTX* const wait = wait_ctx<api>();
    ASYNC_JOB* job = nullptr;
    int result = 0;
    for (auto _ : state) {
        if (api.start_job(&job, wait, &result, pause_once<api>, nullptr, 0) != ASYNC_PAUSE ||
            api.start_job(&job, wait, &result, nullptr, nullptr, 0) != ASYNC_FINISH)
            return wrong_result(state);
    }
}

template <const Api& api>
void current_job(State& state) {
    for (auto _ : state)
        benchmark::DoNotOptimize(api.get_current_job());
}

// Runs a benchmark inside a job.
template <const Api& api, void (*measure)(State&)>
void inside_job(State& state) {
    State* args = &state;
    ASYNC_WAIT_CTX* const wait = wait_ctx<api>();
    ASYNC_JOB* job = nullptr;
    int result = 0;
    const auto function = [](void* copy) {
        measure(**static_cast<State**>(copy));
        return 0;
    };
    if (api.start_job(&job, wait, &result, function, &args, sizeof(args)) != ASYNC_FINISH)
        wrong_result(state);
}

template <void (*measure)(State&)>
void sharing_fp_mode(State& state) {
    const int before = asyncjob_share_fp_mode(1);
    measure(state);
    asyncjob_share_fp_mode(before);
}

// The first `count` of one crowd of jobs that pause for ever. They are never finished.
template <const Api& api>
const std::vector<ASYNC_JOB*>& crowd(std::size_t count) {
    static std::vector<ASYNC_JOB*> jobs;
    ASYNC_WAIT_CTX* const wait = wait_ctx<api>();
    raise_inexact();
    while (jobs.size() < count) {
        ASYNC_JOB* job = nullptr;
        int result = 0;
        stop = false;
        if (api.start_job(&job, wait, &result, pause_until_stop<api>, nullptr, 0) != ASYNC_PAUSE)
            break;
        jobs.push_back(job);
    }
    return jobs;
}

// As far ahead as a sweep's memory takes to come, in jobs: fewer hide less, more gain nothing.
constexpr std::size_t prefetch_distance = 12;

template <const Api& api, bool prefetches>
void sweep(State& state, std::size_t count, Order order) {
    stop = false;
    const auto& jobs = crowd<api>(count);
    if (jobs.size() < count)
        return wrong_result(state);
    Sweep<ASYNC_JOB*>& sweep = Sweep<ASYNC_JOB*>::of(jobs, count, order);
    ASYNC_WAIT_CTX* const wait = wait_ctx<api>();
    int result = 0;
    for (auto _ : state) {
        if (prefetches)
            asyncjob_prefetch(sweep.ahead(prefetch_distance));
        if (api.start_job(&sweep.next(), wait, &result, nullptr, nullptr, 0) != ASYNC_PAUSE)
            return wrong_result(state);
    }
}

template <const Api& api>
void wait_ctx_life(State& state) {
    const char key = 0;
    for (auto _ : state) {
        ASYNC_WAIT_CTX* const ctx = api.wait_ctx_new();
        if (ctx == nullptr || api.set_wait_fd(ctx, &key, 0, nullptr, nullptr) != 1)
            return wrong_result(state);
        api.wait_ctx_free(ctx);
    }
}

// As many fds as a context with many engines might have.
template <const Api& api>
void many_fds(State& state) {
    constexpr std::size_t count = 64;
    static const std::array<char, count> keys{};
    std::array<int, count> fds{};
    for (auto _ : state) {
        ASYNC_WAIT_CTX* const ctx = api.wait_ctx_new();
        for (const char& key : keys) {
            if (api.set_wait_fd(ctx, &key, 0, nullptr, nullptr) != 1)
                return wrong_result(state);
        }
        std::size_t added = 0;
        std::size_t deleted = 0;
        api.get_changed_fds(ctx, fds.data(), &added, nullptr, &deleted);
        if (added != count)
            return wrong_result(state);
        api.wait_ctx_free(ctx);
    }
}

template <const Api& api>
void changed_fds(State& state) {
    const char key = 0;
    ASYNC_WAIT_CTX* const ctx = api.wait_ctx_new();
    if (ctx == nullptr || api.set_wait_fd(ctx, &key, 0, nullptr, nullptr) != 1)
        return wrong_result(state);
    int added = 0;
    int deleted = 0;
    std::size_t added_count = 0;
    std::size_t deleted_count = 0;
    for (auto _ : state) {
        api.get_changed_fds(ctx, &added, &added_count, &deleted, &deleted_count);
        if (added_count != 1)
            return wrong_result(state);
    }
    api.wait_ctx_free(ctx);
}

template <const Api& api>
void add_all(const std::string& who, const std::vector<std::size_t>& sweeps) {
    const auto add = [&who](const std::string& operation, auto measure, auto... arguments) {
        benchmark::RegisterBenchmark((operation + '/' + who).c_str(), measure, arguments...);
    };
    for_each_frames("pause-resume", [&add](auto frames, const std::string& name) {
        add(name, pause_resume<api, decltype(frames)::value>);
    });
    add("pause-resume-other-fp-flags", pause_resume<api, 0, Calculates::after_start>);
    add("start-finish", start_finish<api, 0>);
    add("start-finish-64B", start_finish<api, 64>);
    add("start-finish-2KiB", start_finish<api, 2048>);
    add("whole-life", whole_life<api>);
    if constexpr (&api == &ours) {
        if (asyncjob_share_fp_mode(0) >= 0) {  // not every switch can
            for_each_frames("pause-resume-shared-fp", [&](auto frames, const std::string& name) {
                add(name, sharing_fp_mode<pause_resume<api, decltype(frames)::value>>);
            });
            add("whole-life-shared-fp", sharing_fp_mode<whole_life<api>>);
        }
        add("pause-resume-nested", inside_job<api, pause_resume<api>>);
    } else {
        // Its switch shares the mode always; it cannot nest.
        for_each_frames("pause-resume-shared-fp", [&add](auto frames, const std::string& name) {
            add(name, pause_resume<api, decltype(frames)::value>);
        });
        add("whole-life-shared-fp", whole_life<api>);
    }
    add("current-job-outside", current_job<api>);
    add("current-job-inside", inside_job<api, current_job<api>>);
    add("wait-ctx-new-set-free", wait_ctx_life<api>);
    add("wait-ctx-changed-fds", changed_fds<api>);
    add("wait-ctx-64-fds", many_fds<api>);
    for_each_sweep(sweeps, [&](const std::string& name, std::size_t count, Order order) {
        add(name, sweep<api, false>, count, order);
        // libcrypto has no such call.
        add(name + "-prefetch", sweep<api, &api == &ours>, count, order);
    });
}

#if defined(__clang__)
constexpr const char* compiler = __VERSION__;  // begins with its name
#else
constexpr const char* compiler = "gcc " __VERSION__;
#endif

constexpr std::string_view sweep_option = "--sweep=";

// The numbers of "1000,10000"; none of a text that is no such list.
std::vector<std::size_t> parse_counts(std::string_view text) {
    std::vector<std::size_t> counts;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at != end) {
        std::size_t count = 0;
        const auto [behind, error] = std::from_chars(at, end, count);
        if (error != std::errc() || count == 0 || (behind != end && *behind != ','))
            return {};
        counts.push_back(count);
        at = behind == end ? end : behind + 1;
    }
    return counts;
}

}  // namespace

// Beside Google Benchmark's options: --sweep=N,... over how many jobs to sweep.
int run_jobs_bench(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    std::vector<std::size_t> sweeps = {1'000, 10'000, 100'000};
    if (argc > 1 && std::string_view(argv[1]).substr(0, sweep_option.size()) == sweep_option) {
        sweeps = parse_counts(std::string_view(argv[1]).substr(sweep_option.size()));
        if (!sweeps.empty())
            argv[1] = argv[--argc];
    }
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::AddCustomContext("compiler", compiler);
    benchmark::AddCustomContext("ours", ours.version + " (" + ours.library + ")");
    add_all<ours>("ours", sweeps);
    if (!stock.library.empty()) {
        benchmark::AddCustomContext("stock", stock.version + " (" + stock.library + ")");
        add_all<stock>("stock", sweeps);
    }
    add_boost_benchmarks(sweeps);
    add_coroutine2_benchmarks();
    add_ucontext_benchmarks();
    add_floor_benchmarks();
    add_wake_benchmarks();
    add_cxx_benchmarks();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
