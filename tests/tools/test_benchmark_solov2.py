"""The race of tools/benchmark.py solov2 with small detectors; nothing here looks at a time."""

import csv

import pytest
import torch
from mmengine.config import ConfigDict
from small_detectors import read_small

from mmext_instseg.engine.benchmark import Setting, attention_memory, check_results, make_detector, prove_equal
from mmext_instseg.engine.benchmark.detectors import read_model
from mmext_instseg.engine.benchmark.made_up import draw_overlapping
from mmext_instseg.engine.benchmark.measurement import run_in_turn
from mmext_instseg.engine.benchmark.race import run_race
from mmext_instseg.models.heads import AMLSOLOV2Head
from mmext_instseg.ops import mask_iou

CPU = torch.device('cpu')
SMALL = ('solov2', '--size', '64x96', '--instances', '5', '--rounds', '2')
SOLOV2, MASK_RCNN = 'mmdet::solov2/solov2_r50_fpn_1x_coco.py', 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
MODELS = ['SOLOv2 (mmdet)', 'plain', '+ CSPAM', '+ TWFPN + CSMF', '+ AML (ours)', 'Mask R-CNN (mmdet)']


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr('mmext_instseg.engine.benchmark.read_model', read_small)


def detector(path=SOLOV2, count=5, amp=False, **overrides):
    config = read_small(path)
    if 'mask_head' in config:
        config.mask_head.update(overrides)
    return make_detector('one', config, Setting((64, 96), count, 2, CPU, amp))


def plain(**overrides):
    return detector(type='AMLSOLOV2Head', matching='none', **overrides)


@pytest.mark.parametrize('words', [(), ('--amp',)])
def test_table_and_files(tool, tmp_path, small, words):
    status, text = tool('benchmark.py', *SMALL, *words, '--out', tmp_path)
    assert status == 0, text
    with (tmp_path / 'solov2.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    parts = ['network', 'post-processing', 'inference', 'train step']
    assert [(row['part'], row['model']) for row in rows] == [(part, model) for part in parts for model in MODELS]
    for row in rows:
        assert 0 < float(row['lowest']) <= float(row['ratio']) <= float(row['highest'])
        assert row['MiB'] == '' if row['part'] == 'inference' else float(row['MiB']) > 0
        assert row['model'] != MODELS[0] or row['ratio'] == '1.000'
    with (tmp_path / 'solov2_attention.csv').open() as stream:
        assert [(row['stride'], row['tokens']) for row in csv.DictReader(stream)] == [('32', '6'), ('16', '24'), ('8', '96'), ('4', '384')]
    markdown = (tmp_path / 'solov2.md').read_text()
    assert all(f'\n| {model} | ' in markdown for model in MODELS) and '\n| stride | tokens |' in markdown
    assert ('2 rounds, autocast; ' if words else '2 rounds, float32; ') in markdown.splitlines()[-1]
    names = ['solov2.csv', 'solov2_attention.csv', 'solov2.md', 'solov2.png']
    assert text.splitlines()[-4:] == [str(tmp_path / name) for name in names]
    assert (tmp_path / 'solov2.png').stat().st_size > 5000


@pytest.mark.parametrize(
    ('method', 'problem'), [('forward', 'is not SOLOv2 (mmdet) in its network'), ('predict_by_feat', 'instances of one output')]
)
def test_different_results_are_not_timed(tool, small, monkeypatch, method, problem):
    right = getattr(AMLSOLOV2Head, method)

    def wrong(self, *args, **kwargs):
        found = right(self, *args, **kwargs)
        if method == 'forward':
            return [kernel * 1.01 for kernel in found[0]], *found[1:]
        found[0].scores *= 0.999
        return found

    monkeypatch.setattr(AMLSOLOV2Head, method, wrong)
    monkeypatch.setattr('mmext_instseg.engine.benchmark.measurement.run_seconds', lambda *_: pytest.fail('timed'))
    status, text = tool('benchmark.py', *SMALL)
    assert status.startswith('error: plain ') and problem in status and not text


def test_different_losses_are_named():
    with pytest.raises(ValueError, match='in its losses'):
        prove_equal(detector(), plain(loss_cls=dict(type='FocalLoss', alpha=0.26)))


def test_bad_arguments(tool, small):
    for words in (('--size', '64'), ('--instances', '0'), ('--rounds', '0'), ('--batch', '0'), ('--device', 'tpu')):
        assert tool('benchmark.py', 'solov2', *words)[0] == 2
    status, _ = tool('benchmark.py', 'solov2', '--size', '64x96', '--instances', '20')
    assert status == 'error: 20 instances are too many for one output of SOLOv2; 8 fit'  # (5 * 5 + 4 * 4) cells, five each
    with pytest.raises(ValueError, match='finds 5 instances where 6 are'):
        check_results([detector()], 6)
    with pytest.raises(ValueError, match='a FCOS has neither a mask_head nor a roi_head'):
        make_detector('FCOS', ConfigDict(type='FCOS'), Setting((64, 96), 5, 2, CPU))


def test_config_without_a_model(tmp_path):
    (tmp_path / 'data.py').write_text('dataset = dict()')
    with pytest.raises(ValueError, match=r'data\.py has no model'):
        read_model(str(tmp_path / 'data.py'))


def test_made_up_outputs_hold_the_instances():
    """Scores are the class scores from 0.9 to 0.5 of five instances (times a maskness of almost 1); the other cells' are gone."""
    one = detector()
    found = one.postprocess()
    torch.testing.assert_close(found.scores, torch.linspace(0.9, 0.5, 5), rtol=1e-3, atol=0)
    assert found.labels.tolist() == [0, 1, 2, 0, 1]
    assert found.masks.shape == (5, 32, 48), 'the original is half as large'
    assert torch.equal(mask_iou(found.masks), torch.eye(5))
    assert sum(int((level.sigmoid() > 0.1).sum()) for level in one.outputs[1]) == 5 * 5
    boxes = detector(MASK_RCNN).postprocess()
    assert sorted(boxes.labels.tolist()) == [0, 0, 1, 1, 2]


def test_a_fifth_shares_its_centre():
    masks = draw_overlapping((64, 128), 11)
    assert masks.shape == (11, 64, 128) and masks.sum(0).max() == 1
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(128.0), indexing='ij')
    centres = torch.stack([(masks * axis).sum((1, 2)) / masks.sum((1, 2)) for axis in (y, x)], 1)
    near = torch.cdist(centres, centres) < 1
    assert near.sum(1).tolist() == [2, 2] + [1] * 7 + [2, 2]
    assert near[0, 9] and near[1, 10]


