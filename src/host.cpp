// SPDX-License-Identifier: Apache-2.0
// libcrypto at run time. Contract: host.hpp.
//
// How changes of the default OSSL_LIB_CTX are seen. OpenSSL has one function to set a
// thread's default, OSSL_LIB_CTX_set0_default(), and no way to be told of a call; asking
// (the same function with NULL) takes some 10 ns, twice for each start and each pause. So
// this library exports a function of that name, unversioned like its ASYNC_* names, which
// binds before libcrypto's for the same reason as those do; it notes the change and passes
// the call on. This relies on four things:
//  - no code sets the default but through that name. libcrypto itself does so only in its
//    own ASYNC_start_job(), which is not in use here;
//  - callers bind to the process's global scope, where ours comes first (linked before
//    libcrypto, or preloaded). Where ours does not come first (loaded with dlopen(), or
//    next to a static libcrypto), look_around() finds that out and makes every switch of
//    the thread ask;
//  - no library between ours and libcrypto has a function of that name too;
//  - nobody takes libcrypto's function out with dlsym() on libcrypto's own handle. Such a
//    caller's change is not carried.
#include "host.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <new>

#include "api.hpp"
#include "os/loader.hpp"

// ERR_STRING_DATA of <openssl/err.h>.
struct ReasonString {
    unsigned long code;
    const char* text;
};

// libcrypto's, where the link or the loader found them; NULL otherwise.
extern "C" {
__attribute__((weak)) void ERR_new();  // 3.0
__attribute__((weak)) void ERR_set_debug(const char* file, int line, const char* function);
__attribute__((weak)) void ERR_set_error(int lib, int reason, const char* format, ...);
__attribute__((weak)) void ERR_put_error(int, int, int, const char* file, int line);  // 1.1
__attribute__((weak)) int ERR_load_strings(int lib, ReasonString* strings);
__attribute__((weak)) void* OSSL_LIB_CTX_get0_global_default();
__attribute__((weak)) void ERR_set_error_data(char* data, int flags);
__attribute__((weak)) unsigned long ERR_peek_error();
__attribute__((weak)) unsigned long ERR_peek_error_all(const char** file, int* line,
                                                       const char** function, const char** data,
                                                       int* flags);  // 3.0
__attribute__((weak)) unsigned long ERR_get_error();
__attribute__((weak)) int ERR_set_mark();
__attribute__((weak)) int ERR_pop_to_mark();
__attribute__((weak)) int ERR_clear_last_mark();
__attribute__((weak)) void* CRYPTO_malloc(std::size_t size, const char* file, int line);
__attribute__((weak)) void CRYPTO_free(void* memory, const char* file, int line);
__attribute__((weak)) int ERR_count_to_mark();  // 3.2
__attribute__((weak)) void* ERR_get_state();

// Ours; weak, so that a static libcrypto's takes its place instead of clashing with it. The
// second name is always ours.
__attribute__((weak, visibility("default"))) void* OSSL_LIB_CTX_set0_default(void* ctx);
__attribute__((alias("OSSL_LIB_CTX_set0_default"))) void* asyncjob_set_default_seen(void* ctx);
}

namespace asyncjob::host {

namespace {

// What is known of a thread's default context, and whom to tell that it has one.
struct ThreadDefault {
    void* ctx = nullptr;  // NULL: the process's
    bool is_unseen = false;
    std::uint32_t* flags = nullptr;
    std::uint32_t bit = 0;

