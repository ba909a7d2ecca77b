/* SPDX-License-Identifier: Apache-2.0
 * What two_libcryptos_test.cpp has in front of libcrypto 3: the part of OpenSSL 1.1's libcrypto
 * that has to do with errors, with a queue of its own. It has some names of 3's, lacks the others,
 * and its ERR_get_state() gives out a block of another layout. Every call is counted.
 */
#include <stddef.h>
#include <stdlib.h>

#define CALLED ++old_libcrypto_calls

int old_libcrypto_calls;

/* The same error for ever: who asks one libcrypto and takes from the other never ends. */
static const unsigned long some_error = 0x0d0680a8UL;
static int marks;
static unsigned long state[64];

void ERR_put_error(int lib, int function, int reason, const char* file, int line) {
    (void)lib, (void)function, (void)reason, (void)file, (void)line;
    CALLED;
}

int ERR_load_strings(int lib, void* strings) {
    (void)lib, (void)strings;
    CALLED;
    return 1;
}

unsigned long ERR_get_error(void) {
    CALLED;
    return some_error;
}

unsigned long ERR_peek_error(void) {
    CALLED;
    return some_error;
}

void ERR_set_error_data(char* data, int flags) {
    (void)data, (void)flags;
    CALLED;
}

int ERR_set_mark(void) {
    CALLED;
    ++marks;
    return 1;
}

int ERR_pop_to_mark(void) {
    CALLED;
    return marks > 0 ? marks-- : 0;
}

int ERR_clear_last_mark(void) {
    CALLED;
    return marks > 0 ? marks-- : 0;
}

void* ERR_get_state(void) {
    CALLED;
    return state;
}

void* CRYPTO_malloc(size_t size, const char* file, int line) {
    (void)file, (void)line;
    CALLED;
    return malloc(size);
}

void CRYPTO_free(void* memory, const char* file, int line) {
    (void)file, (void)line;
    CALLED;
    free(memory);
}
