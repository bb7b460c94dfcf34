"""Makes minilm.npz: hidden states of MiniLM computed by Hugging Face transformers.

Run once, with torch and transformers installed beside the converted folder's source:
    python tests/golden/make_minilm_golden.py FOLDER_OF_THE_HUGGING_FACE_MODEL
The file was made with transformers 5.23.0 and torch 2.13.0 on a CPU, in float32 with
eager attention.
"""

import pathlib
import sys

import numpy as np
import torch
import transformers

# Two rows of different length, one of them a pair; 0 pads.
INPUT_IDS = [
    [101, 2129, 2000, 4553, 5009, 1999, 2019, 3178, 1029, 102, 0, 0],
    [101, 1996, 4937, 102, 2038, 2025, 5507, 1012, 2197, 2305, 999, 102],
]
SEGMENT_IDS = [[0] * 12, [0] * 4 + [1] * 8]


def main():
    model = transformers.BertModel.from_pretrained(
        sys.argv[1], attn_implementation="eager"
    ).eval()
    input_ids = np.array(INPUT_IDS, np.int32)
    inputs = {
        "input_ids": input_ids,
        "attention_mask": (input_ids != 0).astype(np.int32),
        "token_type_ids": np.array(SEGMENT_IDS, np.int32),
    }
    with torch.no_grad():
        outputs = model(
            **{name: torch.tensor(value).long() for name, value in inputs.items()},
            output_hidden_states=True,
        )
    np.savez_compressed(
        pathlib.Path(__file__).with_name("minilm.npz"),
        input_ids=inputs["input_ids"],
        input_mask=inputs["attention_mask"],
        segment_ids=inputs["token_type_ids"],
        sequence_output=outputs.last_hidden_state.numpy(),
        pooled_output=outputs.pooler_output.numpy(),
        # Of every layer, the embeddings first, the vector of [CLS].
        cls_of_layers=np.stack([h[:, 0].numpy() for h in outputs.hidden_states]),
    )


if __name__ == "__main__":
    main()
