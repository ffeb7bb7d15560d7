"""Quality of what was learnt, with no downloaded network: one file a kind of measure."""
