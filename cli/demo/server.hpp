// SPDX-License-Identifier: Apache-2.0
// The server: one thread that serves TLS connections and plain requests from one epoll loop,
// the way servers do that have no thread to spare.
//
// With jobs, libssl runs each of its calls in one; a call whose job pauses comes back with
// SSL_ERROR_WANT_ASYNC, and the loop goes on to others until a worker has called on_ready().
//
// Threads: run() on one; stop() on any. Next layer down: libssl, net.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net.hpp"
#include "outcome.hpp"
#include "tls.hpp"

namespace asyncjob::demo {

struct ServerReport {
    std::size_t failed = 0;  // handshakes
    std::string first_failure;
    std::size_t pauses = 0;
    std::size_t peak_paused = 0;
    std::vector<Span> spans;
};

class Server {
  public:
    // Records spans in this window, in milliseconds from begin. Throws.
    Server(SSL_CTX* context, bool with_jobs, Clock::time_point begin, Window window);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    [[nodiscard]] std::uint16_t tls_port() const { return tls_.port; }
    [[nodiscard]] std::uint16_t plain_port() const { return plain_.port; }

    // Serves until stop() was called and the connections have ended. Throws when something
    // is wrong with the server itself, and when the deadline passes.
    ServerReport run(Clock::time_point deadline);

    void stop();

  private:
    struct Connection;

    static int on_ready(SSL* ssl, void* connection);
    void handle(std::uint64_t source);
    void accept_tls();
    void accept_plain();
    void answer_plain();
    void resume_ready();
    std::size_t ready_count();
    Connection* take_ready();
    void drive(Connection& connection);
    void end(Connection& connection, const std::string& failure);
    void record(unsigned lane, Activity activity, Clock::time_point begin, Clock::time_point end);
    void watch(int fd, std::uint32_t events, std::uint64_t source);

    SSL_CTX* const context_;
    const bool with_jobs_;
    const Clock::time_point begin_;
    const Window window_;
    Listener tls_;
    Listener plain_;
    Fd plain_connection_;
    Fd epoll_;
    Fd wake_;  // for what other threads leave below
    std::mutex mutex_;
    std::deque<Connection*> ready_;
    bool stopping_ = false;

    std::vector<std::unique_ptr<Connection>> lanes_;  // NULL where none is
    std::size_t live_ = 0;
    std::size_t paused_ = 0;
    ServerReport report_;
};

}  // namespace asyncjob::demo
