// SPDX-License-Identifier: Apache-2.0
// A plugin that brings libssl into a program that has none: it frees a paused connection and says
// whether all went as it should. Next layer down: connections.hpp.
#include "connections.hpp"

namespace ssl_test {
namespace {

// Expectations need a running test.
TEST(Late, ServerInASignature) {
    Ends ends(TLS1_3_VERSION);
    ends.pause_handshake(ends.server);
    free_paused(ends, ends.server);
}

}  // namespace
}  // namespace ssl_test

extern "C" __attribute__((visibility("default"))) int run_late_tests() {
    int count = 1;
    char name[] = "late_plugin";
    char* arguments[] = {name, nullptr};
    testing::InitGoogleTest(&count, arguments);
    return RUN_ALL_TESTS();
}
