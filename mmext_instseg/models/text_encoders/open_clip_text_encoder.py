"""CLIP's text tower: phrases in, embeddings out."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import TextTransformer
from torch import Tensor

from ...ops import check_phrase, quote_phrase
from ...registry import MODELS
from ..layers.clip_tower import CLIPTower, tower_settings

CHUNK = 256  # phrases that are encoded at a time


@lru_cache(maxsize=1)
def tokenizer() -> SimpleTokenizer:
    """open_clip's, whose table of byte pairs comes with its package."""
    return SimpleTokenizer()


@MODELS.register_module()
class OpenCLIPTextEncoder(CLIPTower):
    """CLIP's text transformer of open_clip's parts: the features at the end mark, projected, as `encode_text` gives them (not normalised).

    Attention looks backwards only, so what follows the end mark changes nothing: the tower reads as many tokens as the longest phrase has
    (ours), not 77, a tenth of the time for phrases of a few words.

    Memory without gradients: 4 * min(P, 256) * L * width * 16 bytes for P phrases of L tokens, and 4 * D bytes a phrase in the cache.

    Args:
        arch: a name of open_clip's, or a dict of embed_dim (D), width, heads and layers and, if other than the defaults,
            context_length=77 and mlp_ratio=4.
        quick_gelu: as OpenAI's networks have it; see `CLIPTower`.
        frozen: no gradients, and checkpoints name the weights' file instead of holding it; see `FrozenWeights`. Needs `weights`.
        weights: a local file; see `CLIPTower`.
        cache_size: so many embeddings, the ones used last, are kept; by default 4096 if frozen, else none. A tower that isn't frozen uses
            it in eval mode without gradients only, and forgets it when training goes on.

    Attributes:
        out_channels: D, for the neck's `condition_channels`.

    Raises:
        ValueError: an argument is none of the values above.
    """

    tower = 'text'
    default_prefix = 'text_encoder.'

    def __init__(
        self,
        arch: str | dict = 'ViT-B-16',
        quick_gelu: bool = True,
        frozen: bool = True,
        weights: str | None = None,
        cache_size: int | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(arch, quick_gelu, frozen, weights, init_cfg)
        vocabulary = tokenizer().vocab_size
        known = dict(embed_dim=None, width=None, heads=None, layers=None, context_length=77, vocab_size=vocabulary, mlp_ratio=4.0)
        settings = tower_settings('OpenCLIPTextEncoder', arch, 'text_cfg', known)
        if settings['vocab_size'] != vocabulary:
            raise ValueError(f"OpenCLIPTextEncoder.arch: vocab_size is the tokenizer's, {vocabulary}, not {settings['vocab_size']}")
        if settings['width'] % settings['heads']:
            raise ValueError(f'OpenCLIPTextEncoder.arch: width {settings["width"]} must be a multiple of heads {settings["heads"]}')
        self.out_channels = settings.pop('embed_dim')
        self.text = TextTransformer(output_dim=self.out_channels, act_layer=self.activation, **settings)
        self.cache_size = (4096 if frozen else 0) if cache_size is None else cache_size
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self.freeze()

    def forward(self, phrases: Sequence[str]) -> Tensor:
        """P phrases -> (P, D) float32; a phrase that stands there twice is encoded once.

        Raises:
            TypeError: one phrase instead of a sequence, or something that isn't text.
            ValueError: no phrase: empty, too long for the tower, with control characters or with the tokenizer's own marks.
        """
        if isinstance(phrases, str):
            raise TypeError(f'OpenCLIPTextEncoder takes a sequence of phrases, not one: [{quote_phrase(phrases)}]')
        places = {phrase: place for place, phrase in enumerate(dict.fromkeys(phrases))}
        device = self.text.positional_embedding.device
        if not places:
            return torch.zeros(0, self.out_channels, device=device)
        caching = self.cache_size > 0 and (self.frozen or not (self.training or torch.is_grad_enabled()))
        rows = self._recall(list(places)) if caching else self._encode(list(places))
        return rows if len(places) == len(phrases) else rows[torch.tensor([places[phrase] for phrase in phrases], device=device)]

    def tokenize(self, phrases: Sequence[str]) -> Tensor:
        """(P, L) int64 on the CPU, 0 after the end mark; L is the longest phrase's number of tokens, with the marks at start and end.

        Raises:
            TypeError, ValueError: as `forward`.
        """
        table = tokenizer()
        found = []
        for phrase in phrases:
            tokens = table.encode(check_phrase(phrase))
            if not tokens:
                raise ValueError(f'a phrase has no text: {quote_phrase(phrase)}')
            if marks := [table.decoder[token] for token in tokens if token in table.all_special_ids]:
                raise ValueError(f"a phrase has the tokenizer's own mark {marks[0]}: {quote_phrase(phrase)}")
            if len(tokens) + 2 > self.text.context_length:
                raise ValueError(
                    f'a phrase has {len(tokens) + 2} tokens with its start and end, the text tower reads {self.text.context_length}: '
                    f'shorten {quote_phrase(phrase)}'
                )
            found.append(torch.tensor([table.sot_token_id, *tokens, table.eot_token_id]))
        return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)

    def train(self, mode: bool = True) -> 'OpenCLIPTextEncoder':
        super().train(mode)
        if self.training:
            self._cache.clear()
        return self

    def _recall(self, phrases: list[str]) -> Tensor:
        """Embeddings from the cache, those it lacks encoded and added."""
        known = {phrase: self._cache[phrase] for phrase in phrases if phrase in self._cache}
        new = [phrase for phrase in phrases if phrase not in known]
        if new:
            # Whoever asks first, under whatever autocast or inference mode, the entry serves all later calls
            with torch.inference_mode(False), torch.no_grad(), torch.autocast(self.text.positional_embedding.device.type, enabled=False):
                known.update(zip(new, (row.clone() for row in self._encode(new)), strict=True))
        for phrase in phrases:
            self._cache[phrase] = known[phrase]
            self._cache.move_to_end(phrase)
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)
        return torch.stack([known[phrase] for phrase in phrases])

    def _encode(self, phrases: list[str]) -> Tensor:
        tokens = self.tokenize(phrases).to(self.text.positional_embedding.device)
        return torch.cat([self._tower(part) for part in tokens.split(CHUNK)]).float()

    def _tower(self, tokens: Tensor) -> Tensor:
        """(P, L) -> (P, D); open_clip's own forward takes `context_length` tokens only."""
        tower, length = self.text, tokens.shape[1]
        x = tower.token_embedding(tokens) + tower.positional_embedding[:length]
        x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
        end = tokens.argmax(dim=1)  # its number is the highest
        return tower.ln_final(x[torch.arange(len(x), device=x.device), end]) @ tower.text_projection

    def _apply(self, fn: Callable, recurse: bool = True) -> 'OpenCLIPTextEncoder':
        self._cache.clear()  # moved to another device or precision
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any) -> None:
        self._cache.clear()
        super()._load_from_state_dict(*args)

    def _in_trunk(self, key: str) -> bool:
        return key.startswith('text.') and key != 'text.attn_mask'
