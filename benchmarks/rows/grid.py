"""Twenty-five modes on a grid; see `benchmarks.rows.mixtures`."""

from benchmarks.rows.mixtures import row
from train.data.points import grid_centres

ROW = row(
    "grid", grid_centres(), 0.05,
    {"GAN": (17.3, 0.948, 0.70), "PacGAN-2": (23.8, 0.913, 0.13), "PacGAN-4": (24.8, 0.936, 0.04)},
)  # fmt: skip
