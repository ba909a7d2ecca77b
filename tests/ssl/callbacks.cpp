// SPDX-License-Identifier: Apache-2.0
// The application's callbacks, each of which tells its App. Next layer down: connections.hpp.
#include "connections.hpp"

namespace ssl_test {

namespace {

void on_info(const SSL* ssl, int /*type*/, int /*value*/) {
    App::of(ssl).call("info");
}

void on_message(int /*out*/, int /*version*/, int type, const void* /*bytes*/, std::size_t /*size*/,
                SSL* ssl, void* /*arg*/) {
    App::of(ssl).call("message");
    if (type == SSL3_RT_HEADER)
        armed.come_by(Pause::message);
}

void on_key(const SSL* ssl, const char* /*line*/) {
    App::of(ssl).call("keylog");
}

int on_certificate(SSL* ssl, void* /*arg*/) {
    App::of(ssl).call("certificate");
    armed.come_by(Pause::certificate);
    return 1;
}

int on_verify(int /*ok*/, X509_STORE_CTX* store) {
    const int index = SSL_get_ex_data_X509_STORE_CTX_idx();
    App::of(static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, index))).call("verify");
    armed.come_by(Pause::verification);
    return 1;
}

int on_hello(SSL* ssl, int* /*alert*/, void* /*arg*/) {
    App::of(ssl).call("client hello");
    return SSL_CLIENT_HELLO_SUCCESS;
}

int on_name(SSL* ssl, int* /*alert*/, void* /*arg*/) {
    App::of(ssl).call("server name");
    return SSL_TLSEXT_ERR_OK;
}

int on_protocols(SSL* ssl, const unsigned char** out, unsigned char* size,
                 const unsigned char* offered, unsigned /*offered_size*/, void* /*arg*/) {
    App::of(ssl).call("protocols");
    *size = offered[0];
    *out = offered + 1;
    return SSL_TLSEXT_ERR_OK;
}

int on_new_session(SSL* ssl, SSL_SESSION* /*session*/) {
    App::of(ssl).call("new session");
    return 0;
}

SSL_SESSION* on_get_session(SSL* ssl, const unsigned char* /*id*/, int /*size*/, int* copy) {
    App::of(ssl).call("get session");
    *copy = 0;
    return nullptr;
}

int on_make_ticket(SSL* ssl, void* /*arg*/) {
    App::of(ssl).call("make ticket");
    return 1;
}

SSL_TICKET_RETURN on_read_ticket(SSL* ssl, SSL_SESSION* /*session*/, const unsigned char* /*name*/,
                                 std::size_t /*size*/, SSL_TICKET_STATUS /*status*/,
                                 void* /*arg*/) {
    App::of(ssl).call("read ticket");
    return SSL_TICKET_RETURN_IGNORE_RENEW;
}

int on_security(const SSL* ssl, const SSL_CTX* /*context*/, int /*operation*/, int /*bits*/,
                int /*nid*/, void* /*other*/, void* /*arg*/) {
    if (ssl != nullptr && SSL_get_app_data(ssl) != nullptr)
        App::of(ssl).call("security");
    return 1;
}

std::size_t on_padding(SSL* ssl, int /*type*/, std::size_t /*size*/, void* /*arg*/) {
    App::of(ssl).call("padding");
    return 0;
}

int on_add_extension(SSL* ssl, unsigned /*type*/, unsigned /*context*/, const unsigned char** out,
                     std::size_t* size, X509* /*certificate*/, std::size_t /*index*/,
                     int* /*alert*/, void* /*arg*/) {
    App::of(ssl).call("add extension");
    *out = nullptr;
    *size = 0;
    return 1;
}

int on_parse_extension(SSL* ssl, unsigned /*type*/, unsigned /*context*/,
                       const unsigned char* /*in*/, std::size_t /*size*/, X509* /*certificate*/,
                       std::size_t /*index*/, int* /*alert*/, void* /*arg*/) {
    App::of(ssl).call("parse extension");
    return 1;
}

}  // namespace

void set_all_callbacks(SSL_CTX* context) {
    SSL_CTX_set_info_callback(context, on_info);
    SSL_CTX_set_msg_callback(context, on_message);
    SSL_CTX_set_keylog_callback(context, on_key);
    SSL_CTX_set_cert_cb(context, on_certificate, nullptr);
    SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context), on_verify);
    SSL_CTX_set_client_hello_cb(context, on_hello, nullptr);
    SSL_CTX_set_tlsext_servername_callback(context, on_name);
    SSL_CTX_set_alpn_select_cb(context, on_protocols, nullptr);
    const unsigned char protocols[] = {2, 'h', '2'};
    EXPECT_EQ(SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols), 0);
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    SSL_CTX_sess_set_get_cb(context, on_get_session);
    SSL_CTX_set_session_ticket_cb(context, on_make_ticket, on_read_ticket, nullptr);
    SSL_CTX_set_security_callback(context, on_security);
    SSL_CTX_set_record_padding_callback(context, on_padding);
    constexpr unsigned extension = 65000;
    EXPECT_EQ(
        SSL_CTX_add_custom_ext(context, extension,
                               SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO |
                                   SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS,
                               on_add_extension, nullptr, nullptr, on_parse_extension, nullptr),
        1);
}

}  // namespace ssl_test
