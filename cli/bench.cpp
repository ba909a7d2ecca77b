// SPDX-License-Identifier: Apache-2.0
// asyncjob bench: the cost of the job interface, ours and stock libcrypto's, on this machine.
//
// Both are measured by the same code in processes of their own, which run this program again:
// as it is, and with libcrypto preloaded, so that every ASYNC_ call in it, and libcrypto's own
// among themselves, go there. Each process makes sure of that before it measures. The two
// take turns on one CPU, and the median of the turns counts.
//
// Threads: main only. Next layer down: <asyncjob/async.h>, whoever's it is.
#include <asyncjob/async.h>
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "child.hpp"
#include "commands.hpp"
#include "failure.hpp"
#include "layout.hpp"

namespace asyncjob::cli {

namespace {

using nlohmann::json;

constexpr int turns = 5;
constexpr double time_per_measurement = 25e6;  // nanoseconds, at least; at most twice that

enum class Library { ours, stock };

// ---- Measuring, in a process of its own ----

bool stop = false;

int pause_until_stop(void* /*args*/) {
    while (!stop)
        ASYNC_pause_job();
    return 0;
}

int pause_once(void* /*args*/) {
    ASYNC_pause_job();
    return 0;
}

int finish_at_once(void* /*args*/) {
    return 0;
}

[[noreturn]] void wrong_result() {
    throw Failure(status_failed, "ASYNC_start_job() gave another result than expected");
}

// This thread's CPU time, in nanoseconds: others on the machine count less in it.
double now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// Nanoseconds of one of the things that `body` does as many times as it is told: the number
// is doubled until they fill the time.
template <typename Body>
double nanoseconds(Body body) {
    for (long count = 1000;; count *= 2) {
        const double start = now();
        body(count);
        const double took = now() - start;
        if (took >= time_per_measurement)
            return took / static_cast<double>(count);
    }
}

// libcrypto cannot pause a job that has no wait context.
struct Jobs {
    ASYNC_WAIT_CTX* wait = ASYNC_WAIT_CTX_new();
    ASYNC_JOB* job = nullptr;
    int result = 0;

