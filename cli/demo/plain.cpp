// SPDX-License-Identifier: Apache-2.0
// Contract: plain.hpp.
#include "plain.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace asyncjob::demo {

namespace {

constexpr std::chrono::seconds patience{5};

using Message = std::array<char, plain_size>;

Message request(std::size_t number) {
    Message text{};
    std::snprintf(text.data(), text.size(), "plain request %zu", number);
    return text;
}

class Stream {
  public:
    Stream(std::uint16_t port, Clock::time_point begin, Clock::time_point end,
           Milliseconds interval)
        : socket_(connect_to_loopback(port, patience)),
          begin_(begin),
          interval_(std::chrono::duration_cast<Clock::duration>(interval)),
          total_(static_cast<std::size_t>((end - begin) / interval_)) {
        report_.requests.reserve(total_);
    }

    PlainReport run() {
        pthread_setname_np(pthread_self(), "plain");
        // The default slack of 50 us would be part of each latency.
        prctl(PR_SET_TIMERSLACK, 1UL);
        const Clock::time_point last = tick(total_) + patience;
        while (report_.requests.size() < total_ && Clock::now() < last) {
            while (sent_ < total_ && Clock::now() >= tick(sent_))
                send_next();
            wait(sent_ < total_ ? tick(sent_) : last);
        }
        report_.unanswered = total_ - report_.requests.size();
        return std::move(report_);
    }

  private:
    [[nodiscard]] Clock::time_point tick(std::size_t number) const {
        return begin_ + interval_ * static_cast<Clock::rep>(number);
    }

    void send_next() {
        const Message text = request(sent_++);
        if (send(socket_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
            static_cast<ssize_t>(text.size()))
            throw std::runtime_error("the server takes no more plain requests");
    }

    // Takes answers in until then.
    void wait(Clock::time_point then) {
        const auto left = std::max<std::chrono::nanoseconds>(then - Clock::now(), {});
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
        pollfd polled{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        if (check(ppoll(&polled, 1, &limit, nullptr), "ppoll") > 0)
            receive();
    }

    void receive() {
        std::array<char, 4096> bytes;
        const ssize_t size = recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0)
            throw std::runtime_error("the server closed the connection of plain requests");
        received_.append(bytes.data(), static_cast<std::size_t>(size));
        const Clock::time_point now = Clock::now();
        while (received_.size() >= plain_size) {
            const std::size_t number = report_.requests.size();
            if (std::memcmp(received_.data(), request(number).data(), plain_size) != 0)
                throw std::runtime_error("a wrong answer to a plain request");
            received_.erase(0, plain_size);
            report_.requests.push_back({Milliseconds(tick(number) - begin_).count(),
                                        Milliseconds(now - tick(number)).count()});
        }
    }

    Fd socket_;
    const Clock::time_point begin_;
    const Clock::duration interval_;
    const std::size_t total_;
    std::size_t sent_ = 0;
    std::string received_;
    PlainReport report_;
};

}  // namespace

PlainReport run_plain(std::uint16_t port, Clock::time_point begin, Clock::time_point end,
                      Milliseconds interval) {
    return Stream(port, begin, end, interval).run();
}

}  // namespace asyncjob::demo
