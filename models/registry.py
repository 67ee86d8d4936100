"""Recommenders by name. A new arm is one module, with its settings and its class, and one line here.

A module, and torch with it, is loaded when its arm is asked for, not before.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from models.config import Config, Search, configure, nearest, searched
from models.errors import ModelError
from models.recommender import Recommender

RECOMMENDERS: Mapping[str, str] = {
    "popularity": "models.popularity:Popularity",
    "mf": "models.mf:Mf",
    "wmf": "models.wmf:Wmf",
    "ease": "models.ease:Ease",
    "plrec": "models.plrec:Plrec",
    "cdae": "models.cdae:Cdae",
    "ngcf": "models.ngcf:Ngcf",
    "multi_vae": "models.multi_vae:MultiVae",
    "rec_vae": "models.rec_vae:RecVae",
    "ract": "models.ract:Ract",
    "pia": "models.alignment:Pia",
    "pia_rec_vae": "models.alignment:PiaRecVae",
}

_DEFAULTS: Mapping[str, object] = {}


def create(name: str, config: Mapping[str, object] = _DEFAULTS) -> Recommender:
    """Create an unfitted recommender.

    Args:
        name: one of `RECOMMENDERS`.
        config: settings that differ from the defaults.

    Raises:
        ModelError: the name or a setting is unknown, or a value has another type or is out of range.
    """
    recommender: Recommender = _class(name)(checked_config(name, config))
    return recommender


def checked_config(name: str, config: Mapping[str, object] = _DEFAULTS) -> Config:
    """Return the full configuration that `create` would use.

    Raises:
        ModelError: as `create`.
    """
    checked: Config = configure(_class(name).config_type, config)
    return checked


def default_config(name: str) -> Mapping[str, object]:
    """Return the settings of a recommender with their defaults.

    Raises:
        ModelError: the name is unknown.
    """
    return checked_config(name).as_mapping()


def search_space(name: str) -> Mapping[str, Search]:
    """Return where tuning looks for each setting of a recommender that it tries.

    Raises:
        ModelError: the name is unknown.
    """
    return searched(_class(name).config_type)


def purpose(name: str) -> str:
    """Return what a recommender does, in one sentence.

    Raises:
        ModelError: the name is unknown.
    """
    return str(_class(name).__doc__).partition("\n")[0]


def module_of(name: str) -> str:
    """Return the module of a recommender.

    Raises:
        ModelError: the name is unknown.
    """
    return _place(name)[0]


def _place(name: str) -> tuple[str, str]:
    if name not in RECOMMENDERS:
        raise ModelError(f"the recommender {name!r} is unknown; {nearest(name, RECOMMENDERS)}")
    module, _, attribute = RECOMMENDERS[name].partition(":")
    return module, attribute


def _class(name: str) -> Any:
    module, attribute = _place(name)
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "models":
            raise
        raise ModelError(
            f"the recommender {name!r} needs {error.name}, which is not installed; pip install 'ab-platform[train]'"
        ) from error
