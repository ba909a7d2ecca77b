// SPDX-License-Identifier: Apache-2.0
// https_server: an HTTPS server on Asio with one thread, whose connections are jobs in
// blocking style. With the provider (asyncjob-provider(7)) other threads sign in the handshakes,
// while this one serves. Build:
// c++ -std=c++20 -pthread https_server.cpp -lasyncjob -lssl -lcrypto
//
// Usage: https_server CERTIFICATE KEY [PORT]. It prints the address that it listens at, serves
// until SIGTERM or SIGINT, and prints how many requests and connections there were.
#include <asio.hpp>
#include <asyncjob/asio.hpp>
#include <asyncjob/asio/ssl_stream.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>

namespace {

using Tcp = asio::ip::tcp;
using Stream = asyncjob::ssl_stream<Tcp::socket>;

constexpr auto patience = std::chrono::seconds(30);
constexpr std::size_t largest_request = 16 * 1024;

struct Counts {
    std::uint64_t connections = 0;
    std::uint64_t failed = 0;
    std::uint64_t requests = 0;
};

// Closes a connection that takes too long over its next step.
class Deadline {
  public:
    explicit Deadline(Stream& stream) : stream_(stream), timer_(stream.get_executor()) {}

    void set() {
        timer_.expires_after(patience);
        timer_.async_wait([&stream = stream_](const asio::error_code& error) {
            if (!error)
                stream.close();
        });
    }

  private:
    Stream& stream_;
    asio::steady_timer timer_;
};

bool has_header(const std::string& request, const std::string& header) {
    return request.find("\r\n" + header + "\r\n") != std::string::npos;
}

// HTTP/1.1 clients have to say so if they want to close, older ones if they do not.
bool keeps_alive(const std::string& request) {
    if (request.find(" HTTP/1.1\r\n") != std::string::npos)
        return !has_header(request, "Connection: close");
    return has_header(request, "Connection: Keep-Alive") ||
           has_header(request, "Connection: keep-alive");
}

// A job: as if each call waited.
void serve(Stream& stream, Counts& counts) {
    Deadline deadline(stream);
    deadline.set();
    stream.async_handshake(Stream::server, asyncjob::use_job);

    std::string received;
    for (bool goes_on = true; goes_on;) {
        deadline.set();
        const std::size_t size = asio::async_read_until(
            stream, asio::dynamic_buffer(received, largest_request), "\r\n\r\n", asyncjob::use_job);
        const std::string request = received.substr(0, size);
        received.erase(0, size);

        goes_on = keeps_alive(request);
        const bool is_get = request.rfind("GET ", 0) == 0;
        const std::string body = is_get ? "hello\n" : "only GET is served\n";
        const std::string reply =
            std::string("HTTP/1.1 ") + (is_get ? "200 OK" : "405 Method Not Allowed") +
            "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
            "\r\nConnection: " + (goes_on ? "keep-alive" : "close") + "\r\n\r\n" + body;
        asio::async_write(stream, asio::buffer(reply), asyncjob::use_job);
        ++counts.requests;
    }
    stream.async_shutdown(asyncjob::use_job);
}

void start(Tcp::socket socket, asio::ssl::context& tls, Counts& counts) {
    ++counts.connections;
    const auto executor = socket.get_executor();
    asyncjob::async_run(
        executor,
        [stream = Stream(std::move(socket), tls), &counts]() mutable { serve(stream, counts); },
        [&counts](const std::exception_ptr& failure) {
            try {
                if (failure != nullptr)
                    std::rethrow_exception(failure);
            } catch (const asio::system_error& error) {
                // A client that just goes away is nothing to speak of.
                if (error.code() != asio::error::eof &&
                    error.code() != asio::ssl::error::stream_truncated) {
                    ++counts.failed;
                    std::cerr << "https_server: a connection: " << error.what() << '\n';
                }
            }
        });
}

void accept(Tcp::acceptor& acceptor, asio::ssl::context& tls, Counts& counts) {
    acceptor.async_accept([&](const asio::error_code& error, Tcp::socket socket) {
        if (error == asio::error::operation_aborted)
            return;
        if (error)
            std::cerr << "https_server: accept: " << error.message() << '\n';
        else
            start(std::move(socket), tls, counts);
        accept(acceptor, tls, counts);
    });
}

int run(const char* certificate, const char* key, std::uint16_t port) {
    asio::ssl::context tls(asio::ssl::context::tls_server);
    tls.use_certificate_chain_file(certificate);
    tls.use_private_key_file(key, asio::ssl::context::pem);

    Counts counts;
    asio::io_context context(1);
    Tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), port});
    acceptor.listen(1024);
    accept(acceptor, tls, counts);
    asio::signal_set signals(context, SIGTERM, SIGINT);
    // Connections that are still open end with the context.
    signals.async_wait([&](const asio::error_code&, int) { context.stop(); });
    std::cout << "listening at https://127.0.0.1:" << acceptor.local_endpoint().port() << '/'
              << std::endl;
    context.run();
    std::cout << counts.requests << " requests, " << counts.connections << " connections, "
              << counts.failed << " failed" << std::endl;
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3 || argc > 4) {
        std::cerr << "usage: https_server CERTIFICATE KEY [PORT]\n";
        return 2;
    }
    try {
        const int port = argc == 4 ? std::stoi(argv[3]) : 0;
        if (port < 0 || port > 65535)
            throw std::invalid_argument("PORT is 0 to 65535; 0 takes a free one");
        return run(argv[1], argv[2], static_cast<std::uint16_t>(port));
    } catch (const std::exception& failure) {
        std::cerr << "https_server: " << failure.what() << '\n';
        return 1;
    }
}
