/* SPDX-License-Identifier: Apache-2.0 */
/* A program written for OpenSSL, with our header in place of OpenSSL's. */
#include <openssl/async.h>
#include <openssl/crypto.h>

#ifndef ASYNCJOB_STACK_FUNCTIONS
#error "not the header that was asked for"
#endif

#include "consumer.c"
