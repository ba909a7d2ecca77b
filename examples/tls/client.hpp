// SPDX-License-Identifier: Apache-2.0
// The clients: all connections at once, nonblocking, on a thread of their own. They are
// plain TLS clients, without jobs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "certificate.hpp"
#include "support.hpp"

namespace tls {

struct ClientReport {
    std::size_t handshakes = 0;
    std::size_t right_replies = 0;
    std::string first_failure;
};

// Makes the settings' number of connections, and with each a handshake, a request and a
// check of the reply; until the deadline. Throws std::runtime_error if it cannot start.
ClientReport run_clients(const Settings& settings, const Identity& identity, std::uint16_t port);

}  // namespace tls
