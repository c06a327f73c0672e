"""What CLIP's two towers share: their sizes and their weights."""

from typing import Any

from mmengine.logging import print_log
from open_clip import get_model_config
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from .clip_keys import to_open_clip
from .frozen_weights import FrozenWeights


class CLIPTower(FrozenWeights):
    """One tower of CLIP (Radford et al., 2021), built of open_clip's parts, under whose names its weights stand: `visual.*` or `text.*`.

    Weights are read from a local file: OpenAI's TorchScript archive (without running it) or state dict, open_clip's, Hugging Face's, or a
    checkpoint of ours; the layout is recognised by its keys, and a report is logged (`load_weights`).

    Args:
        arch: for the report.
        quick_gelu: OpenAI's networks, and those trained on from them, have x sigmoid(1.702 x) for GELU; the weights don't show it.
        frozen, weights, init_cfg: see `FrozenWeights`.
    """

    tower: str
    unused_levels = 4

    def __init__(
        self, arch: str | dict, quick_gelu: bool, frozen: bool, weights: str | None, init_cfg: dict | list[dict] | None = None
    ) -> None:
        super().__init__(frozen, weights, init_cfg)
        self.arch, self.quick_gelu = arch, quick_gelu

    @property
    def activation(self) -> type[nn.Module]:
        return QuickGELU if self.quick_gelu else nn.GELU

    def _own_keys(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """The file's tensors but those of the other tower."""
        found, layout = to_open_clip(found)
        name = type(self).__name__
        print_log(f"{name}: the keys are {layout}'s.", logger='current')
        if layout == 'OpenAI' and not self.quick_gelu:
            raise ValueError(f"{name}: the weights are OpenAI's, whose networks have another GELU: set quick_gelu=True")
        other = 'text.' if self.tower == 'visual' else 'visual.'
        return {key: value for key, value in found.items() if not key.startswith(other)}

    def _described(self) -> str:
        return f'arch={self.arch!r}'

    def _expected_file(self) -> str:
        hub = {'ViT-B-16': 'base-patch16', 'ViT-B-32': 'base-patch32', 'ViT-L-14': 'large-patch14'}.get(str(self.arch))
        where = f" Download OpenAI's {self.arch}.pt, or model.safetensors of openai/clip-vit-{hub} at huggingface.co." if hub else ''
        return f"Expected is a local file of CLIP ({self._described()}) with OpenAI's, open_clip's or Hugging Face's keys.{where}"


def tower_settings(name: str, arch: str | dict, section: str, defaults: dict[str, Any]) -> dict[str, Any]:
    """Sizes of a tower.

    Args:
        name: of the class, for errors.
        arch: a name of open_clip's, such as 'ViT-B-16', or a dict of settings.
        section: 'vision_cfg' or 'text_cfg', where open_clip's configs have them; `embed_dim` stands beside.
        defaults: every setting there is, None where it must be given.

    Raises:
        ValueError: no such name, another kind of network, or settings missing or unknown.
    """
    given: dict = {}
    if isinstance(arch, str):
        config = get_model_config(arch)
        if config is None:
            raise ValueError(f"{name}.arch must be a name of open_clip's ('ViT-B-16', 'ViT-B-32', 'ViT-L-14', ...) or a dict, not {arch!r}")
        given = dict(config[section])
        if 'embed_dim' in defaults:
            given['embed_dim'] = config['embed_dim']
    else:
        given = dict(arch)
    needed = [key for key, value in defaults.items() if value is None]
    missing, unknown = [key for key in needed if key not in given], sorted(given.keys() - defaults.keys())
    if missing or unknown or isinstance(given['layers'], list):
        raise ValueError(
            f'{name}.arch needs {", ".join(needed)}; it may have {", ".join(defaults.keys() - set(needed))}. '
            f'{arch!r} lacks {missing or "nothing"} and has {unknown or "nothing"} besides'
        )
    return {**defaults, **given}
