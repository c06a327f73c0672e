import open_clip
import pytest
import torch
from clip_small import TEXT, clip_model, make
from mmengine.registry import DefaultScope

from mmext_instseg.models.text_encoders import OpenCLIPTextEncoder
from mmext_instseg.models.text_encoders.open_clip_text_encoder import CHUNK

PHRASES = [
    'dog',
    'the small red circle left of the square',
    'CAFÉ  Au Lait',
    '猫',
    'كوب أحمر',
    '👩\u200d👧 emoji',
    'a {} % <b>',
    '</endoftext|>',
]
ARCH = dict(TEXT, embed_dim=24)


@pytest.fixture
def towers():
    """open_clip's network and ours with the same weights."""
    reference = clip_model()
    model = make('text', frozen=True)
    model.load_state_dict(open_clip.model.convert_to_custom_text_state_dict(reference.state_dict()), strict=False)
    return reference, model


def counted(model: OpenCLIPTextEncoder, monkeypatch) -> list[int]:
    """Numbers of phrases that pass through the tower."""
    sizes: list[int] = []
    original = model._tower
    monkeypatch.setattr(model, '_tower', lambda tokens: sizes.append(len(tokens)) or original(tokens))
    return sizes


# ------------------------------------------------------------------------------------------------ features


def test_same_features_as_open_clip(towers):
    reference, model = towers
    with torch.no_grad():
        expected = reference.encode_text(open_clip.tokenize(PHRASES))
    found = model(PHRASES)
    assert found.dtype == torch.float32 and found.shape == (len(PHRASES), 24) and expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('words', [1, 73, 75])
def test_phrases_of_any_length_up_to_77_tokens(towers, words):
    reference, model = towers
    phrases = ['dog', 'cat ' * words]
    assert model.tokenize(phrases).shape == (2, words + 2)
    with torch.no_grad():
        torch.testing.assert_close(model(phrases), reference.encode_text(open_clip.tokenize(phrases)), rtol=1e-4, atol=1e-5)


def test_tokens_are_open_clips():
    model = make('text')
    tokens = model.tokenize(PHRASES)
    expected = open_clip.tokenize(PHRASES)
    assert torch.equal(tokens, expected[:, : tokens.shape[1]]) and not expected[:, tokens.shape[1] :].any()


def test_published_networks():
    with torch.device('meta'):
        sizes = {arch: OpenCLIPTextEncoder(arch) for arch in ('ViT-B-16', 'ViT-B-32', 'ViT-L-14')}
    assert {arch: model.out_channels for arch, model in sizes.items()} == {'ViT-B-16': 512, 'ViT-B-32': 512, 'ViT-L-14': 768}
    assert sum(parameter.numel() for parameter in sizes['ViT-B-16'].parameters()) == 63428096


