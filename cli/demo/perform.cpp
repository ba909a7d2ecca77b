// SPDX-License-Identifier: Apache-2.0
// Contract: perform.hpp.
#include "perform.hpp"

#include <openssl/async.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "library.hpp"
#include "plain.hpp"
#include "server.hpp"
#include "storm.hpp"

namespace asyncjob::demo {

namespace {

constexpr double window_ms = 200;
constexpr std::chrono::seconds time_to_end{10};

std::atomic<bool> handshake_in_job{false};

// libssl's job is this library's only if this library knows it.
void see_handshake(const SSL* /*ssl*/, int where, int /*result*/) {
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && ASYNC_get_current_job() != nullptr)
        handshake_in_job = true;
}

// What the calling thread has had of a CPU, and how long it has waited for one, in seconds.
struct ThreadTime {
    double computed = 0;
    double ready = 0;
};

ThreadTime thread_time() {
    std::ifstream file("/proc/thread-self/schedstat");
    ThreadTime time;
    file >> time.computed >> time.ready;
    constexpr double nanosecond = 1e-9;
    return {time.computed * nanosecond, time.ready * nanosecond};
}

struct Clients {
    StormReport storm;
    PlainReport plain;
    std::string error;
};

void check_phase(const Plan& plan, Outcome& outcome) {
    if (!outcome.error.empty())
        return;
    if (plan.workers > 0 && !handshake_in_job)
        outcome.error =
            "libssl did not use this library's jobs; the program must be linked with "
            "libasyncjob before libcrypto";
    else if (plan.workers > 0 && outcome.pauses == 0)
        outcome.error = "no job paused: the provider signed in place";
    else if (outcome.handshakes.empty())
        outcome.error = "no handshake was done. " + outcome.first_failure;
    else if (*std::min_element(outcome.handshakes.begin(), outcome.handshakes.end()) <
             plan.device_ms)
        outcome.error = "a handshake took less time than the device needs: it was not asked";
    else if (outcome.plain.empty())
        outcome.error = "no plain request was answered";
}

}  // namespace

Outcome perform(const Plan& plan, const Modules& modules, const Identity& identity,
                const std::filesystem::path& folder) {
    std::signal(SIGPIPE, SIG_IGN);
    const LibCtxPtr server_library = make_library(plan, modules, folder);
    const LibCtxPtr client_library(OSSL_LIB_CTX_new());
    const SslCtxPtr server_context = make_server_context(server_library.get(), identity);
    const SslCtxPtr client_context = make_client_context(client_library.get(), identity);
    SSL_CTX_set_info_callback(server_context.get(), see_handshake);

    const double total_ms = plan.seconds * 1000;
    const double shown_ms = std::min(window_ms, total_ms / 2);
    const auto duration = [](double ms) {
        return std::chrono::duration_cast<Clock::duration>(Milliseconds(ms));
    };
    const Clock::time_point begin = Clock::now() + duration(warm_up_ms);
    const Clock::time_point end = begin + duration(total_ms);

    Outcome outcome;
    outcome.seconds = plan.seconds;
    outcome.window = {total_ms / 2 - shown_ms / 2, total_ms / 2 + shown_ms / 2};
    Server server(server_context.get(), plan.workers > 0, begin, outcome.window);
    Clients clients;
    std::thread client_thread([&] {
        Storm storm(client_context.get(), server.tls_port(), plan.concurrent, begin, end);
        try {
            clients.plain =
                run_plain(server.plain_port(), begin, end, Milliseconds(plan.interval_ms));
        } catch (const std::exception& error) {
            clients.error = error.what();
        }
        clients.storm = storm.join();
        server.stop();
    });
    ServerReport served;
    const ThreadTime time_before = thread_time();
    const Clock::time_point before = Clock::now();
    try {
        served = server.run(end + time_to_end);
    } catch (const std::exception& error) {
        outcome.error = error.what();
    }
    const ThreadTime time = thread_time();
    const double passed = std::chrono::duration<double>(Clock::now() - before).count();
    outcome.server_cpu = (time.computed - time_before.computed) / passed;
    outcome.server_ready = (time.ready - time_before.ready) / passed;
    client_thread.join();

    outcome.handshakes = std::move(clients.storm.handshakes);
    outcome.failed_handshakes = std::max(clients.storm.failed, served.failed);
    outcome.first_failure =
        !served.first_failure.empty() ? served.first_failure : clients.storm.first_failure;
    outcome.plain = std::move(clients.plain.requests);
    outcome.unanswered = clients.plain.unanswered;
    outcome.pauses = served.pauses;
    outcome.peak_paused = served.peak_paused;
    outcome.spans = std::move(served.spans);
    if (outcome.error.empty())
        outcome.error = clients.error;
    check_phase(plan, outcome);
    return outcome;
}

}  // namespace asyncjob::demo
