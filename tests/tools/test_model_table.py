"""tools/model_table.py and what it counts with."""

import csv
from pathlib import Path

import pytest
from small_detectors import read_small

from mmext_instseg.engine.benchmark import count_complexity
from mmext_instseg.engine.benchmark.detectors import build_model, read_model

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'aml_solov2' / 'aml_solov2_r50'
SOLOV2, MASK_RCNN = 'mmdet::solov2/solov2_r50_fpn_1x_coco.py', 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'


def count(config, size=(64, 96)):
    return count_complexity('one', config, size)


def test_table_and_files(tool, tmp_path):
    status, text = tool('model_table.py', SOLOV2, f'{CONFIGS}-plain_40e_coco.py', f'{CONFIGS}-cspam_40e_coco.py', '--out', tmp_path)
    assert status == 0, text
    with (tmp_path / 'model_table.csv').open() as stream:
        theirs, plain, cspam = list(csv.reader(stream))[1:]
    assert [row[0] for row in (theirs, plain, cspam)] == [
        'solov2_r50_fpn_1x_coco',
        'aml_solov2_r50-plain_40e_coco',
        'aml_solov2_r50-cspam_40e_coco',
    ]
    assert theirs[1:] == plain[1:] and theirs[2] == theirs[7] == '1.000'
    assert cspam[3] == '21.60' and theirs[3] == '23.51', 'what the docstring of CSPAMResNet says'
    assert (tmp_path / 'model_table.md').read_text().endswith('\n680x1200 pixels (height x width)\n')
    assert text.splitlines()[-2:] == [str(tmp_path / f'model_table.{ending}') for ending in ('csv', 'md')]


def test_parts_add_up_to_the_whole():
    config = read_small(SOLOV2)
    found = count(config)
    assert sum(found.parameters.values()) == sum(one.numel() for one in build_model(config).parameters())
    assert found.parameters['backbone'] == sum(one.numel() for one in build_model(config).backbone.parameters())
    assert min(*found.parameters.values(), *found.flops.values()) > 0


def test_flops_of_a_convolution_by_hand():
    """A second 3 x 3 convolution in each branch of the head, with 32 channels, at every cell of all grids."""
    config = read_small(SOLOV2)
    config.mask_head.update(stacked_convs=2)
    deep, shallow = count(config), count(read_small(SOLOV2))
    cells = 10**2 + 8**2 + 6**2 + 4**2 + 2**2
    assert deep.flops['head'] - shallow.flops['head'] == 2 * (2 * 9 * 32 * 32 * cells)
    assert deep.flops['backbone'] == shallow.flops['backbone'] and deep.flops['neck'] == shallow.flops['neck']


def test_attention_is_counted():
    """At stride 32 of 64 x 96 there are 6 tokens; half of the last stage's 4 * 64 channels pass its blocks; attention takes an eighth."""
    found = {}
    for stages in ((), (3,)):
        config = read_small(f'{CONFIGS}-cspam_40e_coco.py')
        config.backbone.attention_stages = stages
        found[stages] = count(config)
    tokens, channels, reduced = 6, 128, 16
    convolutions = channels * 4 * reduced + reduced * reduced + 2 * reduced * channels
    products = 2 * tokens * reduced
    assert found[3,].flops['backbone'] - found[()].flops['backbone'] == 2 * tokens * (convolutions + products)


def test_padding_is_counted():
    assert count(read_small(SOLOV2), (33, 65)).flops == count(read_small(SOLOV2), (64, 96)).flops


def test_what_cannot_be_counted(tool, tmp_path):
    status, _ = tool('model_table.py', MASK_RCNN)
    assert status.startswith('error: mask-rcnn_r50_fpn_1x_coco: the network of a MaskRCNN depends on the image')
    assert 'none.py' in tool('model_table.py', tmp_path / 'none.py')[0]
    assert tool('model_table.py', SOLOV2, '--size', '680')[0] == 2
    with pytest.raises(FileNotFoundError):
        read_model(str(tmp_path / 'none.py'))


def test_help_has_an_example(tool):
    status, text = tool('model_table.py', '--help')
    assert status == 0 and 'example:\n  python tools/model_table.py mmdet::' in text


@pytest.mark.parametrize('method', ['dcme', 'pe_centroid', 'embedding_unet', 'instance_clipseg'])
def test_our_other_methods_are_counted(method):
    config = read_model(str(CONFIGS.parents[1] / method / f'{method}_tiny_shapes.py'))
    found = count(config)
    parts = build_model(config)
    assert sum(found.parameters.values()) == sum(one.numel() for one in parts.parameters())
    assert found.flops['backbone'] > 0 and found.flops['head'] > 0
