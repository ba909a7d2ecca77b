// SPDX-License-Identifier: Apache-2.0
// Composing an openssl.cnf. Contract: config.hpp.
#include "config.hpp"

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>
#include <sys/stat.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <regex>

#include "errors.hpp"
#include "failure.hpp"

namespace asyncjob::cli {

namespace fs = std::filesystem;

namespace {

constexpr const char* our_clause = "?provider=offload";

// With a device as inner provider: its keys come to offload by their URI, and all other keys,
// TLS's ephemeral ones among them, must not be made in the device.
constexpr const char* device_clause = "?provider=default";

using Conf = std::unique_ptr<CONF, decltype(&NCONF_free)>;

// The file's sections. OpenSSL expands variables and follows includes on the way.
Conf read(const fs::path& file, int status) {
    struct stat kind {};
    if (!file.empty() && stat(file.c_str(), &kind) == 0 &&
        (S_ISFIFO(kind.st_mode) || S_ISSOCK(kind.st_mode)))
        throw Failure(status, "the OpenSSL configuration " + file.string() +
                                  " is a pipe, which can be read only once; put it into a file");
    Conf conf(NCONF_new(nullptr), NCONF_free);
    long line = 0;
    if (conf == nullptr)
        throw Failure(status, "out of memory");
    if (!file.empty() && NCONF_load(conf.get(), file.c_str(), &line) != 1) {
        throw Failure(status, "the OpenSSL configuration " + file.string() + " cannot be read" +
                                  (line > 0 ? " (line " + std::to_string(line) + ")" : "") + ": " +
                                  take_errors() +
                                  "; repair it, or name another one in OPENSSL_CONF");
    }
    return conf;
}

// A key of one section alone: NCONF_get_string() would look into [default] as well. Provider
// entries may be numbered, as in "1.offload".
const char* value_of(CONF* conf, const char* section, const char* key, bool numbered = false) {
    STACK_OF(CONF_VALUE)* const values = NCONF_get_section(conf, section);
    for (int at = 0; values != nullptr && at < sk_CONF_VALUE_num(values); ++at) {
        const CONF_VALUE* const value = sk_CONF_VALUE_value(values, at);
        const char* name = value->name;
        if (const char* const dot = numbered ? std::strchr(name, '.') : nullptr; dot != nullptr)
            name = dot + 1;
        if (std::strcmp(name, key) == 0)
            return value->value;
    }
    return nullptr;
}

// OpenSSL from 3.2 on reads a value here, earlier ones look for the key only.
bool is_activated(CONF* conf, const char* section) {
    const char* const value = value_of(conf, section, "activate");
    if (value == nullptr)
        return false;
    for (const char* off : {"0", "no", "off", "false"}) {
        if (strcasecmp(value, off) == 0)
            return false;
    }
    return true;
}

bool activates_any(CONF* conf, const char* providers) {
    STACK_OF(CONF_VALUE)* const values = NCONF_get_section(conf, providers);
    for (int at = 0; values != nullptr && at < sk_CONF_VALUE_num(values); ++at) {
        if (is_activated(conf, sk_CONF_VALUE_value(values, at)->value))
            return true;
    }
    return false;
}

// The name of the user's own section for the provider; NULL if there is none.
const char* offload_section(CONF* conf) {
    const char* section = value_of(conf, "default", "openssl_conf");
    if (section != nullptr)
        section = value_of(conf, section, "providers");
    return section != nullptr ? value_of(conf, section, "offload", true) : nullptr;
}

// Text that openssl.cnf reads back as it is: whatever may be syntax gets a backslash.
std::string escaped(std::string_view text, int status) {
    std::string result;
    for (const char c : text) {
        if (c == '\n' || c == '\r')
            throw Failure(status, "'" + std::string(text) +
                                      "' cannot stand in an OpenSSL configuration, as it has "
                                      "more than one line");
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 128 && std::isalnum(byte) == 0 &&
            std::string_view("_-./+:@%=,?").find(c) == std::string_view::npos)
            result.push_back('\\');
        result.push_back(c);
    }
    return result;
}

// Writes sections, remembering which names the user has given them.
class Writer {
  public:
    explicit Writer(int status) : status_(status) {}

