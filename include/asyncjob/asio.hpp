// SPDX-License-Identifier: Apache-2.0
// asyncjob/asio.hpp: jobs on Asio, header-only over asyncjob/job.hpp's headers and Asio's own. This
// file includes all but ssl_stream, which needs OpenSSL:
//
//     asyncjob/asio/async_run.hpp    async_run(), job_executor(): a callable as a job
//     asyncjob/asio/use_job.hpp      use_job: waiting for Asio's operations inside a job
//     asyncjob/asio/coroutine.hpp    run(), await(): jobs in coroutines, and coroutines in jobs
//     asyncjob/asio/ssl_stream.hpp   ssl_stream: TLS with SSL_MODE_ASYNC
//
// It is for standalone Asio or, with ASYNCJOB_ASIO_BOOST defined, for Boost's: see config.hpp.
//
// Threads: an executor with jobs is run by one thread.
//
// Next layer down: the headers above.
#ifndef ASYNCJOB_ASIO_HPP
#define ASYNCJOB_ASIO_HPP

#include "asio/async_run.hpp"
#include "asio/coroutine.hpp"
#include "asio/use_job.hpp"

#endif
