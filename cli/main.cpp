// SPDX-License-Identifier: Apache-2.0
// The program asyncjob: parses the command line, runs one subcommand. See asyncjob(1).
//
// Threads: one, but for what the subcommands start. Next layer down: commands.hpp.
#include <algorithm>
#include <cstdio>
#include <exception>

#include "commands.hpp"
#include "failure.hpp"
#ifdef ASYNCJOB_HAVE_DEMO
#include "demo.hpp"
#endif

namespace asyncjob::cli {

namespace {

constexpr const char* examples =
    "Examples:\n"
    "  asyncjob run -- openssl s_server -async -cert cert.pem -key key.pem\n"
    "  asyncjob run --threads 4 -- haproxy -f haproxy.cfg\n"
    "  asyncjob doctor -- /usr/sbin/haproxy\n"
    "  asyncjob bench --json bench.json\n"
#ifdef ASYNCJOB_HAVE_DEMO
    "  asyncjob demo\n"
#endif
    "\nEach command has a --help of its own; exit statuses are in asyncjob(1).";

bool takes_program(const std::string& command) {
    return command == "run" || command == "doctor";
}

// The program of `run` and `doctor` is taken off before the parser sees it: whatever stands
// behind the first "--" is none of ours.
ProgramArguments split_off_program(int& argc, char** argv) {
    if (argc < 2 || !takes_program(argv[1]))
        return std::nullopt;
    char** const end = argv + argc;
    char** const dashes = std::find_if(
        argv + 2, end, [](const char* argument) { return std::string_view(argument) == "--"; });
    if (dashes == end)
        return std::nullopt;
    argc = static_cast<int>(dashes - argv);
    return std::vector<std::string>(dashes + 1, end);
}

int usage_status(int argc, char** argv) {
    return argc > 1 && std::string_view(argv[1]) == "run" ? status_run_failed : status_usage;
}

bool is_command(const CLI::App& app, const std::string& name) {
    const auto commands = app.get_subcommands({});
    return std::any_of(commands.begin(), commands.end(),
                       [&](const CLI::App* command) { return command->check_name(name); });
}

std::string what_is_wrong(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv,
                          bool has_program) {
    if (argc > 1 && argv[1][0] != '-' && !is_command(app, argv[1]))
        return "'" + std::string(argv[1]) + "' is not one of its commands";
    if (argc > 1 && takes_program(argv[1]) && !has_program &&
        dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr)
        return std::string(error.what()) +
               "\nPut -- before the program, as in: asyncjob run -- PROGRAM";
    return error.what();
}

int run_main(int argc, char** argv) {
    int status = 0;
    const ProgramArguments program = split_off_program(argc, argv);
    CLI::App app{"Asynchronous jobs for programs that use OpenSSL."};
    app.name("asyncjob");
    app.set_version_flag("--version", "asyncjob " ASYNCJOB_VERSION);
    app.require_subcommand(1);
    app.footer(examples);
    add_run(app, program, status);
    add_doctor(app, program, status);
#ifdef ASYNCJOB_HAVE_DEMO
    add_demo(app, status);
#endif
    add_bench(app, status);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help) {
        return app.exit(help);
    } catch (const CLI::RuntimeError& ended) {
        return ended.get_exit_code();
    } catch (const CLI::ParseError& error) {
        std::fprintf(stderr, "asyncjob: %s\nRun with --help for more information.\n",
                     what_is_wrong(app, error, argc, argv, program.has_value()).c_str());
        return usage_status(argc, argv);
    } catch (const Failure& failure) {
        std::fprintf(stderr, "asyncjob: %s\n", failure.what());
        return failure.status();
    }
    return status;
}

}  // namespace

}  // namespace asyncjob::cli

int main(int argc, char** argv) {
    try {
        return asyncjob::cli::run_main(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "asyncjob: %s\n", error.what());
        return asyncjob::cli::usage_status(argc, argv);
    }
}
