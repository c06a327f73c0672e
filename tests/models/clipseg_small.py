"""CLIPSeg's decoder with made-up weights, in the layouts in which it is published."""

import torch
from torch import Tensor, nn


class CLIPSeg(nn.Module):
    """CLIPSeg's decoder written out from its paper: sequence first, the deepest tap first, the phrase at the first block."""

    def __init__(self, width: int, condition: int, channels: int, heads: int, feedforward: int) -> None:
        super().__init__()
        self.film_mul = nn.Linear(condition, channels)
        self.film_add = nn.Linear(condition, channels)
        self.reduce = nn.Linear(width, channels)  # in the published files, unused
        self.reduces = nn.ModuleList(nn.Linear(width, channels) for _ in range(3))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(channels, heads, feedforward) for _ in range(3))
        self.trans_conv = nn.ConvTranspose2d(channels, 1, 16, stride=16)

    def forward(self, activations: tuple[Tensor, ...], condition: Tensor) -> Tensor:
        """The tokens that `trans_conv` reads, (N, L, channels)."""
        state = 0
        for number, activation in enumerate(activations[::-1]):
            state = self.reduces[number](activation.transpose(0, 1)) + state
            if number == 0:
                state = self.film_mul(condition) * state + self.film_add(condition)
            state = self.blocks[number](state)
        return state.transpose(0, 1)


def clipseg(width: int = 12, condition: int = 6) -> CLIPSeg:
    torch.manual_seed(3)
    model = CLIPSeg(width, condition, 8, 2, 16).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def hugging_face(model: CLIPSeg) -> dict[str, Tensor]:
    """transformers' CLIPSegForImageSegmentation, with a piece of its CLIP."""
    state = {'clip.logit_scale': torch.tensor(1.0)}
    for key, value in model.state_dict().items():
        for theirs, ours in (('blocks', 'layers'), ('norm', 'layer_norm'), ('linear', 'mlp.fc'), ('trans_conv', 'transposed_convolution')):
            key = key.replace(theirs, ours)
        if '.in_proj_' in key:
            for name, part in zip('qkv', value.chunk(3), strict=True):
                state['decoder.' + key.replace('in_proj_', f'{name}_proj.')] = part.clone()
        else:
            state[f'decoder.{key}'] = value
    return state


LAYOUTS = {
    'CLIPSeg': lambda model: dict(model.state_dict()),
    'Hugging Face': hugging_face,
}
