from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from decoder_small import make, taps
from mmcv.cnn.bricks.upsample import PixelShufflePack
from mmengine.config import Config
from torch import Tensor, nn

from mmext_instseg.models.layers import CoordConv2d, ICNRPixelShuffle

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'instance_clipseg'
ALL = (1, 2, 3, 4)
# Table 1 and methods beside it: arguments, stages with CoordConv, merge block with CoordConv, upsampling
TABLE_1 = {
    'C1': (dict(coord_stages=ALL), ALL, False, 'bilinear'),
    'C2': (dict(upsample='pixel_shuffle'), (), False, 'pixel_shuffle'),
    'C3': (dict(upsample='pixel_shuffle_icnr', coord_stages=(1, 2)), (1, 2), False, 'icnr'),
    'C4': (dict(fusion='hybrid', coord_stages=(1, 2), coord_merge=True), (1, 2), True, 'bilinear'),
    'C5': (dict(fusion='hybrid', upsample='pixel_shuffle_icnr', coord_merge=True), (), True, 'icnr'),
    'C6': (dict(fusion='hybrid', upsample='pixel_shuffle_icnr', coord_stages=ALL), ALL, False, 'icnr'),
    'C6 with merge': (dict(fusion='hybrid', upsample='pixel_shuffle_icnr', coord_stages=ALL, coord_merge=True), ALL, True, 'icnr'),
    'C7': (dict(fusion='hierarchical', coord_stages=(1, 2)), (1, 2), False, 'bilinear'),
    'C8': (dict(fusion='hierarchical', upsample='pixel_shuffle_icnr'), (), False, 'icnr'),
    'C9': (dict(fusion='hierarchical', upsample='pixel_shuffle_icnr', coord_stages=ALL), ALL, False, 'icnr'),
    'PixelShuffle + ICNR': (dict(upsample='pixel_shuffle_icnr'), (), False, 'icnr'),
}
CONFIGURATIONS = pytest.mark.parametrize('name', list(TABLE_1))


# ------------------------------------------------------------------------------------------------ the nine configurations


@CONFIGURATIONS
def test_table_1(name):
    settings, coord_stages, coord_merge, upsample = TABLE_1[name]
    model = make(**settings)
    places = {place for place, module in model.named_modules() if isinstance(module, CoordConv2d)}
    assert places == {f'stages.{number - 1}.refine.conv' for number in coord_stages} | ({'merge.conv'} if coord_merge else set())
    kinds = {'bilinear': nn.Upsample, 'pixel_shuffle': PixelShufflePack, 'icnr': ICNRPixelShuffle}
    assert [type(stage.upsample) for stage in model.stages] == [kinds[upsample]] * 4
    counts = {kind: sum(isinstance(module, kind) for module in model.modules()) for kind in (PixelShufflePack, ICNRPixelShuffle)}
    assert counts == {PixelShufflePack: 4 * (upsample != 'bilinear'), ICNRPixelShuffle: 4 * (upsample == 'icnr')}
    skips = 2 if settings.get('fusion') == 'hierarchical' else 0
    widths = [stage.refine.conv.in_channels for stage in model.stages]
    assert widths == [width + 8 * (k < skips) + 2 * (k + 1 in coord_stages) for k, width in enumerate((8, 8, 8, 4))]
    assert hasattr(model, 'merge') == (settings.get('fusion') == 'hybrid')


@CONFIGURATIONS
@pytest.mark.parametrize(('schedule', 'stages'), [('{}_3e_lvis-352', 4), ('tiny-{}_600it_shapes-64', 2)])
def test_leaf_configs_are_the_rows_of_table_1(name, schedule, stages):
    if name == 'C6 with merge':
        pytest.skip('the other reading of C6 has no config')
    leaf = schedule.format('icnr' if 'ICNR' in name else name.lower())
    neck = Config.fromfile(CONFIGS / f'instance_clipseg_{leaf}.py').model.neck
    plain = dict(fusion='none', upsample='bilinear', coord_stages=(), coord_merge=False)
    found = {key: neck.get(key, value) for key, value in plain.items()}
    expected = {**plain, **TABLE_1[name][0]}
    expected['coord_stages'] = tuple(stage for stage in expected['coord_stages'] if stage <= stages)
    assert {**found, 'coord_stages': tuple(found['coord_stages'])} == expected
    assert len(neck.get('stage_channels', ALL)) == stages


