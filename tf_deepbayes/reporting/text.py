"""Figures as text."""


def format_share(value: float | None) -> str:
    """A share with three decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"
