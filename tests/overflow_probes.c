/* SPDX-License-Identifier: Apache-2.0
 * For overflow_test.cpp: frames that are touched page by page when they are made, compiled with
 * -fstack-clash-protection. They are so large that what does so with the stack pointer above has it
 * far above the fault, and no larger than that the second one ends in the guard where nothing is
 * touched. */
int overflow_test_probes(int depth);

__attribute__((noinline)) int overflow_test_probes(int depth) {
    volatile char frame[50 * 1024];
    frame[0] = (char)depth;
    return depth == 0 ? 0 : overflow_test_probes(depth + 1) + frame[0];
}
