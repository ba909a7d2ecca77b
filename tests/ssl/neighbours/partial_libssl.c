/* SPDX-License-Identifier: Apache-2.0 */
/* A libssl that has next to nothing: what libasyncjob-ssl.so leaves alone. */
#include <openssl/types.h>

int frees;
void SSL_free(SSL* ssl);
void SSL_free(SSL* ssl) {
    (void)ssl;
    ++frees;
}
