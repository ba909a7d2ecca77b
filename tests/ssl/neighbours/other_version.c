/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands for an OpenSSL 1.1 in the global scope, in front of OpenSSL 3: some of its functions, in
 * its version (other_version.map). Nothing that is tested is of OpenSSL 1.1, so none may be called.
 */
#include <stdio.h>
#include <stdlib.h>

#define IS_NOT_TO_BE_CALLED(NAME)                                         \
    void NAME(void);                                                      \
    void NAME(void) {                                                     \
        fputs(#NAME "() of the other version has been called\n", stderr); \
        abort();                                                          \
    }

IS_NOT_TO_BE_CALLED(SSL_free)
IS_NOT_TO_BE_CALLED(SSL_up_ref)
IS_NOT_TO_BE_CALLED(SSL_get_rbio)
IS_NOT_TO_BE_CALLED(SSL_waiting_for_async)
IS_NOT_TO_BE_CALLED(SSL_CTX_ctrl)
IS_NOT_TO_BE_CALLED(SSL_CTX_set_verify)
IS_NOT_TO_BE_CALLED(BIO_ctrl)
IS_NOT_TO_BE_CALLED(ERR_clear_error)
