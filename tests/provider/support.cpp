// SPDX-License-Identifier: Apache-2.0
// What the provider's tests share. Contract: support.hpp.
#include "support.hpp"

#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <poll.h>

#include <algorithm>
#include <map>
#include <stdexcept>

namespace test {

TextFile::TextFile(const std::string& text) : path_(testing::TempDir() + "offload-XXXXXX") {
    const int file = mkstemp(path_.data());
    if (file < 0 || write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        throw std::runtime_error("cannot write " + path_);
    close(file);
}

TextFile::~TextFile() {
    unlink(path_.c_str());
}

namespace {

std::string config_text(const Options& options, const char* activation) {
    std::string text =
        "openssl_conf = init\n"
        "[init]\nproviders = providers\nalg_section = algorithms\n"
        "[algorithms]\ndefault_properties = ?provider=offload\n"
        "[providers]\noffload = offload_section\ndefault = default_section\n"
        "[default_section]\nactivate = 1\n"
        "[offload_section]\nmodule = " OFFLOAD_MODULE "\n";
    text += activation;
    const auto is_threads = [](const auto& option) { return option.first == "threads"; };
    if (std::none_of(options.begin(), options.end(), is_threads))
        text += "threads = 1\n";
    for (const auto& [name, value] : options)
        text.append(name).append(" = ").append(value).append("\n");
    return text;
}

// libcrypto goes on without a provider that its configuration cannot activate, and drops the
// errors; not so when the application loads the provider itself.
std::string load_errors(const Options& options) {
    const TextFile file(config_text(options, ""));
    OSSL_LIB_CTX* const context = OSSL_LIB_CTX_new();
    EXPECT_EQ(OSSL_LIB_CTX_load_config(context, file.path().c_str()), 1);
    EXPECT_EQ(OSSL_PROVIDER_load(context, "offload"), nullptr);
    OSSL_LIB_CTX_free(context);
    return take_errors();
}

}  // namespace

Library::Library(const Options& options) : context_(OSSL_LIB_CTX_new()) {
    const TextFile file(config_text(options, "activate = 1\n"));
    ERR_clear_error();
    if (OSSL_LIB_CTX_load_config(context_, file.path().c_str()) != 1)
        failure_ = take_errors();
    else if (OSSL_PROVIDER_available(context_, "offload") != 1)
        failure_ = load_errors(options);
}

std::string take_errors() {
    std::string all;
    const char* data = nullptr;
    int flags = 0;
    while (const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
        char text[256];
        ERR_error_string_n(code, text, sizeof text);
        all.append(text).append(":").append((flags & ERR_TXT_STRING) != 0 ? data : "").append("\n");
    }
    return all;
}

namespace {

PkeyPtr make_key(KeyType type) {
    switch (type) {
        case KeyType::rsa:
            return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}));
        case KeyType::large_rsa:
            return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{4096}));
        case KeyType::ec:
            return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
        case KeyType::ed25519:
            return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
        case KeyType::ed448:
            return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"));
        case KeyType::x25519:
            return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
        case KeyType::x448:
            return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "X448"));
        case KeyType::dh: {
            const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr));
            EVP_PKEY* key = nullptr;
            EVP_PKEY_keygen_init(context.get());
            EVP_PKEY_CTX_set_group_name(context.get(), "ffdhe2048");
            EVP_PKEY_generate(context.get(), &key);
            return PkeyPtr(key);
        }
    }
    return nullptr;
}

}  // namespace

PkeyPtr key_in(OSSL_LIB_CTX* library, KeyType type) {
    static std::mutex mutex;
    static std::map<KeyType, Bytes> made;
    const std::lock_guard lock(mutex);
    Bytes& encoded = made[type];
    if (encoded.empty()) {
        const PkeyPtr key = make_key(type);
        unsigned char* bytes = nullptr;
        const int length = i2d_PrivateKey(key.get(), &bytes);
        if (length <= 0)
            throw std::runtime_error("no key: " + take_errors());
        encoded.assign(bytes, bytes + length);
        OPENSSL_free(bytes);
    }
    const unsigned char* from = encoded.data();
    return PkeyPtr(
        d2i_AutoPrivateKey_ex(nullptr, &from, static_cast<long>(encoded.size()), library, nullptr));
}

