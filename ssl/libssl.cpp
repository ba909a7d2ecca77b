// SPDX-License-Identifier: Apache-2.0
// Finding a libssl. Contract: libssl.hpp.
//
// Nothing is locked during a look-up, which waits for the loader: a library's constructor, which
// the loader waits for, may come by here. Threads that look for the same libssl at the same time
// all find it, and one of them adds it to the list.
#include "libssl.hpp"

#include <cstdio>
#include <cstdlib>
#include <new>

#include "os/loader.hpp"

extern "C" std::size_t asyncjob_ssl_lost();  // a name that nobody else has

namespace asyncjob::ssl {

namespace {

std::atomic<Libssl*> known = nullptr;  // a list that only grows
std::atomic<Libssl*> in_global_scope = nullptr;

constexpr const char* version_3_0 = "OPENSSL_3.0.0";

[[noreturn]] void give_up(const char* why) {
    std::fprintf(stderr, "libasyncjob-ssl.so: %s\n", why);
    std::abort();
}

// Where names are looked up.
class Scope {
  public:
    static Scope behind_this_library() { return {nullptr, nullptr}; }
    static Scope of_caller(const void* caller) { return {caller, nullptr}; }
    static Scope of_library(void* library) { return {nullptr, library}; }

    [[nodiscard]] void* find(const char* name, const char* version) const {
        if (caller_ != nullptr)
            return os::find_symbol_from(caller_, name, version);
        if (library_ != nullptr)
            return os::find_symbol(library_, name, version);
        return os::find_next_symbol(name, version);
    }

  private:
    Scope(const void* caller, void* library) : caller_(caller), library_(library) {}

    const void* caller_;
    void* library_;
};

// The first of a scope. One without OpenSSL 3's version is somebody else's.
struct Found {
    void* function;  // its SSL_free()
    bool is_openssl_3;
};
Found find_free(const Scope& scope) {
    if (void* const function = scope.find("SSL_free", version_3_0); function != nullptr)
        return {function, true};
    return {scope.find("SSL_free", nullptr), false};
}

template <class Function>
void look_up(Function& function, const Scope& scope, const char* name, const char* version) {
    void* const found = scope.find(name, version);
    function = reinterpret_cast<Function>(found);
    if (found != nullptr)
        os::keep_loaded(found);
}

// Each name by itself: what stands in front of libssl for one need not have the others.
void fill(Libssl& libssl, const Scope& scope, bool is_openssl_3) {
    const char* const version = is_openssl_3 ? version_3_0 : nullptr;
#define ASYNCJOB_LOOK_UP(NAME) look_up(libssl.NAME, scope, #NAME, version);
    ASYNCJOB_LIBSSL_FUNCTIONS(ASYNCJOB_LOOK_UP)
    ASYNCJOB_LIBSSL_OPTIONAL_FUNCTIONS(ASYNCJOB_LOOK_UP)
#undef ASYNCJOB_LOOK_UP
#define ASYNCJOB_AND_IS_THERE(NAME) &&libssl.NAME != nullptr
    libssl.is_known = is_openssl_3 ASYNCJOB_LIBSSL_FUNCTIONS(ASYNCJOB_AND_IS_THERE);
#undef ASYNCJOB_AND_IS_THERE
    if (is_openssl_3) {
        look_up(libssl.SSL_is_quic, scope, "SSL_is_quic", "OPENSSL_3.2.0");
        look_up(libssl.SSL_set_quic_tls_cbs, scope, "SSL_set_quic_tls_cbs", "OPENSSL_3.5.0");
    }
}

Libssl* find_known(const void* its_free) {
    Libssl* libssl = known.load(std::memory_order_acquire);
    while (libssl != nullptr && reinterpret_cast<const void*>(libssl->SSL_free) != its_free)
        libssl = libssl->next;
    return libssl;
}

// Nothing else is, at least: another thread may be at the same first call.
bool is_all_that_is_known(const void* its_free) {
    const Libssl* const first = known.load(std::memory_order_acquire);
    return first == nullptr ||
           (first->next == nullptr && reinterpret_cast<const void*>(first->SSL_free) == its_free);
}

// The libssl with this SSL_free(), which was found in that scope.
Libssl& with(const Found& found, const Scope& scope) {
    if (Libssl* const before = find_known(found.function); before != nullptr)
        return *before;
    void* const memory = std::malloc(sizeof(Libssl));
    if (memory == nullptr)
        give_up("out of memory");
    auto& libssl = *new (memory) Libssl{};
    fill(libssl, scope, found.is_openssl_3);
    libssl.SSL_free = reinterpret_cast<decltype(&::SSL_free)>(found.function);
    libssl.job_offset.store(-1, std::memory_order_relaxed);
    libssl.next = known.load(std::memory_order_acquire);
    while (!known.compare_exchange_weak(libssl.next, &libssl, std::memory_order_acq_rel)) {
        if (Libssl* const meanwhile = find_known(found.function); meanwhile != nullptr) {
            std::free(memory);
            return *meanwhile;
        }
    }
    return libssl;
}

// Whether this library is in the global scope: preloaded, or the program is linked with it.
bool is_global() {
    void* const global = os::loaded_library(nullptr);
    return global != nullptr && os::find_symbol(global, "asyncjob_ssl_lost") ==
                                    reinterpret_cast<void*>(asyncjob_ssl_lost);
}

}  // namespace

Libssl& Libssl::of(const void* caller) noexcept {
    if (Libssl* const found = in_global_scope.load(std::memory_order_acquire); found != nullptr)
        return *found;
    const Scope behind = Scope::behind_this_library();
    const Found next = find_free(behind);
    // Not if it has come into the global scope after others had brought theirs.
    if (next.function != nullptr && is_all_that_is_known(next.function) && is_global()) {
        Libssl& found = with(next, behind);
        in_global_scope.store(&found, std::memory_order_release);
        return found;
    }
    // In the scope of a library that came by dlopen(), with which libssl came, too.
    const Scope callers = Scope::of_caller(caller);
    const Found own = find_free(callers);
    if (own.function != nullptr && own.function != reinterpret_cast<void*>(::SSL_free))
        return with(own, callers);
    if (next.function != nullptr)
        return with(next, behind);
    // The caller has left its frame to its own caller, so that this one is seen.
    if (void* const library = os::loaded_library("libssl.so.3"); library != nullptr) {
        const Scope scope = Scope::of_library(library);
        if (const Found found = find_free(scope); found.function != nullptr)
            return with(found, scope);
    }
    if (Libssl* const any = known.load(std::memory_order_acquire); any != nullptr)
        return *any;  // the loader cannot be asked in this child of a fork
    if (void* const library = os::loaded_library_like("libssl"); library != nullptr) {
        const Scope scope = Scope::of_library(library);
        if (const Found found = find_free(scope); found.function != nullptr)
            return with(found, scope);
    }
    give_up("called without a libssl in the process");
}

void give_up_missing(const char* function) noexcept {
    std::fprintf(stderr, "libasyncjob-ssl.so: no libssl in the process has %s()\n", function);
    std::abort();
}

}  // namespace asyncjob::ssl
