// SPDX-License-Identifier: Apache-2.0
// The subcommand. Contract: demo.hpp.
#include "demo.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>

#include "machine.hpp"
#include "modules.hpp"
#include "page.hpp"
#include "phase.hpp"
#include "plan.hpp"
#include "table.hpp"

namespace asyncjob::cli {

namespace {

using namespace asyncjob::demo;
namespace fs = std::filesystem;

struct Options {
    std::string json;
    std::string page = "asyncjob-demo.html";
    double seconds = 5;
    std::string modules;
};

class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string name = (fs::temp_directory_path() / "asyncjob-demo-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("cannot make a folder " + name + "; set TMPDIR");
        path_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    [[nodiscard]] const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

// Before the measurements, so that a name that cannot be written costs no minute.
void require_writable(const std::string& file, const char* option) {
    std::error_code ignored;
    const bool was_there = fs::exists(file, ignored);
    if (!std::ofstream(file, std::ios::app))
        throw std::runtime_error("cannot write " + file + "; name another file with " + option);
    if (!was_there)
        fs::remove(file, ignored);
}

void write(const std::string& file, const std::string& text) {
    std::ofstream stream(file);
    stream << text;
    stream.close();
    if (!stream)
        throw std::runtime_error("cannot write " + file + "; is the disk full?");
}

std::vector<Phase> run_phases(const Options& options, const Machine& machine) {
    const Modules modules = find_modules(options.modules);
    const TemporaryFolder folder;
    const std::vector<Plan> plans = plan_phases(options.seconds, machine.cpus);

    std::fprintf(stderr, "Making RSA keys ...\n");
    const Identity cpu_identity = make_identity(cpu_key_bits);
    const Identity device_identity = make_identity(device_key_bits);

    std::vector<Phase> phases;
    for (const Plan& plan : plans) {
        const std::string label = "[" + std::to_string(phases.size() + 1) + "/" +
                                  std::to_string(plans.size()) + "] " + plan.title;
        const Identity& identity = plan.device_ms > 0 ? device_identity : cpu_identity;
        Outcome outcome = run_phase(plan, modules, identity, folder.path(), label);
        if (!outcome.error.empty())
            throw std::runtime_error(plan.title + ": " + outcome.error);
        phases.push_back({plan, std::move(outcome)});
    }
    return phases;
}

// What went wrong without ending a phase; empty if nothing did.
std::string complaints(const std::vector<Phase>& phases) {
    std::string text;
    for (const Phase& phase : phases) {
        const Outcome& outcome = phase.outcome;
        if (outcome.failed_handshakes > 0)
            text += phase.plan.title + ": " + std::to_string(outcome.failed_handshakes) +
                    " handshakes failed, the first with: " + outcome.first_failure + "\n";
        if (outcome.unanswered > 0)
            text += phase.plan.title + ": " + std::to_string(outcome.unanswered) +
                    " plain requests were not answered\n";
    }
    return text;
}

void run(const Options& options) {
    const Machine machine = describe_machine();
    require_writable(options.page, "--page");
    if (!options.json.empty())
        require_writable(options.json, "--json");
    if (machine.load > 0.5 * machine.cpus)
        std::fprintf(stderr,
                     "The machine is busy (load average %.1f on %u CPUs): expect worse figures "
                     "than on an idle one.\n",
                     machine.load, machine.cpus);

    const std::vector<Phase> phases = run_phases(options, machine);
    const std::vector<Figures> figures = figures_of(phases);
    if (!options.json.empty())
        write(options.json, to_json(phases, machine).dump(1) + '\n');
    write(options.page, make_page(phases, figures, machine));
    std::cout << '\n' << make_table(phases, figures) << '\n';
    if (const std::string wrong = complaints(phases); !wrong.empty())
        throw std::runtime_error(wrong + "The page is " + options.page);
    std::cout << fs::absolute(options.page).lexically_normal().string() << std::endl;
}

}  // namespace

void add_demo(CLI::App& app, int& status) {
    CLI::App* const demo = app.add_subcommand(
        "demo", "Show what jobs do for a TLS server: in a table, and in a page with pictures");
    demo->footer("Example: asyncjob demo --page page.html");
    const auto options = std::make_shared<Options>();
    demo->add_option("--page", options->page, "The HTML page to write")->capture_default_str();
    demo->add_option("--json", options->json, "Write all measurements to this file, too");
    demo->add_option("--seconds-per-run", options->seconds,
                     "How long each of the six runs measures")
        ->check(CLI::Range(0.1, 60.0))
        ->capture_default_str();
    demo->add_option("--modules", options->modules,
                     "The folder of offload.so and offload-demo-device.so, if it is not found");
    demo->callback([options, &status] {
        try {
            run(*options);
        } catch (const std::exception& error) {
            std::cerr << "asyncjob demo: " << error.what() << std::endl;
            status = 1;
        }
    });
}

}  // namespace asyncjob::cli
