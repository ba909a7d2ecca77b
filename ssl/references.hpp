// SPDX-License-Identifier: Apache-2.0
// How many references each SSL has beside its first, as OpenSSL has no function that tells: so
// that SSL_free() knows whether it is the last. Only what comes by is counted, which is what the
// program does; an SSL_up_ref() inside libssl that does not come by does not exist in OpenSSL 3,
// and an SSL_free() that does not leaves a count that is too high: its connection's last free is
// taken for an earlier one, and is what it was without this library.
//
// Owner: the process. Threads: any. Next layer down: libc.
#pragma once

#include <openssl/types.h>

namespace asyncjob::ssl::references {

// There is one more. False: out of memory.
[[nodiscard]] bool add(const SSL* ssl) noexcept;

// One less. True: it was the only one.
[[nodiscard]] bool remove(const SSL* ssl) noexcept;

}  // namespace asyncjob::ssl::references
