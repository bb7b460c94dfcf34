"""Fault injection on a command line: kills, damaged files, full disks, signals, NaN."""
