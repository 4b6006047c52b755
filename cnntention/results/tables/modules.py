"""Tables of what was seen inside the networks: attention modules and maps."""

from cnntention.results.rows import Row
from cnntention.results.tables.runs import OfRun
from cnntention.results.words import State


class ModuleState(Row):
    """An attention module of a finished run."""

    module: str
    """Slot of the module: stage1, stage2_block0, …"""
    kind: str
    """Attention kind."""
    state: State
    """alive, off, constant, uniform, or diverged."""
    gate: float | None
    """The learned factor on the module's output."""
    relative_change: float
    """Mean over images of ||module(x) - x|| / ||x||."""
    drop_identity: float
    """Fall in accuracy when the module is replaced by the identity."""
    drop_identity_se: float
    """Its standard error, paired over images."""
    drop_mean: float
    """Fall in accuracy when the module does to every image what it does on average."""
    drop_mean_se: float
    """Its standard error."""
    drop_head: float | None
    """Fall in accuracy without the head that is missed most."""
    entropy: float | None
    """Mean entropy of attention over queries and heads, as a share of uniform attention's."""
    distance: float | None
    """Mean attention distance, as a share of the distance between opposite corners."""
    uniform_distance: float | None
    """The same of uniform attention."""
    head_diversity: float | None
    """Mean Jensen-Shannon divergence between two heads, bits (Lin 1991)."""
    effective_heads: float | None
    """Number of wholly different heads of the same diversity (Jost 2007)."""
    channel_spread: float | None
    """Standard deviation of the channel gate; in effect, if the module multiplies and tells no gates."""
    spatial_spread: float | None
    """The same of the spatial gate."""
    norm_query: float | None
    """L2 norm of the query weights."""
    norm_key: float | None
    """L2 norm of the key weights."""
    norm_value: float | None
    """L2 norm of the value weights."""


class ModuleRow(ModuleState, OfRun, table="modules"):
    """A row a run and attention module: is it alive, is it used, where does it look?"""


class MapScore(Row):
    """How far Grad-CAM maps lie on a region; means over images."""

    region: str
    """Pixels on which the label depends: match+cue or match (CueMatch), foreground."""
    method: str
    """gradcam; untrained: the same of an untrained network; uniform, centre, edges: maps without any network; ceiling:
    the region at the maps' resolution."""
    images: int
    """Images scored."""
    empty: int
    """Maps without positive evidence, left out."""
    mass: float | None
    """Share of the map on the region."""
    normalized_mass: float | None
    """The same, 0 for the uniform map and 1 for the ceiling."""
    auc: float | None
    """Chance that a pixel in the region outranks one outside."""


class MapRow(MapScore, OfRun, table="maps"):
    """A row a run and method: do the maps lie where the label is decided?"""


class RoadScore(Row):
    """ROAD (Rong et al. 2022) of the maps; means over images and shares of pixels removed."""

    method: str
    """As in maps.csv."""
    images: int
    """Images scored."""
    road: float | None
    """Half the difference of lerf and morf: 0 for a random order of pixels."""
    road_se: float | None
    """Its standard error over images."""
    morf: float | None
    """Confidence kept when the most relevant pixels are removed first."""
    lerf: float | None
    """The same when the least relevant are."""
    morf_unchanged: float
    """Share of predictions that stay the same when the most relevant are removed."""
    lerf_unchanged: float
    """The same for the least relevant."""


class RoadRow(RoadScore, OfRun, table="road"):
    """A row a run and method: are the maps faithful to the network?"""


class LookUp(Row):
    """CueMatch: attention from one object's cells to the other's."""

    module: str
    """Slot of the module."""
    head: int
    """From 0."""
    direction: str
    """match_to_cue or cue_to_match."""
    score: float
    """Attention relative to uniform attention: 1 means that the other object is not looked up."""
    se: float
    """Its standard error over images."""
    images: int
    """Images scored."""


class LookUpRow(LookUp, OfRun, table="lookup"):
    """A row a run, module, head and direction."""
