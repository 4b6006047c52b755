"""Attention maps of dot-product attention: its rows at chosen queries, and attention between match and cue."""

import numpy as np
import torch
from torch import Tensor, nn

from cnntention.explanation.cam import Sample, pooled
from cnntention.models.registry import attention_maps
from cnntention.results.tables import LookUp

BATCH = 8  # images of 32 x 32 px at a time, and fewer larger ones: a matrix of 8 heads over 32 x 32 positions has 34 MB
EXAMPLES = 4  # sampled images, beside the showcase, whose attention is stored
DIRECTIONS = ("match_to_cue", "cue_to_match")


def batch_of(shape: tuple[int, int]) -> int:
    """Images of (H, W) px at a time."""
    return max(1, min(BATCH, BATCH * 32**4 // (shape[0] * shape[1]) ** 2))


def cells_of(count: int, shape: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of a grid of `count` positions: `shape` halved 0 to 3 times; None if none fits."""
    halvings = ((-(-shape[0] // s), -(-shape[1] // s)) for s in (1, 2, 4, 8))
    return next(((h, w) for h, w in halvings if h * w == count), None)


def matrices(model: nn.Module, images: Tensor) -> dict[str, tuple[Tensor, tuple[int, int]]]:
    """Module -> its attention (B, heads, HW, HW), row = query, and (H, W), for modules that attend to all positions."""
    attention = {}
    for name, maps in attention_maps(model, images).items():
        weights = maps.get("attention")
        if weights is not None and weights.ndim == 4 and weights.shape[2] == weights.shape[3]:
            cells = cells_of(weights.shape[3], images.shape[2:])
            if cells is not None:
                attention[name] = weights, cells
    return attention


def queries(chosen: Sample, extras: dict[str, np.ndarray], cams: np.ndarray) -> dict[str, np.ndarray]:
    """Query positions by name: (N, 2) row and column, px.

    CueMatch: the centres of match and cue (track `local` has no cue). Else three fixed positions, and the strongest
    pixel of the (N, H, W) Grad-CAM maps (the first pixel if a map is empty).
    """
    if "factors.match_centre" in extras:
        places = {name: extras[f"factors.{name}_centre"][chosen.index] for name in ("match", "cue")}
        return {name: at.astype(np.int64) for name, at in places.items() if (at >= 0).all()}
    n, (h, w) = len(cams), cams.shape[1:]
    fixed = {"centre": (h // 2, w // 2), "upper-left": (h // 4, w // 4), "lower-right": (3 * h // 4, 3 * w // 4)}
    strongest = np.stack(np.unravel_index(cams.reshape(n, -1).argmax(axis=1), (h, w)), axis=1)
    return {name: np.tile(at, (n, 1)) for name, at in fixed.items()} | {"strongest": strongest}


def attention_rows(model: nn.Module, chosen: Sample, places: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The attention of each module and head from the queries at `places`.

    Returns `attention.<module>` (N, Q, heads, H, W) float16, each map's sum 1, and `attention.<module>.queries`
    (N, Q, 2) int16, row and column of the query's cell; Q in the order of `places`.
    """
    parts: dict[str, list[np.ndarray]] = {}
    shape = chosen.images.shape[2:]
    at = np.stack(list(places.values()), axis=1)  # (N, Q, 2) px
    batch = batch_of(shape)
    for start in range(0, len(at), batch):
        part = slice(start, start + batch)
        for name, (weights, cells) in matrices(model, chosen.images[part]).items():
            cell = at[part] * cells // shape
            flat = torch.from_numpy(cell[..., 0] * cells[1] + cell[..., 1]).to(weights.device)  # (B, Q)
            rows = weights[torch.arange(len(flat), device=flat.device)[:, None], :, flat]  # (B, Q, heads, HW)
            parts.setdefault(f"attention.{name}", []).append(rows.unflatten(-1, cells).half().cpu().numpy())
            parts.setdefault(f"attention.{name}.queries", []).append(cell.astype(np.int16))
    return {name: np.concatenate(values) for name, values in parts.items()}


def look_up(weights: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """(B, heads): attention from one object's cells to another's, relative to uniform attention (1).

    weights: (B, heads, HW, HW); queries, keys: (B, HW), the share of each cell that is inside the object. The attention
    to the key cells, weighted by their shares, averaged over the query cells, weighted by theirs, divided by the keys'
    share of the area.
    """
    received = (weights @ keys[:, None, :, None]).squeeze(-1)  # (B, heads, HW)
    mean = (received * queries[:, None]).sum(-1) / queries.sum(-1, keepdim=True)
    return mean / keys.mean(-1, keepdim=True)


def look_ups(model: nn.Module, chosen: Sample, match: np.ndarray, cue: np.ndarray) -> list[LookUp]:
    """For each module, direction and head: mean and standard error over images of `look_up` between (N, H, W) masks."""
    if not matrices(model, chosen.images[:1]):
        return []
    parts: dict[tuple[str, str], list[Tensor]] = {}
    for start in range(0, len(match), BATCH):
        part = slice(start, start + BATCH)
        for name, (weights, cells) in matrices(model, chosen.images[part]).items():
            ends = [torch.from_numpy(pooled(mask[part], cells)).flatten(1).to(weights) for mask in (match, cue)]
            for direction, (origin, goal) in zip(DIRECTIONS, (ends, ends[::-1]), strict=True):
                parts.setdefault((name, direction), []).append(look_up(weights, origin, goal).cpu())
    rows = []
    for (name, direction), scores in parts.items():
        each = torch.cat(scores).double().numpy()  # (N, heads)
        errors = each.std(axis=0, ddof=1) / len(each) ** 0.5
        row = {"module": name, "direction": direction, "images": len(match)}
        rows += [
            LookUp(**row, head=i, score=m, se=e) for i, (m, e) in enumerate(zip(each.mean(axis=0), errors, strict=True))
        ]
    return rows
