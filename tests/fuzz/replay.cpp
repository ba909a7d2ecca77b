// SPDX-License-Identifier: Apache-2.0
// replay [--random N] PATH...: gives inputs to a target, without libFuzzer: with any compiler, on
// any CPU. A path that ends in .txt has one in each line, see inputs.py; any other is one itself.
// --random adds N inputs of bytes from seeds.
//
// Exit status: 0 all ran, 2 wrong use or none there, 77 cannot run here; a target that finds
// something aborts.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "target.hpp"

namespace {

using Input = std::vector<std::uint8_t>;

void run(const std::string& name, Input input) {
    std::printf("%s\n", name.c_str());
    std::fflush(stdout);    // to be seen if it is the last
    input.shrink_to_fit();  // so that a sanitizer sees a read behind it
    (void)LLVMFuzzerTestOneInput(input.data(), input.size());
}

// False: not two digits for each byte.
bool read_hex(const std::string& text, Input& input) {
    const auto digit = [](char letter) {
        const char* const digits = "0123456789abcdef";
        const char* const found = letter != '\0' ? std::strchr(digits, letter) : nullptr;
        return found == nullptr ? -1 : static_cast<int>(found - digits);
    };
    for (std::size_t at = 0; at + 1 < text.size(); at += 2) {
        const int high = digit(text[at]);
        const int low = digit(text[at + 1]);
        if (high < 0 || low < 0)
            return false;
        input.push_back(static_cast<std::uint8_t>(16 * high + low));
    }
    return text.size() % 2 == 0;
}

// How many there are; 0: none, or the file is not as it should be.
int run_list(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    int count = 0;
    while (std::getline(file, line)) {
        if (line.empty() || line[0] == '#')
            continue;
        std::string name;
        std::string hex;
        Input input;
        if (!(std::istringstream(line) >> name >> hex) || !read_hex(hex, input)) {
            std::fprintf(stderr, "replay: not a name and an input in %s: %s\n", path.c_str(),
                         line.c_str());
            return 0;
        }
        run(path + ": " + name, input);
        ++count;
    }
    return count;
}

int run_path(const std::string& path) {
    if (path.ends_with(".txt"))
        return run_list(path);
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return 0;
    run(path, Input{std::istreambuf_iterator<char>(file), {}});
    return 1;
}

Input random_input(unsigned seed) {
    std::uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
    Input input(16 + seed % 700);
    for (std::uint8_t& byte : input) {
        state = state * 6364136223846793005 + 1442695040888963407;
        byte = static_cast<std::uint8_t>(state >> 56);
    }
    return input;
}

}  // namespace

int main(int argc, char** argv) {
    if (LLVMFuzzerInitialize(&argc, &argv) != 0)
        return 77;
    int count = 0;
    for (int at = 1; at < argc; ++at) {
        const std::string argument = argv[at];
        int ran = 0;
        if (argument == "--random" && at + 1 < argc) {
            const unsigned seeds = static_cast<unsigned>(std::strtoul(argv[++at], nullptr, 10));
            for (unsigned seed = 0; seed < seeds; ++seed, ++ran)
                run("random " + std::to_string(seed), random_input(seed));
        } else {
            ran = run_path(argument);
        }
        if (ran == 0) {
            std::fprintf(stderr, "replay: no inputs in %s\n", argument.c_str());
            return 2;
        }
        count += ran;
    }
    std::printf("%d inputs\n", count);
    return count > 0 ? 0 : 2;
}
