// SPDX-License-Identifier: Apache-2.0
// A program that does not know of libssl, as Python's interpreter: with both libraries in it, a
// plugin brings libssl later, into a scope of its own. Usage: late PLUGIN
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

int main(int /*count*/, char** arguments) {
    if (dlsym(RTLD_DEFAULT, "SSL_new") != nullptr) {
        std::fprintf(stderr, "there is a libssl in the program\n");
        return 2;
    }
    void* const plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    // Only the plugin's scope has libssl.
    if (dlsym(RTLD_DEFAULT, "SSL_new") != nullptr) {
        std::fprintf(stderr, "libssl is in the global scope\n");
        return 2;
    }
    return reinterpret_cast<int (*)()>(dlsym(plugin, "run_late_tests"))();
}
