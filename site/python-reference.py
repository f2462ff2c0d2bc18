"""Prints the reference of the Python package as Markdown, from its docstrings."""

import inspect
import re
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "python"))
import iron_cage  # noqa: E402


def text_of(thing):
    """The docstring; its examples become blocks, and the markup of docstrings that of Markdown."""
    doc = re.sub(r"``([^`]+)``", r"`\1`", inspect.getdoc(thing) or "")
    doc = re.sub(r"^(\w+): (?=\S)", r"- `\1`: ", doc, flags=re.MULTILINE)
    return re.sub(r"::\n\n((?:    .*\n?|\n)+)", lambda found: ":\n\n```python\n%s\n```\n" % textwrap.dedent(found[1]).strip(), doc)


def signature_of(thing):
    try:
        return re.sub(r"<[^<>]*>", "…", str(inspect.signature(thing)))
    except (TypeError, ValueError):
        return ""


def members_of(cls):
    """Public methods and properties with a docstring of their own, in the order of the source."""
    for name, member in vars(cls).items():
        plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if not name.startswith("_") and inspect.getdoc(plain) and not inspect.ismodule(plain):
            yield name, plain


def entry(name, thing):
    lines = ["## " + name, ""]
    if inspect.isclass(thing):
        if issubclass(thing, BaseException):
            bases = [base.__name__ for base in thing.__mro__[1:] if base.__module__.startswith("iron_cage")]
            lines += ["Exception%s." % (", a `%s`" % bases[0] if bases else ""), ""]
        else:
            lines += ["```python", "class %s%s" % (name, signature_of(thing)), "```", ""]
    elif callable(thing):
        keyword = "async def" if inspect.iscoroutinefunction(thing) else "def"
        lines += ["```python", "%s %s%s" % (keyword, name, signature_of(thing)), "```", ""]
    lines += [text_of(thing), ""]
    for member, value in members_of(thing) if inspect.isclass(thing) else ():
        lines += ["### %s.%s" % (name, member), ""]
        if not isinstance(value, property):
            shown = member + signature_of(value).replace("(self, ", "(").replace("(self)", "()")
            lines += ["```python", shown, "```", ""]
        lines += [text_of(value), ""]
    return "\n".join(lines)


names = [name for name in iron_cage.__all__ if not name.startswith("_")]
print("# Python reference\n")
print("Everything that `import iron_cage` gives, from its docstrings. [The SDK](/docs/python/) explains how to use it.\n")
print("\n".join(entry(name, getattr(iron_cage, name)) for name in names))
