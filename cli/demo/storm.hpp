// SPDX-License-Identifier: Apache-2.0
// The storm of handshakes: threads that each make one TLS connection after another, full
// handshakes all, and verify the server's certificate.
//
// Threads: makes its own. Next layer down: tls.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "net.hpp"
#include "tls.hpp"

namespace asyncjob::demo {

struct StormReport {
    std::vector<double> handshakes;  // milliseconds from connect to the server's reply
    std::size_t failed = 0;
    std::string first_failure;
};

class Storm {
  public:
    // Starts now; counts handshakes that end from begin to end, and then starts no more.
    Storm(SSL_CTX* context, std::uint16_t port, unsigned concurrent, Clock::time_point begin,
          Clock::time_point end);
    ~Storm();
    Storm(const Storm&) = delete;
    Storm& operator=(const Storm&) = delete;

    // Waits for the last handshakes.
    StormReport join();

  private:
    class Client;
    std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace asyncjob::demo
