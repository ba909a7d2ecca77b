// SPDX-License-Identifier: Apache-2.0
// Contract: tls.hpp.
#include "tls.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace asyncjob::demo {

namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, FreeWith<X509_free>>;

void require(bool worked, const char* what) {
    if (!worked)
        throw std::runtime_error(describe_failure(what));
}

template <typename Type>
std::string to_der(int (*encode)(const Type*, unsigned char**), const Type* object) {
    unsigned char* bytes = nullptr;
    const int size = encode(object, &bytes);
    require(size > 0, "encoding the key and its certificate");
    std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_clear_free(bytes, static_cast<std::size_t>(size));
    return der;
}

KeyPtr read_key(OSSL_LIB_CTX* library, const std::string& der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    KeyPtr key(
        d2i_AutoPrivateKey_ex(nullptr, &at, static_cast<long>(der.size()), library, nullptr));
    require(key != nullptr, "reading the server's key");
    return key;
}

CertificatePtr read_certificate(OSSL_LIB_CTX* library, const std::string& der) {
    CertificatePtr certificate(X509_new_ex(library, nullptr));
    X509* object = certificate.get();
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    require(object != nullptr && d2i_X509(&object, &at, static_cast<long>(der.size())) != nullptr,
            "reading the server's certificate");
    return certificate;
}

SslCtxPtr make_context(OSSL_LIB_CTX* library, const SSL_METHOD* method) {
    SslCtxPtr context(SSL_CTX_new_ex(library, nullptr, method));
    require(context != nullptr && SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1,
            "making a TLS context");
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    // The device's key is shorter than any that should protect something.
    SSL_CTX_set_security_level(context.get(), 0);
    return context;
}

}  // namespace

Identity make_identity(int bits) {
    // Apart from the user's openssl.cnf, which may name providers of its own.
    const LibCtxPtr library(OSSL_LIB_CTX_new());
    const KeyPtr key(
        EVP_PKEY_Q_keygen(library.get(), nullptr, "RSA", static_cast<std::size_t>(bits)));
    const CertificatePtr made(X509_new_ex(library.get(), nullptr));
    X509* const certificate = made.get();
    require(key != nullptr && certificate != nullptr, "making an RSA key");

    constexpr long hour = 3600;
    X509_NAME* const name = X509_get_subject_name(certificate);
    const auto* const host = reinterpret_cast<const unsigned char*>("localhost");
    require(X509_set_version(certificate, X509_VERSION_3) == 1 &&
                ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
                X509_gmtime_adj(X509_getm_notBefore(certificate), -hour) != nullptr &&
                X509_gmtime_adj(X509_getm_notAfter(certificate), hour) != nullptr &&
                X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, host, -1, -1, 0) == 1 &&
                X509_set_issuer_name(certificate, name) == 1 &&
                X509_set_pubkey(certificate, key.get()) == 1 &&
                X509_sign(certificate, key.get(), EVP_sha256()) > 0,
            "making a certificate");
    return {to_der<EVP_PKEY>(i2d_PrivateKey, key.get()), to_der<X509>(i2d_X509, certificate)};
}

SslCtxPtr make_server_context(OSSL_LIB_CTX* library, const Identity& identity) {
    SslCtxPtr context = make_context(library, TLS_server_method());
    require(SSL_CTX_use_certificate(context.get(),
                                    read_certificate(library, identity.certificate).get()) == 1 &&
                SSL_CTX_use_PrivateKey(context.get(), read_key(library, identity.key).get()) == 1 &&
                SSL_CTX_set_num_tickets(context.get(), 0) == 1,
            "setting the server up");
    return context;
}

SslCtxPtr make_client_context(OSSL_LIB_CTX* library, const Identity& identity) {
    SslCtxPtr context = make_context(library, TLS_client_method());
    require(X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()),
                                read_certificate(library, identity.certificate).get()) == 1,
            "setting the clients up");
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    return context;
}

std::string describe_failure(const std::string& what) {
    std::string text = what;
    const char* data = nullptr;
    int flags = 0;
    while (const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
        const char* const reason = ERR_reason_error_string(code);
        text.append(": ").append(reason != nullptr ? reason : std::to_string(code));
        if ((flags & ERR_TXT_STRING) != 0 && data[0] != '\0')
            text.append(" (").append(data).append(")");
    }
    return text;
}

std::string describe_failure(const char* what, const SSL* ssl, int result) {
    const int error_number = errno;
    const int error = SSL_get_error(ssl, result);
    if (ERR_peek_error() != 0)
        return describe_failure(what);
    if (error == SSL_ERROR_SYSCALL && error_number != 0)
        return std::string(what) + ": " + std::strerror(error_number);
    if (error == SSL_ERROR_SYSCALL || error == SSL_ERROR_ZERO_RETURN)
        return std::string(what) + ": the peer closed the connection";
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return std::string(what) + ": no answer in time";
    return std::string(what) + ": SSL error " + std::to_string(error);
}

}  // namespace asyncjob::demo