    ~Jobs() { ASYNC_WAIT_CTX_free(wait); }
    // Without a call of its own, whose return would be part of the measurement.
    [[gnu::always_inline]] void start(int (*function)(void*), int expected) {
        if (ASYNC_start_job(&job, wait, &result, function, nullptr, 0) != expected)
            wrong_result();
    }
    [[gnu::always_inline]] void resume(int expected) { start(nullptr, expected); }
};

double pause_and_resume() {
    Jobs jobs;
    stop = false;
    jobs.start(pause_until_stop, ASYNC_PAUSE);
    const double result = nanoseconds([&](long count) {
        while (count-- > 0)
            jobs.resume(ASYNC_PAUSE);
    });
    stop = true;
    jobs.resume(ASYNC_FINISH);
    return result;
}

double start_and_finish() {
    Jobs jobs;
    return nanoseconds([&](long count) {
        while (count-- > 0)
            jobs.start(finish_at_once, ASYNC_FINISH);
    });
}

double whole_life() {
    Jobs jobs;
    return nanoseconds([&](long count) {
        while (count-- > 0) {
            jobs.start(pause_once, ASYNC_PAUSE);
            jobs.resume(ASYNC_FINISH);
        }
    });
}

double current_job_cost = 0;

// Inside a job, where providers ask.
int measure_current_job(void* /*args*/) {
    current_job_cost = nanoseconds([](long count) {
        while (count-- > 0) {
            ASYNC_JOB* const job = ASYNC_get_current_job();
            asm volatile("" : : "r"(job) : "memory");
        }
    });
    return 0;
}

double current_job() {
    Jobs jobs;
    jobs.start(measure_current_job, ASYNC_FINISH);
    return current_job_cost;
}

struct Measurement {
    const char* name;
    const char* meaning;
    double (*measure)();
};

constexpr std::array<Measurement, 4> measurements{{
    {"pause_resume", "pause and resume", pause_and_resume},
    {"start_finish", "start and finish", start_and_finish},
    {"whole_life", "start, pause, resume, finish", whole_life},
    {"current_job", "current job", current_job},
}};

// The file whose function the whole process would call.
std::string file_of(const char* name) {
    Dl_info info{};
    void* const address = dlsym(RTLD_DEFAULT, name);
    return address != nullptr && dladdr(address, &info) != 0 && info.dli_fname != nullptr
               ? info.dli_fname
               : "";
}

// libcrypto's own calls of ASYNC_init_thread() count, too.
void make_sure(Library library) {
    const char* const wanted = library == Library::ours ? "libasyncjob.so" : "libcrypto.so";
    for (const char* name :
         {"ASYNC_start_job", "ASYNC_pause_job", "ASYNC_get_current_job", "ASYNC_init_thread",
          "ASYNC_WAIT_CTX_new", "OSSL_LIB_CTX_set0_default"}) {
        const std::string file = file_of(name);
        if (file.find(wanted) == std::string::npos)
            throw Failure(status_failed, std::string(name) + " is in " + file +
                                             " where it should be in " + wanted +
                                             "; is there another library in LD_PRELOAD?");
    }
}

void print_measurements(Library library) {
    make_sure(library);
    // Calculations before, as in any real program: the switch's cost depends on whether the
    // flags for inexact results are set.
    volatile double third = 1;
    third = third / 3;
    json result;
    result["file"] = file_of("ASYNC_start_job");
    for (const Measurement& one : measurements)
        result["ns"][one.name] = one.measure();
    std::puts(result.dump().c_str());
}

// ---- The processes ----

void pin_to_this_cpu() {
    const int cpu = sched_getcpu();
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= 0)
        CPU_SET(cpu, &set);
    // A sandbox may forbid it; the medians are then somewhat less steady.
    (void)sched_setaffinity(0, sizeof(set), &set);
}

std::string output_of_turn(Library library, const std::string& libcrypto) {
    const ChildsEnd turn = run_in_child([&] {
        if (library == Library::stock)
            setenv("LD_PRELOAD", libcrypto.c_str(), 1);
        else
            unsetenv("LD_PRELOAD");
        execl("/proc/self/exe", "asyncjob", "bench", "--measure",
              library == Library::stock ? "stock" : "ours", nullptr);
    });
    if (!WIFEXITED(turn.status) || WEXITSTATUS(turn.status) != 0)
        throw Failure(status_failed, "the measuring process failed, see above");
    return turn.output;
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// Rounded to what the measurement can tell.
double rounded(double value) {
    return std::round(value * 100) / 100;
}

json measure_both(const std::string& libcrypto) {
    std::array<json, 2> files;
    std::array<std::map<std::string, std::vector<double>>, 2> times;
    for (int turn = 0; turn < turns; ++turn) {
        for (const Library library : {Library::ours, Library::stock}) {
            const auto which = static_cast<std::size_t>(library);
            const json one = json::parse(output_of_turn(library, libcrypto));
            files[which] = one.at("file");
            for (const auto& [name, time] : one.at("ns").items())
                times[which][name].push_back(time.get<double>());
        }
        if (isatty(STDERR_FILENO) != 0)
            std::fprintf(stderr, turn + 1 < turns ? "\rasyncjob: turn %d of %d" : "\r\033[K",
                         turn + 1, turns);
    }
    json result;
    result["asyncjob"] = {{"version", ASYNCJOB_VERSION}, {"file", files[0]}};
    result["libcrypto"] = {{"version", OpenSSL_version(OPENSSL_VERSION_STRING)},
                           {"file", files[1]}};
    for (const Measurement& one : measurements) {
        const double ours = median(times[0][one.name]);
        const double stock = median(times[1][one.name]);
        result["operations"][one.name] = {{"asyncjob_ns", rounded(ours)},
                                          {"libcrypto_ns", rounded(stock)},
                                          {"ratio", rounded(stock / ours)}};
    }
    return result;
}

void print_table(const json& result) {
    std::printf("%-30s %12s %12s %8s\n", "nanoseconds, median", "asyncjob", "libcrypto", "ratio");
    for (const Measurement& one : measurements) {
        const json& row = result.at("operations").at(one.name);
        std::printf("%-30s %12.1f %12.1f %7.1fx\n", one.meaning,
                    row.at("asyncjob_ns").get<double>(), row.at("libcrypto_ns").get<double>(),
                    row.at("ratio").get<double>());
    }
    std::printf("asyncjob %s, OpenSSL %s (%s)\n", ASYNCJOB_VERSION,
                OpenSSL_version(OPENSSL_VERSION_STRING),
                result.at("libcrypto").at("file").get<std::string>().c_str());
}

void bench(const std::string& json_file) {
    const std::string libcrypto = file_of("OpenSSL_version");
    (void)find_library(status_failed);
    // Opened first: a name that cannot be written should not cost the wait.
    std::ofstream out;
    if (!json_file.empty()) {
        out.open(json_file);
        if (!out)
            throw Failure(status_failed,
                          "'" + json_file + "' cannot be written: " + std::strerror(errno));
    }
    pin_to_this_cpu();
    const json result = measure_both(libcrypto);
    print_table(result);
    if (!json_file.empty() && !(out << result.dump(2) << "\n").flush())
        throw Failure(status_failed,
                      "'" + json_file + "' cannot be written: " + std::strerror(errno));
}

struct BenchOptions {
    std::string json_file;
    std::string measure;
};

}  // namespace

void add_bench(CLI::App& app, int& /*status*/) {
    CLI::App* const command = app.add_subcommand(
        "bench", "Time the job interface against stock libcrypto's on this machine");
    const auto given = std::make_shared<BenchOptions>();
    command->add_option("--json", given->json_file, "Write the figures to a file, too")
        ->type_name("FILE");
    // For the processes that measure; not for users.
    command->add_option("--measure", given->measure)->group("");
    command->footer("Takes some seconds; the machine should be idle.");
    command->callback([given] {
        if (given->measure.empty())
            bench(given->json_file);
        else
            print_measurements(given->measure == "stock" ? Library::stock : Library::ours);
    });
}

}  // namespace asyncjob::cli
