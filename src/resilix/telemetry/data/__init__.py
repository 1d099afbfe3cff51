"""A Grafana dashboard and Prometheus rules, as files that come with the package."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["dashboard", "rules"]


def dashboard() -> str:
    """The Grafana dashboard, as JSON to import.

    Example::

        Path("resilix.json").write_text(dashboard())
    """
    return (files(__name__) / "dashboard.json").read_text(encoding="utf-8")


def rules() -> str:
    """Recording and alert rules for Prometheus, as YAML.

    Example::

        Path("rules.d/resilix.yml").write_text(rules())
    """
    return (files(__name__) / "rules.yml").read_text(encoding="utf-8")
