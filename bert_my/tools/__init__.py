"""Tools on top of runs: sweeps and the benchmark; no other part imports them."""
