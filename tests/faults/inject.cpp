// SPDX-License-Identifier: Apache-2.0
// Interposed functions. Contract: inject.hpp. Built without sanitizers: a sanitizer calls malloc()
// before its instrumentation can work.
#include "inject.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>

namespace faults {

namespace {

constexpr int madvise_guard_install = 102;

struct Code {
    std::uintptr_t low;
    std::uintptr_t high;
};
std::array<Code, 8> watched{};
std::size_t watched_count = 0;

bool is_watched(const void* caller) {
    const auto at = reinterpret_cast<std::uintptr_t>(caller);
    for (std::size_t i = 0; i < watched_count; ++i)
        if (at >= watched[i].low && at < watched[i].high)
            return true;
    return false;
}

// No mutex: forked children go on, and this runs inside malloc().
class Spin {
  public:
    Spin() {
        while (taken_.test_and_set(std::memory_order_acquire)) {
        }
    }
    ~Spin() { taken_.clear(std::memory_order_release); }
    Spin(const Spin&) = delete;
    Spin& operator=(const Spin&) = delete;

  private:
    static std::atomic_flag taken_;
};
std::atomic_flag Spin::taken_;

std::atomic<bool> armed = false;
std::atomic<bool> has_markers = true;
Fails how_to_fail = Fails::one;
int calls_left = 0;
std::atomic<int> failures = 0;
std::array<const char*, 16> failed_names{};
std::size_t failed_name_count = 0;

void note_name(const char* function) {
    for (std::size_t i = 0; i < failed_name_count; ++i)
        if (std::strcmp(failed_names[i], function) == 0)
            return;
    if (failed_name_count < failed_names.size())
        failed_names[failed_name_count++] = function;
}

bool fails_now(const void* caller, const char* function) {
    if (!armed.load(std::memory_order_relaxed) || !is_watched(caller))
        return false;
    const Spin spin;
    if (calls_left > 0)
        --calls_left;
    if (calls_left > 0 || (how_to_fail == Fails::one && failures > 0))
        return false;
    ++failures;
    note_name(function);
    return true;
}

// An open hash table of what is held, by address.
struct Piece {
    const void* address;
    std::size_t size;
};
constexpr std::size_t places = std::size_t{1} << 14U;
std::array<Piece, places> pieces{};
std::size_t held = 0;

const void* const removed = &pieces;

std::size_t place_of(const void* address) {
    return (reinterpret_cast<std::uintptr_t>(address) >> 4U) * 0x9e3779b97f4a7c15U >> 50U;
}

void note(const void* caller, const void* address, std::size_t size) {
    if (address == nullptr || !is_watched(caller))
        return;
    const Spin spin;
    std::size_t at = place_of(address);
    for (std::size_t tried = 0; tried < places; ++tried, at = (at + 1) % places) {
        if (pieces[at].address != nullptr && pieces[at].address != removed)
            continue;
        pieces[at] = {address, size};
        held += size;
        return;
    }
    std::abort();
}

void forget(const void* address) {
    if (address == nullptr || watched_count == 0)
        return;
    const Spin spin;
    std::size_t at = place_of(address);
    for (std::size_t tried = 0; tried < places && pieces[at].address != nullptr;
         ++tried, at = (at + 1) % places) {
        if (pieces[at].address != address)
            continue;
        held -= pieces[at].size;
        pieces[at] = {removed, 0};
        return;
    }
}

// Libc's function, or that of a tool in front of it.
template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

void watch(const std::vector<std::string>& libraries) {
    watched_count = 0;
    for (const std::string& library : libraries) {
        const std::size_t before = watched_count;
        struct Search {
            const char* word;
        } search{library.c_str()};
        dl_iterate_phdr(
            [](dl_phdr_info* info, std::size_t, void* data) {
                if (std::strstr(info->dlpi_name, static_cast<Search*>(data)->word) == nullptr)
                    return 0;
                for (int i = 0; i < info->dlpi_phnum; ++i) {
                    const auto& header = info->dlpi_phdr[i];
                    if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0)
                        continue;
                    const std::uintptr_t low = info->dlpi_addr + header.p_vaddr;
                    watched.at(watched_count) = {low, low + header.p_memsz};
                    ++watched_count;
                }
                return 1;
            },
            &search);
        if (watched_count == before)
            std::abort();  // a test of nothing
    }
}

Injection::Injection(Fails how, int n) {
    how_to_fail = how;
    calls_left = n;
    failures = 0;
    armed = true;
}

Injection::~Injection() {
    armed = false;
}

int Injection::failed() {
    return failures;
}

std::string failed_functions() {
    std::string names;
    for (std::size_t i = 0; i < failed_name_count; ++i)
        names.append(i == 0 ? "" : " ").append(failed_names[i]);
    return names;
}

void deny_markers() {
    has_markers = false;
}

std::size_t held_bytes() {
    const Spin spin;
    return held;
}

std::size_t open_fds() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++count;
    return count - 1;  // the iterator's own
}

