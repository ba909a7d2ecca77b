/* SPDX-License-Identifier: Apache-2.0 */
/* Frees a connection, through libasyncjob-ssl.so. */
#include <asyncjob/ssl.h>
#include <openssl/ssl.h>
#include <stdio.h>

int main(void) {
    SSL_CTX* const context = SSL_CTX_new(TLS_method());
    SSL* const ssl = SSL_new(context);
    SSL_free(ssl);
    SSL_CTX_free(context);
    if (ssl == NULL || asyncjob_ssl_cancelled() != 0 || asyncjob_ssl_lost() != 0)
        return 1;
    printf("consumer: 42\n");
    return 0;
}