    void tell() const {
        if (flags != nullptr && (is_unseen || ctx != nullptr))
            *flags |= bit;
    }
};
constinit thread_local ThreadDefault thread_default;

constexpr int err_lib_async = 51;

// OpenSSL's own, which it loads only when it is asked to, and ours.
constexpr int reasons[] = {
    ASYNC_R_FAILED_TO_SET_POOL,
    ASYNC_R_FAILED_TO_SWAP_CONTEXT,
    ASYNC_R_INVALID_POOL_SIZE,
    ASYNC_R_INIT_FAILED,
    ASYNCJOB_R_NULL_ARGUMENT,
    ASYNCJOB_R_JOB_NOT_PAUSED,
    ASYNCJOB_R_JOB_RUNNING,
    ASYNCJOB_R_FOREIGN_THREAD,
    ASYNCJOB_R_NO_MEMORY,
    ASYNCJOB_R_NO_STACK,
    ASYNCJOB_R_NO_GUARD,
    ASYNCJOB_R_STACK_TOO_SMALL,
    ASYNCJOB_R_NOT_CAPABLE,
    ASYNCJOB_R_INVALID_STATUS,
    ASYNCJOB_R_STACKS_IN_USE,
    ASYNCJOB_R_STALE_HANDLE,
    ASYNCJOB_R_INVALID_DEADLINE,
    ASYNCJOB_R_NO_FD,
    ASYNCJOB_R_NO_KEY,
    ASYNCJOB_R_INVALID_KEY,
    ASYNCJOB_R_NOT_IN_JOB,
    ASYNCJOB_R_IN_JOB,
    ASYNCJOB_R_IN_HOOK,
    ASYNCJOB_R_NO_HOOKS,
    ASYNCJOB_R_POOL_IS_FULL,
    ASYNCJOB_R_NO_ADDRESSES,
    ASYNCJOB_R_NO_MAPPINGS,
    ASYNCJOB_R_INVALID_STRUCT_SIZE,
    ASYNCJOB_R_INVALID_STACK_SIZE,
    ASYNCJOB_R_INVALID_OPTION,
    ASYNCJOB_R_JOBS_IN_FLIGHT,
    ASYNCJOB_R_SHADOW_STACK,
};

// libcrypto keeps the pointer and writes into the table, once; the last entry is its end.
ReasonString reason_strings[std::size(reasons) + 1];

using SetDefault = decltype(&OSSL_LIB_CTX_set0_default);

struct Libcrypto {
    decltype(&ERR_new) err_new;
    decltype(&ERR_set_debug) err_set_debug;
    decltype(&ERR_set_error) err_set_error;
    decltype(&ERR_put_error) err_put_error;
    decltype(&ERR_load_strings) err_load_strings;
    decltype(&OSSL_LIB_CTX_get0_global_default) get0_global_default;
    SetDefault set0_default;
    ErrorCalls errors;
};

// NULL while there is no libcrypto in the process; never freed, as it never changes.
std::atomic<const Libcrypto*> found = nullptr;

// A libcrypto that the loader did not bind us to: it came later, or with a dlopen() of its
// own scope, such as a python module's. Kept open for good, as we call into it.
void* find_library() {
    for (const char* name : {"libcrypto.so.3", "libcrypto.so.4", "libcrypto.so.1.1"}) {
        void* const library = os::loaded_library(name);
        if (library != nullptr)
            return library;
    }
    return os::loaded_library_like("libcrypto");  // copies that came with a python module, say
}

template <typename Function>
void find_symbol(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(os::find_symbol(library, name));
}

// libcrypto's own OSSL_LIB_CTX_set0_default.
SetDefault find_set_default(void* library) {
    if (OSSL_LIB_CTX_set0_default != asyncjob_set_default_seen)
        return OSSL_LIB_CTX_set0_default;  // the linker preferred a static one
    constexpr const char* name = "OSSL_LIB_CTX_set0_default";
    for (void* const found : {os::find_next_symbol(name),
                              library != nullptr ? os::find_symbol(library, name) : nullptr}) {
        auto* const function = reinterpret_cast<SetDefault>(found);
        if (function != nullptr && function != asyncjob_set_default_seen)
            return function;
    }
    return nullptr;
}

// Where libcrypto's functions are taken from: `library`, or, where that is NULL, what this library
// is bound to. Two libcryptos may be in the global scope, 1.1 and 3, say, and a name that both
// have is bound to the first: to one's queue, while a name that the other alone has is bound to
// the other's. So all are taken from the library that has ERR_new(). What the program itself has
// is taken as it is: a static libcrypto, or what is to stand in front of libcrypto's.
class Source {
  public:
    explicit Source(void* library) : library_(library) {}

