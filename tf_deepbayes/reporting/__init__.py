"""Results as text, figures and pages: pure functions of results."""
