"""Plugins: Python files with rules, allocations, criteria and strategies of your own, loaded by name.

A plugin is run when it is loaded, so it is only ever loaded because a user named it: `--plugin FILE.py`, or
`load_plugin` in Python. A run records the plugins it used with their SHA-256, and never loads them by itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randprune_lab.errors import ConfigError, FileError


@dataclass(frozen=True)
class Plugin:
    """A plugin that was loaded: its module is called as its file is."""

    path: Path
    sha256: str

    @property
    def module(self) -> str:
        return self.path.stem

    def to_dict(self) -> dict[str, str]:
        """What a run records of it."""
        return {"file": self.path.name, "sha256": self.sha256}


_loaded: dict[str, Plugin] = {}


def load_plugin(path: str | Path) -> Plugin:
    """Run a Python file, so that the rules, allocations, criteria and strategies in it are registered.

    Loading the same file again does nothing; loading it after a change replaces what it defined.

    Raises:
        FileError: if the file cannot be read.
        ConfigError: if its name cannot be that of a module, is that of a module already there, or it fails.
    """
    path = Path(path).resolve()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read plugin {path}: {error.strerror}; give a Python file") from error
    plugin = Plugin(path, hashlib.sha256(source).hexdigest())
    if _loaded.get(plugin.module) == plugin:
        return plugin
    if path.suffix != ".py" or not plugin.module.isidentifier():
        raise ConfigError(f"plugin {path.name!r} must be a Python file whose name is a module's, such as my_rules.py")
    if plugin.module in sys.modules and plugin.module not in _loaded:
        raise ConfigError(f"plugin {path.name!r} has the name of the module {plugin.module!r}; rename the file")
    spec = importlib.util.spec_from_file_location(plugin.module, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[plugin.module] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[plugin.module]
        _loaded.pop(plugin.module, None)
        raise ConfigError(f"plugin {path} fails when it is run: {type(error).__name__}: {error}") from error
    _loaded[plugin.module] = plugin
    return plugin


def loaded_plugins() -> list[Plugin]:
    """All plugins that were loaded in this process."""
    return list(_loaded.values())


def plugins_of(*classes: type[Any]) -> list[Plugin]:
    """The plugins that define some of these classes."""
    return [plugin for plugin in _loaded.values() if plugin.module in {made.__module__ for made in classes}]