#if defined(FAULTS_UNDER_ASAN)
extern "C" int __lsan_do_recoverable_leak_check();
bool nothing_is_leaked() {
    return __lsan_do_recoverable_leak_check() == 0;
}
#else
bool nothing_is_leaked() {
    return true;
}
#endif

}  // namespace faults

#define CALLER __builtin_return_address(0)

#if defined(FAULTS_UNDER_ASAN)
#define REAL(function) __interceptor_##function
extern "C" {
void* __interceptor_malloc(std::size_t size);
void* __interceptor_calloc(std::size_t count, std::size_t size);
void* __interceptor_realloc(void* block, std::size_t size);
void* __interceptor_memalign(std::size_t alignment, std::size_t size);
void __interceptor_free(void* block);
}
#else
#define REAL(function) __libc_##function
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* block);
}
#endif

namespace {

// Memory by any of the functions that give some. `make` is called if that is not to fail.
template <typename Make>
void* allocate(const void* caller, const char* function, std::size_t size, Make make) {
    void* const block = faults::fails_now(caller, function) ? nullptr : make();
    faults::note(caller, block, size);
    if (block == nullptr)
        errno = ENOMEM;
    return block;
}

void* allocate_for_new(const void* caller, std::size_t size) {
    return allocate(caller, "operator new", size, [=] { return REAL(malloc)(size); });
}

void* or_throw(void* block) {
    if (block == nullptr)
        throw std::bad_alloc();
    return block;
}

}  // namespace

