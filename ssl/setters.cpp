// SPDX-License-Identifier: Apache-2.0
// libssl's functions that take callbacks or tell them, as a program calls them: libssl gets a
// stand-in for each callback, and the program sees its own.
//
// Left out are callbacks that are not about a connection (the removal of a session), those of
// SRP, and those of an X509_STORE.
//
// Threads: as libssl's functions. Next layer down: callbacks.hpp.
#include "callbacks.hpp"
#include "export.hpp"
#include "libssl.hpp"

using namespace asyncjob::ssl;

namespace {

template <auto value>
struct Refuse {
    static auto refuse() { return value; }
};
struct SayNothing {
    static void refuse() {}
};

struct InfoKind : SayNothing {};
using Info = StandIns<InfoKind, void (*)(const SSL*, int, int)>;
struct KeylogKind : SayNothing {};
using Keylog = StandIns<KeylogKind, SSL_CTX_keylog_cb_func>;
struct VerifyKind : Refuse<0> {};
using Verify = StandIns<VerifyKind, SSL_verify_cb>;
struct CertVerifyKind : Refuse<0> {};
using CertVerify = StandIns<CertVerifyKind, int (*)(X509_STORE_CTX*, void*)>;
struct ClientCertKind : Refuse<0> {};
using ClientCert = StandIns<ClientCertKind, int (*)(SSL*, X509**, EVP_PKEY**)>;
struct NewSessionKind : Refuse<0> {};
using NewSession = StandIns<NewSessionKind, int (*)(SSL*, SSL_SESSION*)>;
struct GetSessionKind {
    static SSL_SESSION* refuse() { return nullptr; }
};
using GetSession =
    StandIns<GetSessionKind, SSL_SESSION* (*)(SSL*, const unsigned char*, int, int*)>;
struct MakeTicketKind : Refuse<0> {};
using MakeTicket = StandIns<MakeTicketKind, SSL_CTX_generate_session_ticket_fn>;
struct ReadTicketKind : Refuse<SSL_TICKET_RETURN_ABORT> {};
using ReadTicket = StandIns<ReadTicketKind, SSL_CTX_decrypt_session_ticket_fn>;
struct TicketKeyKind : Refuse<-1> {};
using TicketKey = StandIns<TicketKeyKind, int (*)(SSL*, unsigned char*, unsigned char*,
                                                  EVP_CIPHER_CTX*, HMAC_CTX*, int)>;
using TicketKeyEvp = StandIns<TicketKeyKind, int (*)(SSL*, unsigned char*, unsigned char*,
                                                     EVP_CIPHER_CTX*, EVP_MAC_CTX*, int)>;
struct ServernameKind : Refuse<SSL_TLSEXT_ERR_ALERT_FATAL> {};
using Servername = StandIns<ServernameKind, int (*)(SSL*, int*, void*)>;
struct StatusKind : Refuse<SSL_TLSEXT_ERR_ALERT_FATAL> {};
using Status = StandIns<StatusKind, int (*)(SSL*, void*)>;
struct AlpnKind : Refuse<SSL_TLSEXT_ERR_ALERT_FATAL> {};
using Alpn = StandIns<AlpnKind, SSL_CTX_alpn_select_cb_func>;
struct NpnAdvertisedKind : Refuse<SSL_TLSEXT_ERR_NOACK> {};
using NpnAdvertised = StandIns<NpnAdvertisedKind, SSL_CTX_npn_advertised_cb_func>;
struct NpnSelectKind : Refuse<SSL_TLSEXT_ERR_ALERT_FATAL> {};
using NpnSelect = StandIns<NpnSelectKind, SSL_CTX_npn_select_cb_func>;
struct ClientHelloKind : Refuse<SSL_CLIENT_HELLO_ERROR> {};
using ClientHello = StandIns<ClientHelloKind, SSL_client_hello_cb_fn>;
struct CookieKind : Refuse<0> {};
using MakeCookie = StandIns<CookieKind, int (*)(SSL*, unsigned char*, unsigned*)>;
using VerifyCookie = StandIns<CookieKind, int (*)(SSL*, const unsigned char*, unsigned)>;
using MakeStatelessCookie = StandIns<CookieKind, int (*)(SSL*, unsigned char*, std::size_t*)>;
using VerifyStatelessCookie =
    StandIns<CookieKind, int (*)(SSL*, const unsigned char*, std::size_t)>;
// Their free callbacks are called, as the extension's bytes are the application's.
struct ExtensionKind : Refuse<0> {};
using OldAddExtension = StandIns<ExtensionKind, custom_ext_add_cb>;
using OldParseExtension = StandIns<ExtensionKind, custom_ext_parse_cb>;
using AddExtension = StandIns<ExtensionKind, SSL_custom_ext_add_cb_ex>;
using ParseExtension = StandIns<ExtensionKind, SSL_custom_ext_parse_cb_ex>;

// Of SSL_CTX_callback_ctrl(), whose functions have the type that the command says.
template <class Callback>
auto stand_in_for(const Libssl& libssl, void (*function)()) {
    return reinterpret_cast<void (*)()>(
        Callback::for_function(libssl, reinterpret_cast<typename Callback::Function>(function)));
}

}  // namespace

