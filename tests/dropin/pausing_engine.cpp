// SPDX-License-Identifier: Apache-2.0
// An OpenSSL engine whose RSA and EC signatures pause their job until another thread has
// "computed" them: what an engine of a card does, for programs that know nothing of this
// library, such as `openssl s_server -async -engine`. Says on stderr what each signature did.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/async.h>
#include <openssl/engine.h>
#include <openssl/evp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

namespace {

constexpr std::array<int, 2> key_types = {EVP_PKEY_RSA, EVP_PKEY_EC};
std::array<EVP_PKEY_METHOD*, key_types.size()> methods;

void close_fd(ASYNC_WAIT_CTX* /*wait*/, const void* /*key*/, int fd, void* /*data*/) {
    close(fd);
}

// Whether the job was paused, and resumed: a resume ends the round in which the fd was added.
bool wait_for_card() {
    ASYNC_JOB* const job = ASYNC_get_current_job();
    if (job == nullptr)
        return false;
    ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(job);
    const int fd = eventfd(0, EFD_NONBLOCK);
    if (fd < 0 || ASYNC_WAIT_CTX_set_wait_fd(wait, &fd, fd, nullptr, close_fd) != 1)
        return false;
    std::thread card([fd] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        eventfd_write(fd, 1);
    });
    eventfd_t answer = 0;
    do {  // s_server does not wait for the fd but resumes at once
        if (ASYNC_pause_job() != 1)
            break;
    } while (eventfd_read(fd, &answer) != 0);
    card.join();
    std::size_t added = 1;
    std::size_t deleted = 0;
    ASYNC_WAIT_CTX_get_changed_fds(wait, nullptr, &added, nullptr, &deleted);
    return added == 0;
}

template <std::size_t index>
int sign(EVP_PKEY_CTX* context, unsigned char* signature, std::size_t* size,
         const unsigned char* digest, std::size_t digest_size) {
    int (*sign_here)(EVP_PKEY_CTX*, unsigned char*, std::size_t*, const unsigned char*,
                     std::size_t) = nullptr;
    EVP_PKEY_meth_get_sign(EVP_PKEY_meth_find(key_types[index]), nullptr, &sign_here);
    if (signature != nullptr)  // else it asks for the size only
        std::fprintf(stderr, "pausing_engine: %s\n", wait_for_card() ? "paused" : "did not pause");
    return sign_here(context, signature, size, digest, digest_size);
}

template <std::size_t index>
bool make_method() {
    const EVP_PKEY_METHOD* const original = EVP_PKEY_meth_find(key_types[index]);
    if (original == nullptr)
        return false;
    int type = 0;
    int flags = 0;
    EVP_PKEY_meth_get0_info(&type, &flags, original);
    methods[index] = EVP_PKEY_meth_new(type, flags);
    if (methods[index] == nullptr)
        return false;
    EVP_PKEY_meth_copy(methods[index], original);
    EVP_PKEY_meth_set_sign(methods[index], nullptr, sign<index>);
    return true;
}

int give_method(ENGINE* /*engine*/, EVP_PKEY_METHOD** method, const int** nids, int nid) {
    if (method == nullptr) {
        *nids = key_types.data();
        return static_cast<int>(key_types.size());
    }
    for (std::size_t i = 0; i < key_types.size(); ++i) {
        if (key_types[i] == nid) {
            *method = methods[i];
            return 1;
        }
    }
    return 0;
}

int bind(ENGINE* engine, const char* /*id*/) {
    return make_method<0>() && make_method<1>() && ENGINE_set_id(engine, "pausing") == 1 &&
           ENGINE_set_name(engine, "signatures that pause") == 1 &&
           ENGINE_set_pkey_meths(engine, give_method) == 1;
}

}  // namespace

extern "C" {
IMPLEMENT_DYNAMIC_CHECK_FN()
IMPLEMENT_DYNAMIC_BIND_FN(bind)
}
