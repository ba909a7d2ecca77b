#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests of the examples in the comments of the C++ headers, each of which looks so:

    // Example:
    //     assert(asyncjob::this_job::current() == nullptr);

and checks that the examples name all that is public in the headers.
Usage: header_examples.py OUTPUT.cpp HEADER..."""

import os
import re
import sys

PRELUDE = """\
// Made by header_examples.py of the comments in the C++ headers.
#undef NDEBUG
#include <cassert>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
"""

EXAMPLE = re.compile(r"^ *// Example:$")
CODE = re.compile(r"^ *//(?:     (.*)| *)$")
COMMENT = re.compile(r" *//.*$")
ATTRIBUTES = re.compile(r"\[\[.*?\]\] |__attribute__\(\(.*?\)\)\) ")

# What a declaration begins with, up to the name that it declares. The headers are in the project's
# format: namespaces are not indented, members are by four columns.
TYPE = re.compile(r"^(?: {4})?(?:class|struct|enum class|union) (?!std::)(\w+)\b.* \{")
FUNCTION = re.compile(
    r"^(?: {4})?(?!class\b|friend\b|return\b|static_assert|using\b|explicit operator|namespace\b|\s)"
    r"[\w:&*<>, ]*?[ *&](\w+)\(.*$"
)
# Its type is in the line above.
FUNCTION_ALONE = re.compile(r"^(\w+)\(.*{$")

# What the headers are known to have, lest the patterns above find too little.
KNOWN = {
    "job.hpp": ("Job", "resume"),
    "this_job.hpp": ("Cancelled", "pause", "BlockPause", "local"),
    "wait_context.hpp": ("WaitContext", "set_wait_fd"),
    "async_run.hpp": ("async_run", "job_executor"),
    "coroutine.hpp": ("run", "await"),
    "ssl_stream.hpp": ("ssl_stream", "async_handshake", "close"),
    "use_job.hpp": ("use_job_t",),
}


def examples_of(lines):
    """(line number, code) of each."""
    examples = []
    code = None
    for number, line in enumerate(lines, 1):
        match = CODE.match(line) if code is not None else None
        if match:
            code.append(match[1] or "")
        else:
            code = None
        if EXAMPLE.match(line):
            code = []
            examples.append((number, code))
    return [(number, "\n".join(code).rstrip()) for number, code in examples]


def public_names(lines):
    """(line number, name) of each type and function that is not in a namespace detail, nor
    private."""
    names = []
    in_detail = is_private = False
    for number, line in enumerate(lines, 1):
        line = ATTRIBUTES.sub("", COMMENT.sub("", line))
        if line.startswith("namespace detail"):
            in_detail = True
        elif line.startswith("}") and "namespace detail" in lines[number - 1]:
            in_detail = False
        elif re.match(r"^(class|struct|}|  public:)", line):
            is_private = False
        elif line.startswith("  private:"):
            is_private = True
        match = TYPE.match(line) or FUNCTION.match(line) or FUNCTION_ALONE.match(line)
        if match and match[1] != "operator" and not in_detail and not is_private:
            names.append((number, match[1]))
    return names


def main():
    output, *headers = sys.argv[1:]
    text = [PRELUDE]
    text += [f"#include <{header.rpartition('/include/')[2]}>" for header in headers]
    names, all_code = [], ""
    for header in headers:
        with open(header, encoding="utf-8") as file:
            lines = file.read().splitlines()
        stem = re.sub(r"\W", "_", os.path.basename(header))
        for number, code in examples_of(lines):
            if not code:
                sys.exit(f"{header}:{number}: an example without code, indented by four more")
            text += [f"TEST(HeaderExamples, {stem}_{number}) {{"]
            text += [f'#line {number + 1} "{header}"', code, "}"]
            all_code += code + "\n"
        names += [(header, *name) for name in public_names(lines)]

    status = 0
    for header, number, name in names:
        if not re.search(rf"\b{name}\b", all_code):
            print(f"{header}:{number}: no example names {name}", file=sys.stderr)
            status = 1
    known = [name for header in headers for name in KNOWN.get(os.path.basename(header), ())]
    for name in known:
        if name not in {found for _, _, found in names}:
            print(f"header_examples.py: {name} is not found in the headers", file=sys.stderr)
            status = 1
    if status == 0:
        with open(output, "w", encoding="utf-8") as file:
            file.write("\n".join(text) + "\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
