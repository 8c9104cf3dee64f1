#!/usr/bin/env python3
"""Makes the man pages and the shells' completions from what the programs say of themselves.

usage: pages.py BIN_FOLDER OUT_FOLDER

BIN_FOLDER holds orgtrail, orgtrail-agent and orgtrail-collector. Options come from the programs' own
tables, as --help prints them, and settings from --settings, so that pages cannot be out of date. What
only a person can say stands in man/*.scd, where a line "@options PROGRAM [COMMAND]", "@commands" or
"@settings PROGRAM" is replaced.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
PROGRAMS = ("orgtrail", "orgtrail-agent", "orgtrail-collector")
FILES = ("FILE", "DIR", "PATH", "OUT", "STORE", "SOCKET", "FOLDER")  # arguments that name files
SHELLS = ("bash", "zsh", "fish")

# One option a line, its help from column 60 on.
HELP_FORM = "rmargin=2000,opt-doc-col=60,no-dup-args-note"
OPTION = re.compile(
    r"^ {2}(?:-(?P<short>\S), | {4})--(?P<long>[\w-]+)(?:=(?P<value>\S+))?(?:\s{2,}(?P<help>\S.*))?$"
)


class Tool:
    """A program, or a command of orgtrail."""

    def __init__(self, folder, words):
        self.words = words
        self.options = []  # (short or None, long, value or None, help)
        self.arguments = []
        self.about = ""
        lines = ask(folder, *words, "--help").splitlines()
        for number, line in enumerate(lines):
            option = OPTION.match(line)
            if option:
                self.options.append(tuple(option.group("short", "long", "value")) + (option["help"] or "",))
            elif re.match(r"(Usage:|  or: )", line):
                usage = re.sub(r"^(Usage:|  or: )\s*" + " ".join(words) + r"\s*", "", line)
                self.arguments.append(usage.replace("[OPTION...]", "").strip())
                self.about = lines[number + 1]
        assert self.options, f"{words}: no options found in its --help"

    def name(self):
        return " ".join(self.words)


def ask(folder, program, *arguments):
    run = subprocess.run(
        [os.path.join(folder, program), *arguments],
        capture_output=True, text=True, check=True, env={"ARGP_HELP_FMT": HELP_FORM},
    )
    return run.stdout


def read_commands(folder):
    """(name, one line of help) of each command of orgtrail."""
    return re.findall(r"^  (\w[\w-]*) +(\S.*)$", ask(folder, "orgtrail", "help"), re.M)


def read_tools(folder):
    tools = [Tool(folder, [program]) for program in PROGRAMS[1:]]
    for name, _ in read_commands(folder):
        if name not in ("help", "version"):
            tools.append(Tool(folder, ["orgtrail", name]))
    return {tool.name(): tool for tool in tools}


def escape(text):
    """Text as scdoc takes it literally."""
    return re.sub(r"([\\_*<>#`])", r"\\\1", text)


def man_options(tool):
    lines = []
    for short, name, value, text in tool.options:
        value = f" _{escape(value)}_" if value else ""
        shown = f"*-{short}*, *--{name}*" if short else f"*--{name}*"
        lines.append(f"{shown}{value}\n\t{escape(text or 'No more to say.')}\n")
    return "\n".join(lines)


def man_commands(tools, commands):
    parts = []
    for name, text in commands:
        tool = tools.get(f"orgtrail {name}")
        if tool is None:
            parts.append(f"## orgtrail {name}\n\n{escape(text)}\n")
            continue
        lines = "\n".join(
            f"*orgtrail {name}* [_OPTION_...] {escape(arguments)}".rstrip() + ("++" if more else "")
            for arguments, more in zip(
                tool.arguments, [True] * (len(tool.arguments) - 1) + [False]
            )
        )
        parts.append(f"## orgtrail {name}\n\n{lines}\n\n{escape(tool.about)}\n\n{man_options(tool)}")
    return "\n".join(parts)


def man_settings(folder, program):
    parts = []
    for row in ask(folder, program, "--settings").splitlines()[2:]:
        key, value, otherwise, text = (part.strip().replace("`", "") for part in row.strip("|").split(" | "))
        need = "Needed." if otherwise == "needed" else f"Without it: {otherwise}."
        parts.append(f"*{escape(key)}* ({escape(value)})\n\t{escape(text)} {escape(need)}\n")
    return "\n".join(parts)


def make_man(folder, out, tools):
    commands = read_commands(folder)
    os.makedirs(out)
    for name in sorted(os.listdir(os.path.join(HERE, "man"))):
        with open(os.path.join(HERE, "man", name), encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"^@options (.*)$", lambda found: man_options(tools[found[1]]), text, flags=re.M)
        text = re.sub(r"^@commands$", lambda _: man_commands(tools, commands), text, flags=re.M)
        text = re.sub(r"^@settings (.*)$", lambda found: man_settings(folder, found[1]), text, flags=re.M)
        page = subprocess.run(["scdoc"], input=text, capture_output=True, text=True, check=False)
        assert page.returncode == 0, f"man/{name}: {page.stderr}"
        with open(os.path.join(out, name.removesuffix(".scd")), "w", encoding="utf-8") as file:
            file.write(page.stdout)


def quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def words_of(tool):
    words = []
    for short, name, value, _ in tool.options:
        words.append(f"--{name}" + ("=" if value else ""))
        if short:
            words.append(f"-{short}")
    return " ".join(words)


def file_options(tool):
    """A case pattern of the options whose value is a file."""
    names = []
    for short, name, value, _ in tool.options:
        if value and value.endswith(FILES):
            names += [f"--{name}"] + ([f"-{short}"] if short else [])
    return "|".join(names)


BASH = """# bash completion for {program}; made from the program's own table of options.
{function}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} options= files=
    # readline makes words of their own of "--option", "=" and a value.
    [[ $word != = ]] || word=
    [[ $before != = ]] || before=${{COMP_WORDS[COMP_CWORD-2]}}
    COMPREPLY=()
{body}
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        [[ ${{COMPREPLY[0]}} != *= ]] || compopt -o nospace
    elif [[ $before != -* || "|$files|" == *"|$before|"* ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}}
