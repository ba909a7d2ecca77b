// SPDX-License-Identifier: Apache-2.0
// How the sanitizers run in the targets; ASAN_OPTIONS has the last word. Fake stacks are what makes
// a job's frames hardest to follow.
extern "C" const char* __asan_default_options();

const char* __asan_default_options() {
    return "detect_stack_use_after_return=1:quarantine_size_mb=16:handle_abort=1";
}
