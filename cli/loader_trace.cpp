// SPDX-License-Identifier: Apache-2.0
// Asking the dynamic loader. Contract: loader_trace.hpp.
//
// This program's own loader is asked, never the one that the file names: a file can name
// anything, and it would be run.
#include "loader_trace.hpp"

#include <unistd.h>

#include <cstdlib>
#include <set>
#include <sstream>
#include <string_view>

#include "child.hpp"
#include "failure.hpp"

namespace asyncjob::cli {

namespace {

// Standard output and error together.
std::string output_of(const std::string& loader, const std::string& image,
                      const std::string& libraries) {
    const auto run = [&] {
        dup2(STDOUT_FILENO, STDERR_FILENO);
        const char* const before = std::getenv("LD_PRELOAD");
        setenv(
            "LD_PRELOAD",
            (before != nullptr && before[0] != '\0' ? libraries + ":" + before : libraries).c_str(),
            1);
        // As ldd -r does.
        setenv("LD_TRACE_LOADED_OBJECTS", "1", 1);
        setenv("LD_WARN", "yes", 1);
        setenv("LD_BIND_NOW", "yes", 1);
        setenv("LD_DEBUG", "bindings", 1);
        unsetenv("LD_DEBUG_OUTPUT");
        execl(loader.c_str(), loader.c_str(), image.c_str(), nullptr);
    };
    return run_in_child(run).output;
}

std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
    const std::size_t start = text.find(before);
    if (start == std::string_view::npos)
        return {};
    text.remove_prefix(start + before.size());
    return text.substr(0, text.find(after));
}

// A line of LD_DEBUG=bindings:
//   1234: binding file A [0] to B [0]: normal symbol `NAME' [VERSION]
bool read_binding(std::string_view line, Binding& binding) {
    binding.from = between(line, "binding file ", " [");
    binding.to = between(line, "] to ", " [");
    binding.symbol = between(line, "symbol `", "'");
    return !binding.from.empty() && !binding.to.empty() && !binding.symbol.empty();
}

// A line of the list: NAME => FILE (0x...), or NAME => not found.
std::string read_library(std::string_view line, LoaderTrace& trace) {
    const std::string name(between(line, "\t", " =>"));
    const std::string file(between(line, "=> ", " ("));
    if (file == "not found")
        return "its library " + name + " is missing; install it";
    if (is_library(name, "libssl.so"))
        trace.libssl = file;
    if (is_library(name, "libcrypto.so"))
        trace.libcrypto = file;
    return {};
}

}  // namespace

bool is_library(const std::string& file, const std::string& name) {
    const std::size_t slash = file.rfind('/');
    return file.compare(slash == std::string::npos ? 0 : slash + 1, name.size(), name) == 0;
}

std::string trace_loader(const ProgramFacts& program, const std::vector<std::string>& libraries,
                         LoaderTrace& trace) {
    std::string preloaded;
    for (const std::string& library : libraries)
        preloaded += (preloaded.empty() ? "" : ":") + library;
    std::string output;
    try {
        const std::string image = std::filesystem::absolute(program.image).string();
        output = output_of(own_loader(), image, preloaded);
    } catch (const Failure& failure) {
        return std::string("the dynamic loader cannot be asked: ") + failure.what();
    }
    std::istringstream lines(output);
    std::string line;
    std::set<std::string> missing(libraries.begin(), libraries.end());
    while (std::getline(lines, line)) {
        if (Binding binding; read_binding(line, binding)) {
            trace.bindings.push_back(std::move(binding));
        } else if (line.rfind('\t', 0) == 0) {
            for (const std::string& library : libraries) {
                if (line.find(library) != std::string::npos)
                    missing.erase(library);
            }
            if (line.find("=>") == std::string::npos)
                continue;
            if (const std::string why = read_library(line, trace); !why.empty())
                return why;
        }
    }
    if (!missing.empty())
        return "the dynamic loader does not preload " + *missing.begin() + ": " +
               output.substr(0, output.find('\n'));
    return {};
}

}  // namespace asyncjob::cli
