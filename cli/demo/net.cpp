// SPDX-License-Identifier: Apache-2.0
// Contract: net.hpp.
#include "net.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace asyncjob::demo {

namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

int check(int result, const char* what) {
    if (result < 0)
        throw std::system_error(errno, std::generic_category(), what);
    return result;
}

Listener listen_on_loopback() {
    Listener made;
    made.socket = Fd(
        check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "making a socket"));
    sockaddr_in address = loopback(0);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    check(bind(made.socket.get(), any, size), "binding to 127.0.0.1");
    check(listen(made.socket.get(), SOMAXCONN), "listening on 127.0.0.1");
    check(getsockname(made.socket.get(), any, &size), "getsockname");
    made.port = ntohs(address.sin_port);
    return made;
}

Fd connect_to_loopback(std::uint16_t port, std::chrono::seconds patience) {
    Fd made(check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "making a socket"));
    const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
    check(setsockopt(made.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
    check(setsockopt(made.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), "SO_SNDTIMEO");
    const int on = 1;
    check(setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    const sockaddr_in address = loopback(port);
    check(connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
          "connecting to 127.0.0.1");
    return made;
}

}  // namespace asyncjob::demo