extern "C" {

// Others' calls are handed on by a jump, so that LeakSanitizer sees where they come from: it
// knows the loader's blocks by that.
void* malloc(std::size_t size) {
    if (!faults::is_watched(CALLER))
        return REAL(malloc)(size);
    return allocate(CALLER, "malloc", size, [=] { return REAL(malloc)(size); });
}

void* calloc(std::size_t count, std::size_t size) {
    if (!faults::is_watched(CALLER))
        return REAL(calloc)(count, size);
    return allocate(CALLER, "calloc", count * size, [=] { return REAL(calloc)(count, size); });
}

void* realloc(void* old, std::size_t size) {
    const void* const caller = CALLER;
    return allocate(caller, "realloc", size, [=] {
        faults::forget(old);
        return REAL(realloc)(old, size);
    });
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
    return allocate(CALLER, "aligned_alloc", size, [=] { return REAL(memalign)(alignment, size); });
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
    const int before = errno;
    void* const made =
        allocate(CALLER, "posix_memalign", size, [=] { return REAL(memalign)(alignment, size); });
    errno = before;
    if (made == nullptr)
        return ENOMEM;
    *block = made;
    return 0;
}

void free(void* block) {
    faults::forget(block);
    REAL(free)(block);
}

void* mmap(void* at, std::size_t size, int protection, int flags, int fd, off_t offset) {
    const void* const caller = CALLER;
    if (faults::fails_now(caller, "mmap")) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void* const address = mmap64(at, size, protection, flags, fd, offset);
    if (address == MAP_FAILED)
        return address;
    // Addresses alone, put in the place of memory, are not held.
    if ((flags & MAP_FIXED) != 0)
        faults::forget(address);
    if (protection != PROT_READ)
        faults::note(caller, address, size);
    return address;
}

int munmap(void* address, std::size_t size) {
    static auto* const real = faults::next<decltype(munmap)>("munmap");
    faults::forget(address);
    return real(address, size);
}

// The other functions: each fails with the given error, or is libc's.
#define STAND_IN(result_type, name, parameters, arguments, error, failure)     \
    result_type name parameters {                                              \
        static auto* const real = faults::next<result_type parameters>(#name); \
        if (faults::fails_now(CALLER, #name)) {                                \
            errno = error;                                                     \
            return failure;                                                    \
        }                                                                      \
        return real arguments;                                                 \
    }

STAND_IN(int, mprotect, (void* at, std::size_t size, int protection), (at, size, protection),
         ENOMEM, -1)
STAND_IN(int, eventfd, (unsigned count, int flags), (count, flags), EMFILE, -1)
STAND_IN(int, epoll_create1, (int flags), (flags), EMFILE, -1)
STAND_IN(int, epoll_ctl, (int epoll, int operation, int fd, epoll_event* event),
         (epoll, operation, fd, event), ENOSPC, -1)
STAND_IN(int, timerfd_create, (clockid_t clock, int flags), (clock, flags), EMFILE, -1)
STAND_IN(int, pipe2, (int* ends, int flags), (ends, flags), EMFILE, -1)
STAND_IN(int, sigaction, (int number, const struct sigaction* to, struct sigaction* from),
         (number, to, from), EINVAL, -1)
STAND_IN(int, sigaltstack, (const stack_t* to, stack_t* from), (to, from), ENOMEM, -1)

#undef STAND_IN

// Those that return their error.
#define STAND_IN(name, parameters, arguments, error)                      \
    int name parameters {                                                 \
        static auto* const real = faults::next<int parameters>(#name);    \
        return faults::fails_now(CALLER, #name) ? error : real arguments; \
    }

STAND_IN(pthread_create,
         (pthread_t * thread, const pthread_attr_t* attributes, void* (*start)(void*), void* arg),
         (thread, attributes, start, arg), EAGAIN)
STAND_IN(pthread_key_create, (pthread_key_t * key, void (*destructor)(void*)), (key, destructor),
         EAGAIN)
STAND_IN(pthread_setspecific, (pthread_key_t key, const void* value), (key, value), ENOMEM)

#undef STAND_IN

int madvise(void* address, std::size_t size, int advice) {
    static auto* const real = faults::next<decltype(madvise)>("madvise");
    if (advice == faults::madvise_guard_install && !faults::has_markers) {
        errno = EINVAL;
        return -1;
    }
    if (faults::fails_now(CALLER, "madvise")) {
        errno = ENOMEM;
        return -1;
    }
    return real(address, size, advice);
}

// The system calls that libc 2.36 has no functions for.
long syscall(long number, ...) {
    static auto* const real = faults::next<long(long, ...)>("syscall");
    std::va_list list;
    va_start(list, number);
    std::array<long, 6> args{};
    for (long& arg : args)
        arg = va_arg(list, long);
    va_end(list);
    if (number == SYS_process_madvise) {
        if (args[3] == faults::madvise_guard_install && !faults::has_markers) {
            errno = EINVAL;
            return -1;
        }
        if (faults::fails_now(CALLER, "process_madvise")) {
            errno = ENOMEM;
            return -1;
        }
    }
    if (number == SYS_process_vm_readv && faults::fails_now(CALLER, "process_vm_readv")) {
        errno = EPERM;
        return -1;
    }
    return real(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

// What the provider asks of libcrypto, and of its jobs.
#define STAND_IN(result_type, name, parameters, arguments, failure)            \
    result_type name parameters {                                              \
        static auto* const real = faults::next<result_type parameters>(#name); \
        return faults::fails_now(CALLER, #name) ? failure : real arguments;    \
    }

STAND_IN(void*, OSSL_LIB_CTX_new, (), (), nullptr)
STAND_IN(int, OSSL_LIB_CTX_load_config, (void* context, const char* file), (context, file), 0)
STAND_IN(void*, OSSL_PROVIDER_load, (void* context, const char* name), (context, name), nullptr)
STAND_IN(int, ASYNC_WAIT_CTX_set_status, (void* wait, int status), (wait, status), 0)
STAND_IN(int, ASYNC_WAIT_CTX_set_wait_fd,
         (void* wait, const void* key, int fd, void* data,
          void (*cleanup)(void*, const void*, int, void*)),
         (wait, key, fd, data, cleanup), 0)
STAND_IN(void*, CRYPTO_malloc, (std::size_t size, const char* file, int line), (size, file, line),
         nullptr)

#undef STAND_IN

}  // extern "C"

// Of the program's runtime too.
void* operator new(std::size_t size) {
    return or_throw(allocate_for_new(CALLER, size));
}
void* operator new[](std::size_t size) {
    return or_throw(allocate_for_new(CALLER, size));
}
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
    return allocate_for_new(CALLER, size);
}
void* operator new[](std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
    return allocate_for_new(CALLER, size);
}
void operator delete(void* block) noexcept {
    free(block);
}
void operator delete[](void* block) noexcept {
    free(block);
}
void operator delete(void* block, std::size_t /*size*/) noexcept {
    free(block);
}
void operator delete[](void* block, std::size_t /*size*/) noexcept {
    free(block);
}
