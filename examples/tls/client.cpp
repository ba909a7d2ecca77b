// SPDX-License-Identifier: Apache-2.0
// Contract: client.hpp.
#include "client.hpp"

#include <netinet/in.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <vector>

namespace tls {

namespace {

struct Client {
    enum class Phase { handshake, request, reply };

    std::string text;  // the request, and then the reply so far
    Phase phase = Phase::handshake;
    Fd socket;
    SslPtr ssl;  // NULL when it has ended
};

class Clients {
  public:
    Clients(const Settings& settings, const Identity& identity, std::uint16_t port)
        : settings_(settings),
          context_(make_client_context(identity)),
          epoll_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
          clients_(settings.connections),
          port_(port) {}

    ClientReport run() {
        for (std::size_t id = 0; id < clients_.size(); ++id)
            start(id);
        while (live_ > 0 && Clock::now() < settings_.deadline) {
            std::array<epoll_event, 64> events;
            const int count =
                epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                           milliseconds_until(settings_.deadline));
            if (count < 0 && errno != EINTR)
                check(count, "epoll_wait");
            for (int i = 0; i < count; ++i) {
                if (clients_[events[i].data.u64].ssl != nullptr)
                    drive(events[i].data.u64);
            }
        }
        return report_;
    }

  private:
    void start(std::size_t id) {
        Client& client = clients_[id];
        client.text = request_of(id);
        client.socket =
            Fd(check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
        client.ssl.reset(SSL_new(context_.get()));
        const bool tls12 = settings_.versions == Versions::tls12 ||
                           (settings_.versions == Versions::both && id % 2 == 0);
        const int version = tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
        SSL* const ssl = client.ssl.get();
        if (ssl == nullptr || SSL_set_fd(ssl, client.socket.get()) != 1 ||
            SSL_set_min_proto_version(ssl, version) != 1 ||
            SSL_set_max_proto_version(ssl, version) != 1 || SSL_set1_host(ssl, "localhost") != 1)
            throw std::runtime_error(describe_failure("SSL_new", SSL_ERROR_SSL));
        SSL_set_connect_state(ssl);
        ++live_;

        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port_);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(client.socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) !=
                0 &&
            errno != EINPROGRESS)
            check(-1, "connect");
        // Its first event says that it is connected.
        epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.u64 = id}};
        check(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.socket.get(), &event), "epoll_ctl");
    }

    static int step(Client& client) {
        SSL* const ssl = client.ssl.get();
        switch (client.phase) {
            case Client::Phase::handshake:
                return SSL_do_handshake(ssl);
            case Client::Phase::request:
                return SSL_write(ssl, client.text.data(), static_cast<int>(client.text.size()));
            case Client::Phase::reply:
                break;
        }
        std::array<char, message_size> bytes;
        const int size =
            SSL_read(ssl, bytes.data(), static_cast<int>(message_size - client.text.size()));
        if (size > 0)
            client.text.append(bytes.data(), static_cast<std::size_t>(size));
        return size;
    }

    // Goes on with a connection until it has to wait.
    void drive(std::size_t id) {
        Client& client = clients_[id];
        while (client.ssl != nullptr) {
            ERR_clear_error();
            errno = 0;
            const int result = step(client);
            const int error = SSL_get_error(client.ssl.get(), result);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
                return;
            if (error != SSL_ERROR_NONE)
                return end(client, describe_failure("client", error));
            advance(id, client);
        }
    }

    // What follows when an SSL call has done its work.
    void advance(std::size_t id, Client& client) {
        switch (client.phase) {
            case Client::Phase::handshake:
                ++report_.handshakes;
                client.phase = Client::Phase::request;
                break;
            case Client::Phase::request:
                client.text.clear();
                client.phase = Client::Phase::reply;
                break;
            case Client::Phase::reply:
                if (client.text.size() < message_size)
                    break;
                SSL_shutdown(client.ssl.get());
                end(client, client.text == reply_to(request_of(id)) ? "" : "client: a wrong reply");
                break;
        }
    }

    // Closes a connection; failure is empty after the right reply.
    void end(Client& client, const std::string& failure) {
        if (failure.empty())
            ++report_.right_replies;
        else if (report_.first_failure.empty())
            report_.first_failure = failure;
        --live_;
        client.ssl.reset();
        client.socket = Fd();
    }

    const Settings& settings_;
    SslCtxPtr context_;
    Fd epoll_;
    std::vector<Client> clients_;
    std::uint16_t port_;
    std::size_t live_ = 0;
    ClientReport report_;
};

}  // namespace

ClientReport run_clients(const Settings& settings, const Identity& identity, std::uint16_t port) {
    return Clients(settings, identity, port).run();
}

}  // namespace tls
