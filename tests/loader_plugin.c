/* SPDX-License-Identifier: Apache-2.0
 * A library whose constructor has something to do: what loader_test.cpp, dump_test.cpp,
 * overflow_test.cpp and trace/jobs.c want. */

void asyncjob_test_in_constructor(void);

__attribute__((constructor)) static void start(void) {
    asyncjob_test_in_constructor();
}
