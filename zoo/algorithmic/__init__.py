"""Pictures from formulas: pure, jitted, the same at any size, differentiable where the mathematics allows.

    from zoo.algorithmic import art
    picture = art.draw(jax.random.key(7), 512)

One file a family: its parameters with their ranges, and ``paint(parameters, palette, canvas)``. ``art`` draws from all.
"""
