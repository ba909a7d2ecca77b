// SPDX-License-Identifier: Apache-2.0
// The configuration target: bytes are lines "option=value" of the provider's section. The section
// is read by read_config() as libcrypto's core would hand it over, by the provider's entry with
// such a core, and by libcrypto from an openssl.cnf; what comes out is compared with what
// config.hpp says of the options. Whatever the bytes, no more threads than the limit are asked for,
// none starts at a load, and an error names its option.
//
// Values have no '/', so that no file is read but the two here.
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "../../provider/config.hpp"
#include "api/check.hpp"
#include "target.hpp"

extern "C" OSSL_provider_init_fn OSSL_provider_init;

namespace {

using Section = std::map<std::string, std::string, std::less<>>;

std::string file_path;   // the configuration
std::string empty_path;  // of an inner provider
std::string wrong_path;
int file = -1;

std::string make_file(const char* text, int& descriptor) {
    descriptor = memfd_create("config", MFD_CLOEXEC);
    if (descriptor < 0 ||
        write(descriptor, text, std::strlen(text)) != static_cast<ssize_t>(std::strlen(text)))
        return {};
    return "/proc/self/fd/" + std::to_string(descriptor);
}

// The last of several values counts, as in a configuration of libcrypto.
Section read_lines(std::string_view text) {
    Section section;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos)
            continue;
        std::string value(line.substr(equals + 1));
        for (char& byte : value) {
            if (byte == '/' || byte == '\0')
                byte = '_';
        }
        const std::string name(line.substr(0, equals));
        if (name == "inner_config" && value == "@empty")
            value = empty_path;
        if (name == "inner_config" && value == "@wrong")
            value = wrong_path;
        section[name] = value;
    }
    return section;
}

// What the text says, by the comment of config.hpp: the option that is wrong, or none.
struct Expected {
    std::string wrong;
    unsigned threads = 0;  // 0: the number of CPUs
    std::string inner = "default";
    unsigned operations = 0;  // a bit for each
};

const char* const operation_names[] = {"rsa-sign", "rsa-decrypt", "ecdsa-sign", "eddsa-sign",
                                       "dsa-sign", "ec-derive",   "x-derive",   "dh-derive"};

char lower(char byte) {
    return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + 32) : byte;
}

// False: one is not known.
bool read_operations(const std::string& list, unsigned& operations) {
    std::string word;
    for (const char byte : list + ' ') {
        if (byte != ' ' && byte != ',' && byte != '\t') {
            word += byte;
            continue;
        }
        if (word.empty())
            continue;
        bool is_known = false;
        if (word == "all") {
            operations = 255;
            is_known = true;
        }
        for (std::string& spelled = word; char& letter : spelled)
            letter = lower(letter);
        for (unsigned at = 0; at < std::size(operation_names); ++at) {
            if (word == operation_names[at]) {
                operations |= 1U << at;
                is_known = true;
            }
        }
        if (!is_known)
            return false;
        word.clear();
    }
    return true;
}

Expected expect_of(const Section& section) {
    Expected expected;
    const auto value = [&](const char* name) -> const std::string* {
        const auto found = section.find(name);
        return found == section.end() ? nullptr : &found->second;
    };
    if (const std::string* const threads = value("threads")) {
        const bool is_number =
            !threads->empty() && threads->find_first_not_of("0123456789") == std::string::npos;
        const std::size_t first = is_number ? threads->find_first_not_of('0') : std::string::npos;
        const std::string digits = first == std::string::npos ? "" : threads->substr(first);
        if (digits.empty() || digits.size() > 4 || std::stoul(digits) > 1024) {
            expected.wrong = "threads";
            return expected;
        }
        expected.threads = static_cast<unsigned>(std::stoul(digits));
    }
    if (const std::string* const inner = value("inner"))
        expected.inner = *inner;
    if (expected.inner.empty() || expected.inner == "offload") {
        expected.wrong = "inner";
        return expected;
    }
    const std::string* const operations = value("operations");
    if (operations != nullptr) {
        if (!read_operations(*operations, expected.operations) || expected.operations == 0)
            expected.wrong = "operations";
    } else {
        expected.operations = expected.inner == "default" ? 3 : 255;
    }
    return expected;
}

// The core's parameters of the section that is being read.
const Section* core_section = nullptr;

int get_core_params(const OSSL_CORE_HANDLE* /*handle*/, OSSL_PARAM params[]) {
    for (OSSL_PARAM* at = params; at->key != nullptr; ++at) {
        const auto found = core_section->find(std::string_view(at->key));
        if (found != core_section->end())
            OSSL_PARAM_set_utf8_ptr(at, found->second.c_str());
    }
    return 1;
}

void check_error(const std::string& text, const std::string& option) {
    if (text.find(option + ":") != std::string::npos &&
        (option != "threads" || text.find("1 to 1024") != std::string::npos))
        return;
    std::fprintf(stderr, "an error about %s says: %s\n", option.c_str(), text.c_str());
    std::abort();
}

void read_by_parser(const Section& section) {
    const Expected expected = expect_of(section);
    core_section = &section;
    offload::Config config;
    const std::string wrong = offload::read_config(nullptr, get_core_params, config);
    fuzz::expect("whether the section is wrong", !wrong.empty(), !expected.wrong.empty());
    if (!wrong.empty())
        return check_error(wrong, expected.wrong);
    fuzz::expect_that("threads are limited", config.threads >= 1 && config.threads <= 1024);
    if (expected.threads != 0)
        fuzz::expect("threads", config.threads, expected.threads);
    fuzz::expect_that("inner", config.inner == expected.inner);
    fuzz::expect("operations", config.operations.to_ulong(), expected.operations);
    fuzz::expect("every_algorithm", config.every_algorithm,
                 expected.operations == 255 && expected.inner != "default");
}

