# Prints, as a JSON array, the paths that MiniStack's source compares requests with: every literal of its code that
# looks like a path. A pattern is given by a text that it matches. Some are parts of paths, or no paths of requests at
# all; they harm nobody.
import ast
import json
import pathlib
import re
import sys

try:
    from re import _constants as kinds, _parser as parser
except ImportError:  # Python 3.10
    import sre_constants as kinds
    import sre_parse as parser

# Files that MiniStack and its containers read and write.
FILES = ("/.dockerenv", "/bin/", "/dev/", "/docker-entrypoint", "/etc/", "/lib/", "/root/", "/sys/", "/tmp", "/usr/", "/var/")


def example(pattern):
    text = ""
    for kind, argument in pattern:
        if kind is kinds.LITERAL:
            text += chr(argument)
        elif kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT):
            least, _, repeated = argument
            text += example(repeated) * max(least, 1)
        elif kind is kinds.SUBPATTERN:
            text += example(argument[3])
        elif kind is kinds.BRANCH:
            text += example(argument[1][0])
        elif kind is kinds.IN:
            choice, value = argument[0]
            text += {kinds.LITERAL: chr(value) if isinstance(value, int) else "", kinds.RANGE: "a"}.get(choice, "1")
            if choice is kinds.NEGATE:
                text = text[:-1] + "x"
            elif choice is kinds.RANGE:
                text = text[:-1] + chr(value[0])
        elif kind is kinds.ANY:
            text += "x"
    return text


def literals(tree):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


paths = set()
for file in pathlib.Path(sys.argv[1]).rglob("*.py"):
    for literal in literals(ast.parse(file.read_text(encoding="utf-8"))):
        if not re.match(r"\^?/[\w.]", literal) or literal.startswith(FILES):
            continue
        path = example(parser.parse(literal)) if re.search(r"[\^$(\[*\\]", literal) else literal
        if re.fullmatch(r"[!-~]+", path):
            paths.add(path)
print(json.dumps(sorted(paths)))
