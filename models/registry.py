"""Recommenders by name. An arm's module, and torch with it, is loaded when the arm is created, not before."""

from collections.abc import Mapping
from importlib import import_module

from models.config import CONFIGS, Config, configure, nearest
from models.errors import ModelError
from models.recommender import Recommender

RECOMMENDERS: Mapping[str, str] = {
    "popularity": "models.popularity:Popularity",
    "multi_vae": "models.multi_vae:MultiVae",
    "pia": "models.alignment:Pia",
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
    checked = checked_config(name, config)
    module, _, attribute = RECOMMENDERS[name].partition(":")
    recommender: Recommender = getattr(import_module(module), attribute)(checked)
    return recommender


def checked_config(name: str, config: Mapping[str, object] = _DEFAULTS) -> Config:
    """Return the full configuration that `create` would use, without loading the recommender.

    Raises:
        ModelError: as `create`.
    """
    if name not in RECOMMENDERS:
        raise ModelError(f"the recommender {name!r} is unknown; {nearest(name, RECOMMENDERS)}")
    return configure(CONFIGS[name], config)


def default_config(name: str) -> Mapping[str, object]:
    """Return the settings of a recommender with their defaults.

    Raises:
        ModelError: the name is unknown.
    """
    return checked_config(name).as_mapping()
