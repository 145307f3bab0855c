"""The plugin manager: made in a function, filled through entry points, guarded.

A plugin that cannot be used does not take the portal down: it is set aside with a sentence that
``kc.eportal plugins`` and ``doctor`` show. Two that claim the same name do stop the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from eportal_core import hookspecs
from eportal_core.errors import PluginError, PortalError
from eportal_core.markers import PROJECT, THE_CORE
from eportal_core.plugin_loading import register, told
from eportal_core.settings import Setting
from eportal_core.types import Product

GROUP = "eportal"
T = TypeVar("T")


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin as it was found; ``problem`` is empty when it works."""

    name: str
    distribution: str = ""
    version: str = ""
    problem: str = ""


@dataclass
class Plugins:
    """The manager, and what was found on the way to it."""

    manager: pluggy.PluginManager
    found: list[LoadedPlugin] = field(default_factory=list)

    @property
    def problems(self) -> list[LoadedPlugin]:
        return [plugin for plugin in self.found if plugin.problem]

    def implementing(self, hook: str) -> list[str]:
        """Names of the plugins that implement ``hook``, sorted."""
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        return sorted(implementation.plugin_name for implementation in implementations)

    def call(self, plugin: str, hook: str, **arguments: Any) -> list[Any]:
        """What one plugin answers to ``hook``: one answer, or none; a lazy one is made a list.

        Raises:
            PluginError: it raised; the sentence names it and the hook.
        """
        only = self.manager.get_plugin(plugin)
        others = [other for other in self.manager.get_plugins() if other is not only]
        try:
            answers = self.manager.subset_hook_caller(hook, others)(**arguments)
            # A generator fails here, where its plugin is named, or nowhere.
            return [list(each) if isinstance(each, Iterator) else each for each in answers]
        except PortalError:
            raise
        # A stranger's code may raise anything.
        except Exception as error:
            raise PluginError(f"Plugin {plugin} failed in {hook}: {told(error)}.") from error

    def each(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Call ``hook`` plugin by plugin: ``(plugin, answer)`` for each.

        Raises:
            PluginError: a plugin raised; the sentence names it and the hook.
        """
        for plugin in self.implementing(hook):
            yield from ((plugin, answer) for answer in self.call(plugin, hook, **arguments))

    def lists(self, hook: str, kind: type[T], **arguments: Any) -> Iterator[tuple[str, list[T]]]:
        """As ``each``, for a hook that every plugin answers with a list of ``kind``.

        Raises:
            PluginError: a plugin raised, or answered something else.
        """
        for plugin, answer in self.each(hook, **arguments):
            yield plugin, listed(plugin, hook, answer, kind)

    def products(self) -> dict[str, Product]:
        """Every product by name.

        Raises:
            PluginError: two have the same name, API name or command, or are the check-in.
        """
        owners: dict[str, str] = {}
        products: dict[str, Product] = {}
        for plugin, brought in self.lists("eportal_products", Product):
            for product in brought:
                for name in (product.name, *product.aliases):
                    claim(owners, plugin, f"product {name}")
                claim(owners, plugin, f"product API name {product.api_name or product.name}")
                claim(owners, plugin, f"product command {product.command}")
                if product.checkin:
                    claim(owners, plugin, "product whose request is the check-in")
                products[product.name] = product
        return products

    def settings(self) -> dict[str, Sequence[Setting]]:
        """What each plugin declares, by plugin; nothing for those that declare none."""
        declared: dict[str, Sequence[Setting]] = {plugin.name: () for plugin in self.found}
        declared.update(self.lists("eportal_settings", Setting))
        return declared

    def require(self, names: Iterable[str]) -> None:
        """Refuse to go on without the plugins that the configuration names.

        Raises:
            PluginError: one is missing or has a problem.
        """
        state = {plugin.name: plugin for plugin in self.found}
        for name in names:
            if name not in state:
                raise PluginError(
                    f"REQUIRED_PLUGINS names {name}, which is not installed; "
                    f"installed are {', '.join(sorted(state)) or 'none'}."
                )
            if state[name].problem:
                raise PluginError(f"REQUIRED_PLUGINS names {name}: {state[name].problem}")


def listed(plugin: str, hook: str, answer: object, kind: type[T]) -> list[T]:
    """``answer``, what ``plugin`` said to ``hook``, as a list of ``kind``.

    Raises:
        PluginError: it is none; the sentence names the plugin and the hook.
    """
    found: list[object] = list(answer) if isinstance(answer, Collection) else [answer]
    good = [each for each in found if isinstance(each, kind)]
    if not isinstance(answer, Collection) or len(good) < len(found):
        raise PluginError(f"Plugin {plugin} answers {hook} with no list of {kind.__name__}.")
    return good


def claim(owners: dict[str, str], owner: str, what: str) -> None:
    """Note that ``owner``, ``THE_CORE`` or the name of a plugin, brings ``what``.

    Raises:
        PluginError: it is brought already, by whomever; the sentence names both.
    """
    if what not in owners:
        owners[what] = owner
        return
    first = _who(owners[what])
    if owners[what] == owner:
        raise PluginError(f"The {what} is brought by {first} twice; rename one.")
    raise PluginError(
        f"The {what} is brought by {first} and by {_who(owner)}; uninstall or rename one."
    )


def load(found: Iterable[EntryPoint] | None = None) -> Plugins:
    """A fresh manager with every installed plugin that can be used.

    Raises:
        PluginError: two distributions bring a plugin of the same name.
    """
    points = list(entry_points(group=GROUP)) if found is None else list(found)
    plugins = Plugins(new_manager())
    distributions: dict[str, str] = {}
    for point in sorted(points, key=lambda point: point.name):
        distribution = point.dist.name if point.dist else "?"
        if distributions.setdefault(point.name, distribution) != distribution:
            raise PluginError(
                f"Distributions {distributions[point.name]} and {distribution} both bring a "
                f"plugin named {point.name}; uninstall one."
            )
        problem = register(plugins.manager, point.name, point.load)
        version = point.dist.version if point.dist else ""
        plugins.found.append(LoadedPlugin(point.name, distribution, version, problem))
    return plugins


def new_manager() -> pluggy.PluginManager:
    """A manager that knows the hooks and no plugin."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _who(owner: str) -> str:
    return owner if owner == THE_CORE else f"plugin {owner}"
