"""Pictures from formulas: pure, jitted, the same at any size, differentiable where the mathematics allows.

    from zoo.algorithmic import art
    picture = art.draw(jax.random.key(7), 512)

One file a formula: its parameters with their ranges, and ``paint(parameters, palette, canvas, key)``; those made of
lines have ``lines(parameters, key)``, which a pen or an SVG draws. ``formulas`` lists all, and ``zoo-draw`` draws them.
Seven that need no key are the families of ``art``.
"""
