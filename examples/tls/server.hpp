// SPDX-License-Identifier: Apache-2.0
// A TLS server on one thread: epoll, SSL_MODE_ASYNC, and a callback of the handshake that
// pauses the job in which libssl runs it until the lookup service has answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "certificate.hpp"
#include "lookup.hpp"
#include "support.hpp"

namespace tls {

struct ServerReport {
    std::size_t accepted = 0;
    std::size_t tls12 = 0;  // handshakes
    std::size_t tls13 = 0;
    std::size_t served = 0;       // connections that got as far as a clean end
    std::size_t pauses = 0;       // times that SSL_accept() said "paused"
    std::size_t resumes = 0;      // calls that resumed a paused job
    std::size_t miscounted = 0;   // handshakes with another number of pauses than told
    std::size_t peak_paused = 0;  // jobs paused at one time
    bool timed_out = false;
    double seconds = 0;  // from the first connection to the end of the last
    std::string first_failure;
};

class Connection;

class Server {
  public:
    // Listens on 127.0.0.1. Throws std::runtime_error if it cannot be set up.
    Server(const Settings& settings, const Identity& identity);
    ~Server();

    [[nodiscard]] std::uint16_t port() const { return port_; }

    // Serves until clients_gone() was called and all connections have ended, or until the
    // deadline; on the calling thread, once.
    ServerReport run();

    // No more clients will come. Any thread.
    void clients_gone();

  private:
    void accept_all();
    void drive(Connection& connection);
    static int step(Connection& connection);
    void advance(Connection& connection);
    void follow_wait_fds(Connection& connection);
    void end(Connection& connection, const std::string& failure);
    void give_up();

    const Settings& settings_;
    LookupService lookups_;
    SslCtxPtr context_;
    std::uint16_t port_ = 0;
    Fd listener_;
    Fd gone_;
    Fd epoll_;
    std::vector<std::unique_ptr<Connection>> connections_;  // NULL where one has ended
    std::size_t live_ = 0;
    std::size_t paused_ = 0;
    ServerReport report_;
};

}  // namespace tls
