"""Programs on top of runs: sweeps and the benchmark; nothing below knows them."""