// NOLINTBEGIN(bugprone-macro-parentheses): types.
#define ASYNCJOB_SETTER(NAME, OBJECT, CALLBACK)                                        \
    ASYNCJOB_EXPORT void NAME(OBJECT* object, CALLBACK::Function callback) {           \
        const Libssl& libssl = ASYNCJOB_LIBSSL;                                        \
        ASYNCJOB_NEXT(libssl, NAME)(object, CALLBACK::for_function(libssl, callback)); \
    }
#define ASYNCJOB_SETTER_WITH_ARG(NAME, CALLBACK)                                         \
    ASYNCJOB_EXPORT void NAME(SSL_CTX* ctx, CALLBACK::Function callback, void* arg) {    \
        const Libssl& libssl = ASYNCJOB_LIBSSL;                                          \
        ASYNCJOB_NEXT(libssl, NAME)(ctx, CALLBACK::for_function(libssl, callback), arg); \
    }
#define ASYNCJOB_SETTER_WITH_MODE(NAME, OBJECT, CALLBACK)                                    \
    ASYNCJOB_EXPORT void NAME(OBJECT* object, int mode, CALLBACK::Function callback) {       \
        const Libssl& libssl = ASYNCJOB_LIBSSL;                                              \
        ASYNCJOB_NEXT(libssl, NAME)(object, mode, CALLBACK::for_function(libssl, callback)); \
    }
// The declarator is that of the header: it returns a pointer to a function.
#define ASYNCJOB_GETTER(NAME, OBJECT, CALLBACK)                                \
    ASYNCJOB_EXPORT CALLBACK::Function NAME(OBJECT* object) {                  \
        return CALLBACK::behind(ASYNCJOB_NEXT(ASYNCJOB_LIBSSL, NAME)(object)); \
    }
// NOLINTEND(bugprone-macro-parentheses)

ASYNCJOB_SETTER(SSL_CTX_set_info_callback, SSL_CTX, Info)
ASYNCJOB_GETTER(SSL_CTX_get_info_callback, SSL_CTX, Info)
ASYNCJOB_SETTER(SSL_set_info_callback, SSL, Info)
ASYNCJOB_GETTER(SSL_get_info_callback, const SSL, Info)
ASYNCJOB_SETTER_WITH_MODE(SSL_CTX_set_verify, SSL_CTX, Verify)
ASYNCJOB_GETTER(SSL_CTX_get_verify_callback, const SSL_CTX, Verify)
ASYNCJOB_SETTER_WITH_MODE(SSL_set_verify, SSL, Verify)
ASYNCJOB_GETTER(SSL_get_verify_callback, const SSL, Verify)
ASYNCJOB_SETTER_WITH_ARG(SSL_CTX_set_cert_verify_callback, CertVerify)
ASYNCJOB_SETTER(SSL_CTX_set_client_cert_cb, SSL_CTX, ClientCert)
ASYNCJOB_GETTER(SSL_CTX_get_client_cert_cb, SSL_CTX, ClientCert)
ASYNCJOB_SETTER(SSL_CTX_set_keylog_callback, SSL_CTX, Keylog)
ASYNCJOB_GETTER(SSL_CTX_get_keylog_callback, const SSL_CTX, Keylog)
ASYNCJOB_SETTER(SSL_CTX_sess_set_new_cb, SSL_CTX, NewSession)
ASYNCJOB_GETTER(SSL_CTX_sess_get_new_cb, SSL_CTX, NewSession)
ASYNCJOB_SETTER(SSL_CTX_sess_set_get_cb, SSL_CTX, GetSession)
ASYNCJOB_GETTER(SSL_CTX_sess_get_get_cb, SSL_CTX, GetSession)
ASYNCJOB_SETTER_WITH_ARG(SSL_CTX_set_client_hello_cb, ClientHello)
ASYNCJOB_SETTER_WITH_ARG(SSL_CTX_set_alpn_select_cb, Alpn)
ASYNCJOB_SETTER_WITH_ARG(SSL_CTX_set_next_protos_advertised_cb, NpnAdvertised)
ASYNCJOB_SETTER_WITH_ARG(SSL_CTX_set_next_proto_select_cb, NpnSelect)
ASYNCJOB_SETTER(SSL_CTX_set_cookie_generate_cb, SSL_CTX, MakeCookie)
ASYNCJOB_SETTER(SSL_CTX_set_cookie_verify_cb, SSL_CTX, VerifyCookie)
ASYNCJOB_SETTER(SSL_CTX_set_stateless_cookie_generate_cb, SSL_CTX, MakeStatelessCookie)
ASYNCJOB_SETTER(SSL_CTX_set_stateless_cookie_verify_cb, SSL_CTX, VerifyStatelessCookie)

