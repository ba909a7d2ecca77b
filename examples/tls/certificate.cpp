// SPDX-License-Identifier: Apache-2.0
// Contract: certificate.hpp.
#include "certificate.hpp"

#include <openssl/ec.h>

#include <stdexcept>

namespace tls {

namespace {

void require(bool worked, const char* what) {
    if (!worked)
        throw std::runtime_error(describe_failure(what, SSL_ERROR_SSL));
}

}  // namespace

Identity make_identity() {
    Identity made;
    made.key.reset(EVP_EC_gen("P-256"));
    made.certificate.reset(X509_new());
    X509* const certificate = made.certificate.get();
    require(made.key != nullptr && certificate != nullptr, "making a key");

    constexpr long hour = 3600;
    X509_NAME* const name = X509_get_subject_name(certificate);
    const auto* const host = reinterpret_cast<const unsigned char*>("localhost");
    require(X509_set_version(certificate, X509_VERSION_3) == 1 &&
                ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
                // A clock that was set back a little must not matter.
                X509_gmtime_adj(X509_getm_notBefore(certificate), -hour) != nullptr &&
                X509_gmtime_adj(X509_getm_notAfter(certificate), hour) != nullptr &&
                X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, host, -1, -1, 0) == 1 &&
                X509_set_issuer_name(certificate, name) == 1 &&
                X509_set_pubkey(certificate, made.key.get()) == 1 &&
                X509_sign(certificate, made.key.get(), EVP_sha256()) > 0,
            "making a certificate");
    return made;
}

SslCtxPtr make_server_context(const Identity& identity) {
    SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
    require(context != nullptr &&
                SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) == 1 &&
                SSL_CTX_use_certificate(context.get(), identity.certificate.get()) == 1 &&
                SSL_CTX_use_PrivateKey(context.get(), identity.key.get()) == 1,
            "setting the server up");
    return context;
}

SslCtxPtr make_client_context(const Identity& identity) {
    SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
    require(context != nullptr && X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()),
                                                      identity.certificate.get()) == 1,
            "setting the clients up");
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    return context;
}

}  // namespace tls
