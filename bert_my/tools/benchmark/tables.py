"""Tables of numbers, as text."""

_MIB = 1 << 20
# Name in the JSON -> (what it is called, how it is written, factor).
_ROWS = {
    "examples_per_second": ("examples/s", "{:.4g}", 1),
    "tokens_per_second": ("real tokens/s", "{:.5g}", 1),
    "gflops_per_second": ("model GFLOP/s", "{:.4g}", 1),
    "ceiling_gflops_per_second": ("matrix products, GFLOP/s", "{:.4g}", 1),
    "share_of_ceiling": ("share of that", "{:.1%}", 1),
    "padding_share": ("padding", "{:.1%}", 1),
    "peak_memory_bytes": ("peak memory, MiB", "{:.0f}", 1 / _MIB),
    "peak_gpu_memory_bytes": ("peak GPU memory, MiB", "{:.0f}", 1 / _MIB),
    "seconds_to_first_step": ("seconds to the first step", "{:.2f}", 1),
    "first_step_seconds": ("of these the first step", "{:.2f}", 1),
    "megabytes_per_second": ("text, MB/s", "{:.3g}", 1),
    "cached_seconds": ("cached second start, s", "{:.3f}", 1),
    "encoding_seconds": ("of these until texts are encoded", "{:.2f}", 1),
    "prediction_seconds": ("of these model and predictions", "{:.2f}", 1),
    "rows": ("rows", "{}", 1),
    "seconds": ("seconds", "{:.3f}", 1),
    "num_steps": ("timed steps", "{}", 1),
    "num_warmup_steps": ("warm-up steps", "{}", 1),
    "num_steps_of_new_shape": ("left out: of a new shape", "{}", 1),
    "num_shapes": ("shapes of batches", "{}", 1),
    "precision": ("precision", "{}", 1),
    "use_xla": ("compiled by XLA", "{}", 1),
    "tensorflow": ("TensorFlow", "{}", 1),
    "devices": ("devices", "{}", 1),
    "cpu": ("CPU", "{}", 1),
    "num_cores": ("cores", "{}", 1),
    "load_average": ("load of the last minute", "{:.2f}", 1),
}
_SPREAD = ("min", "lower_quartile", "median", "upper_quartile", "max")


def of_result(result):
    """Returns the lines of one result."""
    rows = []
    for name, (label, form, factor) in _ROWS.items():
        if result.get(name) is not None:
            value = result[name] if factor == 1 else result[name] * factor
            rows.append((label, form.format(value)))
    if "step_seconds" in result:
        times = " ".join(f"{result['step_seconds'][n] * 1e3:.4g}" for n in _SPREAD)
        rows.append(("step, ms: min, quartiles, max", times))
    return aligned(rows)


def of_comparison(result):
    """Returns the lines of a comparison."""
    ours, theirs = result["ours"], result["huggingface"]
    rows = [("medians over rounds", "ours", "transformers", "ratio")]
    for name, (label, form, factor) in _ROWS.items():
        pair = [side.get(name) for side in (ours, theirs)]
        if None in pair:
            continue
        if isinstance(pair[0], str):
            rows.append((label, *pair, ""))
            continue
        ratio = f"{pair[0] / pair[1]:.3f}" if pair[1] else "-"
        rows.append((label, *(form.format(x * factor) for x in pair), ratio))
    best = (side["examples_per_second_spread"]["max"] for side in (ours, theirs))
    ratio = f"{result['ratio_of_best']:.3f}"
    rows.append(("examples/s, best round", *map("{:.4g}".format, best), ratio))
    return aligned(rows)


def aligned(rows):
    """Returns rows of cells as lines, the columns below one another."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    ]
