/* SPDX-License-Identifier: Apache-2.0 */
/* Uses libssl, never asks for async, and makes the file $TATTLE as soon as it is run. */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void tattle(void) {
    const char* const name = getenv("TATTLE");
    FILE* const file = name != NULL ? fopen(name, "w") : NULL;
    if (file != NULL)
        fclose(file);
}

int main(void) {
    return TLS_method() != NULL ? 0 : 1;
}
