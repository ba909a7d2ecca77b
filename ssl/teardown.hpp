// SPDX-License-Identifier: Apache-2.0
// Ends the paused job of a connection that is about to be freed or cleared, and says meanwhile
// which connection that is.
//
// The job's frames can only be left by running them to their end (asyncjob_cancel()), so the job
// is to find nothing of the application's there: its BIOs are taken away, its own callbacks
// replaced, and those of its SSL_CTX, or that libssl has kept a copy of, look here before they
// are called (callbacks.hpp).
//
// Owner: connections.cpp. Threads: that of the call. Next layer down: libssl.hpp,
// asyncjob/control.h.
#pragma once

#include <cstddef>

#include "libssl.hpp"

namespace asyncjob::ssl {

// Before the last SSL_free(): the connection's job is cancelled, if it has a paused one. What
// cannot be cancelled is counted and left as it is. Callbacks are not called any more.
void end_job_before_free(Libssl& libssl, SSL* ssl) noexcept;

// The same before SSL_clear(), which keeps the connection, its BIOs and its callbacks. Those are
// called.
void end_job_before_clear(Libssl& libssl, SSL* ssl) noexcept;

// Whether the calling thread is ending the connection's job before a free.
[[nodiscard]] bool is_ending(const SSL* ssl) noexcept;
[[nodiscard]] bool is_ending(X509_STORE_CTX* store) noexcept;  // the one that verifies for it

// A callback is out of this library's reach, whose connection nobody can tell from here: from
// now on every job is left as it is. The first time it says why on stderr.
void give_up_ending(const char* why) noexcept;

std::size_t jobs_cancelled() noexcept;
std::size_t jobs_lost() noexcept;

}  // namespace asyncjob::ssl
