// SPDX-License-Identifier: Apache-2.0
// libssl's functions that end a connection or count its references, as a program calls them, and
// the counters of asyncjob/ssl.h.
//
// Threads: as libssl's functions. Next layer down: teardown.hpp, references.hpp.
#include "export.hpp"
#include "libssl.hpp"
#include "references.hpp"
#include "teardown.hpp"

#pragma GCC visibility push(default)
#include "asyncjob/ssl.h"
#pragma GCC visibility pop

using namespace asyncjob::ssl;

size_t asyncjob_ssl_cancelled(void) {
    return jobs_cancelled();
}

size_t asyncjob_ssl_lost(void) {
    return jobs_lost();
}

ASYNCJOB_EXPORT void SSL_free(SSL* ssl) {
    Libssl& libssl = ASYNCJOB_LIBSSL;
    if (ssl != nullptr && references::remove(ssl))
        end_job_before_free(libssl, ssl);
    libssl.SSL_free(ssl);
}

ASYNCJOB_EXPORT int SSL_clear(SSL* ssl) {
    Libssl& libssl = ASYNCJOB_LIBSSL;
    end_job_before_clear(libssl, ssl);
    return ASYNCJOB_NEXT(libssl, SSL_clear)(ssl);
}

ASYNCJOB_EXPORT int SSL_up_ref(SSL* ssl) {
    if (!references::add(ssl))
        return 0;
    const int done = ASYNCJOB_NEXT(ASYNCJOB_LIBSSL, SSL_up_ref)(ssl);
    if (done == 0)
        (void)references::remove(ssl);
    return done;
}

// In a handshake it gives the same one again.
ASYNCJOB_EXPORT SSL* SSL_dup(SSL* ssl) {
    Libssl& libssl = ASYNCJOB_LIBSSL;
    SSL* const result = ASYNCJOB_NEXT(libssl, SSL_dup)(ssl);
    if (result != nullptr && result == ssl && !references::add(ssl))
        give_up_ending("out of memory");
    return result;
}
