// SPDX-License-Identifier: Apache-2.0
// The tables of functions, and the faults that can be put into one.
#include "api.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace differential {

namespace {

template <typename Function>
bool find(void* library, const char* name, Function& function, std::string& why) {
    void* const address = dlsym(library, name);
    if (address == nullptr) {
        why = std::string("no ") + name;
        return false;
    }
    std::memcpy(&function, &address, sizeof(address));
    return true;
}

// The file of the libcrypto that the program is linked with, as another file: else dlopen()
// gives the one that is loaded.
int copy_libcrypto(std::string& why) {
    Dl_info info{};
    void* address = nullptr;
    auto* const known = &ERR_get_error;
    std::memcpy(&address, &known, sizeof(address));
    if (dladdr(address, &info) == 0) {
        why = "cannot tell where libcrypto is";
        return -1;
    }
    const int from = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
    struct stat status {};
    const int to = memfd_create("libcrypto", MFD_CLOEXEC);
    if (from < 0 || to < 0 || fstat(from, &status) != 0) {
        why = std::string("cannot copy ") + info.dli_fname;
        return -1;
    }
    off_t done = 0;
    while (done < status.st_size) {
        if (sendfile(to, from, &done, static_cast<size_t>(status.st_size - done)) <= 0) {
            why = std::string("cannot copy ") + info.dli_fname;
            return -1;
        }
    }
    close(from);
    return to;
}

bool find_job_functions(void* library, Api& api, std::string& why) {
#define DIFFERENTIAL_FIND(member, function)         \
    if (!find(library, #function, api.member, why)) \
        return false;
    DIFFERENTIAL_JOB_FUNCTIONS(DIFFERENTIAL_FIND)
#undef DIFFERENTIAL_FIND
    return true;
}

}  // namespace

bool load_libcrypto(Api& api, std::string& why) {
    const int file = copy_libcrypto(why);
    if (file < 0)
        return false;
    const std::string path = "/proc/self/fd/" + std::to_string(file);
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == nullptr) {
        why = dlerror();
        return false;
    }
    if (!find_job_functions(library, api, why))
        return false;
#define DIFFERENTIAL_FIND(member, function)         \
    if (!find(library, #function, api.member, why)) \
        return false;
    DIFFERENTIAL_OTHER_FUNCTIONS(DIFFERENTIAL_FIND)
#undef DIFFERENTIAL_FIND
    if (api.get_error == &ERR_get_error) {
        why = "the second libcrypto is the first";
        return false;
    }
    return true;
}

bool load_asyncjob(Api& api, const std::string& library, std::string& why) {
#define DIFFERENTIAL_LINKED(member, function) &::function,
    api = {DIFFERENTIAL_JOB_FUNCTIONS(DIFFERENTIAL_LINKED)
               DIFFERENTIAL_OTHER_FUNCTIONS(DIFFERENTIAL_LINKED)};
#undef DIFFERENTIAL_LINKED
    if (library.empty())
        return true;
    void* const loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (loaded == nullptr) {
        why = dlerror();
        return false;
    }
    return find_job_functions(loaded, api, why);
}

namespace {

using Cleanup = void (*)(ASYNC_WAIT_CTX*, const void*, OSSL_ASYNC_FD, void*);

int lose_last_argument_byte(ASYNC_JOB** job, ASYNC_WAIT_CTX* ctx, int* ret, int (*func)(void*),
                            void* args, size_t size) {
    return ASYNC_start_job(job, ctx, ret, func, args,
                           args != nullptr && size > 1 ? size - 1 : size);
}

int write_result_at_pause(ASYNC_JOB** job, ASYNC_WAIT_CTX* ctx, int* ret, int (*func)(void*),
                          void* args, size_t size) {
    const int status = ASYNC_start_job(job, ctx, ret, func, args, size);
    if (status == ASYNC_PAUSE)
        *ret = 0;
    return status;
}

int forget_lib_ctx(ASYNC_JOB** job, ASYNC_WAIT_CTX* ctx, int* ret, int (*func)(void*), void* args,
                   size_t size) {
    const int status = ASYNC_start_job(job, ctx, ret, func, args, size);
    OSSL_LIB_CTX_set0_default(OSSL_LIB_CTX_get0_global_default());
    return status;
}

int start_with_other_ctx(ASYNC_JOB** job, ASYNC_WAIT_CTX*, int* ret, int (*func)(void*), void* args,
                         size_t size) {
    static ASYNC_WAIT_CTX* const other = ASYNC_WAIT_CTX_new();
    return ASYNC_start_job(job, other, ret, func, args, size);
}

int pause_fails() {
    return ASYNC_pause_job() - 1;
}

void block_twice() {
    ASYNC_block_pause();
    ASYNC_block_pause();
}

ASYNC_JOB* no_current_job() {
    return nullptr;
}

int limit_off_by_one(size_t max, size_t init) {
    return ASYNC_init_thread(max == 0 || init > max ? max : max + 1, init);
}

int init_without_reason(size_t max, size_t init) {
    const int result = ASYNC_init_thread(max, init);
    ERR_clear_error();
    return result;
}

int oldest_first(ASYNC_WAIT_CTX* ctx, OSSL_ASYNC_FD* fds, size_t* count) {
    const int result = ASYNC_WAIT_CTX_get_all_fds(ctx, fds, count);
    if (fds != nullptr)
        std::reverse(fds, fds + *count);
    return result;
}

int one_deleted_too_many(ASYNC_WAIT_CTX* ctx, OSSL_ASYNC_FD* added, size_t* added_count,
                         OSSL_ASYNC_FD* deleted, size_t* deleted_count) {
    const int result =
        ASYNC_WAIT_CTX_get_changed_fds(ctx, added, added_count, deleted, deleted_count);
    if (*deleted_count > 0)
        ++*deleted_count;
    return result;
}

int forget_cleanup(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD fd, void* data, Cleanup) {
    return ASYNC_WAIT_CTX_set_wait_fd(ctx, key, fd, data, nullptr);
}

int find_without_data(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD* fd, void**) {
    void* data = nullptr;
    return ASYNC_WAIT_CTX_get_fd(ctx, key, fd, &data);
}

int clear_all_of_key(ASYNC_WAIT_CTX* ctx, const void* key) {
    const int result = ASYNC_WAIT_CTX_clear_fd(ctx, key);
    while (ASYNC_WAIT_CTX_clear_fd(ctx, key) == 1) {
    }
    return result;
}

int keep_first_callback(ASYNC_WAIT_CTX* ctx, ASYNC_callback_fn callback, void* arg) {
    ASYNC_callback_fn before = nullptr;
    void* before_arg = nullptr;
    if (ctx != nullptr && ASYNC_WAIT_CTX_get_callback(ctx, &before, &before_arg) == 1)
        return 1;
    return ASYNC_WAIT_CTX_set_callback(ctx, callback, arg);
}

int again_is_ok(ASYNC_WAIT_CTX* ctx, int status) {
    return ASYNC_WAIT_CTX_set_status(ctx, status == ASYNC_STATUS_EAGAIN ? ASYNC_STATUS_OK : status);
}

using Fault = void (*)(Api&);

const std::map<std::string, Fault>& all_faults() {
    static const std::map<std::string, Fault> all = {
        {"last-argument-byte", [](Api& api) { api.start_job = lose_last_argument_byte; }},
        {"result-at-pause", [](Api& api) { api.start_job = write_result_at_pause; }},
        {"lib-ctx", [](Api& api) { api.start_job = forget_lib_ctx; }},
        {"other-ctx", [](Api& api) { api.start_job = start_with_other_ctx; }},
        {"pause-result", [](Api& api) { api.pause_job = pause_fails; }},
        {"block-count", [](Api& api) { api.block_pause = block_twice; }},
        {"current-job", [](Api& api) { api.get_current_job = no_current_job; }},
        {"limit", [](Api& api) { api.init_thread = limit_off_by_one; }},
        {"no-reason", [](Api& api) { api.init_thread = init_without_reason; }},
        {"fd-order", [](Api& api) { api.get_all_fds = oldest_first; }},
        {"deleted-count", [](Api& api) { api.get_changed_fds = one_deleted_too_many; }},
        {"no-cleanup", [](Api& api) { api.set_wait_fd = forget_cleanup; }},
        {"no-data", [](Api& api) { api.get_fd = find_without_data; }},
        {"clear-all", [](Api& api) { api.clear_fd = clear_all_of_key; }},
        {"first-callback", [](Api& api) { api.set_callback = keep_first_callback; }},
        {"status", [](Api& api) { api.set_status = again_is_ok; }},
    };
    return all;
}

}  // namespace

bool put_fault(Api& api, const std::string& name) {
    const auto found = all_faults().find(name);
    if (found == all_faults().end())
        return false;
    found->second(api);
    return true;
}

std::vector<std::string> faults() {
    std::vector<std::string> names;
    for (const auto& [name, fault] : all_faults())
        names.push_back(name);
    return names;
}

}  // namespace differential