    template <typename Function>
    void find(const char* name, Function* bound, Function*& function) const {
        if (library_ != nullptr)
            find_symbol(library_, name, function);
        else if (os::are_in_two_libraries(owner_, reinterpret_cast<const void*>(bound)))
            function = reinterpret_cast<Function*>(os::find_symbol_from(owner_, name));
        else
            function = bound;
    }

  private:
    void* const library_;
    const void* const owner_ = reinterpret_cast<const void*>(&ERR_new);
};

bool fill(Libcrypto& into) {
    void* const library = &ERR_load_strings == nullptr ? find_library() : nullptr;
    if (&ERR_load_strings == nullptr && library == nullptr)
        return false;
    const Source source(library);
    source.find("ERR_new", &ERR_new, into.err_new);
    source.find("ERR_set_debug", &ERR_set_debug, into.err_set_debug);
    source.find("ERR_set_error", &ERR_set_error, into.err_set_error);
    source.find("ERR_put_error", &ERR_put_error, into.err_put_error);
    source.find("ERR_load_strings", &ERR_load_strings, into.err_load_strings);
    source.find("OSSL_LIB_CTX_get0_global_default", &OSSL_LIB_CTX_get0_global_default,
                into.get0_global_default);
    into.set0_default = find_set_default(library);
    ErrorCalls& errors = into.errors;
    errors.make = into.err_new;
    errors.set_debug = into.err_set_debug;
    errors.set_error = into.err_set_error;
    source.find("ERR_set_error_data", &ERR_set_error_data, errors.set_data);
    source.find("ERR_peek_error", &ERR_peek_error, errors.peek);
    source.find("ERR_peek_error_all", &ERR_peek_error_all, errors.peek_all);
    source.find("ERR_get_error", &ERR_get_error, errors.get);
    source.find("ERR_set_mark", &ERR_set_mark, errors.set_mark);
    source.find("ERR_pop_to_mark", &ERR_pop_to_mark, errors.pop_to_mark);
    source.find("ERR_clear_last_mark", &ERR_clear_last_mark, errors.clear_last_mark);
    source.find("CRYPTO_malloc", &CRYPTO_malloc, errors.allocate);
    source.find("CRYPTO_free", &CRYPTO_free, errors.release);
    source.find("ERR_count_to_mark", &ERR_count_to_mark, errors.count_to_mark);
    source.find("ERR_get_state", &ERR_get_state, errors.get_state);
    return into.err_load_strings != nullptr;
}

void load_strings(const Libcrypto& into) {
    ReasonString* next = reason_strings;
    for (const int reason : reasons)
        *next++ = {static_cast<unsigned long>(reason), asyncjob_reason_string(reason)};
    into.err_load_strings(err_lib_async, reason_strings);
}

// What was in the process when no libcrypto was found in it: a look takes tens of microseconds.
std::atomic<unsigned long long> looked_through = 0;

// The libcrypto of the process, or NULL. Looks again as long as there was none and the process
// has got another library. Without a lock, which a fork might leave held in the child: of threads
// that find it at the same time one publishes what it found. Sets *no_memory if one was found, and
// there is no memory for what is known of it.
const Libcrypto* get(bool* no_memory = nullptr) {
    const Libcrypto* known = found.load(std::memory_order_acquire);
    if (known != nullptr)
        return known;
    const unsigned long long libraries = os::libraries_loaded();
    if (libraries != 0 && libraries == looked_through.load(std::memory_order_relaxed))
        return nullptr;
    Libcrypto filled{};
    if (!fill(filled)) {
        looked_through.store(libraries, std::memory_order_relaxed);
        return nullptr;
    }
    void* const memory = std::malloc(sizeof(Libcrypto));
    if (memory == nullptr) {
        if (no_memory != nullptr)
            *no_memory = true;
        return nullptr;
    }
    const auto* const mine = new (memory) Libcrypto(filled);
    if (!found.compare_exchange_strong(known, mine, std::memory_order_acq_rel)) {
        std::free(memory);
        return known;
    }
    load_strings(*mine);
    return mine;
}

// What the rest of the process calls when it says OSSL_LIB_CTX_set0_default.
SetDefault global_set_default() {
    SetDefault function = nullptr;
    void* const global = os::loaded_library(nullptr);
    if (global != nullptr)
        find_symbol(global, "OSSL_LIB_CTX_set0_default", function);
    return function;
}

void* normal(const Libcrypto& host, void* ctx) {
    return ctx == host.get0_global_default() ? nullptr : ctx;
}

void* ask(const Libcrypto& host) {
    return normal(host, host.set0_default(nullptr));
}

void note_lib_ctx(const Libcrypto& host, void* ctx) {
    thread_default.ctx = normal(host, ctx);
    thread_default.tell();
}

}  // namespace

bool look_around() noexcept {
    bool no_memory = false;
    const Libcrypto* const host = get(&no_memory);
    if (host == nullptr || host->set0_default == nullptr)
        return !no_memory;
    const bool was_unseen = thread_default.is_unseen;
    thread_default.is_unseen = global_set_default() != asyncjob_set_default_seen;
    if (was_unseen && !thread_default.is_unseen)
        thread_default.ctx = ask(*host);
    thread_default.tell();
    return true;
}

void follow_lib_ctx(std::uint32_t* flags, std::uint32_t bit) noexcept {
    thread_default.flags = flags;
    thread_default.bit = bit;
    thread_default.tell();
}

void raise(int reason, const char* function) noexcept {
    const int error_number = errno;
    const Libcrypto* const host = get();
    if (host != nullptr) {
        if (host->err_set_error != nullptr) {
            host->err_new();
            host->err_set_debug("asyncjob", 0, function);
            host->err_set_error(err_lib_async, reason, nullptr);
        } else if (host->err_put_error != nullptr) {
            host->err_put_error(err_lib_async, 0, reason, function, 0);
        }
    }
    errno = error_number;
}

const ErrorCalls* error_calls() noexcept {
    const Libcrypto* const host = get();
    if (host == nullptr)
        return nullptr;
    const ErrorCalls& calls = host->errors;
    const bool has_all =
        calls.make != nullptr && calls.set_debug != nullptr && calls.set_error != nullptr &&
        calls.set_data != nullptr && calls.peek != nullptr && calls.peek_all != nullptr &&
        calls.get != nullptr && calls.set_mark != nullptr && calls.pop_to_mark != nullptr &&
        calls.clear_last_mark != nullptr && calls.allocate != nullptr && calls.release != nullptr;
    return has_all ? &calls : nullptr;
}

void* lib_ctx() noexcept {
    if (!thread_default.is_unseen)
        return thread_default.ctx;
    const Libcrypto* const host = get();
    return host != nullptr ? ask(*host) : nullptr;
}

void* exchange_lib_ctx(void* ctx) noexcept {
    void* const before = lib_ctx();
    if (ctx == before)
        return before;
    const Libcrypto* const host = get();
    if (host == nullptr || host->set0_default == nullptr)
        return before;
    host->set0_default(ctx != nullptr ? ctx : host->get0_global_default());
    thread_default.ctx = ctx;
    return before;
}

}  // namespace asyncjob::host

// The call belongs to the libcrypto that the caller would have reached without us; only that
// of the error queue and the jobs is tracked.
void* OSSL_LIB_CTX_set0_default(void* ctx) {
    using namespace asyncjob;
    auto* target = reinterpret_cast<host::SetDefault>(
        os::find_symbol_from(__builtin_return_address(0), "OSSL_LIB_CTX_set0_default"));
    const host::Libcrypto* const known = host::get();
    if (target == nullptr || target == asyncjob_set_default_seen)
        target = known != nullptr ? known->set0_default : nullptr;
    if (target == nullptr)
        return nullptr;
    void* const before = target(ctx);
    if (known != nullptr && target == known->set0_default && ctx != nullptr && before != nullptr)
        host::note_lib_ctx(*known, ctx);
    return before;
}
