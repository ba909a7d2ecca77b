// SPDX-License-Identifier: Apache-2.0
// tls_handshakes: a TLS server on one thread whose handshakes, 1,000 at a time, each pause
// inside a callback that waits for a slow lookup. No line of it is about asyncjob: it uses
// libssl's SSL_MODE_ASYNC and <openssl/async.h>, and runs on libcrypto's own jobs if it is
// linked without -lasyncjob.
//
// Reading order: tls/connection.cpp (the pause), tls/server.cpp (the event loop).
#include <dlfcn.h>
#include <openssl/async.h>
#include <sys/resource.h>

#include <algorithm>
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>

#include "tls/certificate.hpp"
#include "tls/client.hpp"
#include "tls/server.hpp"

namespace {

// Two sockets and an eventfd for each connection, and some for the rest.
bool raise_fd_limit(std::size_t connections) {
    const rlim_t need = 3 * connections + 64;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur >= need)
        return true;
    if (limit.rlim_max < need) {
        const rlim_t fit = limit.rlim_max > 64 ? (limit.rlim_max - 64) / 3 : 0;
        std::fprintf(stderr,
                     "tls_handshakes: %zu connections need %llu open files, but the hard limit is "
                     "%llu.\nRaise it (as root: ulimit -Hn %llu), or use --connections %llu.\n",
                     connections, static_cast<unsigned long long>(need),
                     static_cast<unsigned long long>(limit.rlim_max),
                     static_cast<unsigned long long>(need), static_cast<unsigned long long>(fit));
        return false;
    }
    limit.rlim_cur = need;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

const char* async_library() {
    Dl_info info{};
    return dladdr(reinterpret_cast<void*>(&ASYNC_start_job), &info) != 0 ? info.dli_fname : "?";
}

tls::ClientReport run_clients_and_tell(const tls::Settings& settings, const tls::Identity& identity,
                                       tls::Server& server) {
    tls::ClientReport report;
    try {
        report = tls::run_clients(settings, identity, server.port());
    } catch (const std::exception& failure) {
        report.first_failure = std::string("client: ") + failure.what();
    }
    server.clients_gone();
    return report;
}

// Prints the table. Returns whether everything went as it was told to.
bool print(const tls::Settings& settings, const tls::ServerReport& server,
           const tls::ClientReport& clients) {
    const std::size_t handshakes = server.tls12 + server.tls13;
    const std::size_t good =
        std::min({handshakes, server.served, clients.handshakes, clients.right_replies});
    const std::size_t failed = settings.connections - std::min(settings.connections, good);
    const bool client_hello = settings.callback == tls::Callback::client_hello;
    std::printf(
        "TLS handshakes on one thread, each pausing in its %s callback\n"
        "  ASYNC from         %s\n"
        "  handshakes         %zu (TLS 1.2: %zu, TLS 1.3: %zu)\n"
        "  failed             %zu\n"
        "  right replies      %zu\n"
        "  pauses             %zu (resumes: %zu)\n"
        "  peak paused jobs   %zu\n"
        "  time               %.3f s\n"
        "  handshakes/s       %.0f\n",
        client_hello ? "client-hello" : "certificate", async_library(), handshakes, server.tls12,
        server.tls13, failed, clients.right_replies, server.pauses, server.resumes,
        server.peak_paused, server.seconds,
        server.seconds > 0 ? static_cast<double>(handshakes) / server.seconds : 0.0);

    for (const std::string& failure : {server.first_failure, clients.first_failure}) {
        if (!failure.empty())
            std::fprintf(stderr, "tls_handshakes: first failure: %s\n", failure.c_str());
    }
    if (server.timed_out)
        std::fprintf(stderr, "tls_handshakes: timed out; --timeout gives it longer\n");
    if (server.miscounted > 0)
        std::fprintf(stderr, "tls_handshakes: %zu handshakes did not pause %u times\n",
                     server.miscounted, settings.pauses);
    return failed == 0 && !server.timed_out && server.miscounted == 0 &&
           handshakes == settings.connections &&
           server.pauses == settings.connections * settings.pauses &&
           server.resumes == server.pauses;
}

int run(const tls::Settings& settings) {
    const tls::Identity identity = tls::make_identity();
    tls::Server server(settings, identity);
    tls::ClientReport clients;
    std::thread client_thread([&] { clients = run_clients_and_tell(settings, identity, server); });
    tls::ServerReport report;
    try {
        report = server.run();
    } catch (const std::exception& failure) {
        // The clients are in the midst of their work; there is nothing to wait for.
        std::fprintf(stderr, "tls_handshakes: server: %s\n", failure.what());
        std::_Exit(EXIT_FAILURE);
    }
    client_thread.join();
    return print(settings, report, clients) ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
    tls::Settings settings;
    std::string versions = "both";
    std::string callback = "client-hello";
    unsigned timeout = 120;

    CLI::App app(
        "A TLS server on one thread, with many handshakes at once that each pause inside a\n"
        "callback (SSL_MODE_ASYNC), and its clients. Exits with 0 only if every handshake\n"
        "succeeded, paused as told, and carried the right data.");
    app.add_option("--connections", settings.connections, "connections, all at once")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--pauses", settings.pauses, "pauses in each handshake")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    app.add_option("--tls", versions, "version of TLS; both: half of them each")
        ->check(CLI::IsMember({"1.2", "1.3", "both"}))
        ->capture_default_str();
    app.add_option("--callback", callback, "where a handshake pauses")
        ->check(CLI::IsMember({"client-hello", "certificate"}))
        ->capture_default_str();
    app.add_option("--timeout", timeout, "seconds until it gives up")
        ->check(CLI::Range(1, 3600))
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);

    settings.versions = versions == "1.2"   ? tls::Versions::tls12
                        : versions == "1.3" ? tls::Versions::tls13
                                            : tls::Versions::both;
    settings.callback =
        callback == "certificate" ? tls::Callback::certificate : tls::Callback::client_hello;
    settings.deadline = tls::Clock::now() + std::chrono::seconds(timeout);
    if (!raise_fd_limit(settings.connections))
        return EXIT_FAILURE;
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return run(settings);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "tls_handshakes: %s\n", failure.what());
        return EXIT_FAILURE;
    }
}
