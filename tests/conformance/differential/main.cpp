// SPDX-License-Identifier: Apache-2.0
// differential: runs seeded random sequences of calls on libcrypto and on asyncjob and
// compares what comes out, call by call. Stops at the first difference that
// doc/compatibility.md does not list; a listed one ends its sequence. `--help` has the rest.
//
// Exit status: 0 no such difference, 1 one was found, 2 wrong use, 77 cannot run here.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "api.hpp"
#include "deviations.hpp"
#include "session.hpp"
#include "trace.hpp"

namespace differential {
namespace {

struct Options {
    std::string program;
    std::uint64_t calls = 200'000;
    std::uint64_t seed = 1;
    std::int64_t sequence = -1;
    int workers = 2;
    std::string document;
    std::string fault;
    std::string library;
    bool expect_difference = false;
    bool print = false;
};

struct Count {
    std::uint64_t sequences = 0;
    std::uint64_t met = 0;
};

class Comparison {
  public:
    Comparison(const Options& options, const Side& libcrypto, const Side& asyncjob)
        : options_(options), libcrypto_(libcrypto), asyncjob_(asyncjob) {}

    int run();

  private:
    void work();
    void compare(std::uint64_t sequence);
    void judge(std::uint64_t sequence, const std::vector<Event>& expected, std::size_t at,
               const Event* libcrypto, const Event& asyncjob);
    [[noreturn]] void report(std::uint64_t sequence, const std::vector<Event>& expected,
                             std::size_t at, const Event* libcrypto, const Event* asyncjob,
                             const std::string& why);
    bool check_document();
    bool summarize(double seconds);

    const Options& options_;
    const Side& libcrypto_;
    const Side& asyncjob_;
    std::set<std::string> listed_;
    std::atomic<std::uint64_t> next_sequence_ = 0;
    std::atomic<std::uint64_t> calls_ = 0;
    std::atomic<std::uint64_t> events_ = 0;
    std::mutex lock_;
    std::map<Provoke, Count> counts_;
};

std::uint64_t this_seed = 0;

// Says where a crash was. Not all of it is safe in a signal handler, but the process ends.
void on_crash(int signal) {
    const Place place = this_place();
    char buffer[512];
    const int length = std::snprintf(
        buffer, sizeof(buffer), "crash: signal %d in %s, --seed %llu --sequence %llu, behind: %s\n",
        signal, place.side, static_cast<unsigned long long>(this_seed),
        static_cast<unsigned long long>(place.sequence), place.last_event);
    if (write(STDERR_FILENO, buffer, static_cast<std::size_t>(length)) < 0)
        _exit(4);
    _exit(3);
}

void catch_crashes() {
    struct sigaction action {};
    action.sa_handler = on_crash;
    action.sa_flags = SA_ONSTACK;  // a job's stack may be the cause
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE})
        sigaction(signal, &action, nullptr);
}

bool Comparison::check_document() {
    listed_ = listed_deviations(options_.document);
    bool all = true;
    for (const Deviation& deviation : deviations()) {
        if (!listed_.contains(deviation.name)) {
            std::printf("deviation %s is not listed in %s\n", deviation.name,
                        options_.document.c_str());
            all = false;
        }
    }
    return all;
}

