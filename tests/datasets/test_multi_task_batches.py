"""Batches in which data sets with and without depth, with and without panoptic labels, meet."""

import copy
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import mmdet.datasets.samplers.multi_source_sampler as multi_source
import numpy as np
import pytest
import torch
from depth_pairs import nyu_prefix, write_nyu
from mmdet.engine.hooks import NumClassCheckHook
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmext_instseg.registry import DATASETS, MODELS
from mmext_instseg.structures import to_panoptic_seg, to_pred_instances

ROOT = Path(__file__).resolve().parents[2]
SIZE = (64, 96)
NUM_SHAPES, NUM_NYU = 6, 3

IMAGE = dict(type='LoadImageFromFile', backend_args=dict(backend='checked_images'))
GEOMETRY = [
    dict(type='RandomResize', scale=(96, 64), ratio_range=(0.7, 1.4), resize_type='AlignedResize', keep_ratio=True),
    dict(type='DenseRandomCrop', crop_size=(63, 49), allow_negative_crop=True),
    dict(type='DenseRandomFlip', prob=0.5),
]
PANOPTIC = [
    IMAGE,
    dict(type='LoadPanopticAnnotations'),
    *GEOMETRY,
    dict(type='GenerateInstanceMap', num_things=5),
    dict(type='PackDenseInputs'),
]
DEPTH = [IMAGE, dict(type='LoadDepthMap', kind='metric', scale=0.001), *GEOMETRY, dict(type='PackDenseInputs')]
BOTH = [IMAGE, dict(type='LoadPanopticAnnotations'), dict(type='LoadDepthMap', kind='metric', scale=0.001), *PANOPTIC[2:]]
IGNORED = ['classes', 'palette', 'thing_classes', 'stuff_classes', 'label_map', 'reduce_zero_label']


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> Path:
    return write_nyu(tmp_path_factory.mktemp('depth'), tuple(f'office_{number:04d}' for number in range(NUM_NYU)), SIZE)


def shapes(root: Path, pipeline: list = PANOPTIC, **kwargs) -> dict:
    return dict(type='ShapesPanopticDataset', data_root=str(root / 'shapes'), size=SIZE, num_images=NUM_SHAPES, pipeline=pipeline, **kwargs)


def nyu(root: Path, kind: str = 'DepthDataset', **kwargs) -> dict:
    return dict(type=kind, data_root=str(root), data_prefix=nyu_prefix(), pipeline=DEPTH, **kwargs)


def loader_config(datasets: list[dict], ratio: list[float], batch_size: int = 4, num_workers: int = 0, **concat) -> dict:
    return dict(
        batch_size=batch_size,
        num_workers=num_workers,
        sampler=dict(type='MultiSourceSampler', batch_size=batch_size, source_ratio=ratio),
        dataset=dict(type='ConcatDataset', datasets=datasets, **concat),
    )


def batches(config: dict, number: int, seed: int = 0) -> Iterator[dict]:
    return islice(iter(Runner.build_dataloader(copy.deepcopy(config), seed=seed)), number)


MIXES = {
    'as the shapes': (dict(metainfo='ShapesPanopticDataset'), dict()),
    'keys ignored': (dict(), dict(ignore_keys=IGNORED)),
    'mmseg': (dict(kind='mmseg.NYUDataset'), dict(ignore_keys=IGNORED)),
}


@pytest.mark.parametrize('mix', MIXES)
@pytest.mark.parametrize(('ratio', 'counts'), [([3, 1], (3, 1)), ([1, 1], (2, 2))])
def test_each_batch_has_the_ratio(root, mix, ratio, counts):
    of_nyu, concat = MIXES[mix]
    for batch in batches(loader_config([shapes(root), nyu(root, **of_nyu)], ratio, **concat), 5):
        samples = batch['data_samples']
        assert ['gt_instance_map' in sample for sample in samples] == [True] * counts[0] + [False] * counts[1]
        assert ['gt_depth_map' in sample for sample in samples] == [False] * counts[0] + [True] * counts[1]
        assert [sample.get('depth_kind') for sample in samples] == [None] * counts[0] + ['metric'] * counts[1]


def check_classes(dataset, mode: str = 'val', num_classes: int = 8) -> None:
    """mmdet's NumClassCheckHook at a model whose head has so many classes."""
    model = nn.Module()
    model.head = nn.Module()
    model.head.num_classes = num_classes
    loader = SimpleNamespace(dataset=dataset)
    NumClassCheckHook()._check_head(SimpleNamespace(model=model, train_dataloader=loader, val_dataloader=loader), mode)


def test_unequal_metainfo_stops_mmengine_and_becomes_a_list_in_mmdet(root):
    unequal = dict(datasets=[shapes(root), nyu(root)])
    with pytest.raises(ValueError, match='does not in the meta information'):
        DATASETS.build(dict(type='mmengine.ConcatDataset', **unequal))
    concat = DATASETS.build(dict(type='ConcatDataset', **unequal))  # mmdet's
    assert isinstance(concat.metainfo, list)
    with pytest.raises(AttributeError):
        check_classes(concat, 'train')


