"""Models of music that are of no other family, and what models of four voices do alike."""
