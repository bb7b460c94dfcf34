"""BERT's encoder in numpy, written from the paper, to check `modeling` against."""

import numpy as np


def layer_norm(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-12) * gamma + beta


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    exp = np.exp(x - x.max(-1, keepdims=True))
    return exp / exp.sum(-1, keepdims=True)


def encode(weights, input_ids, input_mask, segment_ids, num_heads):
    """Returns ([embeddings, layer 1, ...], pooled) in float64, without dropout.

    Args:
      weights: dict variable name -> array.
      input_ids, input_mask, segment_ids: int `[batch_size, seq_length]`.
      num_heads: int.
    """
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def dense(x, scope):
        return x @ w[f"{scope}/kernel"] + w[f"{scope}/bias"]

    def norm(x, scope):
        return layer_norm(
            x, w[f"{scope}/LayerNorm/gamma"], w[f"{scope}/LayerNorm/beta"]
        )

    batch_size, seq_length = input_ids.shape
    x = (
        w["bert/embeddings/word_embeddings"][input_ids]
        + w["bert/embeddings/token_type_embeddings"][segment_ids]
        + w["bert/embeddings/position_embeddings"][:seq_length]
    )
    x = norm(x, "bert/embeddings")
    layers = [x]
    size = x.shape[-1] // num_heads

    def heads(x, scope):
        shape = batch_size, seq_length, num_heads, size
        return dense(x, scope).reshape(shape).transpose(0, 2, 1, 3)

    while f"bert/encoder/layer_{len(layers) - 1}/output/dense/bias" in w:
        scope = f"bert/encoder/layer_{len(layers) - 1}"
        q, k, v = (
            heads(x, f"{scope}/attention/self/{part}")
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(size)
        scores = scores - 10000.0 * (1 - input_mask[:, None, None, :])
        context = (softmax(scores) @ v).transpose(0, 2, 1, 3)
        context = context.reshape(batch_size, seq_length, -1)
        attended = dense(context, f"{scope}/attention/output/dense") + x
        attended = norm(attended, f"{scope}/attention/output")
        hidden = gelu(dense(attended, f"{scope}/intermediate/dense"))
        x = norm(dense(hidden, f"{scope}/output/dense") + attended, f"{scope}/output")
        layers.append(x)
    return layers, np.tanh(dense(x[:, 0], "bert/pooler/dense"))
