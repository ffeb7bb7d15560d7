"""Pictures from formulas."""
