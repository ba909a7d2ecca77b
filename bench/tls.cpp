// SPDX-License-Identifier: Apache-2.0
// Times small messages over one TLS 1.3 connection in memory: the CPU time of an SSL_write()
// of 16 bytes on one side and the SSL_read() of them on the other. With SSL_MODE_ASYNC libssl
// runs each of the two calls in a job that does not pause.
//
//   tls sync|async MESSAGES
//
// Prints the library that libssl's jobs come from, this project's if it was preloaded, and
// the nanoseconds for each message.
//
// Next layer down: OpenSSL; examples/tls for the certificate.
#include <dlfcn.h>
#include <openssl/async.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "tls/certificate.hpp"

namespace {

using tls::SslPtr;

void require(bool worked, const char* what) {
    if (!worked)
        throw std::runtime_error(tls::describe_failure(what, SSL_ERROR_SSL));
}

// The library whose ASYNC_start_job() libssl reaches: the first in the search order.
std::string library_of_jobs() {
    Dl_info info{};
    void* const address = dlsym(RTLD_DEFAULT, "ASYNC_start_job");
    require(address != nullptr && dladdr(address, &info) != 0, "finding ASYNC_start_job");
    return info.dli_fname;
}

struct Connection {
    SslPtr client;
    SslPtr server;
};

// One step of a handshake; true when this side is through.
bool shake_hands(SSL* side) {
    const int result = SSL_do_handshake(side);
    require(result == 1 || SSL_get_error(side, result) == SSL_ERROR_WANT_READ, "the handshake");
    return result == 1;
}

Connection connect(bool async) {
    const tls::Identity identity = tls::make_identity();
    const tls::SslCtxPtr server_context = tls::make_server_context(identity);
    const tls::SslCtxPtr client_context = tls::make_client_context(identity);
    SSL_CTX_set_num_tickets(server_context.get(), 0);
    for (SSL_CTX* const context : {server_context.get(), client_context.get()}) {
        require(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1, "asking for TLS 1.3");
        if (async)
            SSL_CTX_set_mode(context, SSL_MODE_ASYNC);
    }

    Connection made{SslPtr(SSL_new(client_context.get())), SslPtr(SSL_new(server_context.get()))};
    BIO* client_end = nullptr;
    BIO* server_end = nullptr;
    require(made.client != nullptr && made.server != nullptr &&
                BIO_new_bio_pair(&client_end, 0, &server_end, 0) == 1,
            "making the connection");
    SSL_set_bio(made.client.get(), client_end, client_end);
    SSL_set_bio(made.server.get(), server_end, server_end);
    SSL_set_connect_state(made.client.get());
    SSL_set_accept_state(made.server.get());
    for (bool client_through = false, server_through = false; !client_through || !server_through;) {
        client_through = shake_hands(made.client.get());
        server_through = shake_hands(made.server.get());
    }
    return made;
}

void send_one(const Connection& connection) {
    static const std::array<char, 16> sent = {"fifteen letters"};
    std::array<char, 32> received{};
    const int size = static_cast<int>(sent.size());
    require(SSL_write(connection.client.get(), sent.data(), size) == size, "SSL_write()");
    require(SSL_read(connection.server.get(), received.data(), received.size()) == size &&
                std::memcmp(received.data(), sent.data(), sent.size()) == 0,
            "SSL_read()");
}

bool was_in_job = false;

long note_job(BIO* /*bio*/, int /*operation*/, const char* /*data*/, std::size_t /*size*/,
              int /*argi*/, long /*argl*/, int result, std::size_t* /*processed*/) {
    was_in_job = ASYNC_get_current_job() != nullptr;
    return result;
}

// Ends the program's work unless both calls run in a job as they should, or neither does.
void check_jobs(const Connection& connection, bool async) {
    for (const SSL* const side : {connection.client.get(), connection.server.get()}) {
        BIO* const end = SSL_get_rbio(side);
        was_in_job = !async;
        BIO_set_callback_ex(end, note_job);
        send_one(connection);
        BIO_set_callback_ex(end, nullptr);
        require(was_in_job == async, "a call is in a job where it should not be, or the reverse");
    }
}

double cpu_nanoseconds() {
    timespec spent{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) * 1e9 + static_cast<double>(spent.tv_nsec);
}

void measure(bool async, long messages) {
    const Connection connection = connect(async);
    check_jobs(connection, async);
    for (long i = 0; i < messages / 10; ++i)
        send_one(connection);
    const double begin = cpu_nanoseconds();
    for (long i = 0; i < messages; ++i)
        send_one(connection);
    const double end = cpu_nanoseconds();
    std::printf("library %s\nnanoseconds %.1f\n", library_of_jobs().c_str(),
                (end - begin) / static_cast<double>(messages));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    const long messages = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 0;
    if ((mode != "sync" && mode != "async") || messages <= 0) {
        std::fprintf(stderr, "usage: %s sync|async MESSAGES\n", argv[0]);
        return 2;
    }
    try {
        measure(mode == "async", messages);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "tls: %s\n", failure.what());
        return 1;
    }
    return 0;
}
