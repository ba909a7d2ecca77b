// SPDX-License-Identifier: Apache-2.0
// Finding a libssl. Contract: libssl.hpp.
#include "libssl.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "os/fork_lock.hpp"
#include "os/loader.hpp"

namespace asyncjob::ssl {

namespace {

std::atomic<Libssl*> known = nullptr;  // a list that only grows
std::atomic<Libssl*> in_global_scope = nullptr;
constinit os::ForkLock lock;

__attribute__((constructor)) void follow_forks() {
    os::follow_forks<lock>();
}

[[noreturn]] void give_up(const char* why) {
    std::fprintf(stderr, "libasyncjob-ssl.so: %s\n", why);
    std::abort();
}

// A function's library, to look for others in it and in those it needs. NULL: the program.
void* library_of(void* function) {
    Dl_info info{};
    void* const library =
        dladdr(function, &info) != 0 ? os::loaded_library(info.dli_fname) : nullptr;
    return library != nullptr ? library : os::loaded_library(nullptr);
}

template <class Function>
void look_up(Function& function, void* library, const char* name) {
    function = reinterpret_cast<Function>(os::find_symbol(library, name));
}

void* symbol_of(void* library) {
    return library != nullptr ? os::find_symbol(library, "SSL_free") : nullptr;
}

void fill(Libssl& libssl, void* library) {
#define ASYNCJOB_LOOK_UP(NAME) look_up(libssl.NAME, library, #NAME);
    ASYNCJOB_LIBSSL_FUNCTIONS(ASYNCJOB_LOOK_UP)
    ASYNCJOB_LIBSSL_OPTIONAL_FUNCTIONS(ASYNCJOB_LOOK_UP)
#undef ASYNCJOB_LOOK_UP
#define ASYNCJOB_AND_IS_THERE(NAME) &&libssl.NAME != nullptr
    look_up(libssl.SSL_is_quic, library, "SSL_is_quic");
    libssl.is_known = libssl.SSL_free != nullptr ASYNCJOB_LIBSSL_FUNCTIONS(ASYNCJOB_AND_IS_THERE);
#undef ASYNCJOB_AND_IS_THERE
}

Libssl* find_known(decltype(&SSL_free) function) {
    Libssl* libssl = known.load(std::memory_order_acquire);
    while (libssl != nullptr && libssl->SSL_free != function)
        libssl = libssl->next;
    return libssl;
}

// The libssl with this SSL_free().
Libssl& with(void* function) {
    const auto its_free = reinterpret_cast<decltype(&SSL_free)>(function);
    if (Libssl* const found = find_known(its_free); found != nullptr)
        return *found;
    const os::ForkLock::Guard guard(lock);
    if (Libssl* const found = find_known(its_free); found != nullptr)
        return *found;
    void* const memory = std::malloc(sizeof(Libssl));
    if (memory == nullptr)
        give_up("out of memory");
    auto& libssl = *new (memory) Libssl{};
    fill(libssl, library_of(function));
    libssl.SSL_free = its_free;
    libssl.job_offset.store(-1, std::memory_order_relaxed);
    libssl.next = known.load(std::memory_order_relaxed);
    known.store(&libssl, std::memory_order_release);
    return libssl;
}

}  // namespace

Libssl& Libssl::of(const void* caller) noexcept {
    if (Libssl* const found = in_global_scope.load(std::memory_order_acquire); found != nullptr)
        return *found;
    if (void* const function = os::find_next_symbol("SSL_free"); function != nullptr) {
        Libssl& found = with(function);
        in_global_scope.store(&found, std::memory_order_release);
        return found;
    }
    // In the scope of a library that came by dlopen(), with which libssl came, too.
    void* function = os::find_symbol_from(caller, "SSL_free");
    if (function == nullptr || function == reinterpret_cast<void*>(::SSL_free)) {
        // The caller has left its frame to its own caller, so that this one is seen.
        function = symbol_of(os::loaded_library("libssl.so.3"));
    }
    if (function != nullptr)
        return with(function);
    if (Libssl* const any = known.load(std::memory_order_acquire); any != nullptr)
        return *any;  // the loader cannot be asked in this child of a fork
    if (function = symbol_of(os::loaded_library_like("libssl")); function != nullptr)
        return with(function);
    give_up("called without a libssl in the process");
}

}  // namespace asyncjob::ssl
