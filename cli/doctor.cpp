// SPDX-License-Identifier: Apache-2.0
// asyncjob doctor: what this machine and a program offer, a line for each finding: ok, warn
// (works, with less than there could be) or fail (does not work), and what to do about it.
//
// The program is never run: the dynamic loader lists its libraries and symbol bindings.
//
// Threads: main only. Next layer down: program.hpp, config.hpp, loader_trace.hpp.
#include <asyncjob/async.h>
#include <asyncjob/control.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <thread>

#include "commands.hpp"
#include "config.hpp"
#include "errors.hpp"
#include "failure.hpp"
#include "layout.hpp"
#include "loader_trace.hpp"
#include "offload_context.hpp"
#include "program.hpp"

namespace asyncjob::cli {

namespace fs = std::filesystem;

namespace {

class Report {
  public:
    void ok(const char* subject, const std::string& finding) { line("ok", subject, finding); }
    void warn(const char* subject, const std::string& finding) { line("warn", subject, finding); }
    void fail(const char* subject, const std::string& finding) {
        line("fail", subject, finding);
        failed_ = true;
    }
    bool failed() const { return failed_; }

  private:
    static void line(const char* verdict, const char* subject, const std::string& finding) {
        std::printf("%-4s  %-13s  %s\n", verdict, subject, finding.c_str());
        std::fflush(stdout);
    }
    bool failed_ = false;
};

int pause_once(void* /*args*/) {
    return ASYNC_pause_job();
}

void check_jobs(Report& report, const std::string& machine) {
    ASYNC_JOB* job = nullptr;
    int result = 0;
    const int started = ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0);
    if (started == ASYNC_ERR && asyncjob_last_reason() == ASYNCJOB_R_NOT_CAPABLE)
        return report.fail("jobs", "the library cannot switch stacks on " + machine +
                                       "; build it with ASYNCJOB_CONTEXT=auto where libc has "
                                       "makecontext()");
    if (started != ASYNC_PAUSE ||
        ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0) != ASYNC_FINISH || result != 1)
        return report.fail("jobs", "a job cannot run: " +
                                       std::string(asyncjob_reason_string(asyncjob_last_reason())));
    report.ok("jobs", "a job ran and paused");
}

void check_guard(Report& report) {
    constexpr int guard_install = 102;  // MADV_GUARD_INSTALL, Linux 6.13
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* const memory =
        mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return report.fail("guard", std::string("no memory: ") + std::strerror(errno));
    if (madvise(memory, page, guard_install) == 0) {
        report.ok("guard",
                  "MADV_GUARD_INSTALL below each stack: their number is bounded by "
                  "memory alone");
    } else if (mprotect(memory, page, PROT_NONE) == 0) {
        long limit = 0;
        std::ifstream("/proc/sys/vm/max_map_count") >> limit;
        report.warn("guard", "mprotect below each stack, two mappings each: some " +
                                 std::to_string(limit / 2) +
                                 " jobs fit under vm.max_map_count; raise that for more, or use "
                                 "Linux 6.13, which guards without mappings");
    } else {
        report.fail("guard", std::string("the kernel refuses guard pages: ") +
                                 std::strerror(errno) +
                                 "; look for a sandbox (seccomp) that forbids mprotect()");
    }
    munmap(memory, page);
}

void check_processors(Report& report) {
    const unsigned count = std::thread::hardware_concurrency();
    if (count == 1)
        report.warn("CPUs",
                    "1: offloading spreads the load but adds no speed, unless the inner "
                    "provider's keys live in a device");
    else
        report.ok("CPUs", std::to_string(count) +
                              ", as many worker threads unless --threads says "
                              "otherwise");
}

struct Signing {
    OSSL_LIB_CTX* library;
    EVP_PKEY* key;
    bool done = false;
};

int sign(void* args) {
    Signing& signing = **static_cast<Signing**>(args);
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                          EVP_MD_CTX_free);
    const unsigned char text[] = "asyncjob doctor";
    unsigned char signature[512];
    std::size_t size = sizeof(signature);
    signing.done = context != nullptr &&
                   EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", signing.library, nullptr,
                                         signing.key, nullptr) == 1 &&
                   EVP_DigestSign(context.get(), signature, &size, text, sizeof(text)) == 1;
    return 1;
}

// Waits for what a paused job waits for; false after a second without it.
bool wait_for(ASYNC_WAIT_CTX* wait) {
    std::size_t count = 0;
    int fd = -1;
    if (ASYNC_WAIT_CTX_get_all_fds(wait, nullptr, &count) != 1 || count != 1 ||
        ASYNC_WAIT_CTX_get_all_fds(wait, &fd, &count) != 1)
        return false;
    pollfd ready{fd, POLLIN, 0};
    return poll(&ready, 1, 1000) == 1;
}

