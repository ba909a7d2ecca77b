// SPDX-License-Identifier: Apache-2.0
// Contract: phase.hpp.
#include "phase.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>

#include "net.hpp"
#include "perform.hpp"

namespace asyncjob::demo {

namespace {

// Over what a phase needs: to give it up from outside when it cannot do so itself.
constexpr double grace_ms = 25'000;

[[noreturn]] void be_child(int result_fd, const Plan& plan, const Modules& modules,
                           const Identity& identity, const std::filesystem::path& folder) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Outcome outcome;
    try {
        outcome = perform(plan, modules, identity, folder);
    } catch (const std::exception& error) {
        outcome.error = error.what();
    }
    const std::vector<std::uint8_t> bytes = nlohmann::json::to_cbor(nlohmann::json(outcome));
    for (std::size_t at = 0; at < bytes.size();) {
        const ssize_t size = write(result_fd, bytes.data() + at, bytes.size() - at);
        if (size < 0 && errno != EINTR)
            break;
        at += size > 0 ? static_cast<std::size_t>(size) : 0;
    }
    // The parent's exit handlers are not the child's to run.
    _exit(0);
}

// A line that a terminal shows as it grows.
class Progress {
  public:
    explicit Progress(std::string label) : label_(std::move(label)), live_(isatty(2) == 1) {
        if (live_)
            show(0);
    }

    void show(double share) const {
        if (live_)
            std::fprintf(stderr, "\r%s  %3.0f %%", label_.c_str(), 100 * std::min(share, 1.0));
    }

    void end(const std::string& result) const {
        std::fprintf(stderr, "%s%s  %s%s\n", live_ ? "\r" : "", label_.c_str(), result.c_str(),
                     live_ ? "\033[K" : "");
    }

  private:
    const std::string label_;
    const bool live_;
};

// What the child writes until it closes its end; empty if it takes too long.
std::vector<std::uint8_t> read_all(int fd, double expected_ms, const Progress& progress) {
    std::vector<std::uint8_t> bytes;
    const Clock::time_point start = Clock::now();
    for (;;) {
        const double passed = Milliseconds(Clock::now() - start).count();
        if (passed > expected_ms + grace_ms)
            return {};
        progress.show(passed / expected_ms);
        pollfd polled{.fd = fd, .events = POLLIN, .revents = 0};
        constexpr int step_ms = 200;
        if (poll(&polled, 1, step_ms) <= 0)
            continue;
        std::array<std::uint8_t, 65536> buffer;
        const ssize_t size = read(fd, buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0)
            return bytes;
        bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + size);
    }
}

std::string describe_end(int status) {
    if (WIFSIGNALED(status))
        return "its process was ended by signal " + std::to_string(WTERMSIG(status));
    return "its process ended without a result";
}

std::string summary(const Outcome& outcome) {
    if (!outcome.error.empty())
        return "failed";
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), "%.0f handshakes/s",
                  static_cast<double>(outcome.handshakes.size()) / outcome.seconds);
    return text.data();
}

}  // namespace

Outcome run_phase(const Plan& plan, const Modules& modules, const Identity& identity,
                  const std::filesystem::path& folder, const std::string& label) {
    std::array<int, 2> ends{};
    check(pipe2(ends.data(), O_CLOEXEC), "making a pipe");
    const Fd from(ends[0]);
    Fd to(ends[1]);
    std::fflush(nullptr);
    const pid_t child = check(fork(), "starting a process for the phase");
    if (child == 0)
        be_child(to.get(), plan, modules, identity, folder);
    to = Fd();

    const Progress progress(label);
    const std::vector<std::uint8_t> bytes =
        read_all(from.get(), plan.seconds * 1000 + warm_up_ms, progress);
    if (bytes.empty())
        kill(child, SIGKILL);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    Outcome outcome;
    const nlohmann::json read = nlohmann::json::from_cbor(bytes, true, false);
    if (read.is_discarded())
        outcome.error = describe_end(status);
    else
        outcome = read.get<Outcome>();
    progress.end(summary(outcome));
    return outcome;
}

}  // namespace asyncjob::demo
