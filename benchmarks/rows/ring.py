"""Eight modes on a circle; see `benchmarks.rows.mixtures`."""

from benchmarks.rows.mixtures import row
from train.data.points import ring_centres

ROW = row(
    "ring", ring_centres(), 0.01,
    {"GAN": (6.3, 0.982, 0.45), "PacGAN-2": (7.9, 0.956, 0.07), "PacGAN-4": (7.8, 0.959, 0.07)},
)  # fmt: skip
