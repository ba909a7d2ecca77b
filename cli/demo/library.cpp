// SPDX-License-Identifier: Apache-2.0
// Contract: library.hpp.
#include "library.hpp"

#include <openssl/crypto.h>

#include <cmath>
#include <fstream>
#include <stdexcept>

namespace asyncjob::demo {

namespace {

namespace fs = std::filesystem;

// A value of openssl.cnf, whatever characters a path may have.
std::string for_config(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            result += '\\';
        result += c;
    }
    return result + '"';
}

std::string device_section(const Plan& plan, const Modules& modules) {
    return "[device]\nactivate = 1\nmodule = " + for_config(modules.device) +
           "\nmicroseconds = " + std::to_string(std::lround(plan.device_ms * 1000)) + "\n";
}

std::string offload_section(const Plan& plan, const Modules& modules, const fs::path& inner) {
    std::string text = "[offload]\nactivate = 1\nmodule = " + for_config(modules.offload) +
                       "\nthreads = " + std::to_string(plan.workers) + "\n";
    if (plan.device_ms > 0)
        text += "inner = demo-device\ninner_config = " + for_config(inner) + "\n";
    return text;
}

void write(const fs::path& file, const std::string& text) {
    std::ofstream stream(file);
    stream << text << std::flush;
    if (!stream)
        throw std::runtime_error("cannot write " + file.string());
}

// One provider beside default, and preferred where both offer something.
std::string configuration(const std::string& name, const std::string& section,
                          const std::string& section_text) {
    return "openssl_conf = init\n[init]\nproviders = providers\nalg_section = algorithms\n"
           "[algorithms]\ndefault_properties = ?provider=" +
           name + "\n[providers]\n" + name + " = " + section +
           "\ndefault = default_provider\n[default_provider]\nactivate = 1\n" + section_text;
}

}  // namespace

LibCtxPtr make_library(const Plan& plan, const Modules& modules, const fs::path& folder) {
    LibCtxPtr library(OSSL_LIB_CTX_new());
    if (library == nullptr)
        throw std::runtime_error(describe_failure("making a library context"));
    const fs::path file = folder / (plan.name + ".cnf");
    const fs::path device_file = folder / (plan.name + "-inner.cnf");
    const std::string device =
        configuration("demo-device", "device", device_section(plan, modules));
    if (plan.workers > 0) {
        write(device_file, device);
        write(file,
              configuration("offload", "offload", offload_section(plan, modules, device_file)));
    } else if (plan.device_ms > 0) {
        write(file, device);
    } else {
        return library;
    }
    if (OSSL_LIB_CTX_load_config(library.get(), file.c_str()) != 1)
        throw std::runtime_error(describe_failure("loading the phase's providers"));
    return library;
}

}  // namespace asyncjob::demo