int Comparison::run() {
    if (!check_document())
        return options_.expect_difference ? 2 : 1;
    const auto begin = std::chrono::steady_clock::now();
    if (options_.sequence >= 0) {
        compare(static_cast<std::uint64_t>(options_.sequence));
    } else {
        std::vector<std::thread> workers;
        for (int at = 0; at < options_.workers; ++at)
            workers.emplace_back(&Comparison::work, this);
        for (std::thread& worker : workers)
            worker.join();
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    const bool fine = summarize(seconds.count());
    if (options_.expect_difference) {
        std::printf("no difference found, though one was expected\n");
        return 1;
    }
    return fine ? 0 : 1;
}

void Comparison::work() {
    while (calls_ < options_.calls)
        compare(next_sequence_++);
}

void Comparison::compare(std::uint64_t sequence) {
    Random random(options_.seed * 0x2545f4914f6cdd1d + sequence);
    const std::uint64_t seed = random.next();
    // Most keep to what both do alike, and so are compared to their ends.
    Provoke provoke = Provoke::none;
    if (random.percent(30)) {
        const auto& all = deviations();
        provoke = all[static_cast<std::size_t>(random.below(static_cast<int>(all.size())))].provoke;
    }
    {
        const std::lock_guard hold(lock_);
        ++counts_[provoke].sequences;
    }

    Trace expected;
    run_session(libcrypto_, {sequence, seed, provoke}, expected);
    if (options_.print) {
        for (const Event& event : expected.events())
            std::printf("  %s -> %s\n", event.what.c_str(), event.result.c_str());
    }
    Trace actual(expected.events(),
                 [&](std::size_t at, const Event* libcrypto, const Event& asyncjob) {
                     judge(sequence, expected.events(), at, libcrypto, asyncjob);
                 });
    run_session(asyncjob_, {sequence, seed, provoke}, actual);
    if (!actual.over() && actual.events().size() < expected.events().size()) {
        report(sequence, expected.events(), actual.events().size(),
               &expected.events()[actual.events().size()], nullptr, "");
    }
    calls_ += actual.calls();
    events_ += actual.events().size();
}

void Comparison::judge(std::uint64_t sequence, const std::vector<Event>& expected, std::size_t at,
                       const Event* libcrypto, const Event& asyncjob) {
    const Deviation* const deviation =
        libcrypto != nullptr ? find_deviation(*libcrypto, asyncjob) : nullptr;
    if (deviation == nullptr)
        report(sequence, expected, at, libcrypto, &asyncjob, "");
    if (!listed_.contains(deviation->name)) {
        report(
            sequence, expected, at, libcrypto, &asyncjob,
            std::string("deviation ") + deviation->name + " is not listed in " + options_.document);
    }
    const std::lock_guard hold(lock_);
    ++counts_[deviation->provoke].met;
}

void Comparison::report(std::uint64_t sequence, const std::vector<Event>& expected, std::size_t at,
                        const Event* libcrypto, const Event* asyncjob, const std::string& why) {
    lock_.lock();  // for good: one report
    std::printf("difference found: seed %llu, sequence %llu, event %zu, after %llu calls\n",
                static_cast<unsigned long long>(options_.seed),
                static_cast<unsigned long long>(sequence), at,
                static_cast<unsigned long long>(calls_.load()));
    if (!why.empty())
        std::printf("  %s\n", why.c_str());
    print_difference(expected, at, libcrypto, asyncjob);
    std::printf("to see it again: %s --document %s --seed %llu --sequence %llu%s%s%s%s\n",
                options_.program.c_str(), options_.document.c_str(),
                static_cast<unsigned long long>(options_.seed),
                static_cast<unsigned long long>(sequence),
                options_.fault.empty() ? "" : " --fault ", options_.fault.c_str(),
                options_.library.empty() ? "" : " --library ", options_.library.c_str());
    std::fflush(stdout);
    std::_Exit(options_.expect_difference ? 0 : 1);
}

bool Comparison::summarize(double seconds) {
    std::printf("%llu calls (%llu events) compared in %llu sequences of seed %llu, %.1f s\n",
                static_cast<unsigned long long>(calls_.load()),
                static_cast<unsigned long long>(events_.load()),
                static_cast<unsigned long long>(next_sequence_.load()),
                static_cast<unsigned long long>(options_.seed), seconds);
    bool fine = true;
    for (const Deviation& deviation : deviations()) {
        const Count& count = counts_[deviation.provoke];
        std::printf("%6llu of %5llu sequences met %s\n", static_cast<unsigned long long>(count.met),
                    static_cast<unsigned long long>(count.sequences), deviation.name);
        // A deviation that is not there any more has no place in the document.
        constexpr std::uint64_t enough = 20;
        if (count.sequences >= enough && count.met == 0) {
            std::printf("the two do not differ in %s any more\n", deviation.name);
            fine = false;
        }
    }
    return fine;
}

// Ours refuses a status that libcrypto keeps (S26).
bool is_asyncjob(const Api& api) {
    ASYNC_WAIT_CTX* const ctx = api.ctx_new();
    const bool refused = api.set_status(ctx, -1) == 0;
    api.ctx_free(ctx);
    while (api.get_error() != 0) {
    }
    return refused;
}

int run(int argc, char** argv) {
    Options options;
    options.program = argv[0];
    CLI::App app("Compares asyncjob with libcrypto on random sequences of calls.");
    app.add_option("--document", options.document, "doc/compatibility.md")->required();
    app.add_option("--calls", options.calls, "how many calls to compare")->capture_default_str();
    app.add_option("--seed", options.seed, "of all sequences")->capture_default_str();
    app.add_option("--sequence", options.sequence, "compare this one only");
    app.add_option("--workers", options.workers, "sequences at a time")
        ->capture_default_str()
        ->check(CLI::Range(1, 64));
    app.add_option("--library", options.library, "the file of asyncjob, if it is not linked");
    app.add_option("--fault", options.fault, "put a fault into asyncjob's table")
        ->check(CLI::IsMember(faults()));
    app.add_flag("--expect-difference", options.expect_difference,
                 "succeed if a difference is found");
    app.add_flag("--print", options.print, "print libcrypto's traces");
    CLI11_PARSE(app, argc, argv);
    this_seed = options.seed;

    std::string why;
    Side libcrypto{"libcrypto", {}, {}};
    if (!load_libcrypto(libcrypto.api, why)) {
        std::printf("skipped: %s\n", why.c_str());
        return 77;
    }
    Side asyncjob{"asyncjob", {}, {}};
    if (!load_asyncjob(asyncjob.api, options.library, why)) {
        std::printf("%s\n", why.c_str());
        return 2;
    }
    if (asyncjob.api.start_job == libcrypto.api.start_job || !is_asyncjob(asyncjob.api)) {
        std::printf("this would compare libcrypto with libcrypto\n");
        return 2;
    }
    if (!options.fault.empty() && !put_fault(asyncjob.api, options.fault))
        return 2;
    if (!make_lib_ctxs(libcrypto) || !make_lib_ctxs(asyncjob)) {
        std::printf("no library contexts\n");
        return 2;
    }
    return Comparison(options, libcrypto, asyncjob).run();
}

}  // namespace
}  // namespace differential

int main(int argc, char** argv) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    // libcrypto's switches are unknown to them, and its second copy cannot be loaded.
    std::puts("skipped: not under a sanitizer");
    return 77;
#endif
    differential::catch_crashes();
    return differential::run(argc, argv);
}
