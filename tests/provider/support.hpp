// SPDX-License-Identifier: Apache-2.0
// What the provider's tests share: library contexts with the provider configured, keys,
// jobs and their wait fds, and a gate that holds the worker.
//
// All tests use <openssl/async.h> alone, and run on libcrypto's jobs and on this library's.
// All configure one worker, but for those in a child process: the worker is the process's,
// and the gate needs to hold all there are.
#pragma once

#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../support.hpp"
#include "interpose.hpp"
#include "test_inner.hpp"

namespace test {

template <auto function>
struct FreeWith {
    template <typename Type>
    void operator()(Type* object) const {
        function(object);
    }
};
using PkeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using PkeyCtxPtr = std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>>;
using MdCtxPtr = std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>>;
using WaitCtxPtr = std::unique_ptr<ASYNC_WAIT_CTX, FreeWith<ASYNC_WAIT_CTX_free>>;
using Bytes = std::vector<unsigned char>;

// The provider's section of openssl.cnf.
using Options = std::vector<std::pair<std::string, std::string>>;

// A file with this text, for as long as the object lives.
class TextFile {
  public:
    explicit TextFile(const std::string& text);
    ~TextFile();
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// A library context with the providers offload and default, offload preferred.
class Library {
  public:
    // One worker if the options do not say how many.
    explicit Library(const Options& options = {});
    ~Library() { close(); }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    [[nodiscard]] OSSL_LIB_CTX* get() const { return context_; }

    // The texts of all errors if it could not be loaded.
    [[nodiscard]] const std::string& failure() const { return failure_; }

    void close() { OSSL_LIB_CTX_free(std::exchange(context_, nullptr)); }

  private:
    OSSL_LIB_CTX* context_;
    std::string failure_;
};

// All texts on the error queue, one a line, which are taken off it.
std::string take_errors();

enum class KeyType { rsa, large_rsa, ec, ed25519, ed448, x25519, x448, dh };

// The process's key of a type, with the library's own provider for it.
PkeyPtr key_in(OSSL_LIB_CTX* library, KeyType type);

inline WaitCtxPtr new_wait_ctx() {
    return WaitCtxPtr(ASYNC_WAIT_CTX_new());
}

std::vector<int> wait_fds(ASYNC_WAIT_CTX* wait);

// The context's only wait fd; fails if it has none or several.
int wait_fd(ASYNC_WAIT_CTX* wait);

enum class Wait { not_at_all, long_enough };
bool becomes_readable(int fd, Wait wait);

// Starts the job, or resumes it once its fd is readable, until it ends. Returns how often it
// paused on the way.
int run_to_end(TestJob& job, ASYNC_WAIT_CTX* wait);

// The inner provider of tests.
test_inner::Control& inner();

// Sets something in the inner provider.
template <typename Change>
void tell_inner(Change change) {
    const std::lock_guard lock(inner().mutex);
    change(inner());
    inner().changed.notify_all();
}

// Waits until the inner provider says so.
template <typename Condition>
void wait_for_inner(Condition condition) {
    std::unique_lock lock(inner().mutex);
    inner().changed.wait(lock, [&condition] { return condition(inner()); });
}

// Leaves the inner provider as it was.
class InnerReset {
  public:
    InnerReset() = default;
    ~InnerReset();
    InnerReset(const InnerReset&) = delete;
    InnerReset& operator=(const InnerReset&) = delete;
};

// A library context whose inner provider is the tests'.
class DeviceLibrary : public Library {
  public:
    explicit DeviceLibrary(Options options = {});

    // A key of it; RSA and TEST are there.
    [[nodiscard]] PkeyPtr new_key(const char* type = "RSA") const;

  private:
    DeviceLibrary(std::unique_ptr<TextFile> inner_config, Options options);
};

// One signature of the inner test provider: EVP_PKEY_sign() of "abc" in a job.
class DeviceSignature {
  public:
    explicit DeviceSignature(const DeviceLibrary& library);

    // In the job: makes a context and signs; EVP_PKEY_sign()'s result.
    int sign();

    // Frees the context, whoever uses it.
    void free_context() { context_.reset(); }

    [[nodiscard]] EVP_PKEY_CTX* context() const { return context_.get(); }
    Bytes result;
    static const Bytes input;

  private:
    PkeyPtr key_;
    PkeyCtxPtr context_;
};

// While it is closed the process's worker is busy, so that what comes later pauses for sure
// and is not done yet.
class Gate {
  public:
    Gate();
    ~Gate() { open(); }
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;
    void open();

  private:
    InnerReset reset_;
    DeviceLibrary library_;
    DeviceSignature signature_;
    WaitCtxPtr wait_ = new_wait_ctx();
    TestJob job_;
    bool closed_ = true;
};

}  // namespace test