// How often a signature inside a job paused it; less than 0 if it failed.
int pauses_of_a_signature(OSSL_LIB_CTX* library, EVP_PKEY* key) {
    const std::unique_ptr<ASYNC_WAIT_CTX, decltype(&ASYNC_WAIT_CTX_free)> wait(ASYNC_WAIT_CTX_new(),
                                                                               ASYNC_WAIT_CTX_free);
    Signing signing{library, key};
    Signing* args = &signing;
    ASYNC_JOB* job = nullptr;
    int result = 0;
    for (int pauses = 0;; ++pauses) {
        const int state = ASYNC_start_job(&job, wait.get(), &result, sign, &args, sizeof(args));
        if (state != ASYNC_PAUSE)
            return state == ASYNC_FINISH && signing.done ? pauses : -1;
        (void)wait_for(wait.get());
    }
}

// A worker may be done before the job comes to its pause, when this thread is held up; hardly
// so every time.
int pauses_of_some_signatures(OSSL_LIB_CTX* library) {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        EVP_PKEY_Q_keygen(library, nullptr, "RSA", std::size_t{2048}), EVP_PKEY_free);
    int pauses = key != nullptr ? 0 : -1;
    for (int attempt = 0; attempt < 20 && pauses == 0; ++attempt)
        pauses = pauses_of_a_signature(library, key.get());
    return pauses;
}

void check_provider(Report& report) {
    OffloadOptions options;
    try {
        options.module = find_offload(status_failed);
        const OffloadContext context({}, options, status_failed);
        const int pauses = pauses_of_some_signatures(context.get());
        if (pauses < 0)
            report.fail("provider", options.module.string() +
                                        " loads, but an RSA signature failed: " + take_errors());
        else if (pauses == 0)
            report.fail("provider",
                        options.module.string() +
                            " loads, but signatures inside a job do not pause it; "
                            "are threads or file descriptors exhausted (ulimit -n -u)?");
        else
            report.ok("provider", options.module.string() +
                                      ": an RSA signature inside a job paused it and was made by a "
                                      "worker");
    } catch (const Failure& failure) {
        report.fail("provider", (options.module.empty() ? "" : options.module.string() + ": ") +
                                    failure.what());
    }
}

void check_configuration(Report& report) {
    OffloadOptions options;
    const fs::path users = find_user_config();
    const std::string name = users.empty() ? "none" : users.string();
    try {
        options.module = find_offload(status_failed);
        add_users_settings(users, options, status_failed);
        const OffloadContext context({}, options, status_failed);
        const OffloadContext both(users, options, status_failed);
        report.ok("configuration", name + ", with the provider added, loads");
        if (!activates_offload(users, status_failed))
            return;
        if (const std::string why = why_not_active(users); !why.empty())
            report.fail("by-hand", name +
                                       " names offload, which OpenSSL does not load without "
                                       "`asyncjob run`: " +
                                       why + "; is there \"module = " + options.module.string() +
                                       "\" in its section?");
        else
            report.ok("by-hand", name + " loads offload by itself");
    } catch (const Failure& failure) {
        report.fail("configuration", name + ", with the provider added: " + failure.what());
    }
}

// A library's version as it says itself, without running it.
std::string version_in(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    for (std::size_t at = 0; (at = bytes.find("OpenSSL ", at)) != std::string::npos; ++at) {
        const std::string text = bytes.substr(at, bytes.find('\0', at) - at);
        if (text.size() > 8 && text.size() < 80 && std::isdigit(text[8]) != 0)
            return text;
    }
    return "of unknown version";
}

void check_openssl(Report& report, const fs::path& libcrypto) {
    const std::string found = version_in(libcrypto);
    const std::string text = found + " (" + libcrypto.string() + ")";
    if (found.rfind("OpenSSL ", 0) == 0 && found[8] < '3')
        report.fail("OpenSSL", text + ": providers came with 3.0; use a program built with that");
    else
        report.ok("OpenSSL", text);
}

void check_binding(Report& report, const LoaderTrace& trace, const std::string& library) {
    std::set<std::string> ours;
    std::set<std::string> others;
    for (const Binding& binding : trace.bindings) {
        if (binding.symbol.rfind("ASYNC_", 0) != 0 || !is_library(binding.from, "libssl.so"))
            continue;
        (binding.to == library ? ours : others).insert(binding.symbol);
    }
    if (!others.empty())
        report.fail("libssl", trace.libssl + " would not use libasyncjob.so for " +
                                  *others.begin() +
                                  "; is another library in LD_PRELOAD before it?");
    else if (ours.empty())
        report.fail("libssl", trace.libssl +
                                  " has no asynchronous jobs (built with no-async?), so no "
                                  "handshake can pause");
    else
        report.ok("libssl", trace.libssl + " would use libasyncjob.so for all its " +
                                std::to_string(ours.size()) + " ASYNC_ functions");
}

