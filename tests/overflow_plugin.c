/* SPDX-License-Identifier: Apache-2.0
 * A library that has asyncjob in it: what overflow_signal_test.cpp wants. */
#include "asyncjob/control.h"

__attribute__((visibility("default"))) int asyncjob_test_reports_overflows(void);

int asyncjob_test_reports_overflows(void) {
    return asyncjob_install_overflow_handler();
}