@pytest.mark.parametrize('kind', ['ConcatDataset', 'mmengine.ConcatDataset'])
@pytest.mark.parametrize('mix', MIXES)
def test_the_classes_are_those_of_the_first_data_set(root, kind, mix):
    """What checkpoints, visualisers and NumClassCheckHook get to see."""
    of_nyu, concat = MIXES[mix]
    mixed = DATASETS.build(dict(type=kind, datasets=[shapes(root), nyu(root, **of_nyu)], **concat))
    expected = DATASETS.build(shapes(root)).metainfo
    assert {key: mixed.metainfo[key] for key in expected} == expected and set(mixed.metainfo) <= {*expected, 'cumulative_sizes'}
    check_classes(mixed, 'train')


def test_a_depth_data_set_alone_has_the_classes_it_is_given(root):
    check_classes(DATASETS.build(nyu(root, metainfo='ShapesPanopticDataset')))
    with pytest.raises(AssertionError, match='num_classes'):
        check_classes(DATASETS.build(nyu(root, 'mmseg.NYUDataset')))  # 27 types of scenes


def test_the_sampler_goes_through_every_image_and_never_ends(root):
    config = loader_config([shapes(root), nyu(root, metainfo='ShapesPanopticDataset')], [1, 1], batch_size=6)
    seen = [sample.img_path for batch in batches(config, 4) for sample in batch['data_samples']]
    names = [Path(path).name for path in seen]
    # 4 batches take 12 of each: two rounds of 6 scenes, four of 3 images
    assert len(set(names)) == NUM_SHAPES + NUM_NYU
    assert all(names.count(name) == (2 if name.endswith('.png') else 4) for name in names)


def test_processes_share_each_source(root, monkeypatch):
    dataset = DATASETS.build(dict(type='ConcatDataset', datasets=[shapes(root), nyu(root, metainfo='ShapesPanopticDataset')]))
    taken = []
    for rank in range(3):
        monkeypatch.setattr(multi_source, 'get_dist_info', lambda rank=rank: (rank, 3))
        sampler = multi_source.MultiSourceSampler(dataset, batch_size=3, source_ratio=[2, 1], seed=7)
        taken.append(np.array(list(islice(sampler, 3))))
    taken = np.stack(taken)
    assert (taken[:, :2] < NUM_SHAPES).all() and (taken[:, 2] >= NUM_SHAPES).all()
    assert sorted(taken[:, :2].ravel()) == list(range(NUM_SHAPES)) and sorted(taken[:, 2]) == [6, 7, 8]


@pytest.mark.parametrize('workers', [0, 1])
def test_mixed_batches_are_padded(root, workers):
    datasets = [shapes(root), nyu(root, metainfo='ShapesPanopticDataset'), shapes(root, BOTH, depth=True)]
    preprocessor = MODELS.build(dict(type='DenseDataPreprocessor', pad_size_divisor=14))
    for batch in batches(loader_config(datasets, [1, 1, 1], batch_size=3, num_workers=workers), 3):
        data = preprocessor(batch, training=True)
        shape = tuple(data['inputs'].shape[-2:])
        assert shape[0] % 14 == shape[1] % 14 == 0
        held = [('gt_instance_map' in sample, 'gt_depth_map' in sample) for sample in data['data_samples']]
        assert held == [(True, False), (False, True), (True, True)]
        for sample in data['data_samples']:
            height, width = sample.img_shape
            assert sample.batch_input_shape == shape
            if 'gt_depth_map' in sample:
                depth = sample.gt_depth_map.data
                assert depth.shape == (1, *shape) and depth.dtype == torch.float32 and depth.isfinite().all()
                assert (depth[:, height:] == 0).all() and (depth[:, :, width:] == 0).all() and (depth[:, :height, :width] > 0).any()
            if 'gt_instance_map' in sample:
                assert sample.gt_instance_map.shape == sample.gt_sem_seg.shape == shape
                assert (sample.gt_instance_map.ids[height:] == -1).all() and (sample.gt_sem_seg.sem_seg[:, height:] == 255).all()


# --- the panoptic Shapes config


@MODELS.register_module()
class _PanopticTruthModel(BaseModel):
    """Predicts the ground truth."""

    def forward(self, inputs, data_samples, mode='tensor'):
        for sample in data_samples:
            sample.pred_panoptic_seg = to_panoptic_seg(sample.gt_instance_map, sample.gt_sem_seg.sem_seg[0], 8)
            sample.pred_instances = to_pred_instances(sample.gt_instance_map)
        return data_samples


def test_the_truth_of_panoptic_shapes_has_pq_100(tmp_path):
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / 'shapes_panoptic.py')
    text = config.dump().replace('data/shapes', str(tmp_path / 'shapes')).replace('_n100', '_n6').replace('num_images=100', 'num_images=6')
    config = Config.fromstring(text, '.py')
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    runner = Runner(
        model=dict(type='_PanopticTruthModel', data_preprocessor=dict(type='DenseDataPreprocessor')),
        work_dir=str(tmp_path / 'work'),
        test_dataloader=config.test_dataloader,
        test_evaluator=config.test_evaluator,
        test_cfg=dict(type='TestLoop'),
        default_scope='mmdet',
    )
    assert not (tmp_path / 'shapes').exists()
    found = runner.test()
    assert found['coco_panoptic/PQ'] == found['coco_panoptic/PQ_th'] == found['coco_panoptic/PQ_st'] == 100
    assert found['coco/segm_mAP'] == 1
    train = DATASETS.build({**config.train_dataloader.dataset, 'num_images': 3})
    sample = train[0]['data_samples']
    assert set(sample.gt_sem_seg.sem_seg.unique().tolist()) <= set(range(8)) and len(sample.gt_instance_map) >= 3
