/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's header and ours, each in full, in one source: a function, type or constant that
 * both declare and that is not the same in both does not compile.
 */
#include <openssl/async.h>
#ifndef OPENSSL_ASYNCERR_H
#error "this is not OpenSSL's header"
#endif
#undef OPENSSL_ASYNC_H
#undef HEADER_ASYNC_H
#include <asyncjob/async.h>
#ifndef ASYNCJOB_STACK_FUNCTIONS
#error "this is not our header"
#endif