// Functions of libssl's for which the program has to come to us.
void check_teardown(Report& report, const LoaderTrace& trace, const std::string& ssl_library) {
    for (const Binding& binding : trace.bindings) {
        if (binding.symbol != "SSL_free" || is_library(binding.from, "libssl.so") ||
            binding.from == ssl_library)
            continue;
        if (binding.to == ssl_library)
            report.ok("teardown", binding.from +
                                      " would free connections through libasyncjob-ssl.so, which "
                                      "ends their paused jobs");
        else
            report.warn("teardown", binding.from + " would take SSL_free() from " + binding.to +
                                        ", which loses the job of a connection that is paused: "
                                        "libasyncjob-ssl.so is for OpenSSL 3");
        return;
    }
    report.warn("teardown",
                "nothing in it is linked with SSL_free(); if it looks that up by itself, jobs of "
                "connections that are freed while they are paused are lost");
}

void check_asks(Report& report, const LoaderTrace& trace) {
    // Functions that a program needs to go on with a handshake that paused. SSL_MODE_ASYNC
    // itself is a number and leaves no trace.
    static const std::set<std::string> signs = {
        "SSL_waiting_for_async",     "SSL_get_all_async_fds",
        "SSL_get_changed_async_fds", "SSL_CTX_set_async_callback",
        "SSL_set_async_callback",    "SSL_get_async_status",
        "ASYNC_start_job",
    };
    for (const Binding& binding : trace.bindings) {
        if (signs.count(binding.symbol) != 0 && !is_library(binding.from, "libssl.so") &&
            !is_library(binding.from, "libcrypto.so"))
            return report.ok("async", binding.from + " can wait for paused handshakes (it calls " +
                                          binding.symbol +
                                          "); its configuration may have to turn them on (HAProxy: "
                                          "ssl-mode-async, s_server: -async)");
    }
    report.warn("async",
                "nothing in it waits for paused handshakes, so it will compute in place, as "
                "without the provider; ask its authors for SSL_MODE_ASYNC");
}

void check_program(Report& report, const std::string& name) {
    ProgramFacts facts;
    try {
        facts = inspect_program(find_program(name));
    } catch (const Failure& failure) {
        return report.fail("program", failure.what());
    }
    if (!facts.obstacle.empty())
        return report.fail("program", facts.obstacle);
    report.ok("program",
              facts.image.string() +
                  (facts.image == facts.file ? "" : ", which runs " + facts.file.string()) +
                  ": dynamically linked, LD_PRELOAD is honoured");
    if (facts.loader != own_loader())
        return report.warn("loader",
                           "it uses " + facts.loader +
                               ", which is not the loader "
                               "that libasyncjob.so was linked for; build asyncjob for its "
                               "C library");
    LoaderTrace trace;
    const std::string library = find_library(status_failed).string();
    std::string ssl_library;
    try {
        ssl_library = find_ssl_library(status_failed).string();
    } catch (const Failure&) {
        return;  // which has been said
    }
    if (const std::string why = trace_loader(facts, {library, ssl_library}, trace); !why.empty())
        return report.fail("libraries", why);
    if (trace.libcrypto.empty())
        return report.warn("OpenSSL",
                           "neither it nor its libraries are linked with OpenSSL; `run` "
                           "serves it if it loads libssl.so while it runs (as Python "
                           "does), not if OpenSSL is linked into it");
    check_openssl(report, trace.libcrypto);
    if (trace.libssl.empty())
        return report.warn("libssl", "neither it nor its libraries are linked with libssl");
    check_binding(report, trace, library);
    check_teardown(report, trace, ssl_library);
    check_asks(report, trace);
}

void doctor(const ProgramArguments& program, int& status) {
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
    Report report;
    utsname system{};
    (void)uname(&system);
    report.ok("kernel", std::string(system.sysname) + " " + system.release + " " + system.machine);
    check_processors(report);
    report.ok("library", find_library(status_failed).string() + " (asyncjob " ASYNCJOB_VERSION ")");
    try {
        report.ok("ssl-library", find_ssl_library(status_failed).string());
    } catch (const Failure& failure) {
        report.fail("ssl-library", failure.what());
    }
    check_jobs(report, system.machine);
    check_guard(report);
    if (!program)
        report.ok("OpenSSL", OpenSSL_version(OPENSSL_VERSION));
    check_provider(report);
    check_configuration(report);
    if (program && !program->empty())
        check_program(report, program->front());
    status = report.failed() ? status_failed : 0;
}

}  // namespace

void add_doctor(CLI::App& app, const ProgramArguments& program, int& status) {
    CLI::App* const command = app.add_subcommand(
        "doctor", "Say what this machine and a program offer, and what to do where it is not all");
    command->footer(
        "Example: asyncjob doctor -- /usr/sbin/haproxy\n"
        "Ends with 1 if a line says fail, else with 0.");
    command->callback([&program, &status] { doctor(program, status); });
}

}  // namespace asyncjob::cli
