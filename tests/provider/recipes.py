# SPDX-License-Identifier: Apache-2.0
"""The recipes of asyncjob-provider(7), for the tests that run them. README.md shows the same
text, which is checked here."""

import difflib
import os
import re

import servers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ROFF = {r"\-": "-", r"\e": "\\"}


class Recipe:
    """Blocks of text: files, each after a line with its name, and commands."""

    def __init__(self, blocks):
        self.files = {}
        self.commands = []
        for block in blocks:
            named = re.match(r"# (/\S+)\n", block)
            if named:
                self.files[named.group(1)] = block
            else:
                self.commands.append(block)


def read(*name):
    with open(os.path.join(ROOT, *name), encoding="utf-8") as file:
        return file.read()


def blocks_by_section(text, heading, begin, end):
    """{title: [text of each block]}, of sections and blocks that such lines begin or end."""
    sections = {}
    blocks = None
    block = None
    for line in text.splitlines(keepends=True):
        if block is not None:
            if line.rstrip() == end:
                blocks.append("".join(block))
                block = None
            else:
                block.append(line)
        elif line.startswith(heading):
            blocks = sections.setdefault(line[len(heading):].strip(), [])
        elif blocks is not None and line.rstrip() == begin:
            block = []
    return sections


def from_man():
    examples = read("man", "man7", "asyncjob-provider.7").split(".SH EXAMPLES")[1]
    text = re.sub(r"\\.", lambda escape: ROFF[escape.group()], examples.split(".SH SEE ALSO")[0])
    return blocks_by_section(text, ".SS ", ".EX", ".EE")


def from_readme():
    text = read("README.md").split("## Recipes\n")[1].split("\n## ")[0]
    return blocks_by_section(text, "### ", "```", "```")


def load_all():
    """{title: Recipe}; fails where the two documents differ."""
    in_man, in_readme = from_man(), from_readme()
    lines = [["== %s\n%s" % (title, block) for title, blocks in shown.items() for block in blocks]
             for shown in (in_man, in_readme)]
    if in_man != in_readme:
        servers.dropin.fail("the recipes differ:\n" + "".join(difflib.unified_diff(
            *("".join(shown).splitlines(keepends=True) for shown in lines),
            "asyncjob-provider(7)", "README.md")))
    return {title: Recipe(blocks) for title, blocks in in_man.items()}


def load(title):
    return load_all()[title]