@CONFIGURATIONS
def test_every_parameter_has_a_gradient(name):
    model = make(**TABLE_1[name][0])
    model.init_weights()
    (out,) = model(taps(), torch.randn(3, 6), torch.tensor([0, 1, 1]))
    assert out.shape == (3, 4, 48, 48) and model.out_channels == 4
    (out * torch.randn(out.shape)).sum().backward()
    for place, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), place


@CONFIGURATIONS
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_and_features_in_half_precision(name, dtype):
    model = make(**TABLE_1[name][0]).eval()
    feats, condition = taps(), torch.randn(2, 6)
    with torch.no_grad():
        (expected,) = model(feats, condition)
        (plain,) = model([tap.to(dtype) for tap in feats], condition.to(dtype))
        with torch.autocast('cpu', dtype=dtype):
            (mixed,) = model(feats, condition)
    for out in (plain, mixed):
        torch.testing.assert_close(out.float(), expected, rtol=0.1, atol=0.1)


def test_the_papers_size():
    model = make(in_channels=(32, 32, 32), condition_channels=None).eval()
    with torch.no_grad():
        (out,) = model(tuple(torch.randn(1, 485, 32) for _ in range(3)))
    assert out.shape == (1, 4, 352, 352)


# ------------------------------------------------------------------------------------------------ pairs, fusion, sizes