@pytest.mark.parametrize('path', [SOLOV2, MASK_RCNN])
def test_every_training_step_does_the_same_work(path):
    one = detector(path)
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    one.train_step()
    assert all(torch.equal(value, before[name]) for name, value in one.model.state_dict().items())
    assert len(one.optimizer.state) > 20 and all(parameter.grad is None for parameter in one.model.parameters())


def test_batch_norm_has_the_statistics_of_the_image():
    """Without them the activations of random networks double in variance from block to block."""
    one = detector()
    with torch.no_grad():
        normed = one.model.backbone.bn1(one.model.backbone.conv1(one.image))
    torch.testing.assert_close(normed.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(normed.std((0, 2, 3)), torch.ones(4), atol=1e-2, rtol=0)


def test_every_round_begins_with_another_one():
    order = []
    functions = [lambda name=name: order.append(name) for name in 'ABC']
    seconds = run_in_turn(functions, 4, CPU)
    assert ''.join(order) == 'ABC' + 'BCA' + 'CAB' + 'ABC'
    assert len(seconds) == 4 and all(len(one) == 3 for one in seconds)


def test_ratios_are_taken_within_a_round(monkeypatch):
    """Times by detector, part and round; inference is the sum of network and post-processing."""
    detectors = [detector(), plain()]
    times = {'network': [(1.0, 2.0), (3.0, 3.0)], 'post-processing': [(1.0, 4.0), (1.0, 2.0)], 'train step': [(2.0, 1.0), (4.0, 1.0)]}
    part = None

    def progress(name):
        nonlocal part
        part = name

    monkeypatch.setattr('mmext_instseg.engine.benchmark.race.run_in_turn', lambda *_: times[part])
    monkeypatch.setattr('mmext_instseg.engine.benchmark.race.peak_bytes', lambda function, _: 6 if function.__self__ is detectors[1] else 4)
    laps = {(lap.part, detectors[1] if number % 2 else None): lap for number, lap in enumerate(run_race(detectors, 2, progress))}
    ours = {part: lap for (part, owner), lap in laps.items() if owner}
    assert ours['network'].ratios == [2.0, 1.0] and ours['network'].median == 1.5
    assert ours['inference'].seconds == [6.0, 5.0] and ours['inference'].ratios == [3.0, 1.25]
    assert ours['train step'].ratios == [0.5, 0.25] and ours['network'].fastest == 2.0 and ours['inference'].fastest == 5 / 2
    assert ours['network'].peak == 6 and ours['network'].peak_ratio == 1.5 and ours['inference'].peak is None
    assert all(lap.ratios == [1.0, 1.0] for (_, owner), lap in laps.items() if not owner)


def test_memory_of_attention_is_linear_in_tokens():
    """From one stride to the next there are 4 times as many tokens. What is added grows 4-fold too, with the matrix 16-fold.

    Roughly: on the CPU every thread has a buffer of its own."""
    coarse, middle, fine = attention_memory((192, 256), (16, 8, 4), CPU)
    assert [one.tokens for one in (coarse, middle, fine)] == [192, 768, 3072] and fine.measured
    assert (fine.peak - middle.peak) / (middle.peak - coarse.peak) == pytest.approx(4, rel=0.2)
    assert (fine.matrix_peak - middle.matrix_peak) / (middle.matrix_peak - coarse.matrix_peak) > 10


def test_a_matrix_that_does_not_fit_is_computed(monkeypatch):
    monkeypatch.setattr('mmext_instseg.engine.benchmark.attention._LARGEST_MATRIX', 4 * 96**2 - 1)
    small, large = attention_memory((64, 96), (16, 8), CPU)
    assert small.measured and not large.measured
    assert large.matrix_peak == 4 * 96**2
