/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asyncjob/ssl.h: what libasyncjob-ssl.so says of the connections that it has torn down. The
 * library works by being there, in front of libssl; nothing in this header is needed for it.
 * Every name has the prefix asyncjob_ssl_.
 *
 * Threads: any. Next layer down: ssl/connections.cpp.
 */
#ifndef ASYNCJOB_SSL_H
#define ASYNCJOB_SSL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How many jobs SSL_free() and SSL_clear() have cancelled in this process, each of a connection
 * that was paused.
 */
size_t asyncjob_ssl_cancelled(void);

/*
 * How many jobs SSL_free() has left paused in this process, because they could not be cancelled:
 * the job was started by another thread, memory ran out, OpenSSL has its memory from functions of
 * the program's, or the program has set more callbacks than can be kept from being called. They are
 * lost with their memory, as without the library. Before the first job has been cancelled, one that
 * asyncjob_cancel_all() has ended is counted, too: it cannot be told from another thread's.
 * Not counted is what has never come by: a connection that libssl frees by a call inside itself.
 */
size_t asyncjob_ssl_lost(void);

#ifdef __cplusplus
}
#endif
#endif
