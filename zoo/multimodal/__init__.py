"""Models that join media: what is seen and what is heard."""
