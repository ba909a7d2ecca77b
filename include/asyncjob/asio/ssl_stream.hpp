// SPDX-License-Identifier: Apache-2.0
// asyncjob/asio/ssl_stream.hpp: TLS over a stream of Asio, in OpenSSL's asynchronous mode. Needs
// OpenSSL, so asyncjob/asio.hpp does not include it.
//
// Threads: the stream's executor, which one thread runs: see async_run().
//
// Next layer down: ssl_core.hpp.
#ifndef ASYNCJOB_ASIO_SSL_STREAM_HPP
#define ASYNCJOB_ASIO_SSL_STREAM_HPP

#include <memory>
#include <utility>

#include "config.hpp"
#include "ssl_core.hpp"
#include ASYNCJOB_ASIO_HEADER(buffer.hpp)
#include ASYNCJOB_ASIO_HEADER(ssl.hpp)

namespace asyncjob {
inline namespace ASYNCJOB_ASIO_NAMESPACE {

// A TLS connection over another stream, Socket, such as asio::ip::tcp::socket, in the way of
// asio::ssl::stream, but with SSL_MODE_ASYNC: libssl runs each operation in a job. Where a
// callback or provider pauses it, as offload.so does while another thread signs, the
// executor serves others, and the operation goes on when it can. Callbacks that libssl calls in
// the job, such as that of SSL_CTX_set_cert_cb(), may wait with use_job(error); they must not
// throw.
//
// One read and one write may be pending at a time, or one handshake or shutdown. What they refer
// to, buffers and handlers, stays in use until the handler has been called.
//
// The stream may be closed or destroyed while operations are pending, and each may be cancelled by
// its slot: they end with operation_aborted, a paused job after it was cancelled. After that, or
// any other error but that of a read which had not begun to be paused, the connection is not to
// be used further, as OpenSSL says.
//
// When the thread has as many jobs as it may, operations wait until another job has ended.
//
// Example:
//     asio::io_context context;
//     asio::ssl::context tls(asio::ssl::context::tls_client);
//     asyncjob::ssl_stream<asio::ip::tcp::socket> stream(context, tls);
//     SSL_set_tlsext_host_name(stream.native_handle(), "localhost");
//     assert((SSL_get_mode(stream.native_handle()) & SSL_MODE_ASYNC) != 0);
//     stream.async_handshake(asio::ssl::stream_base::client, [](asio::error_code error) {
//         assert(error == asio::error::bad_descriptor);  // as the socket is not connected
//     });
//     context.run();
template <typename Socket>
class ssl_stream : public detail::net::ssl::stream_base {
    using core = detail::ssl_core<Socket>;

  public:
    using next_layer_type = Socket;
    using lowest_layer_type = typename Socket::lowest_layer_type;
    using executor_type = typename Socket::executor_type;

    // With what the Socket is made of: another Socket, which is moved, an executor or a context.
    //
    // Throws a system_error of Asio if OpenSSL has no memory for a connection, and what the
    // Socket's constructor throws.
    template <typename Arg>
    ssl_stream(Arg&& socket, detail::net::ssl::context& context)
        : ssl_stream(std::forward<Arg>(socket), context.native_handle()) {}
    template <typename Arg>
    ssl_stream(Arg&& socket, SSL_CTX* context)
        : core_(std::make_shared<core>(std::forward<Arg>(socket), context)) {}

    // Closes the socket, and cancels what is pending, as close() does.
    ~ssl_stream() {
        if (core_ != nullptr)
            core_->close();
    }
    ssl_stream(ssl_stream&&) noexcept = default;
    ssl_stream& operator=(ssl_stream&& other) noexcept {
        if (this != &other && core_ != nullptr)
            core_->close();
        core_ = std::move(other.core_);
        return *this;
    }

    // The executor of the stream below, on which all of this runs.
    //
    // Example: see next_layer().
    [[nodiscard]] executor_type get_executor() { return core_->next_layer().get_executor(); }

    // The connection as OpenSSL knows it: to set it up and to ask it. To be read, written, shut
    // down and freed by this class alone.
    //
    // Example: see ssl_stream.
    [[nodiscard]] SSL* native_handle() { return core_->native_handle(); }

    // The stream below, and the lowest one, if that has another below.
    //
    // Example:
    //     asio::io_context context;
    //     asio::ssl::context tls(asio::ssl::context::tls_server);
    //     asyncjob::ssl_stream<asio::ip::tcp::socket> stream(context, tls);
    //     stream.next_layer().open(asio::ip::tcp::v4());
    //     stream.lowest_layer().set_option(asio::ip::tcp::no_delay(true));
    //     assert(stream.get_executor() == stream.next_layer().get_executor());
    [[nodiscard]] next_layer_type& next_layer() { return core_->next_layer(); }
    [[nodiscard]] const next_layer_type& next_layer() const { return core_->next_layer(); }
    [[nodiscard]] lowest_layer_type& lowest_layer() { return next_layer().lowest_layer(); }
    [[nodiscard]] const lowest_layer_type& lowest_layer() const {
        return next_layer().lowest_layer();
    }

    // Closes the socket, without a goodbye to the peer, and ends what is pending with
    // operation_aborted: later, when a paused job has ended that one of them has.
    //
    // Example:
    //     asio::io_context context;
    //     asio::ssl::context tls(asio::ssl::context::tls_server);
    //     asyncjob::ssl_stream<asio::ip::tcp::socket> stream(context, tls);
    //     stream.next_layer().open(asio::ip::tcp::v4());
    //     stream.close();
    //     assert(!stream.next_layer().is_open());
    void close() { core_->close(); }

    // Does the handshake, as client or server. Signature: void(error_code).
    //
    // Example: see ssl_stream.
    template <typename Token>
    auto async_handshake(handshake_type type, Token&& token) {
        return detail::net::async_initiate<Token, void(detail::error_code)>(
            detail::initiate_ssl<core, false>(core_), token,
            type == client ? detail::ssl_kind::connect : detail::ssl_kind::accept,
            detail::net::mutable_buffer());
    }

    // Tells the peer that nothing more will be written, and waits until it has said the same.
    // Signature: void(error_code). A peer that just closes is stream_truncated.
    //
    // Example: see async_write_some().
    template <typename Token>
    auto async_shutdown(Token&& token) {
        return detail::net::async_initiate<Token, void(detail::error_code)>(
            detail::initiate_ssl<core, false>(core_), token, detail::ssl_kind::shutdown,
            detail::net::mutable_buffer());
    }

    // Reads some bytes into the first of the buffers that has any room: at least one, unless they
    // have none. Signature: void(error_code, std::size_t). The peer's goodbye is eof; a peer that
    // closes without one is stream_truncated.
    //
    // Example: see async_write_some().
    template <typename Buffers, typename Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return detail::net::async_initiate<Token, void(detail::error_code, std::size_t)>(
            detail::initiate_ssl<core, true>(core_), token, detail::ssl_kind::read,
            first<detail::net::mutable_buffer>(detail::net::buffer_sequence_begin(buffers),
                                               detail::net::buffer_sequence_end(buffers)));
    }

    // Writes some bytes, up to a record of TLS, of the first of the buffers that has any.
    // Signature: void(error_code, std::size_t). It completes when they have gone to the socket.
    //
    // Example:
    //     asio::io_context context;
    //     asio::ssl::context tls(asio::ssl::context::tls_client);
    //     using stream = asyncjob::ssl_stream<asio::ip::tcp::socket>;
    //     auto ask = [](stream& connection) {  // in a job, say
    //         asio::async_write(connection, asio::buffer("GET / HTTP/1.0\r\n\r\n", 18),
    //                           asyncjob::use_job);
    //         std::string reply(4096, ' ');
    //         asio::error_code error;
    //         reply.resize(asio::async_read(connection, asio::buffer(reply),
    //                                       asyncjob::use_job(error)));
    //         connection.async_shutdown(asyncjob::use_job(error));
    //         // Without asio::async_write() and async_read(), which repeat these:
    //         connection.async_write_some(asio::buffer("x", 1), asyncjob::use_job(error));
    //         connection.async_read_some(asio::buffer(reply), asyncjob::use_job(error));
    //         return reply;
    //     };
    //     asyncjob::async_run(
    //         context,
    //         [&] {
    //             stream connection(context, tls);
    //             ask(connection);
    //         },
    //         [](std::exception_ptr failure, auto...) { assert(failure != nullptr); });
    //     context.run();
    template <typename Buffers, typename Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        const auto data = first<detail::net::const_buffer>(
            detail::net::buffer_sequence_begin(buffers), detail::net::buffer_sequence_end(buffers));
        return detail::net::async_initiate<Token, void(detail::error_code, std::size_t)>(
            detail::initiate_ssl<core, true>(core_), token, detail::ssl_kind::write,
            // It is not written to.
            detail::net::mutable_buffer(const_cast<void*>(data.data()), data.size()));
    }

  private:
    template <typename Buffer, typename Iterator>
    static Buffer first(Iterator begin, Iterator end) {
        for (; begin != end; ++begin) {
            if (const Buffer buffer(*begin); buffer.size() > 0)
                return buffer;
        }
        return Buffer();
    }

    std::shared_ptr<core> core_;
};

}  // namespace ASYNCJOB_ASIO_NAMESPACE
}  // namespace asyncjob

#endif
