/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody else's library behind libasyncjob-ssl.so that stands in front of SSL_free() alone, to
 * count say. It says at exit whether it was called.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int calls;

void SSL_free(SSL* ssl) {
    void (*next)(SSL*);
    *(void**)&next = dlsym(RTLD_NEXT, "SSL_free");
    atomic_fetch_add(&calls, 1);
    next(ssl);
}

__attribute__((destructor)) static void say(void) {
    if (calls == 0) {
        fputs("SSL_free() has not come by the interposer\n", stderr);
        _exit(1);
    }
}
