// SPDX-License-Identifier: Apache-2.0
// Loopback sockets and the clock that all parts of the demonstration share.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace asyncjob::demo {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

// Owns a file descriptor.
class Fd {
  public:
    explicit Fd(int fd = -1) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() {
        if (fd_ >= 0)
            close(fd_);
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

// The result of a system call; throws std::system_error with errno if it is negative.
int check(int result, const char* what);

struct Listener {
    Fd socket;
    std::uint16_t port = 0;
};

// A non-blocking listener on a free port of 127.0.0.1. Throws.
Listener listen_on_loopback();

// A blocking connection to a port of 127.0.0.1; reads and writes give up after `patience`.
// Throws.
Fd connect_to_loopback(std::uint16_t port, std::chrono::seconds patience);

}  // namespace asyncjob::demo
