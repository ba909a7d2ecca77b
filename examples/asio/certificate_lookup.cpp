// SPDX-License-Identifier: Apache-2.0
// certificate_lookup: a TLS server that asks a slow service for each connection's certificate,
// by the name that the client wants, in the callback of SSL_CTX_set_cert_cb(). The callback is
// ordinary code that waits with use_job; meanwhile the one thread serves others. The service and
// the clients are here, too. Build, in examples/: c++ -std=c++20 -pthread -I.
// asio/certificate_lookup.cpp tls/certificate.cpp tls/support.cpp -lasyncjob -lssl -lcrypto
//
// Usage: certificate_lookup [CLIENTS]
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <asio.hpp>
#include <asyncjob/asio.hpp>
#include <asyncjob/asio/ssl_stream.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <list>
#include <map>
#include <string>

#include "tls/certificate.hpp"

namespace {

using Tcp = asio::ip::tcp;
using Stream = asyncjob::ssl_stream<Tcp::socket>;
using asyncjob::use_job;

// The service: one line with a name in, and, after a while, one with the certificate's number.
void run_service(Tcp::acceptor& acceptor) {
    for (;;) {
        auto socket = std::make_shared<Tcp::socket>(acceptor.get_executor());
        acceptor.async_accept(*socket, use_job);
        asyncjob::async_run(
            acceptor.get_executor(),
            [socket] {
                std::string name;
                asio::async_read_until(*socket, asio::dynamic_buffer(name, 256), '\n', use_job);
                asio::steady_timer slow(socket->get_executor(), std::chrono::milliseconds(20));
                slow.async_wait(use_job);
                const auto begin = name.find_first_of("0123456789");
                const auto end = name.find_first_not_of("0123456789", begin);
                const std::string number = name.substr(begin, end - begin) + '\n';
                asio::async_write(*socket, asio::buffer(number), use_job);
            },
            asio::detached);
    }
}

struct Server {
    Tcp::endpoint service;
    std::map<std::string, tls::Identity> identities;  // by the service's numbers
    int waiting = 0;
    int most_waiting = 0;
};

// Asks the service. An empty string if it does not answer.
std::string look_up(const Tcp::endpoint& service, const std::string& name) {
    // C calls this: nothing may be thrown.
    asio::error_code error;
    Tcp::socket socket(asyncjob::job_executor());
    socket.async_connect(service, use_job(error));
    if (!error)
        asio::async_write(socket, asio::buffer(name + '\n'), use_job(error));
    std::string number;
    if (!error)
        asio::async_read_until(socket, asio::dynamic_buffer(number, 256), '\n', use_job(error));
    if (error) {
        std::cerr << "certificate_lookup: the service: " << error.message() << '\n';
        return {};
    }
    number.pop_back();
    return number;
}

// The callback, in the job that libssl runs the handshake in. 0 ends the handshake.
int choose_certificate(SSL* ssl, void* arg) {
    auto& server = *static_cast<Server*>(arg);
    const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == nullptr)
        return 0;
    server.most_waiting = std::max(server.most_waiting, ++server.waiting);
    const auto found = server.identities.find(look_up(server.service, name));
    --server.waiting;
    if (found == server.identities.end())
        return 0;
    return SSL_use_certificate(ssl, found->second.certificate.get()) == 1 &&
                   SSL_use_PrivateKey(ssl, found->second.key.get()) == 1
               ? 1
               : 0;
}

void serve(Tcp::acceptor& acceptor, asio::ssl::context& tls) {
    for (;;) {
        auto stream = std::make_shared<Stream>(acceptor.get_executor(), tls);
        acceptor.async_accept(stream->next_layer(), use_job);
        asyncjob::async_run(
            acceptor.get_executor(),
            [stream] {
                stream->async_handshake(Stream::server, use_job);
                asio::async_write(*stream, asio::buffer("hello\n", 6), use_job);
                stream->async_shutdown(use_job);
            },
            asio::detached);
    }
}

// Whether the server had the certificate with this number.
bool ask(const Tcp::endpoint& server, asio::ssl::context& tls, const Server& known, int number) {
    Stream stream(asyncjob::job_executor(), tls);
    stream.next_layer().async_connect(server, use_job);
    SSL_set_tlsext_host_name(stream.native_handle(),
                             ("host" + std::to_string(number) + ".example").c_str());
    stream.async_handshake(Stream::client, use_job);
    std::string reply(6, ' ');
    asio::async_read(stream, asio::buffer(reply), use_job);
    X509* const got = SSL_get0_peer_certificate(stream.native_handle());
    const auto& expected = known.identities.at(std::to_string(number)).certificate;
    return reply == "hello\n" && got != nullptr && X509_cmp(got, expected.get()) == 0;
}

int run(int clients) {
    constexpr int names = 10;
    asio::io_context context(1);
    Tcp::acceptor service(context, {asio::ip::address_v4::loopback(), 0});
    Tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    acceptor.listen(1024);

    Server server;
    server.service = service.local_endpoint();
    for (int i = 0; i < names; ++i)
        server.identities.emplace(std::to_string(i), tls::make_identity());
    asio::ssl::context server_tls(asio::ssl::context::tls_server);
    SSL_CTX_set_cert_cb(server_tls.native_handle(), choose_certificate, &server);
    asio::ssl::context client_tls(asio::ssl::context::tls_client);

    asyncjob::async_run(
        context, [&] { run_service(service); }, asio::detached);
    asyncjob::async_run(
        context, [&] { serve(acceptor, server_tls); }, asio::detached);
    int right = 0;
    int ended = 0;
    for (int i = 0; i < clients; ++i)
        asyncjob::async_run(
            context,
            [&, i] { return ask(acceptor.local_endpoint(), client_tls, server, i % names); },
            [&](const std::exception_ptr& failure, bool is_right) {
                right += failure == nullptr && is_right;
                if (++ended == clients)
                    context.stop();
            });
    context.run();
    std::cout << right << " of " << clients << " clients got the right certificate; at most "
              << server.most_waiting << " handshakes waited at a time\n";
    return right == clients ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const int clients = argc > 1 ? std::stoi(argv[1]) : 100;
        if (argc > 2 || clients < 1 || clients > 10'000) {
            std::cerr << "usage: certificate_lookup [CLIENTS], from 1 to 10000\n";
            return 2;
        }
        return run(clients);
    } catch (const std::exception& failure) {
        std::cerr << "certificate_lookup: " << failure.what() << '\n';
        return 1;
    }
}
