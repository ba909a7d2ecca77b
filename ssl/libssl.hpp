// SPDX-License-Identifier: Apache-2.0
// The functions of the libssl that a caller would have got without this library, and of the
// libcrypto below it. A process may have several (a Python module brings its own), or get one
// late by dlopen(), so the library is not linked with any. Functions are looked up in the version
// that OpenSSL 3 gives them: beside it there may be an OpenSSL 1.1.
//
// Owner: the process; what has been found stays loaded. Threads: any.
// Next layer down: src/os/loader.hpp, the dynamic loader.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <atomic>
#include <cstddef>

namespace asyncjob::ssl {

// What every libssl 3 has. One that lacks any of them is somebody else's, and left alone: calls go
// through to what there is.
#define ASYNCJOB_LIBSSL_FUNCTIONS(FUNCTION)            \
    FUNCTION(SSL_free)                                 \
    FUNCTION(SSL_clear)                                \
    FUNCTION(SSL_dup)                                  \
    FUNCTION(SSL_up_ref)                               \
    FUNCTION(SSL_waiting_for_async)                    \
    FUNCTION(SSL_is_dtls)                              \
    FUNCTION(SSL_get_ex_data_X509_STORE_CTX_idx)       \
    FUNCTION(SSL_get_shutdown)                         \
    FUNCTION(SSL_set_shutdown)                         \
    FUNCTION(SSL_get_rbio)                             \
    FUNCTION(SSL_get_wbio)                             \
    FUNCTION(SSL_set0_rbio)                            \
    FUNCTION(SSL_set0_wbio)                            \
    FUNCTION(SSL_CTX_ctrl)                             \
    FUNCTION(SSL_CTX_callback_ctrl)                    \
    FUNCTION(SSL_callback_ctrl)                        \
    FUNCTION(SSL_CTX_set_info_callback)                \
    FUNCTION(SSL_CTX_get_info_callback)                \
    FUNCTION(SSL_set_info_callback)                    \
    FUNCTION(SSL_get_info_callback)                    \
    FUNCTION(SSL_CTX_set_verify)                       \
    FUNCTION(SSL_CTX_get_verify_callback)              \
    FUNCTION(SSL_set_verify)                           \
    FUNCTION(SSL_get_verify_callback)                  \
    FUNCTION(SSL_CTX_set_cert_verify_callback)         \
    FUNCTION(SSL_CTX_set_keylog_callback)              \
    FUNCTION(SSL_CTX_get_keylog_callback)              \
    FUNCTION(SSL_CTX_sess_set_new_cb)                  \
    FUNCTION(SSL_CTX_sess_get_new_cb)                  \
    FUNCTION(SSL_CTX_sess_set_get_cb)                  \
    FUNCTION(SSL_CTX_sess_get_get_cb)                  \
    FUNCTION(SSL_CTX_set_session_ticket_cb)            \
    FUNCTION(SSL_CTX_set_tlsext_ticket_key_evp_cb)     \
    FUNCTION(SSL_CTX_set_alpn_select_cb)               \
    FUNCTION(SSL_CTX_set_client_hello_cb)              \
    FUNCTION(SSL_CTX_set_client_cert_cb)               \
    FUNCTION(SSL_CTX_get_client_cert_cb)               \
    FUNCTION(SSL_CTX_set_cookie_generate_cb)           \
    FUNCTION(SSL_CTX_set_cookie_verify_cb)             \
    FUNCTION(SSL_CTX_set_stateless_cookie_generate_cb) \
    FUNCTION(SSL_CTX_set_stateless_cookie_verify_cb)   \
    FUNCTION(SSL_CTX_add_client_custom_ext)            \
    FUNCTION(SSL_CTX_add_server_custom_ext)            \
    FUNCTION(SSL_CTX_add_custom_ext)                   \
    FUNCTION(SSL_set_msg_callback)                     \
    FUNCTION(SSL_set_cert_cb)                          \
    FUNCTION(SSL_set_security_callback)                \
    FUNCTION(SSL_set_record_padding_callback)          \
    FUNCTION(SSL_set_async_callback)                   \
    FUNCTION(SSL_set_not_resumable_session_callback)   \
    FUNCTION(SSL_set_generate_session_id)              \
    FUNCTION(SSL_set_allow_early_data_cb)              \
    FUNCTION(SSL_set_session_secret_cb)                \
    FUNCTION(SSL_set_session_ticket_ext_cb)            \
    FUNCTION(SSL_set_psk_find_session_callback)        \
    FUNCTION(SSL_set_psk_use_session_callback)         \
    FUNCTION(BIO_new_mem_buf)                          \
    FUNCTION(BIO_ctrl)                                 \
    FUNCTION(BIO_up_ref)                               \
    FUNCTION(BIO_free_all)                             \
    FUNCTION(X509_STORE_CTX_get_ex_data)               \
    FUNCTION(CRYPTO_get_mem_functions)                 \
    FUNCTION(CRYPTO_malloc)                            \
    FUNCTION(ERR_set_mark)                             \
    FUNCTION(ERR_clear_last_mark)                      \
    FUNCTION(ERR_get_error_all)                        \
    FUNCTION(ERR_clear_error)                          \
    FUNCTION(ERR_new)                                  \
    FUNCTION(ERR_set_debug)                            \
    FUNCTION(ERR_set_error)

// What one may be built without: NULL then.
#define ASYNCJOB_LIBSSL_OPTIONAL_FUNCTIONS(FUNCTION) \
    FUNCTION(SSL_CTX_set_next_protos_advertised_cb)  \
    FUNCTION(SSL_CTX_set_next_proto_select_cb)       \
    FUNCTION(SSL_set_psk_client_callback)            \
    FUNCTION(SSL_set_psk_server_callback)            \
    FUNCTION(SSL_set_ct_validation_callback)         \
    FUNCTION(SSL_set_tmp_dh_callback)                \
    FUNCTION(DTLS_set_timer_cb)

struct Libssl {
#define ASYNCJOB_MEMBER(NAME) decltype(&::NAME) NAME;
    ASYNCJOB_LIBSSL_FUNCTIONS(ASYNCJOB_MEMBER)
    ASYNCJOB_LIBSSL_OPTIONAL_FUNCTIONS(ASYNCJOB_MEMBER)
#undef ASYNCJOB_MEMBER

    int (*SSL_is_quic)(const SSL*);                                  // OpenSSL 3.2
    int (*SSL_set_quic_tls_cbs)(SSL*, const OSSL_DISPATCH*, void*);  // OpenSSL 3.5
    bool is_known;  // OpenSSL 3's, with all of the first list

    // Where an SSL has the handle of its job, once it has been found out; else -1.
    std::atomic<std::ptrdiff_t> job_offset;

    Libssl* next;

    // The one that code at `caller` would have been bound to. There is one, as it has been called.
    [[nodiscard]] static Libssl& of(const void* caller) noexcept;
};

// Says on stderr that no libssl here has the function, and aborts.
[[noreturn]] void give_up_missing(const char* function) noexcept;

}  // namespace asyncjob::ssl
