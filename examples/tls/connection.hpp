// SPDX-License-Identifier: Apache-2.0
// One connection of the server, and the slow lookup in its handshake: the part that runs
// inside libssl's job.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lookup.hpp"
#include "support.hpp"

namespace tls {

class Connection {
  public:
    enum class Phase { handshake, request, reply, end };

    // Takes over the socket. Throws std::runtime_error.
    Connection(std::size_t id, SSL_CTX* context, Fd socket, LookupService& lookups,
               unsigned lookup_count);

    // Has the context's handshakes wait for their lookups in this callback.
    static void pause_in(Callback callback, SSL_CTX* context);

    [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

    const std::size_t id;
    Phase phase = Phase::handshake;
    bool paused = false;
    unsigned pauses = 0;
    std::string text;         // the request, and then the reply
    std::vector<int> polled;  // wait fds in the server's epoll

  private:
    static int on_client_hello(SSL* ssl, int* alert, void* arg);
    static int on_certificate(SSL* ssl, void* arg);
    bool look_up() noexcept;

    LookupService& lookups_;
    const unsigned lookup_count_;
    bool looked_up_ = false;
    Fd answer_;  // outlives the SSL, whose wait context may hold its number
    Fd socket_;
    SslPtr ssl_;
};

}  // namespace tls
