// SPDX-License-Identifier: Apache-2.0
// Teardown. Contract: teardown.hpp.
#include "teardown.hpp"

#include <malloc.h>

#include <cstdio>

#include "asyncjob/async.h"
#include "asyncjob/control.h"
#include "errors.hpp"

// Without them in the process, there is no job to cancel.
#pragma weak asyncjob_find_handle
#pragma weak asyncjob_cancel
#pragma weak asyncjob_last_reason

namespace asyncjob::ssl {

namespace {

std::atomic<std::size_t> cancelled = 0;
std::atomic<std::size_t> lost = 0;
std::atomic<bool> gave_up = false;

// The connections that a thread is freeing, the last first: a job that is cancelled may free
// another connection. They need not end in that order, as a job that frees one may be paused
// meanwhile, by what asyncjob_on_slot_free() calls say.
class Ending {
  public:
    Ending(Libssl& libssl, const SSL* ssl) : libssl(libssl), ssl(ssl), before(last) { last = this; }
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    ~Ending() {
        Ending** place = &last;
        while (*place != this)
            place = &(*place)->before;
        *place = before;
    }

    static constinit thread_local Ending* last;

    Libssl& libssl;
    const SSL* const ssl;
    Ending* before;
};
constinit thread_local Ending* Ending::last = nullptr;

// How many bytes an SSL has; 0 if they are not libc's: the program may give OpenSSL functions of
// its own.
std::size_t size_of(const Libssl& libssl, SSL* ssl) {
    CRYPTO_malloc_fn allocate = nullptr;
    libssl.CRYPTO_get_mem_functions(&allocate, nullptr, nullptr);
    return allocate == libssl.CRYPTO_malloc ? malloc_usable_size(ssl) : 0;
}

// Whether that is the SSL's handle: then libssl misses the job without it.
bool has_handle_at(const Libssl& libssl, SSL* ssl, ASYNC_JOB** place) {
    ASYNC_JOB* const handle = *place;
    *place = nullptr;
    const bool missed = libssl.SSL_waiting_for_async(ssl) == 0;
    *place = handle;
    return missed;
}

// Where a connection with a paused job has its handle; NULL if that cannot be told: no job of
// this thread's has been paused in a connection of this libssl's yet. Nothing outside the
// connection is touched: behind it may be the handle of a job that was lost with its memory.
ASYNC_JOB** find_handle(Libssl& libssl, SSL* ssl) {
    const std::ptrdiff_t known = libssl.job_offset.load(std::memory_order_relaxed);
    auto* const object = reinterpret_cast<std::byte*>(ssl);
    if (known >= 0)
        return reinterpret_cast<ASYNC_JOB**>(object + known);
    ASYNC_JOB** const found = asyncjob_find_handle(object, size_of(libssl, ssl));
    if (found == nullptr || !has_handle_at(libssl, ssl, found))
        return nullptr;
    libssl.job_offset.store(reinterpret_cast<std::byte*>(found) - object,
                            std::memory_order_relaxed);
    return found;
}

// False: it is still paused, and lost.
bool cancel(Libssl& libssl, SSL* ssl) {
    ASYNC_JOB** const handle = find_handle(libssl, ssl);
    if (handle == nullptr)
        return false;
    int result = 0;
    if (asyncjob_cancel(handle, &result) == ASYNC_FINISH) {
        cancelled.fetch_add(1, std::memory_order_relaxed);
        return true;
    }
    if (asyncjob_last_reason() != ASYNCJOB_R_JOB_NOT_PAUSED)
        return false;
    *handle = nullptr;  // asyncjob_cancel_all() has ended it, and left this
    return true;
}

// The connection's BIOs, while it has another: an empty one of memory that takes no writes. A
// job that reads is told to try later, and one that writes that it has failed; both then return,
// and do not go through the rest of what the application wanted to be written, whose buffer may
// be gone. The BIOs are kept meanwhile, since frames of the job may be inside one.
class BiosTaken {
  public:
    BiosTaken(Libssl& libssl, SSL* ssl) : libssl_(libssl), ssl_(ssl) {
        BIO* const empty = libssl.BIO_new_mem_buf("", 0);
        if (empty == nullptr)
            return;
        constexpr long try_later = -1;
        libssl.BIO_ctrl(empty, BIO_C_SET_BUF_MEM_EOF_RETURN, try_later, nullptr);
        in_ = libssl.SSL_get_rbio(ssl);
        out_ = libssl.SSL_get_wbio(ssl);
        for (BIO* const bio : {in_, out_, empty}) {
            if (bio != nullptr)
                libssl.BIO_up_ref(bio);
        }
        libssl.SSL_set0_rbio(ssl, empty);
        libssl.SSL_set0_wbio(ssl, empty);
        done_ = true;
    }
    BiosTaken(const BiosTaken&) = delete;
    BiosTaken& operator=(const BiosTaken&) = delete;
    ~BiosTaken() {
        libssl_.BIO_free_all(in_);
        libssl_.BIO_free_all(out_);
    }