ASYNCJOB_EXPORT int SSL_CTX_set_session_ticket_cb(SSL_CTX* ctx, MakeTicket::Function make,
                                                  ReadTicket::Function read, void* arg) {
    const Libssl& libssl = ASYNCJOB_LIBSSL;
    return ASYNCJOB_NEXT(libssl, SSL_CTX_set_session_ticket_cb)(
        ctx, MakeTicket::for_function(libssl, make), ReadTicket::for_function(libssl, read), arg);
}

ASYNCJOB_EXPORT int SSL_CTX_set_tlsext_ticket_key_evp_cb(SSL_CTX* ctx,
                                                         TicketKeyEvp::Function callback) {
    const Libssl& libssl = ASYNCJOB_LIBSSL;
    return ASYNCJOB_NEXT(libssl, SSL_CTX_set_tlsext_ticket_key_evp_cb)(
        ctx, TicketKeyEvp::for_function(libssl, callback));
}

#define ASYNCJOB_OLD_EXTENSION_SETTER(NAME)                                              \
    ASYNCJOB_EXPORT int NAME(SSL_CTX* ctx, unsigned type, OldAddExtension::Function add, \
                             custom_ext_free_cb free, void* add_arg,                     \
                             OldParseExtension::Function parse, void* parse_arg) {       \
        const Libssl& libssl = ASYNCJOB_LIBSSL;                                          \
        return ASYNCJOB_NEXT(libssl, NAME)(                                              \
            ctx, type, OldAddExtension::for_function(libssl, add), free, add_arg,        \
            OldParseExtension::for_function(libssl, parse), parse_arg);                  \
    }
ASYNCJOB_OLD_EXTENSION_SETTER(SSL_CTX_add_client_custom_ext)
ASYNCJOB_OLD_EXTENSION_SETTER(SSL_CTX_add_server_custom_ext)

ASYNCJOB_EXPORT int SSL_CTX_add_custom_ext(SSL_CTX* ctx, unsigned type, unsigned context,
                                           AddExtension::Function add,
                                           SSL_custom_ext_free_cb_ex free, void* add_arg,
                                           ParseExtension::Function parse, void* parse_arg) {
    const Libssl& libssl = ASYNCJOB_LIBSSL;
    return ASYNCJOB_NEXT(libssl, SSL_CTX_add_custom_ext)(
        ctx, type, context, AddExtension::for_function(libssl, add), free, add_arg,
        ParseExtension::for_function(libssl, parse), parse_arg);
}

// Macros of <openssl/tls1.h> come to these.

ASYNCJOB_EXPORT long SSL_CTX_callback_ctrl(SSL_CTX* ctx, int command, void (*callback)()) {
    const Libssl& libssl = ASYNCJOB_LIBSSL;
    if (command == SSL_CTRL_SET_TLSEXT_SERVERNAME_CB)
        callback = stand_in_for<Servername>(libssl, callback);
    else if (command == SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB)
        callback = stand_in_for<Status>(libssl, callback);
    else if (command == SSL_CTRL_SET_TLSEXT_TICKET_KEY_CB)
        callback = stand_in_for<TicketKey>(libssl, callback);
    return ASYNCJOB_NEXT(libssl, SSL_CTX_callback_ctrl)(ctx, command, callback);
}

ASYNCJOB_EXPORT long SSL_CTX_ctrl(SSL_CTX* ctx, int command, long number, void* argument) {
    const long result =
        ASYNCJOB_NEXT(ASYNCJOB_LIBSSL, SSL_CTX_ctrl)(ctx, command, number, argument);
    if (command == SSL_CTRL_GET_TLSEXT_STATUS_REQ_CB && result != 0 && argument != nullptr) {
        auto& callback = *static_cast<Status::Function*>(argument);
        callback = Status::behind(callback);
    }
    return result;
}
