// SPDX-License-Identifier: Apache-2.0
// SSL_set_quic_tls_cbs() of OpenSSL 3.5, by which an application carries TLS over a QUIC of its
// own: libssl gets a stand-in for each of its callbacks. libssl keeps the first that it gets for
// good, so that they cannot be replaced at the teardown. The headers of earlier versions do not
// have this.
//
// Threads: as libssl's functions. Next layer down: callbacks.hpp.
#include <cstdint>

#include "callbacks.hpp"
#include "export.hpp"
#include "libssl.hpp"

using namespace asyncjob::ssl;

namespace {

template <int number, class Function>
struct Callback {
    struct Kind {
        static int refuse() { return 0; }
    };
    static constexpr int id = number;
    using Type = Function;
    using StandIn = StandIns<Kind, Function>;
};

// With the numbers of <openssl/core_dispatch.h>.
using Send = Callback<2001, int (*)(SSL*, const unsigned char*, std::size_t, std::size_t*, void*)>;
using Receive = Callback<2002, int (*)(SSL*, const unsigned char**, std::size_t*, void*)>;
using Release = Callback<2003, int (*)(SSL*, std::size_t, void*)>;
using YieldSecret =
    Callback<2004, int (*)(SSL*, std::uint32_t, int, const unsigned char*, std::size_t, void*)>;
using GotParams = Callback<2005, int (*)(SSL*, const unsigned char*, std::size_t, void*)>;
using Alert = Callback<2006, int (*)(SSL*, unsigned char, void*)>;

// Whether the entry is of that kind; it gets the stand-in then.
template <class Callback>
bool replace(const Libssl& libssl, OSSL_DISPATCH& entry) {
    if (entry.function_id != Callback::id)
        return false;
    const auto function = reinterpret_cast<typename Callback::Type>(entry.function);
    entry.function =
        reinterpret_cast<void (*)()>(Callback::StandIn::for_function(libssl, function));
    return true;
}

template <class... Callbacks>
bool replace_any(const Libssl& libssl, OSSL_DISPATCH& entry) {
    return (replace<Callbacks>(libssl, entry) || ...);
}

constexpr OSSL_DISPATCH end = {0, nullptr};

// What a table may have, and its end.
using Table = std::array<OSSL_DISPATCH, 7>;

// False: there is more than is known here.
bool copy(const Libssl& libssl, Table& to, const OSSL_DISPATCH* from) {
    std::size_t at = 0;
    for (; from->function_id != end.function_id; ++from) {
        if (at == to.size() - 1)
            return false;
        to[at] = *from;
        if (!replace_any<Send, Receive, Release, YieldSecret, GotParams, Alert>(libssl, to[at]))
            return false;
        ++at;
    }
    to[at] = end;
    return true;
}

}  // namespace

// Without a libssl that has it, a program that looked for it has found this, and gets a failure.
ASYNCJOB_EXPORT int SSL_set_quic_tls_cbs(SSL* ssl, const OSSL_DISPATCH* table, void* arg) {
    const Libssl& libssl = ASYNCJOB_LIBSSL;
    if (libssl.SSL_set_quic_tls_cbs == nullptr) {
        if (libssl.is_known) {
            libssl.ERR_new();
            libssl.ERR_set_debug(__FILE__, __LINE__, __func__);
            libssl.ERR_set_error(ERR_LIB_SSL, ERR_R_UNSUPPORTED, nullptr);
        }
        return 0;
    }
    Table replaced;
    if (copy(libssl, replaced, table))
        return libssl.SSL_set_quic_tls_cbs(ssl, replaced.data(), arg);
    give_up_ending("the program has set QUIC callbacks that this library does not know");
    return libssl.SSL_set_quic_tls_cbs(ssl, table, arg);
}
