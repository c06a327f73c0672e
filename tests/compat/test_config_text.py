"""Which config texts of a checkpoint may be executed."""

from pathlib import Path

import mmdet
import pytest
from mmengine import Config

from mmext_instseg.compat.config_text import inert

CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'


@pytest.mark.parametrize(
    'name', ['solov2/solov2_r50_fpn_1x_coco.py', 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', 'rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py']
)
def test_what_mmengine_dumps_is_inert(name):
    text = Config.fromfile(CONFIGS / name).pretty_text
    assert inert(text)
    assert Config.fromstring(text, '.py').model.type in text


@pytest.mark.parametrize(
    'text',
    [
        "a = 1\nb = -2.5\nc = dict(d=[1, (2, 'x')], e={'f g': None}, h={1, 2})\n",
        "model = dict(type='SOLOv2', backbone=dict(type='mmdet.ResNet'))",
        "custom_imports = dict(imports=['mmext_instseg'], allow_failed_imports=False)",
        '',
    ],
)
def test_data_is_inert(text):
    assert inert(text)


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        "open('x', 'w')",
        "a = open('x', 'w')",
        "a = dict(b=[open('x', 'w')])",
        "a = dict(**open('x', 'w'))",
        "a = {**open('x', 'w')}",
        "a = dict(open('x', 'w'))",
        'a = (lambda: 0)()',
        "a = f'{open(1)}'",
        'a = [x for x in y]',
        'a = 10 ** 10 ** 10',
        "a['b'] = 1",
        'dict = 1',
        "_base_ = '/tmp/other.py'",
        # mmengine puts the default in place of the whole string before it executes the text
        '''a = "{{$NOT_SET:__import__('os').getcwd()}}"''',
        # types that mmengine imports by path and calls
        "model = dict(type='os.system', command='true')",
        "model = {'type': 'subprocess.check_output', 'args': 'true'}",
        "model = dict(type='mmengine.load', file='x.pkl')",
        "model = dict(type='mmengine.Config.fromfile', filename='x.py')",
        "model = dict(type=['os.system'])",
        'a = (',
        'a = ' + '(' * 100_000,
        'a = "\0"',
        None,
        b'a = 1',
    ],
)
def test_programs_are_not(text):
    assert not inert(text)
