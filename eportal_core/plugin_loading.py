"""Whether what an entry point names is a plugin that can be used, and if not, why not."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable

import pluggy

from eportal_core import hookspecs
from eportal_core.markers import PROJECT

HOOKS = [name for name in vars(hookspecs) if name.startswith(f"{PROJECT}_")]

_NO_HOOK = (
    "It implements no hook: the entry point names the plugin itself, as module:name, and each hook "
    "is marked with @hookimpl."
)


def register(manager: pluggy.PluginManager, name: str, load: Callable[[], object]) -> str:
    """Register what ``load`` returns; a sentence when that cannot be done."""
    # A stranger's code may raise anything, at import as in its hooks; it may even try to exit.
    try:
        plugin = load()
    except (Exception, SystemExit) as error:
        return f"It cannot be imported: {told(error)}."
    try:
        manager.register(plugin, name)
        # Whoever asks the plugins one by one keeps them in a set.
        hash(plugin)
        problem = _misunderstood(plugin, manager.get_hookcallers(plugin) or [])
    except Exception as error:
        problem = f"It cannot be registered: {told(error)}."
    # By its name: the very same plugin may stand under another one, and is good there.
    if problem and manager.has_plugin(name):
        manager.unregister(name=name)
    return problem


def told(error: BaseException) -> str:
    """What a stranger's code raised, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".:")


def _misunderstood(plugin: object, hooks: list[pluggy.HookCaller]) -> str:
    """What would be called by nobody, or waited for by nobody; empty when all is well."""
    for hook in hooks:
        if not hook.has_spec():
            return _unknown(hook.name)
    marked = {hook.name for hook in hooks}
    # Looked at without running code of the plugin, as pluggy does.
    there = [name for name in HOOKS if inspect.getattr_static(plugin, name, None) is not None]
    if unmarked := [name for name in there if name not in marked]:
        return f"It has {unmarked[0]}, which is not marked: write @hookimpl above it."
    for hook in hooks:
        for each in hook.get_hookimpls():
            if each.plugin is plugin and _is_async(each.function):
                return f"Its {hook.name} is async: hooks are plain functions."
    # A static method of a class is none of these.
    methods = [name for name in there if inspect.isfunction(inspect.getattr_static(plugin, name))]
    if methods and inspect.isclass(plugin):
        return "It is a class, whose hooks are methods: let the entry point name an object of it."
    return "" if hooks else _NO_HOOK


def _is_async(function: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, HOOKS, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"It implements {name}, which is no hook{hint}"
