"""Build a model from its configuration, and read its attention modules."""

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from cnntention.config import ATTENTION_OPTIONS, STAGES, Model, Study, digest, nearest
from cnntention.config.plugins import with_imports
from cnntention.errors import UserError
from cnntention.models.attention import KINDS, Attention, make
from cnntention.models.controls import controlled, uncontrolled
from cnntention.models.effects import multiplies
from cnntention.models.inputs import suited
from cnntention.models.kinds import foreign
from cnntention.models.resnet import ResNet
from cnntention.models.trial import blamed, tried
from cnntention.seeding import seeded

STUDIED = {"self-attention", "multi-head", "cbam"}  # diagnosed as what they are, without a probe


def load_plugins(paths: Iterable[str]) -> None:
    """Import the files that register a user's attention modules; raises UserError if one cannot be imported.

    In a plugin `import helper` and `from . import helper` import from the plugin's folder.
    """
    for path in paths:
        folder = Path(path).resolve().parent
        package = f"cnntention_plugins_{digest(str(folder))}"
        sys.modules.setdefault(package, ModuleType(package)).__path__ = [str(folder)]
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        name = f"{package}.{Path(path).stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or not Path(path).is_file():
            raise UserError(f"plugins: cannot read {path!r}; give the path of a Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        with blamed(f"plugins: {path} cannot be imported"):
            spec.loader.exec_module(module)
        for file in with_imports(Path(path), Path(path).parent) - {Path(path)}:
            actual = getattr(sys.modules.get(file.stem), "__file__", None)
            if actual and file.resolve().parent == folder and Path(actual).resolve() != file.resolve():
                raise UserError(f"plugins: `import {file.stem}` finds {actual}, not {file}; rename the latter.")


def check(study: Study, models: Iterable[str] = ()) -> None:
    """Load the study's plugins, and try their modules and timm's: of these models, by default of all that it runs.

    UserError for a kind or option that is not known.
    """
    load_plugins(study.plugins)
    done = []
    for name in models or dict.fromkeys(run.model for run in study.runs()):
        check_model(f"configuration: models.{name}.", study.models[name], done)


def check_model(prefix: str, model: Model, done: list) -> None:
    """The same of one model; `prefix`: of its keys in messages; `done`: trials that need not be made again."""
    placed = ((stage, options) for stage, slot in model.modules.items() for options in slot)
    for stage, options in placed:
        key = f"{prefix}attention.{stage}"
        if options.kind not in KINDS:
            raise UserError(f"{key}.kind: unknown attention kind {options.kind!r}{nearest(options.kind, KINDS)}.")
        cls, i = KINDS[options.kind], STAGES.index(stage)
        if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
            raise UserError(f"{key}.kind: {options.kind!r} is registered for {cls!r}, which is no nn.Module class.")
        known, given = options_of(cls), arguments(options)
        if options.kind == "timm":
            known |= foreign.options_of(options.name)
        for option in given:
            if option not in known:
                raise UserError(f"{key}: unknown key {option!r}{nearest(option, known)}.")
        trial = cls, model.width * 2**i, given, i, model.placement == "stage"
        if is_foreign(options) and trial not in done:
            tried(key, *trial)
            done.append(trial)


def options_of(cls: type[nn.Module]) -> set[str]:
    """Keywords of a module's constructor; with **keywords also those of the base class `Attention`."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        parameters += inspect.signature(Attention.__init__).parameters.values()
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return named - {"self", "channels", "feat_size"}


def is_foreign(options: BaseModel) -> bool:
    """Whether the module is of a plugin or of timm."""
    return options.kind == "timm" or options.kind not in ATTENTION_OPTIONS


def arguments(options: BaseModel) -> dict:
    """The keywords of a module's constructor."""
    return options.model_dump(exclude={"kind", "control"})


def has_deterministic_form(model: Model) -> bool:
    """Whether no attention class of the model has `deterministic = False`."""
    modules = [options for slot in model.modules.values() for options in slot]
    of_timm = {options.name for options in modules if options.kind == "timm"}
    classes = {KINDS[options.kind] for options in modules}
    return all(getattr(cls, "deterministic", True) for cls in classes) and not of_timm & foreign.NOT_DETERMINISTIC


def build(model: Model, in_channels: int, classes: int, seed: int = 0, image: tuple[int, int] = (32, 32)) -> ResNet:
    """The network of a configured model for images of (H, W) `image`, initialized from `seed`.

    UserError if its attention does not work on features of that size.

    Backbone and attention use separate random streams, so all models start from the same backbone for the same seed.
    """
    with seeded(seed, "init/backbone"):
        net = ResNet(model.depth, model.width, in_channels, classes)
    with seeded(seed, "init/attention"):
        for stage, slot in model.modules.items():
            *inside, after = net.slots(stage)
            smaller = 2 ** STAGES.index(stage)
            shape = model.width * smaller, *(-(-side // smaller) for side in image)
            for name in [after] if model.placement == "stage" else inside:
                with blamed(f"attention.{stage} does not work on features {shape}"):
                    net.attention[name] = fill(slot, shape)
    return net


def fill(slot: tuple, shape: tuple[int, int, int]) -> nn.Module:
    """The module of a slot for (C, H, W) features; several become an nn.Sequential."""
    modules = [module_of(options, shape) for options in slot]
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def module_of(options: BaseModel, shape: tuple[int, int, int]) -> nn.Module:
    """One module, with its control; `multiplies`, if set, says whether it multiplies its input or adds to it."""
    channels, *size = shape
    cls, given = KINDS[options.kind], arguments(options)
    if is_foreign(options):
        cls = suited(cls, shape, given)
    again = partial(make, cls, channels, tuple(size), given)
    module = again()
    if options.kind not in STUDIED or options.control == "constant":
        with seeded(0, "probe"):  # draws nothing from the stream of the initialization
            module.multiplies = multiplies(again, (1, *shape))
    return controlled(module, options.control, shape)


def attention_modules(net: ResNet) -> Iterator[tuple[str, nn.Module]]:
    """(name, module) of every attention module, in the order of the network.

    The name is that of the slot, stage1 or stage1_block0; with several modules in a slot stage1_0, stage1_1, ...
    """
    for slot, module in net.attention.items():
        several = type(module) is nn.Sequential  # made by `fill`
        yield from ((f"{slot}_{i}", part) for i, part in enumerate(module)) if several else [(slot, module)]


def attention_state(net: ResNet) -> dict[str, float]:
    """Of each attention module the gate, `<name>.gate`, and the L2 norm of each weight, `<name>.query` and so on."""
    state = {}
    for name, module in attention_modules(net):
        for path, value in uncontrolled(module).named_parameters():
            if path == "gate" and is_gate(value):
                state[f"{name}.gate"] = value.item()
            elif value.ndim > 1:
                short = path.removesuffix(".weight")
                state[f"{name}.{path if short == 'gate' else short}"] = value.norm().item()
    return state


def is_gate(value: object) -> bool:
    """Whether what a module calls `gate` is one number; foreign modules call many things so."""
    return isinstance(value, Tensor) and value.numel() == 1


@torch.no_grad()
def attention_maps(net: ResNet, images: Tensor) -> dict[str, dict[str, Tensor]]:
    """Attention maps for (B, C, H, W) normalized images: name -> `module.maps(its input)`."""
    inputs: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: inputs.__setitem__(name, args[0]))
        for name, module in attention_modules(net)
    ]
    try:
        net(images)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: module.maps(inputs[name]) for name, module in attention_modules(net) if hasattr(module, "maps")}


def parameter_counts(net: ResNet) -> dict[str, int]:
    """Learned and frozen parameters: {"total", "backbone", "attention"}."""
    total, attention = (sum(p.numel() for p in part.parameters()) for part in (net, net.attention))
    return {"total": total, "backbone": total - attention, "attention": attention}