def test_pairs_are_decoded_as_if_each_came_alone():
    model = make(fusion='hybrid', upsample='pixel_shuffle_icnr').eval()
    feats, condition, image = taps(3), torch.randn(5, 6), torch.tensor([2, 0, 0, 2, 1])
    with torch.no_grad():
        (out,) = model(feats, condition, image)
        for number in range(5):
            (alone,) = model([tap[image[number]][None] for tap in feats], condition[number : number + 1])
            torch.testing.assert_close(out[number : number + 1], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(out[1], out[2], atol=1e-3)  # one image, two phrases


def test_taps_are_reduced_once_an_image():
    model = make().eval()
    sizes = []
    model.reduces[0].register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    model(taps(2), torch.randn(7, 6), torch.tensor([0, 0, 0, 1, 1, 1, 1]))
    assert sizes == [2]


def test_without_a_condition_there_is_no_film():
    feats = taps()
    model, plain = make().eval(), make(condition_channels=None).eval()
    plain.load_state_dict({key: value for key, value in model.state_dict().items() if not key.startswith('film.')})
    with torch.no_grad():
        assert torch.equal(model(feats)[0], plain(feats)[0])
        assert not torch.allclose(model(feats)[0], model(feats, torch.randn(2, 6))[0], atol=1e-3)


@pytest.fixture
def marked(monkeypatch):
    """States of 2x3 tokens that are known; what the stages and the merge block are given is recorded."""

    def run(**settings) -> tuple[dict[str, Tensor], list[tuple]]:
        model = make(**settings).eval()
        states = {name: torch.randn(1, 7, 8) for name in ('s9', 's7', 's3')}
        monkeypatch.setattr(model, 'states', lambda *_: list(states.values()))
        given: list[tuple] = []
        first = model.projects if settings['fusion'] == 'hybrid' else ()
        for module in (*first, *model.stages):
            module.register_forward_hook(lambda _, inputs, __: given.append(inputs))
        model(taps(1, (2, 3)), grid=(2, 3))
        return {name: state[:, 1:].mT.unflatten(2, (2, 3)) for name, state in states.items()}, given

    return run


def test_without_fusion_the_last_state_is_read(marked):
    maps, given = marked(fusion='none')
    assert torch.equal(given[0][0], maps['s3']) and all(len(inputs) == 1 or inputs[1] is None for inputs in given)


def test_hybrid_fusion_takes_all_at_the_first_size(marked):
    maps, given = marked(fusion='hybrid')
    assert all(torch.equal(inputs[0], maps[name]) for inputs, name in zip(given, ('s9', 's7', 's3'), strict=False))
    assert given[3][0].shape == (1, 8, 2, 3) and given[3][1] is None


def test_hierarchical_fusion_joins_l7_in_stage_1_and_l3_in_stage_2(marked):
    maps, given = marked(fusion='hierarchical')
    assert torch.equal(given[0][0], maps['s9']) and torch.equal(given[0][1], maps['s7']) and torch.equal(given[1][1], maps['s3'])
    assert given[2][1] is None and given[3][1] is None


def test_skips_are_resized_bilinearly_and_stand_behind():
    model = make(fusion='hierarchical').eval()
    found = []
    model.stages[1].refine.register_forward_hook(lambda _, inputs, __: found.append(inputs[0]))
    x, skip = torch.randn(1, 8, 4, 6), torch.randn(1, 8, 2, 3)
    model.stages[1](x, skip)
    expected = [F.interpolate(value, size=(8, 12), mode='bilinear', align_corners=False) for value in (x, skip)]
    torch.testing.assert_close(found[0], torch.cat(expected, dim=1))


def test_images_that_are_no_squares_name_their_grid():
    model = make(fusion='hierarchical').eval()
    assert model(taps(1, (2, 5)), torch.randn(1, 6), grid=(2, 5))[0].shape == (1, 4, 32, 80)
    with pytest.raises(ValueError, match=r'10 tokens are no 3x3: name the grid=\(h, w\)'):
        model(taps(1, (2, 5)))


def test_fewer_stages_and_taps_of_other_widths():
    model = make(in_channels=(5, 7), stage_channels=(6, 3), fusion='hierarchical')
    (out,) = model((torch.randn(2, 5, 5), torch.randn(2, 5, 7)), torch.randn(2, 6))
    assert out.shape == (2, 3, 8, 8)


def test_memory_in_training_is_the_docstrings():
    model = make(channels=64, num_heads=4, feedforward_channels=256, stage_channels=(64, 64, 32, 32), upsample='pixel_shuffle_icnr')
    sizes = {}

    def pack(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x = torch.randn(2, 64, 6, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        for stage in model.stages:
            x = stage(x)
    own = {value.untyped_storage().data_ptr() for value in model.parameters()}
    kept = sum(size for place, size in sizes.items() if place not in own)
    widths = (64, 64, 64, 32, 32)
    stages = 4 * 2 * sum((12 * 2**k) ** 2 * (widths[k] + 2 * widths[k + 1]) for k in range(4))
    assert stages <= kept < 1.02 * stages


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(fusion='sum'), "fusion must be one of none, hybrid, hierarchical, not 'sum'"),
        (dict(upsample='nearest'), "upsample must be one of bilinear, pixel_shuffle, pixel_shuffle_icnr, not 'nearest'"),
        (dict(coord_stages=(0, 1)), r'coord_stages must be numbers of stages from 1 to 4, not \(0, 1\)'),
        (dict(coord_stages=(5,)), 'from 1 to 4'),
        (dict(coord_merge=True), "coord_merge needs fusion='hybrid', the one with a merge block, not 'none'"),
        (dict(fusion='hierarchical', stage_channels=(8,)), '2 skips need as many stages, there are 1'),
    ],
)
def test_arguments_are_checked(changes, said):
    with pytest.raises(ValueError, match=said):
        make(**changes)


@pytest.mark.parametrize(
    ('inputs', 'said'),
    [
        ((taps()[:2],), r"C = \[12, 12, 12\]; the inputs are \[\(2, 10, 12\), \(2, 10, 12\)\]. Let the backbone have out_type='raw'"),
        ((taps(channels=11),), r'C = \[12, 12, 12\]'),
        (([torch.zeros(1, 12, 12, 12)] * 3,), "out_type='raw'"),
        ((taps(), torch.zeros(3, 6)), '3 conditions for 2 pairs'),
        ((taps(), torch.zeros(2, 6), torch.tensor([0, 1, 1])), '2 conditions for 3 pairs'),
    ],
)
def test_inputs_are_checked(inputs, said):
    with pytest.raises(ValueError, match=said):
        make()(*inputs)
    with pytest.raises(ValueError, match='condition_channels=None, without FiLM'):
        make(condition_channels=None)(taps(), torch.zeros(2, 6))
