// SPDX-License-Identifier: Apache-2.0
// What the parts of tls_handshakes share: settings, owners of handles, the messages that
// client and server exchange.
#pragma once

#include <openssl/ssl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace tls {

using Clock = std::chrono::steady_clock;

enum class Versions { tls12, tls13, both };
enum class Callback { client_hello, certificate };

struct Settings {
    std::size_t connections = 1000;
    unsigned pauses = 2;  // in each handshake
    Versions versions = Versions::both;
    Callback callback = Callback::client_hello;
    Clock::time_point deadline;
};

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

template <auto function>
struct FreeWith {
    template <typename Type>
    void operator()(Type* object) const {
        function(object);
    }
};
using SslPtr = std::unique_ptr<SSL, FreeWith<SSL_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;

// The result of a system call; throws std::system_error with errno if it is negative.
int check(int result, const char* what);

// Why an SSL call failed, from OpenSSL's error queue or errno, in one line.
std::string describe_failure(const char* what, int ssl_error);

// Milliseconds until then for epoll_wait(); 0 if it has passed.
int milliseconds_until(Clock::time_point then);

constexpr std::size_t message_size = 64;

inline std::string request_of(std::size_t connection) {
    std::string text = "request of connection " + std::to_string(connection) + ' ';
    while (text.size() < message_size)
        text += static_cast<char>('a' + (connection + text.size()) % 26);
    return text;
}

inline std::string reply_to(std::string request) {
    std::reverse(request.begin(), request.end());
    return request;
}

}  // namespace tls
