"""Measures transformers on PyTorch with its fastest settings, for comparisons.

A program of its own, for a Python that has torch, transformers and numpy: it reads its
work from standard input and writes its numbers to standard output, both JSON.

The work: `mode` (train or predict), `config` (fields of `transformers.BertConfig`),
`lengths` of the rows, `batch_size` (of a step), `batch_tokens` (batches of short rows
may have more rows, up to this number of tokens; 0: they may not), `num_parts` (of a
step, for gradient accumulation), `precision` (fp32, fp16 or bf16), `num_warmup` (steps;
null: as many as all rows give), `compile` (bool or null), `seed`, `use_gpu` (bool or
null).

Batches are made before the timing begins and copied asynchronously, so input costs
nothing.
"""

import contextlib
import json
import sys
import time

import numpy as np
import torch
import transformers

# Batches whose rows are sorted by length together, as by `group_by_length` of the
# Trainer of transformers.
GROUP_BATCHES = 50
TRIED_STEPS = 3
NUM_LABELS = 2


def make_batches(work, device, batch_tokens):
    """Returns a list of dicts name -> tensor, each padded to its longest row.

    Args:
      work: see the top.
      device: `torch.device`.
      batch_tokens: a batch of short rows may have more than `batch_size` rows, up to
        this number of tokens.
    """
    random = np.random.RandomState(work["seed"])
    lengths = np.array(work["lengths"])
    rows = random.permutation(len(lengths))
    size = work["batch_size"]
    groups = [
        rows[i : i + GROUP_BATCHES * size]
        for i in range(0, len(rows), GROUP_BATCHES * size)
    ]
    batches = []
    for group in groups:
        rest = np.sort(lengths[group])[::-1]
        while len(rest):
            num_rows = max(size, batch_tokens // rest[0])
            batches.append(make_batch(rest[:num_rows], work["config"], random, device))
            rest = rest[num_rows:]
    if device.type == "cuda":
        batches = [{n: x.pin_memory() for n, x in b.items()} for b in batches]
    return batches


def make_batch(lengths, config, random, device):
    """Returns a dict name -> tensor of rows with the given lengths."""
    longest = lengths.max()
    if device.type == "cuda":
        longest = -(-longest // 8) * 8  # for the tensor cores
    mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
    batch = {
        "input_ids": random.randint(5, config["vocab_size"], mask.shape) * mask,
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(mask),
        "labels": random.randint(0, NUM_LABELS, len(lengths)),
    }
    return {name: torch.from_numpy(value) for name, value in batch.items()}


class Variant:
    """A model in one precision; the fastest variant is measured."""

    def __init__(self, work, device, dtype, is_whole):
        """Builds a model.

        Args:
          work: see the top.
          device: `torch.device`.
          dtype: of the matrix products.
          is_whole: whether the weights have that dtype too, instead of autocast.
        """
        torch.manual_seed(work["seed"])
        kind = "weights" if is_whole else "autocast"
        self.name = str(dtype).replace("torch.", "")
        if dtype != torch.float32:
            self.name += f" {kind}"
        self._work, self._device = work, device
        self._autocast = contextlib.nullcontext
        if dtype != torch.float32 and not is_whole:
            self._autocast = lambda: torch.autocast(device.type, dtype)
        config = transformers.BertConfig(num_labels=NUM_LABELS, **work["config"])
        model = transformers.AutoModelForSequenceClassification.from_config(
            config, attn_implementation="sdpa"
        )
        model = model.to(device, dtype if is_whole else torch.float32)
        self._model = model.train(work["mode"] == "train")
        self._optimizer = self._scaler = None
        if work["mode"] == "train":
            self._optimizer = torch.optim.AdamW(
                model.parameters(), lr=2e-5, weight_decay=0.01, fused=True
            )
            is_scaled = dtype == torch.float16
            self._scaler = torch.amp.GradScaler(device.type, enabled=is_scaled)
        compiles = work["compile"]
        if compiles or (compiles is None and device.type == "cuda"):
            self._model = torch.compile(self._model, dynamic=True)
            self.name += " compiled"

    def step(self, batch):
        """Runs one training step or one forward pass."""
        batch = {
            name: value.to(self._device, non_blocking=True)
            for name, value in batch.items()
        }
        if self._optimizer is None:
            batch.pop("labels")
            with torch.inference_mode(), self._autocast():
                return self._model(**batch).logits.float().cpu()
        num_parts = self._work["num_parts"]
        chunks = {name: value.chunk(num_parts) for name, value in batch.items()}
        for values in zip(*chunks.values()):
            with self._autocast():
                loss = self._model(**dict(zip(chunks, values))).loss / num_parts
            self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return None

    def run(self, batches):
        """Runs a step on each batch; returns the seconds of all of them."""
        began = time.perf_counter()
        for batch in batches:
            self.step(batch)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


def variants(work):
    """Yields (dtype, is_whole) of each `Variant` that may be the fastest."""
    dtypes = {"fp16": torch.float16, "bf16": torch.bfloat16}
    dtype = dtypes.get(work["precision"])
    yield torch.float32, False
    if dtype is not None:
        yield dtype, False
        if work["mode"] == "predict":
            yield dtype, True


def choose(work, device, batches):
    """Returns the fastest `Variant`, and a dict name -> seconds of a step."""
    tried, names = {}, {}
    # One batch for all, so that each shape is prepared before the timing.
    batch = batches[len(batches) // 2]
    for choice in variants(work):
        variant = Variant(work, device, *choice)
        variant.run([batch] * 2)
        # The fastest of a few steps is the least disturbed one.
        tried[choice] = min(variant.run([batch]) for _ in range(TRIED_STEPS))
        names[choice] = variant.name
        del variant
    best = Variant(work, device, *min(tried, key=tried.get))
    return best, {names[choice]: seconds for choice, seconds in tried.items()}


def choose_cut(variant, cuts, num_warmup):
    """Warms up; returns the fastest of several lists of batches of the same rows."""
    seconds = []
    for batches in cuts:
        variant.run(batches[:num_warmup])
        seconds.append(variant.run(batches) if len(cuts) > 1 else 0.0)
    return cuts[int(np.argmin(seconds))]


def peak_memory():
    """Returns the peak memory of this process in bytes; None if it is unknown."""
    with contextlib.suppress(OSError), open("/proc/self/status") as lines:
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return int(found[0]) * 1024
    return None


def run(work):
    """Does some work; returns its numbers as a JSON-able dict."""
    use_gpu = work["use_gpu"] is not False and torch.cuda.is_available()
    device = torch.device("cuda" if use_gpu else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # as TensorFlow does
    cuts = [make_batches(work, device, n) for n in sorted({0, work["batch_tokens"]})]
    chosen, tried = choose(work, device, cuts[0])
    batches = choose_cut(chosen, cuts, work["num_warmup"])
    # In training, batches come in a random order too.
    order = np.random.RandomState(work["seed"]).permutation(len(batches))
    seconds = chosen.run([batches[i] for i in order])
    num_tokens = sum(int(b["attention_mask"].sum()) for b in batches)
    num_slots = sum(b["attention_mask"].numel() for b in batches)
    found = {
        "examples_per_second": len(work["lengths"]) / seconds,
        "tokens_per_second": num_tokens / seconds,
        "padding_share": 1.0 - num_tokens / num_slots,
        "peak_memory_bytes": peak_memory(),
        "peak_gpu_memory_bytes": None,
        "precision": chosen.name,
        "tried_seconds": tried,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "num_threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        found["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated()
        found["gpu"] = torch.cuda.get_device_name()
    return found


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    print(json.dumps(run(json.load(sys.stdin))))
