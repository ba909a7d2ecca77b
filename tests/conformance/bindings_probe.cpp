// SPDX-License-Identifier: Apache-2.0
// A program as its users link it, -lasyncjob -lssl -lcrypto, for bindings.sh: refers to ASYNC_
// names and to libssl, which refers to some as well.
#include <openssl/async.h>
#include <openssl/ssl.h>

int main() {
    ASYNC_JOB* job = nullptr;
    int result = 1;
    const auto function = [](void*) { return ASYNC_get_current_job() != nullptr ? 0 : 1; };
    if (ASYNC_start_job(&job, nullptr, &result, function, nullptr, 0) != ASYNC_FINISH)
        return 1;
    SSL_CTX* const ctx = SSL_CTX_new(TLS_method());
    SSL_CTX_free(ctx);
    return ctx != nullptr ? result : 1;
}