complete -F {function} {program}
"""


def make_bash(program, tools, commands):
    def settings(tool):
        return f"options='{words_of(tool)}' files='{file_options(tool)}'"

    if program in tools:
        body = "    " + settings(tools[program])
    else:
        names = " ".join(name for name, _ in commands)
        body = "    if ((COMP_CWORD == 1)); then\n"
        body += f"        mapfile -t COMPREPLY < <(compgen -W '{names}' -- \"$word\")\n        return\n    fi\n"
        body += '    if [[ ${COMP_WORDS[1]} == help ]]; then\n'
        body += f"        mapfile -t COMPREPLY < <(compgen -W '{names}' -- \"$word\")\n        return\n    fi\n"
        body += "    case ${COMP_WORDS[1]} in\n"
        for name, _ in commands:
            tool = tools.get(f"orgtrail {name}")
            if tool:
                body += f"        {name}) {settings(tool)} ;;\n"
        body += "        *) return ;;\n    esac"
    return BASH.format(program=program, function="_" + program.replace("-", "_"), body=body)


def zsh_arguments(tool):
    lines = []
    for short, name, value, text in tool.options:
        text = re.sub(r"([\[\]:\\])", r"\\\1", text)
        action = ""
        if value:
            action = f":{value}:" + ("_files" if value.endswith(FILES) else "")
        equals = "=" if value else ""
        lines.append(quote(f"*--{name}{equals}[{text}]{action}"))
        if short:
            plus = "+" if value else ""
            lines.append(quote(f"*-{short}{plus}[{text}]{action}"))
    lines.append(quote("*:file:_files"))
    return " \\\n        ".join(lines)


def make_zsh(program, tools, commands):
    text = f"#compdef {program}\n# Made from the program's own table of options.\n\n"
    if program in tools:
        return text + f"_arguments -s \\\n        {zsh_arguments(tools[program])}\n"
    text += "local -a commands\ncommands=(\n"
    for name, about in commands:
        text += "    " + quote(f"{name}:{about}") + "\n"
    text += ")\nif ((CURRENT == 2)); then\n    _describe command commands\n    return\nfi\n"
    text += "local command=$words[2]\nshift words\n((CURRENT--))\ncase $command in\n"
    text += "    help) _describe command commands ;;\n"
    for name, _ in commands:
        tool = tools.get(f"orgtrail {name}")
        if tool:
            text += f"    {name})\n        _arguments -s \\\n        {zsh_arguments(tool)}\n        ;;\n"
    return text + "esac\n"


def fish_options(program, tool, condition):
    lines = []
    for short, name, value, text in tool.options:
        line = f"complete -c {program}{condition} -l {name}"
        if short:
            line += f" -s {quote(short)}"
        if value:
            line += " -r" + (" -F" if value.endswith(FILES) else " -f")
        text = text.replace("\\", "\\\\").replace("'", "\\'")
        lines.append(line + (f" -d '{text}'" if text else ""))
    return "\n".join(lines) + "\n"


def make_fish(program, tools, commands):
    text = f"# fish completion for {program}; made from the program's own table of options.\n"
    if program in tools:
        return text + fish_options(program, tools[program], "")
    for name, about in commands:
        about = about.replace("\\", "\\\\").replace("'", "\\'")
        text += f"complete -c {program} -n __fish_use_subcommand -f -a {name} -d '{about}'\n"
    for name, _ in commands:
        tool = tools.get(f"orgtrail {name}")
        if tool:
            text += fish_options(program, tool, f" -n '__fish_seen_subcommand_from {name}'")
    return text


def make_completions(folder, out, tools):
    commands = read_commands(folder)
    makers = {"bash": make_bash, "zsh": make_zsh, "fish": make_fish}
    names = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}
    for shell in SHELLS:
        os.makedirs(os.path.join(out, shell))
        for program in PROGRAMS:
            path = os.path.join(out, shell, names[shell].format(program))
            with open(path, "w", encoding="utf-8") as file:
                file.write(makers[shell](program, tools, commands))


def main():
    folder, out = os.path.realpath(sys.argv[1]), sys.argv[2]
    tools = read_tools(folder)
    make_man(folder, os.path.join(out, "man"), tools)
    make_completions(folder, os.path.join(out, "completion"), tools)


main()