    void give_back() {
        libssl_.SSL_set0_rbio(ssl_, in_);
        libssl_.SSL_set0_wbio(ssl_, out_);
        in_ = nullptr;
        out_ = nullptr;
    }

    // False: out of memory.
    explicit operator bool() const { return done_; }

  private:
    Libssl& libssl_;
    SSL* const ssl_;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
    bool done_ = false;
};

// What a job reads meanwhile is thrown away, not put into the application's buffer, which may be
// gone: as if the peer had said that it is done.
class ReadsRefused {
  public:
    ReadsRefused(Libssl& libssl, SSL* ssl)
        : libssl_(libssl), ssl_(ssl), before_(libssl.SSL_get_shutdown(ssl)) {
        libssl.SSL_set_shutdown(ssl, before_ | SSL_RECEIVED_SHUTDOWN);
    }
    ReadsRefused(const ReadsRefused&) = delete;
    ReadsRefused& operator=(const ReadsRefused&) = delete;
    ~ReadsRefused() { libssl_.SSL_set_shutdown(ssl_, before_); }

  private:
    Libssl& libssl_;
    SSL* const ssl_;
    const int before_;
};

// Puts others in the place of the callbacks that an SSL has of its own: libssl reads each from
// there when it calls it, but for those in callbacks.hpp. They must not become NULL: some are
// looked at once and called twice, and one is called by whoever completes the work.
void silence(const Libssl& libssl, SSL* ssl) {
    libssl.SSL_set_msg_callback(ssl, [](int, int, int, const void*, std::size_t, SSL*, void*) {});
    libssl.SSL_set_cert_cb(
        ssl, [](SSL*, void*) { return 0; }, nullptr);
    libssl.SSL_set_security_callback(
        ssl, [](const SSL*, const SSL_CTX*, int, int, int, void*, void*) { return 1; });
    libssl.SSL_set_record_padding_callback(
        ssl, [](SSL*, int, std::size_t, void*) { return std::size_t{0}; });
    libssl.SSL_set_async_callback(ssl, [](SSL*, void*) { return 1; });
    libssl.SSL_set_not_resumable_session_callback(ssl, [](SSL*, int) { return 0; });
    libssl.SSL_set_generate_session_id(ssl, [](SSL*, unsigned char*, unsigned*) { return 0; });
    libssl.SSL_set_allow_early_data_cb(
        ssl, [](SSL*, void*) { return 0; }, nullptr);
    libssl.SSL_set_session_secret_cb(
        ssl, [](SSL*, void*, int*, STACK_OF(SSL_CIPHER)*, const SSL_CIPHER**, void*) { return 0; },
        nullptr);
    libssl.SSL_set_session_ticket_ext_cb(
        ssl, [](SSL*, const unsigned char*, int, void*) { return 0; }, nullptr);
    libssl.SSL_set_psk_find_session_callback(
        ssl, [](SSL*, const unsigned char*, std::size_t, SSL_SESSION**) { return 0; });
    libssl.SSL_set_psk_use_session_callback(ssl, [](SSL*, const EVP_MD*, const unsigned char**,
                                                    std::size_t*, SSL_SESSION**) { return 0; });
    void (*const on_extension)(SSL*, int, int, const unsigned char*, int,
                               void*) = [](SSL*, int, int, const unsigned char*, int, void*) {};
    libssl.SSL_callback_ctrl(ssl, SSL_CTRL_SET_TLSEXT_DEBUG_CB,
                             reinterpret_cast<void (*)()>(on_extension));
    if (libssl.SSL_set_psk_client_callback != nullptr)
        libssl.SSL_set_psk_client_callback(
            ssl, [](SSL*, const char*, char*, unsigned, unsigned char*, unsigned) { return 0U; });
    if (libssl.SSL_set_psk_server_callback != nullptr)
        libssl.SSL_set_psk_server_callback(
            ssl, [](SSL*, const char*, unsigned char*, unsigned) { return 0U; });
    if (libssl.SSL_set_ct_validation_callback != nullptr)
        libssl.SSL_set_ct_validation_callback(
            ssl, [](const CT_POLICY_EVAL_CTX*, const STACK_OF(SCT)*, void*) { return 0; }, nullptr);
    if (libssl.SSL_set_tmp_dh_callback != nullptr)
        libssl.SSL_set_tmp_dh_callback(ssl, [](SSL*, int, int) -> DH* { return nullptr; });
    if (libssl.DTLS_set_timer_cb != nullptr && libssl.SSL_is_dtls(ssl) == 1)
        libssl.DTLS_set_timer_cb(ssl, [](SSL*, unsigned) { return 1'000'000U; });
}

// Whether the connection is one with a paused job, for the library that is asked to end it.
bool has_paused_job(Libssl& libssl, SSL* ssl) {
    return libssl.is_known && libssl.SSL_waiting_for_async(ssl) == 1 &&
           (libssl.SSL_is_quic == nullptr || libssl.SSL_is_quic(ssl) == 0);
}

bool can_end() {
    return asyncjob_find_handle != nullptr && asyncjob_cancel != nullptr &&
           asyncjob_last_reason != nullptr && !gave_up.load();
}

}  // namespace

void end_job_before_free(Libssl& libssl, SSL* ssl) noexcept {
    if (!has_paused_job(libssl, ssl))
        return;
    bool done = false;
    if (can_end()) {
        const ErrorsKept errors(libssl);
        const Ending ending(libssl, ssl);
        BiosTaken bios(libssl, ssl);
        if (bios) {
            const ReadsRefused reads(libssl, ssl);
            silence(libssl, ssl);
            done = cancel(libssl, ssl);
        }
    }
    if (!done)
        lost.fetch_add(1, std::memory_order_relaxed);
}

void end_job_before_clear(Libssl& libssl, SSL* ssl) noexcept {
    if (!has_paused_job(libssl, ssl) || !can_end())
        return;
    const ErrorsKept errors(libssl);
    BiosTaken bios(libssl, ssl);
    if (!bios)
        return;
    {
        const ReadsRefused reads(libssl, ssl);
        (void)cancel(libssl, ssl);
    }
    bios.give_back();
}

bool is_ending(const SSL* ssl) noexcept {
    const Ending* ending = Ending::last;
    while (ending != nullptr && ending->ssl != ssl)
        ending = ending->before;
    return ending != nullptr;
}

bool is_ending(X509_STORE_CTX* store) noexcept {
    for (const Ending* ending = Ending::last; ending != nullptr; ending = ending->before) {
        const int index = ending->libssl.SSL_get_ex_data_X509_STORE_CTX_idx();
        if (ending->libssl.X509_STORE_CTX_get_ex_data(store, index) == ending->ssl)
            return true;
    }
    return false;
}

void give_up_ending(const char* why) noexcept {
    if (!gave_up.exchange(true))
        std::fprintf(stderr,
                     "libasyncjob-ssl.so: %s: from now on the jobs of connections that are freed "
                     "while they are paused are lost\n",
                     why);
}

std::size_t jobs_cancelled() noexcept {
    return cancelled.load(std::memory_order_relaxed);
}

std::size_t jobs_lost() noexcept {
    return lost.load(std::memory_order_relaxed);
}

}  // namespace asyncjob::ssl
