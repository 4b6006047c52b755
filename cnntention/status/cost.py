"""What a training step costs by the shape of its network: to compare models of which only some were timed."""

from cnntention.config import STAGES, Model

# Seconds that a training image of 32 px takes on one core in bf16, measured once: a block in each stage, of 16 channels
# and twice and four times as many; then one attention module on stage 2, of 16 x 16 positions.
BLOCKS = 1 / 1200
ATTENTION = {"self-attention": 1 / 520 - 1 / 1200, "multi-head": 1 / 340 - 1 / 1200, "cbam": 1 / 840 - 1 / 1200}
POSITIONS = {stage: 16.0 ** (1 - i) for i, stage in enumerate(STAGES)}  # pairs of positions, relative to stage 2


def seconds_an_image(model: Model, side: int) -> float:
    """On that core, for images of `side` px. A plugin's kind counts as self-attention."""
    blocks, scale = (model.depth - 2) // 6, (side / 32) ** 2
    modules = [
        POSITIONS[stage] * ATTENTION.get(option.kind, ATTENTION["self-attention"])
        for stage, slot in model.modules.items()
        for option in slot
    ]
    each = blocks if model.placement == "block" else 1
    return blocks * BLOCKS * (model.width / 16) ** 2 * scale + each * sum(modules) * scale**2