    void section(std::string_view name) { text_ += "[" + escaped(name, status_) + "]\n"; }
    void entry(std::string_view key, std::string_view value) {
        text_ += std::string(key) + " = " + escaped(value, status_) + "\n";
    }
    // The section that `key` names in the open section: the user's, or a new one, `ours`.
    std::string link(std::string_view key, const char* users, const char* ours) {
        if (users != nullptr)
            return users;
        entry(key, ours);
        return ours;
    }
    std::string& text() { return text_; }

  private:
    int status_;
    std::string text_;
};

// The user's default properties and our preference.
std::string combine_properties(const char* users, const std::string& clause, const fs::path& file,
                               int status) {
    const std::string had = users != nullptr ? users : "";
    static const std::regex our_choice(R"((^|,)\s*\??\s*provider\s*=\s*offload\s*(,|$))");
    static const std::regex any_choice(R"((^|,)\s*[?-]?\s*provider\s*([=!,]|$))");
    if (std::regex_search(had, our_choice))
        return had;
    // OpenSSL refuses a query that names a property twice.
    if (std::regex_search(had, any_choice))
        throw Failure(status, "the OpenSSL configuration " + file.string() +
                                  " already chooses a provider (default_properties = " + had +
                                  "), and only one can be chosen; take that out, or let offload "
                                  "wrap that provider with --inner");
    return had.find_first_not_of(" \t") == std::string::npos ? clause : had + "," + clause;
}

void add_default_provider(Writer& writer, CONF* conf, const char* providers) {
    // Where any provider is activated, OpenSSL no longer falls back to the default one. Where
    // the user chose providers without it, it stays out.
    if (activates_any(conf, providers))
        return;
    const std::string section =
        writer.link("default", value_of(conf, providers, "default", true), "asyncjob_default");
    writer.section(section);
    writer.entry("activate", "1");
}

void add_offload(Writer& writer, const std::string& section, const OffloadOptions& options) {
    writer.section(section);
    if (options.activate)
        writer.entry("activate", "1");
    writer.entry("module", options.module.string());
    for (const auto& [key, value] : options.settings()) {
        if (value)
            writer.entry(key, *value);
    }
}

}  // namespace

fs::path find_user_config() {
    char* const name = CONF_get1_default_config_file();
    const std::string file = name != nullptr ? name : "";
    OPENSSL_free(name);
    struct stat status {};
    if (file.empty() || (stat(file.c_str(), &status) != 0 && errno == ENOENT))
        return {};
    return fs::absolute(file);
}

void add_users_settings(const fs::path& user, OffloadOptions& options, int status) {
    const Conf conf = read(user, status);
    const char* const section = offload_section(conf.get());
    if (section == nullptr)
        return;
    const std::pair<const char*, std::optional<std::string>&> settings[] = {
        {"threads", options.threads},
        {"inner", options.inner},
        {"inner_config", options.inner_config},
        {"operations", options.operations},
    };
    for (const auto& [key, value] : settings) {
        if (const char* const users = value_of(conf.get(), section, key); users && !value)
            value = users;
    }
}

bool activates_offload(const fs::path& user, int status) {
    const Conf conf = read(user, status);
    const char* const section = offload_section(conf.get());
    return section != nullptr && is_activated(conf.get(), section);
}

std::string compose_config(const fs::path& user, const OffloadOptions& options, int status) {
    const Conf conf = read(user, status);
    Writer writer(status);
    writer.text() =
        "# Written by `asyncjob run` for the program it starts; named after its contents.\n";
    if (!user.empty())
        writer.text() += ".include " + escaped(user.string(), status) + "\n";

    writer.section("default");
    const std::string init = writer.link(
        "openssl_conf", value_of(conf.get(), "default", "openssl_conf"), "asyncjob_init");
    writer.section(init);
    const std::string providers = writer.link(
        "providers", value_of(conf.get(), init.c_str(), "providers"), "asyncjob_providers");
    const std::string properties = writer.link(
        "alg_section", value_of(conf.get(), init.c_str(), "alg_section"), "asyncjob_algorithms");
    writer.section(properties);
    writer.entry("default_properties",
                 combine_properties(
                     value_of(conf.get(), properties.c_str(), "default_properties"),
                     options.inner.value_or("default") == "default" ? our_clause : device_clause,
                     user, status));
    writer.section(providers);
    const std::string offload = writer.link(
        "offload", value_of(conf.get(), providers.c_str(), "offload", true), "asyncjob_offload");
    add_default_provider(writer, conf.get(), providers.c_str());
    add_offload(writer, offload, options);
    return writer.text();
}

}  // namespace asyncjob::cli
