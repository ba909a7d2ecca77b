/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that calls no job function itself: libssl does, for its asynchronous mode. A
 * linker that drops what the program does not call would leave it with libcrypto's.
 */
#include <openssl/ssl.h>
#include <stdio.h>

int main(void) {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL* connection = SSL_new(context);
    SSL_set_mode(connection, SSL_MODE_ASYNC);
    SSL_set_bio(connection, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(connection);
    const int result = SSL_do_handshake(connection); /* in a job; wants an answer */
    const int error = SSL_get_error(connection, result);
    SSL_free(connection);
    SSL_CTX_free(context);
    puts("consumer: 42");
    return error == SSL_ERROR_WANT_READ ? 0 : 1;
}
