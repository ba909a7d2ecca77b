// SPDX-License-Identifier: Apache-2.0
// Finds the two libraries and makes sure of them. Contract: api.hpp.
#include "api.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace {

[[noreturn]] void give_up(const std::string& why) {
    std::fprintf(stderr, "bench: %s\n", why.c_str());
    std::exit(1);
}

// The file of the library that has the function at `address`.
std::string file_of(void* address) {
    Dl_info info{};
    if (dladdr(address, &info) == 0 || info.dli_fname == nullptr)
        give_up("a function of the interface is in no library");
    return info.dli_fname;
}

template <typename Function>
void check(Function* function, const std::string& library, const char* wanted) {
    const std::string file = file_of(reinterpret_cast<void*>(function));
    if (file != library || file.find(wanted) == std::string::npos)
        give_up("a function that should be in " + std::string(wanted) + " is in " + file);
}

void check_all(const Api& api, const char* wanted) {
    check(api.start_job, api.library, wanted);
    check(api.pause_job, api.library, wanted);
    check(api.get_current_job, api.library, wanted);
    check(api.wait_ctx_new, api.library, wanted);
    check(api.wait_ctx_free, api.library, wanted);
    check(api.set_wait_fd, api.library, wanted);
    check(api.get_changed_fds, api.library, wanted);
}

// Linked, as its users have it; the pointers are what the PLT would jump to.
Api find_ours() {
    Api api{ASYNC_start_job,
            ASYNC_pause_job,
            ASYNC_get_current_job,
            ASYNC_WAIT_CTX_new,
            ASYNC_WAIT_CTX_free,
            ASYNC_WAIT_CTX_set_wait_fd,
            ASYNC_WAIT_CTX_get_changed_fds,
            file_of(reinterpret_cast<void*>(ASYNC_start_job)),
            ASYNCJOB_VERSION};
    check_all(api, "libasyncjob.so");
    return api;
}

template <typename Function>
void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    if (function == nullptr)
        give_up("libcrypto.so.3 has no " + std::string(name));
}

// RTLD_DEEPBIND: libcrypto's own calls of ASYNC_init_thread() and
// OSSL_LIB_CTX_set0_default() must reach libcrypto's, not ours, which the process has first.
Api find_stock() {
    Api api{};
    void* const library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == nullptr) {
        std::fprintf(stderr, "bench: no stock libcrypto to compare with: %s\n", dlerror());
        return api;
    }
    find(library, "ASYNC_start_job", api.start_job);
    find(library, "ASYNC_pause_job", api.pause_job);
    find(library, "ASYNC_get_current_job", api.get_current_job);
    find(library, "ASYNC_WAIT_CTX_new", api.wait_ctx_new);
    find(library, "ASYNC_WAIT_CTX_free", api.wait_ctx_free);
    find(library, "ASYNC_WAIT_CTX_set_wait_fd", api.set_wait_fd);
    find(library, "ASYNC_WAIT_CTX_get_changed_fds", api.get_changed_fds);
    api.library = file_of(reinterpret_cast<void*>(api.start_job));
    check_all(api, "libcrypto.so.3");

    const char* (*version)(int) = nullptr;
    find(library, "OpenSSL_version", version);
    api.version = version(0);
    return api;
}

}  // namespace

const Api ours = find_ours();
const Api stock = find_stock();
