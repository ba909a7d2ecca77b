/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With a libssl that lacks functions, those that it has are called, as if libasyncjob-ssl.so were
 * not there; a call of one that it lacks ends the process and says which. What only later versions
 * have fails. Usage: partial
 */
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern int frees;
int SSL_set_quic_tls_cbs(SSL* ssl, const OSSL_DISPATCH* table, void* arg);

static int fail(const char* what) {
    fprintf(stderr, "%s\n", what);
    return 1;
}

int main(void) {
    long long ssl[512] = {0};
    int ends[2], status;
    char said[1000] = "";
    pid_t child;
    SSL_free((SSL*)ssl);
    SSL_free(NULL);
    if (frees != 2)
        return fail("SSL_free() has not gone through");
    if (SSL_set_quic_tls_cbs((SSL*)ssl, NULL, NULL) != 0)
        return fail("SSL_set_quic_tls_cbs() has not failed");
    if (pipe(ends) != 0 || (child = fork()) == -1)
        return fail("there are no pipes or processes");
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        SSL_CTX_set_info_callback((SSL_CTX*)ssl, NULL);
        _exit(0);
    }
    close(ends[1]);
    if (read(ends[0], said, sizeof(said) - 1) < 0 || waitpid(child, &status, 0) != child)
        return fail("nothing is known of the child");
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        return fail("a call of a function that is not there has not ended the process");
    if (strstr(said, "has SSL_CTX_set_info_callback()") == NULL)
        return fail(said);
    return 0;
}