std::vector<int> wait_fds(ASYNC_WAIT_CTX* wait) {
    std::size_t count = 0;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(wait, nullptr, &count), 1);
    std::vector<int> fds(count);
    EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(wait, fds.data(), &count), 1);
    return fds;
}

int wait_fd(ASYNC_WAIT_CTX* wait) {
    const std::vector<int> fds = wait_fds(wait);
    EXPECT_EQ(fds.size(), 1U);
    return fds.empty() ? -1 : fds.front();
}

bool becomes_readable(int fd, Wait wait) {
    constexpr int far_too_long = 120'000;  // milliseconds
    pollfd polled{fd, POLLIN, 0};
    return poll(&polled, 1, wait == Wait::long_enough ? far_too_long : 0) == 1 &&
           polled.revents == POLLIN;
}

int run_to_end(TestJob& job, ASYNC_WAIT_CTX* wait) {
    for (int pauses = 0;; ++pauses) {
        if (job.handle != nullptr) {
            EXPECT_TRUE(becomes_readable(wait_fd(wait), Wait::long_enough));
        }
        const int status = job.go();
        if (status != ASYNC_PAUSE) {
            EXPECT_EQ(status, ASYNC_FINISH);
            return pauses;
        }
    }
}

test_inner::Control& inner() {
    static auto* const control = [] {
        void* const module = dlopen(TEST_INNER_MODULE, RTLD_NOW | RTLD_LOCAL);
        if (module == nullptr)
            throw std::runtime_error(dlerror());
        return reinterpret_cast<decltype(&test_inner_control)>(
            dlsym(module, "test_inner_control"))();
    }();
    return *control;
}

InnerReset::~InnerReset() {
    tell_inner([](test_inner::Control& told) {
        told.hold = told.fail = told.no_cache = told.no_signatures = told.one_context = false;
        told.version = 1;
        told.before = nullptr;
    });
}

DeviceLibrary::DeviceLibrary(Options options)
    : DeviceLibrary(std::make_unique<TextFile>("openssl_conf = init\n"
                                               "[init]\nproviders = providers\n"
                                               "[providers]\ntest_inner = inner_section\n"
                                               "[inner_section]\nactivate = 1\n"
                                               "module = " TEST_INNER_MODULE "\n"),
                    std::move(options)) {}

DeviceLibrary::DeviceLibrary(std::unique_ptr<TextFile> inner_config, Options options)
    : Library([&] {
          options.emplace_back("inner", "test_inner");
          options.emplace_back("inner_config", inner_config->path());
          return options;
      }()) {
    EXPECT_EQ(failure(), "");
}

PkeyPtr DeviceLibrary::new_key(const char* type) const {
    const PkeyCtxPtr context(EVP_PKEY_CTX_new_from_name(get(), type, "provider=offload"));
    EVP_PKEY* key = nullptr;
    EXPECT_EQ(EVP_PKEY_keygen_init(context.get()), 1) << take_errors();
    EXPECT_EQ(EVP_PKEY_generate(context.get(), &key), 1) << take_errors();
    return PkeyPtr(key);
}

const Bytes DeviceSignature::input{'a', 'b', 'c'};

DeviceSignature::DeviceSignature(const DeviceLibrary& library)
    : key_(library.new_key()),
      context_(EVP_PKEY_CTX_new_from_pkey(library.get(), key_.get(), nullptr)) {
    EXPECT_EQ(EVP_PKEY_sign_init(context_.get()), 1) << take_errors();
}

int DeviceSignature::sign() {
    result.assign(64, 0);
    std::size_t length = result.size();
    const int status =
        EVP_PKEY_sign(context_.get(), result.data(), &length, input.data(), input.size());
    result.resize(status == 1 ? length : 0);
    return status;
}

Gate::Gate() : signature_(library_), job_([this] { return signature_.sign(); }, wait_.get()) {
    tell_inner([](auto& told) { told.hold = true; });
    EXPECT_EQ(job_.go(), ASYNC_PAUSE);
    wait_for_inner([](auto& told) { return told.holding == 1; });
}

void Gate::open() {
    if (!std::exchange(closed_, false))
        return;
    tell_inner([](auto& told) { told.hold = false; });
    run_to_end(job_, wait_.get());
    EXPECT_EQ(job_.result, 1);
}

}  // namespace test
