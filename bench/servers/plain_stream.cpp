// SPDX-License-Identifier: Apache-2.0
// A steady stream of plain HTTP requests on one connection: one each INTERVAL, whether or not the
// earlier ones have been answered. It prints each one's latency in microseconds, counted from
// when it was due, so that a server that stalls is charged for all requests of the stall.
//
// Usage: plain_stream PORT SECONDS INTERVAL-MS
// The server answers each with a body of "hello". Status 1: some had no answer for 5 s.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(5);
constexpr std::string_view request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
constexpr std::string_view end_of_reply = "\r\n\r\nhello";

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(2);
}

int connect_to(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(static_cast<std::uint16_t>(port));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0)
        die("connect");
    return fd;
}

class Stream {
  public:
    Stream(int port, Clock::duration total, Clock::duration interval)
        : fd_(connect_to(port)),
          interval_(interval),
          total_(static_cast<std::size_t>(total / interval)) {
        latencies_.reserve(total_);
    }
    ~Stream() { close(fd_); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    // Those of the requests that were answered, in their order.
    const std::vector<Clock::duration>& run() {
        // The default slack of 50 us would be part of each latency.
        prctl(PR_SET_TIMERSLACK, 1UL);
        begin_ = Clock::now();
        const Clock::time_point last = due(total_) + patience;
        while (latencies_.size() < total_ && Clock::now() < last) {
            while (sent_ < total_ && Clock::now() >= due(sent_))
                send_next();
            receive_until(sent_ < total_ ? due(sent_) : last);
        }
        return latencies_;
    }

    [[nodiscard]] bool all_answered() const { return latencies_.size() == total_; }

  private:
    [[nodiscard]] Clock::time_point due(std::size_t number) const {
        return begin_ + interval_ * static_cast<Clock::rep>(number);
    }

    void send_next() {
        if (send(fd_, request.data(), request.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
            static_cast<ssize_t>(request.size()))
            die("the server takes no more requests");
        ++sent_;
    }

    void receive_until(Clock::time_point then) {
        const auto left = std::max<std::chrono::nanoseconds>(then - Clock::now(), {});
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
        pollfd polled{.fd = fd_, .events = POLLIN, .revents = 0};
        if (ppoll(&polled, 1, &limit, nullptr) <= 0)
            return;
        std::array<char, 65536> bytes;
        const ssize_t size = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0)
            die("the server closed the connection");
        received_.append(bytes.data(), static_cast<std::size_t>(size));
        const Clock::time_point now = Clock::now();
        for (std::size_t at; (at = received_.find(end_of_reply)) != std::string::npos;) {
            received_.erase(0, at + end_of_reply.size());
            latencies_.push_back(now - due(latencies_.size()));
        }
    }

    const int fd_;
    const Clock::duration interval_;
    const std::size_t total_;
    Clock::time_point begin_;
    std::size_t sent_ = 0;
    std::string received_;
    std::vector<Clock::duration> latencies_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s PORT SECONDS INTERVAL-MS\n", argv[0]);
        return 2;
    }
    const auto duration = [](double seconds) {
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    };
    Stream stream(std::atoi(argv[1]), duration(std::atof(argv[2])),
                  duration(std::atof(argv[3]) / 1000));
    for (const Clock::duration latency : stream.run())
        std::printf("%.0f\n", std::chrono::duration<double, std::micro>(latency).count());
    return stream.all_answered() ? 0 : 1;
}
