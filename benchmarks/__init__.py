"""How fast, how good. ``python -m benchmarks quality ROW`` measures what models learn against published numbers."""