long count_threads() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

// A value as a section of openssl.cnf has it. False: it cannot.
bool append_quoted(std::string& text, const std::string& value) {
    text += '"';
    for (const char byte : value) {
        const auto code = static_cast<unsigned char>(byte);
        if (code < ' ' || code > '~')
            return false;
        if (byte == '"' || byte == '\\' || byte == '$')
            text += '\\';
        text += byte;
    }
    text += "\"\n";
    return true;
}

bool has_inner(const Expected& expected) {
    return expected.inner == "default" || expected.inner == "base" || expected.inner == "null";
}

bool has_config(const Section& section) {
    const auto found = section.find("inner_config");
    return found == section.end() || found->second.empty() || found->second == empty_path;
}

// The core's errors.
std::string raised;

void new_error(const OSSL_CORE_HANDLE* /*handle*/) {
    raised.clear();
}

void set_error(const OSSL_CORE_HANDLE* /*handle*/, std::uint32_t /*reason*/, const char* format,
               va_list arguments) {
    char text[2048];
    (void)std::vsnprintf(text, sizeof text, format, arguments);
    raised = text;
}

// As libcrypto's core loads a provider.
void load_by_core(const Section& section) {
    const Expected expected = expect_of(section);
    const OSSL_DISPATCH core[] = {
        {OSSL_FUNC_CORE_GET_PARAMS, reinterpret_cast<void (*)()>(get_core_params)},
        {OSSL_FUNC_CORE_NEW_ERROR, reinterpret_cast<void (*)()>(new_error)},
        {OSSL_FUNC_CORE_VSET_ERROR, reinterpret_cast<void (*)()>(set_error)},
        {0, nullptr},
    };
    core_section = &section;
    raised.clear();
    const OSSL_DISPATCH* functions = nullptr;
    void* provider = nullptr;
    const int loaded = OSSL_provider_init(nullptr, core, &functions, &provider);
    ERR_clear_error();
    fuzz::trace("loaded %d, error %s\n", loaded, raised.c_str());
    const bool is_fine = expected.wrong.empty() && has_inner(expected) && has_config(section);
    fuzz::expect("whether the provider loads", loaded, is_fine ? 1 : 0);
    if (!is_fine) {
        const char* const wrong = has_config(section) ? "inner" : "inner_config";
        return check_error(raised, expected.wrong.empty() ? wrong : expected.wrong);
    }
    for (; functions->function_id != 0; ++functions) {
        if (functions->function_id == OSSL_FUNC_PROVIDER_TEARDOWN)
            OSSL_FUNC_provider_teardown(functions)(provider);
    }
}

void load(const std::string& text) {
    fuzz::expect("ftruncate", ftruncate(file, 0), 0);
    fuzz::expect("pwrite", pwrite(file, text.data(), text.size(), 0), text.size());
}

// A section of options with values that a file can have: the model says whether it loads.
void load_by_libcrypto(const Section& section) {
    std::string text =
        "openssl_conf = .i\n[.i]\nproviders = .p\n[.p]\noffload = .o\n"
        "[.o]\nactivate = 1\n";
    Section written;
    for (const char* const name : {"threads", "inner", "inner_config", "operations"}) {
        const auto found = section.find(name);
        if (found == section.end())
            continue;
        // libcrypto takes the name of a section for the section.
        for (const char* const named : {"default", ".i", ".p", ".o"}) {
            if (found->second == named)
                return;
        }
        text.append(name).append(" = ");
        if (!append_quoted(text, found->second))
            return;
        written[name] = found->second;
    }
    load(text);
    const Expected expected = expect_of(written);
    const long threads = count_threads();
    OSSL_LIB_CTX* const library = OSSL_LIB_CTX_new();
    fuzz::expect("a built-in provider",
                 OSSL_PROVIDER_add_builtin(library, "offload", OSSL_provider_init), 1);
    const int loaded = OSSL_LIB_CTX_load_config(library, file_path.c_str());
    ERR_clear_error();
    const bool is_fine = expected.wrong.empty() && has_inner(expected) && has_config(written);
    fuzz::trace("available %d\n", OSSL_PROVIDER_available(library, "offload"));
    // It goes on without a provider that cannot be loaded, and drops the errors.
    fuzz::expect("whether the file loads", loaded, 1);
    fuzz::expect("whether the provider is there", OSSL_PROVIDER_available(library, "offload"),
                 is_fine ? 1 : 0);
    OSSL_LIB_CTX_free(library);
    fuzz::expect("threads of the process", count_threads(), threads);
}

}  // namespace

int LLVMFuzzerInitialize(int* /*count*/, char*** /*arguments*/) {
    // No provider comes from a file.
    setenv("OPENSSL_MODULES", "/proc/self/fdinfo", 1);
    unsetenv("OPENSSL_CONF");
    int other = -1;
    file_path = make_file("", file);
    empty_path = make_file("# nothing\n", other);
    wrong_path = make_file("[\n", other);
    return wrong_path.empty() ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0)
        return 0;
    const Section section = read_lines({reinterpret_cast<const char*>(bytes) + 1, size - 1});
    read_by_parser(section);
    // By the first byte: the file takes a hundred times as long.
    if (bytes[0] % 4 == 1)
        load_by_core(section);
    if (bytes[0] % 4 == 2)
        load_by_libcrypto(section);
    return 0;
}