@pytest.mark.parametrize('mixed', [False, True])
def test_trained_from_scratch_every_parameter_has_a_gradient(mixed):
    model = make('text')
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
        out = model(['a red cup', 'a dog', 'a red cup'])
    assert out.dtype == torch.float32 and torch.equal(out[0], out[2])
    (out * torch.randn(out.shape)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(towers, dtype):
    _, model = towers
    expected = model(PHRASES)
    with torch.autocast('cpu', dtype=dtype):
        assert torch.equal(model(PHRASES), expected)  # from the cache, which is in float32
        model._cache.clear()
        assert torch.equal(model(PHRASES), expected)
    half = model.to(dtype)(PHRASES)
    assert half.dtype == torch.float32 and not torch.equal(half, expected)
    torch.testing.assert_close(half, expected, rtol=0.05, atol=0.1)


def test_many_phrases_are_encoded_in_parts(towers, monkeypatch):
    _, model = towers
    sizes = counted(model, monkeypatch)
    phrases = [f'object {number}' for number in range(CHUNK + 3)]
    found = model(phrases)
    assert sizes == [CHUNK, 3]
    torch.testing.assert_close(found[-1:], model._encode(phrases[-1:]), rtol=1e-4, atol=1e-5)


def test_no_phrases():
    assert make('text')([]).shape == (0, 24)


# ------------------------------------------------------------------------------------------------ phrases


@pytest.mark.parametrize(
    ('phrase', 'said'),
    [
        ('', 'a phrase is empty'),
        ('a\0dog', r'control character U\+0000'),
        ('word ' * 76, r"78 tokens with its start and end, the text tower reads 77: shorten 'word word"),
        ('x' * 2**20, 'at most 1000 characters'),
        ('&nbsp;', "no text: '&nbsp;'"),
        ('a dog <end_of_text> cat', r"the tokenizer's own mark <end_of_text>: 'a dog"),
        ('<START_OF_TEXT>', "the tokenizer's own mark <start_of_text>"),
        ('&lt;end_of_text&gt;', 'own mark <end_of_text>'),
    ],
)
def test_what_is_no_phrase(phrase, said):
    model = make('text', frozen=True)
    with pytest.raises(ValueError, match=said):
        model(['a dog', phrase])
    assert not model._cache


def test_a_lone_string_is_no_sequence():
    with pytest.raises(TypeError, match=r"takes a sequence of phrases, not one: \['a dog'\]"):
        make('text')('a dog')
    with pytest.raises(TypeError, match='must be a string, not int'):
        make('text')(['a dog', 3])


def test_a_smaller_context(towers):
    model = make('text', arch=dict(ARCH, context_length=8))
    assert model(['one two three four five six']).shape == (1, 24)
    with pytest.raises(ValueError, match='9 tokens with its start and end, the text tower reads 8'):
        model(['one two three four five six seven'])


# ------------------------------------------------------------------------------------------------ the cache


def test_each_phrase_is_encoded_once(towers, monkeypatch):
    _, model = towers
    sizes = counted(model, monkeypatch)
    first = model(['a', 'b', 'a', 'c'])
    again = model(['c', 'd', 'a'])
    assert sizes == [3, 1]
    assert torch.equal(first[0], first[2]) and torch.equal(again[0], first[3]) and torch.equal(again[2], first[0])


def test_the_cache_keeps_those_used_last():
    model = make('text', frozen=True, cache_size=3)
    model(['a', 'b', 'c'])
    model(['a'])
    model(['d'])
    assert list(model._cache) == ['c', 'a', 'd']
    assert model(list('efghij')).shape == (6, 24) and list(model._cache) == ['h', 'i', 'j']


def test_entries_hold_nothing_but_themselves(towers):
    _, model = towers
    with torch.inference_mode():
        model(['a', 'b'])
    for entry in model._cache.values():
        assert entry.untyped_storage().nbytes() == 4 * 24 and not entry.is_inference() and not entry.requires_grad
    weight = torch.ones(24, requires_grad=True)
    (model(['a', 'b']) * weight).sum().backward()  # serves training too
    assert weight.grad is not None


def test_new_weights_make_new_embeddings(towers):
    _, model = towers
    before = model(['a dog'])
    model.load_state_dict(make('text', seed=9).state_dict())
    assert not torch.equal(model(['a dog']), before)


def test_a_tower_that_is_trained_caches_between_steps_only_if_told(monkeypatch):
    assert make('text').cache_size == 0 and make('text', frozen=True).cache_size == 4096
    model = make('text', cache_size=8).train()
    sizes = counted(model, monkeypatch)
    model(['a'])
    with torch.no_grad():
        model(['a'])
        model.eval()
        expected = model(['a'])
        model(['a'])
    model(['a']).sum().backward()
    assert sizes == [1, 1, 1, 1]
    model.train()
    with torch.no_grad():
        model.text.text_projection.mul_(2)
        torch.testing.assert_close(model.eval()(['a']), 2 * expected)


def test_without_a_cache(monkeypatch):
    model = make('text', frozen=True, cache_size=0)
    sizes = counted(model, monkeypatch)
    assert not model(['a', 'a']).requires_grad
    model(['a'])
    assert sizes == [1, 1] and not model._cache


# ------------------------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(arch='ViT-B-17'), "arch must be a name of open_clip's"),
        (dict(arch=TEXT), r"lacks \['embed_dim'\] and has nothing besides"),
        (dict(arch=dict(ARCH, heads=5)), 'width 48 must be a multiple of heads 5'),
        (dict(arch=dict(ARCH, vocab_size=100)), "vocab_size is the tokenizer's, 49408, not 100"),
        (dict(arch='ViT-B-16-SigLIP'), 'besides'),
    ],
)
def test_arguments_are_checked(changes, said):
    with pytest.raises(ValueError, match=said):
        make('text', **changes)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_plain_name(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(make('text'), OpenCLIPTextEncoder)


def test_the_tokenizers_table_comes_with_the_package(monkeypatch):
    """Nothing is downloaded."""
    from pathlib import Path

    assert Path(open_clip.tokenizer.default_bpe()).is_file()
    assert Path(open_clip.tokenizer.default_bpe()).parent == Path(open_clip.__file__).parent
