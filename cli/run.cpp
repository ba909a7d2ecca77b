// SPDX-License-Identifier: Apache-2.0
// asyncjob run: becomes the program, with the libraries preloaded and the provider configured.
//
// All that can go wrong is looked for before exec, as afterwards OpenSSL and the loader would
// go on without a word, and without a library or the provider.
//
// Threads: main only. Next layer down: program.hpp, config.hpp, private_file.hpp.
#include <openssl/crypto.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "commands.hpp"
#include "config.hpp"
#include "failure.hpp"
#include "layout.hpp"
#include "offload_context.hpp"
#include "private_file.hpp"
#include "program.hpp"

namespace asyncjob::cli {

namespace fs = std::filesystem;

namespace {

struct RunOptions {
    std::string threads;
    std::string inner;
    std::string inner_config;
    std::string operations;
    std::string report;
    bool no_ssl = false;
};

OffloadOptions offload_options(const CLI::App& command, const RunOptions& given) {
    OffloadOptions options;
    options.module = find_offload(status_run_failed);
    if (command.count("--threads") > 0)
        options.threads = given.threads;
    if (command.count("--inner") > 0)
        options.inner = given.inner;
    // The program may change its folder before OpenSSL reads this.
    if (command.count("--inner-config") > 0)
        options.inner_config = fs::absolute(given.inner_config).string();
    if (command.count("--operations") > 0)
        options.operations = given.operations;
    return options;
}

// What differs from the provider's defaults, for the line on stderr.
std::string described(const OffloadOptions& options) {
    std::string text = "offload";
    for (const auto& [key, value] : options.settings()) {
        if (value)
            text += std::string(text == "offload" ? " (" : ", ") + key + " = " + *value;
    }
    return text == "offload" ? text : text + ")";
}

std::string libraries_to_preload(const RunOptions& given) {
    const std::string library = find_library(status_run_failed).string();
    return given.no_ssl ? library : library + ":" + find_ssl_library(status_run_failed).string();
}

void preload(const std::string& libraries) {
    const char* const before = std::getenv("LD_PRELOAD");
    const std::string all =
        before != nullptr && before[0] != '\0' ? libraries + ":" + before : libraries;
    setenv("LD_PRELOAD", all.c_str(), 1);
}

// The library writes the file when the program exits, and it is too late to complain then. The name
// may have %p, for each process's number.
std::string report_file(const std::string& given) {
    const std::string option = "--report: '" + given + "'";
    const fs::path file = given.empty() ? fs::path() : fs::absolute(given);
    if (!file.has_filename())
        throw Failure(status_run_failed, option + " is not the name of a file");
    if (fs::is_directory(file))
        throw Failure(status_run_failed, option + " is a folder");
    if (access(file.parent_path().c_str(), W_OK | X_OK) != 0)
        throw Failure(status_run_failed, option +
                                             " cannot be written: " + file.parent_path().string() +
                                             ": " + std::strerror(errno));
    return file.string();
}

[[noreturn]] void become(const fs::path& file, const std::vector<std::string>& arguments) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(file.c_str(), argv.data());
    throw Failure(errno == ENOENT ? status_not_found : status_not_executable,
                  "'" + file.string() + "' cannot be executed: " + std::strerror(errno));
}

[[noreturn]] void run(const CLI::App& command, const RunOptions& given,
                      const ProgramArguments& program) {
    if (!program || program->empty())
        throw Failure(status_run_failed,
                      "run needs a program behind --, as in: asyncjob run -- PROGRAM ARGS");
    // This process must not load the configuration that it writes for another.
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
    const fs::path file = find_program(program->front());
    if (const ProgramFacts facts = inspect_program(file); !facts.obstacle.empty())
        throw Failure(status_run_failed, facts.obstacle);
    const std::string libraries = libraries_to_preload(given);
    OffloadOptions options = offload_options(command, given);
    const fs::path users = find_user_config();
    add_users_settings(users, options, status_run_failed);
    try {
        const OffloadContext check({}, options, status_run_failed);
    } catch (const Failure& failure) {
        throw Failure(failure.status(), "the provider " + options.module.string() +
                                            " does not load: " + failure.what());
    }
    const fs::path config = keep_private_file(compose_config(users, options, status_run_failed),
                                              ".cnf", status_run_failed);
    if (command.count("--report") > 0)
        setenv("ASYNCJOB_REPORT", report_file(given.report).c_str(), 1);
    preload(libraries);
    setenv("OPENSSL_CONF", config.c_str(), 1);
    std::fprintf(stderr, "asyncjob: %s with LD_PRELOAD=%s and OPENSSL_CONF=%s: %s%s\n",
                 file.c_str(), libraries.c_str(), config.c_str(),
                 users.empty() ? "" : (users.string() + " and ").c_str(),
                 ("the provider " + described(options)).c_str());
    become(file, *program);
}

}  // namespace

void add_run(CLI::App& app, const ProgramArguments& program, int& /*status*/) {
    CLI::App* const command = app.add_subcommand(
        "run", "Start a program with the libraries preloaded and the provider offload configured");
    const auto given = std::make_shared<RunOptions>();
    command->add_option("--threads", given->threads, "Worker threads; default: one per CPU")
        ->type_name("N");
    command->add_option("--inner", given->inner, "The provider that computes; default: default")
        ->type_name("NAME");
    command
        ->add_option("--inner-config", given->inner_config,
                     "An openssl.cnf for the inner provider alone")
        ->type_name("FILE");
    command
        ->add_option("--operations", given->operations,
                     "What to offload, separated by commas; default: rsa-sign,rsa-decrypt, or all "
                     "with another inner provider")
        ->type_name("LIST");

    command
        ->add_option("--report", given->report,
                     "Where the program writes the numbers of its jobs when it exits (not when a "
                     "signal ends it), as JSON; %p "
                     "in the name is the process's number")
        ->type_name("FILE");
    command->add_flag("--no-ssl", given->no_ssl,
                      "Leave libasyncjob-ssl.so out: for engines that wait for their device again "
                      "and again in a job, or have it asked by the server's own thread");
    command->footer("Example: asyncjob run --threads 4 -- haproxy -f haproxy.cfg");
    command->callback([command, given, &program] { run(*command, *given, program); });
}

}  // namespace asyncjob::cli
