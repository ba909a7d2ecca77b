#include <asyncjob/async.h> /* SPDX-License-Identifier: Apache-2.0 */
