"""Shapes: the frozen generator, what its scenes hold, the files written from them, and the data set made of those."""

import colorsys
import copy
import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from mmdet.datasets import CocoPanopticDataset
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from PIL import Image
from pycocotools.coco import COCO

from mmext_instseg.datasets.shapes import STUFF, THINGS, VERSION, Scene, SceneSpec, ShapesDataset, make_shapes, shapes_folder, writers
from mmext_instseg.datasets.shapes.layout import MIN_SIZE, MIN_VISIBLE_PIXELS
from mmext_instseg.datasets.shapes.render import MEAN_HUES, color_name
from mmext_instseg.datasets.shapes.sampling import Draw, value_noise
from mmext_instseg.registry import DATASETS, MODELS

SMALL = {'size': (64, 72), 'seed': 5, 'num_images': 6}

# Figures are quoted for this version: whoever changes a scene raises VERSION and makes new checksums.
GOLDEN = {
    ('standard', (128, 128), 0, 0): '5a3e67139345237d',
    ('standard', (128, 128), 0, 7): '9b881e3cebeb3c0b',
    ('standard', (97, 161), 1, 2): '2fcc06c311b93816',
    ('hard', (128, 128), 0, 0): '8ea5c1c521319547',
    ('hard', (128, 128), 3, 11): '391dbe2ce907927d',
    ('hard', (33, 32), 0, 1): 'b022b9b122c6d9ff',
    ('nested', (128, 128), 0, 0): '88c011d1ea668b9a',
    ('nested', (128, 128), 1, 4): '60f4321f1ef584d5',
}


def checksum(scene: Scene) -> str:
    arrays = (scene.image, scene.ids.astype('<i4'), scene.labels.astype('<i8'), scene.stuff)
    return hashlib.sha256(b''.join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def touching_pairs(ids: np.ndarray) -> set[tuple[int, int]]:
    pairs = set()
    for a, b in ((ids[:, 1:], ids[:, :-1]), (ids[1:], ids[:-1])):
        border = (a != b) & (a > 0) & (b > 0)
        pairs |= {(min(p), max(p)) for p in zip(a[border].tolist(), b[border].tolist(), strict=True)}
    return pairs


def hue_names(scene: Scene) -> list[str]:
    """The class whose mean hue is nearest to the objects' median colour."""
    names = []
    for i in range(len(scene.labels)):
        hue = colorsys.rgb_to_hsv(*np.median(scene.image[scene.ids == i + 1], axis=0) / 255)[0]
        names.append(min(MEAN_HUES, key=lambda name: min(abs(hue - MEAN_HUES[name]), 1 - abs(hue - MEAN_HUES[name]))))
    return names


@pytest.fixture(scope='module')
def scenes() -> list[Scene]:
    return [SceneSpec('standard').scene(i) for i in range(60)]


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes')
    make_shapes(root, **SMALL)
    return root


@pytest.mark.parametrize('key', GOLDEN, ids=str)
def test_scenes_are_frozen(key):
    variant, size, seed, index = key
    assert VERSION == 'v1'
    assert checksum(SceneSpec(variant, size, seed).scene(index)) == GOLDEN[key]


def test_another_seed_index_or_size_is_another_scene():
    specs = [(SceneSpec(), 0), (SceneSpec(), 1), (SceneSpec(seed=1), 0), (SceneSpec(size=(128, 129)), 0)]
    assert len({checksum(spec.scene(index)) for spec, index in specs}) == 4


def test_a_third_of_the_nested_objects_share_a_centre():
    paired, total = 0, 0
    for index in range(40):
        objects = SceneSpec('nested').scene(index).objects
        centres, sizes = np.array([one.center for one in objects]), np.array([one.size for one in objects])
        distance = np.linalg.norm(centres[:, None] - centres, axis=2) + 1e9 * np.eye(len(objects))
        ratio = np.maximum(sizes[:, None], sizes) / np.minimum(sizes[:, None], sizes)
        paired += int(((distance < 2) & (ratio < 2)).any(axis=1).sum())
        total += len(objects)
    assert 0.25 < paired / total < 0.4


def test_standard_and_hard_differ_in_object_colours_only():
    standard, hard = SceneSpec('standard', seed=2).scene(3), SceneSpec('hard', seed=2).scene(3)
    np.testing.assert_array_equal(standard.ids, hard.ids)
    np.testing.assert_array_equal(standard.stuff, hard.stuff)
    np.testing.assert_array_equal(standard.labels, hard.labels)
    changed = np.any(standard.image != hard.image, axis=-1)
    assert changed[standard.ids > 0].mean() > 0.9
    # Only soft edges reach into the background.
    near = np.zeros_like(changed)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near |= np.roll(standard.ids > 0, (dy, dx), (0, 1))
    assert not changed[~near].any()


@pytest.mark.parametrize(('height', 'width'), [(128, 128), (97, 161), (33, 32)])
def test_scene_types_and_ids(height, width):
    for index in range(5):
        scene = SceneSpec('hard', (height, width), 4).scene(index)
        count = len(scene.labels)
        assert scene.image.shape == (height, width, 3) and scene.image.dtype == np.uint8
        assert scene.ids.shape == scene.stuff.shape == (height, width)
        assert scene.ids.dtype == np.int32 and scene.labels.dtype == np.int64 and scene.stuff.dtype == np.uint8
        assert set(np.unique(scene.ids)) - {0} == set(range(1, count + 1))
        assert [obj.name for obj in scene.objects] == [THINGS[label] for label in scene.labels]
        areas = np.bincount(scene.ids.ravel())[1:]
        assert [obj.area for obj in scene.objects] == areas.tolist()
        assert areas.min() >= MIN_VISIBLE_PIXELS
        assert scene.stuff.max() < len(STUFF)


def test_counts_sizes_and_classes_over_a_set(scenes):
    counts = [len(scene.labels) for scene in scenes]
    assert min(counts) == 3 and max(counts) == 10
    objects = [obj for scene in scenes for obj in scene.objects]
    sizes = np.array([obj.size for obj in objects])
    assert sizes.min() >= MIN_SIZE and sizes.min() < 7
    assert 55 < sizes.max() <= 64
    assert 0.1 < (sizes < 12).mean() < 0.35
    assert min(Counter(obj.name for obj in objects).values()) > 0.12 * len(objects)
    assert {len(np.unique(scene.stuff)) for scene in scenes} == {1, 2, 3}


def test_last_id_is_in_front_and_size_is_the_diameter_of_equal_area(scenes):
    """Nothing hides the last object, so it covers pi / 4 size^2 pixels, whatever its class."""
    ratios = []
    for scene in scenes:
        front = scene.objects[-1]
        (x, y), reach = front.center, front.size
        if front.size > 12 and min(x, y, 127 - x, 127 - y) > reach:
            ratios.append(front.area / (np.pi / 4 * front.size**2))
    np.testing.assert_allclose(ratios, 1, atol=0.05)
    assert len(ratios) >= 5


def test_scenes_hold_the_hard_situations(scenes):
    touching = look_alikes = sharing_cell = 0
    for scene in scenes:
        pairs = touching_pairs(scene.ids)
        touching += len(pairs)
        looks = [(obj.name, obj.hue) for obj in scene.objects]
        look_alikes += sum(looks[a - 1] == looks[b - 1] for a, b in pairs)
        # SOLO's finest grid: 40 x 40 cells.
        centers = [np.argwhere(scene.ids == i + 1).mean(axis=0) // (128 / 40) for i in range(len(scene.labels))]
        sharing_cell += len(centers) - len({tuple(center) for center in centers})
    assert touching > 3 * len(scenes)
    assert look_alikes > 0.4 * len(scenes)
    assert sharing_cell > 0.15 * len(scenes)


@pytest.mark.parametrize(('variant', 'low', 'high'), [('standard', 0.7, 0.95), ('hard', 0.0, 0.4)])
def test_what_hue_says_about_class(variant, low, high):
    hits = []
    for index in range(60):
        scene = SceneSpec(variant).scene(index)
        hits += [name == obj.name for name, obj in zip(hue_names(scene), scene.objects, strict=True)]
    assert low < np.mean(hits) < high


@pytest.mark.parametrize(('degrees', 'name'), [(0, 'red'), (30, 'orange'), (60, 'yellow'), (120, 'green'), (240, 'blue'), (359, 'red')])
def test_color_names(degrees, name):
    assert color_name(degrees / 360) == name


def test_draws():
    draw = Draw(1, 2)
    directions = np.array([draw.direction() for _ in range(400)])
    np.testing.assert_allclose((directions**2).sum(axis=1), 1)
    assert Counter(map(tuple, np.sign(directions).astype(int).tolist())).keys() >= {(1, 1), (-1, 1), (-1, -1), (1, -1)}
    sizes = np.array([draw.log_uniform(6, 96) for _ in range(2000)])
    assert sizes.min() >= 6 and sizes.max() < 96
    # Each of the four octaves holds a quarter.
    np.testing.assert_allclose(np.bincount(np.log2(sizes / 6).astype(int)) / 2000, 0.25, atol=0.04)
    assert sorted(draw.permutation(7)) == list(range(7))


def test_value_noise_goes_through_its_lattice():
    noise = value_noise(Draw(3), 9, 13, 4.0)
    assert noise.shape == (9, 13)
    np.testing.assert_array_equal(noise[::4, ::4], Draw(3).array(4, 5)[:3, :4])


def test_coco_file_equals_the_scenes(data_root):
    folder = shapes_folder(data_root, **SMALL)
    coco = COCO(folder / 'instances.json')
    spec = SceneSpec('standard', SMALL['size'], SMALL['seed'])
    assert len(coco.getImgIds()) == SMALL['num_images']
    assert [(c['id'], c['name']) for c in coco.loadCats(coco.getCatIds())] == list(enumerate(THINGS, 1))
    for index in range(SMALL['num_images']):
        scene, info = spec.scene(index), coco.imgs[index + 1]
        np.testing.assert_array_equal(np.asarray(Image.open(folder / 'images' / info['file_name'])), scene.image)
        assert (info['height'], info['width']) == SMALL['size']
        anns = coco.imgToAnns[index + 1]
        assert len(anns) == len(scene.labels)
        for i, ann in enumerate(anns):
            mask = scene.ids == i + 1
            np.testing.assert_array_equal(coco.annToMask(ann), mask)
            rows, cols = np.nonzero(mask)
            x, y = cols.min(), rows.min()
            assert ann['bbox'] == [x, y, cols.max() + 1 - x, rows.max() + 1 - y]
            assert (ann['area'], ann['category_id'], ann['iscrowd']) == (mask.sum(), scene.labels[i] + 1, 0)


def test_panoptic_files_equal_the_scenes(data_root):
    folder = shapes_folder(data_root, **SMALL)
    data = json.loads((folder / 'panoptic.json').read_text())
    spec = SceneSpec('standard', SMALL['size'], SMALL['seed'])
    names = {c['id']: c['name'] for c in data['categories']}
    assert [c['isthing'] for c in data['categories']] == [1] * len(THINGS) + [0] * len(STUFF)
    assert tuple(names.values()) == THINGS + STUFF
    every_id = [segment['id'] for ann in data['annotations'] for segment in ann['segments_info']]
    assert len(set(every_id)) == len(every_id) and 0 not in every_id
    for index, ann in enumerate(data['annotations']):
        scene = spec.scene(index)
        assert ann['image_id'] == index + 1
        rgb = np.asarray(Image.open(folder / 'panoptic' / ann['file_name'])).astype(np.int64)
        ids = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
        assert set(np.unique(ids)) == {segment['id'] for segment in ann['segments_info']}
        for i, segment in enumerate(ann['segments_info']):
            mask = ids == segment['id']
            name = names[segment['category_id']]
            expected = scene.ids == i + 1 if name in THINGS else (scene.ids == 0) & (scene.stuff == STUFF.index(name))
            np.testing.assert_array_equal(mask, expected)
            rows, cols = np.nonzero(mask)
            x, y = cols.min(), rows.min()
            assert segment['bbox'] == [x, y, cols.max() + 1 - x, rows.max() + 1 - y]
            assert (segment['area'], segment['iscrowd']) == (mask.sum(), 0)


def test_panoptic_ids_run_out_with_an_error(tmp_path):
    writer = writers.CocoPanopticWriter(tmp_path)
    writer.segments = (1 << 24) - 2
    assert 0 < writer.next_id() < 1 << 24
    with pytest.raises(ValueError, match='2\\^24'):
        writer.next_id()


def test_mmdet_reads_the_panoptic_files(data_root):
    folder = shapes_folder(data_root, **SMALL)
    dataset = CocoPanopticDataset(
        data_root=str(folder),
        ann_file='panoptic.json',
        data_prefix={'img': 'images/', 'seg': 'panoptic/'},
        metainfo={'classes': THINGS + STUFF, 'thing_classes': THINGS, 'stuff_classes': STUFF},
    )
    assert len(dataset) == SMALL['num_images']
    scene, info = SceneSpec('standard', SMALL['size'], SMALL['seed']).scene(0), dataset.get_data_info(0)
    assert np.asarray(Image.open(info['seg_map_path'])).shape == (*SMALL['size'], 3)
    assert [instance['bbox_label'] for instance in info['instances']] == scene.labels.tolist()
    stuff = [s['category'] for s in info['segments_info'] if not s['is_thing']]
    assert stuff == (np.unique(scene.stuff[scene.ids == 0]) + len(THINGS)).tolist()


def test_dataset_gives_images_boxes_and_masks(data_root):
    init_default_scope('mmdet')
    pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}]
    dataset = DATASETS.build({'type': 'ShapesDataset', 'data_root': str(data_root), 'pipeline': pipeline, **SMALL, 'size': [64, 72]})
    assert isinstance(dataset, ShapesDataset)
    assert dataset.metainfo['classes'] == THINGS and len(dataset.metainfo['palette']) == len(THINGS)
    scene, sample = SceneSpec('standard', SMALL['size'], SMALL['seed']).scene(1), dataset[1]
    np.testing.assert_array_equal(sample['img'][..., ::-1], scene.image)
    np.testing.assert_array_equal(sample['gt_bboxes_labels'], scene.labels)
    np.testing.assert_array_equal(sample['gt_masks'].to_ndarray(), scene.ids == np.arange(1, len(scene.labels) + 1)[:, None, None])


def test_folder_name():
    assert str(shapes_folder('d', 'hard', (97, 161), 3, 20)) == 'd/v1_hard_97x161_seed3_n20'


def test_data_are_made_once(data_root, monkeypatch):
    monkeypatch.setattr(SceneSpec, 'scene', lambda *_: pytest.fail('made again'))
    assert make_shapes(data_root, **SMALL) == shapes_folder(data_root, **SMALL)


def test_a_shorter_set_is_the_start_of_a_longer_one(data_root):
    short = make_shapes(data_root, **{**SMALL, 'num_images': 2})
    long = shapes_folder(data_root, **SMALL)
    for path in sorted((short / 'images').iterdir()):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(long / 'images' / path.name)))


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def stop(indices):
        yield indices[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_shapes(tmp_path, **SMALL, track=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_makers_wins(tmp_path):
    """A second maker finishes while the first is at work: the first takes the other's data and leaves nothing of its own."""
    other = []

    def track(indices):
        other.append(make_shapes(tmp_path, **SMALL))
        other.append((other[0] / 'manifest.json').stat().st_ino)
        return indices

    folder = make_shapes(tmp_path, **SMALL, track=track)
    assert other == [folder, (folder / 'manifest.json').stat().st_ino]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda folder: (folder / 'manifest.json').unlink(), 'manifest.json is missing'),
        (lambda folder: (folder / 'manifest.json').write_text('[1]'), 'manifest.json is missing or unreadable'),
        (lambda folder: (folder / 'manifest.json').write_text('{"version": "v0"}'), "says version 'v0'"),
        (lambda folder: (folder / 'instances.json').write_text('{}'), 'instances.json is missing or was changed'),
        (lambda folder: (folder / 'panoptic' / '000000000002.png').unlink(), 'panoptic/ holds 1 PNG files instead of 2'),
    ],
)
def test_a_damaged_folder_is_refused_and_kept(tmp_path, damage, message):
    folder = make_shapes(tmp_path, size=(48, 48), num_images=2)
    damage(folder)
    with pytest.raises(RuntimeError, match=message) as error:
        ShapesDataset(str(tmp_path), size=(48, 48), num_images=2)
    assert str(folder) in str(error.value) and 'delete' in str(error.value)
    assert folder.is_dir()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'variant': 'easy'}, "no variant 'easy'; choose one of standard, hard"),
        ({'size': (128, 16)}, 'two whole numbers of at least 32'),
        ({'size': 128}, r'\(height, width\)'),
        ({'size': (128.0, 128)}, 'two whole numbers'),
        ({'seed': -1}, 'seed must be'),
        ({'num_images': 0}, 'num_images must be'),
        ({'ann_file': 'mine.json'}, 'finds its own files'),
    ],
)
def test_bad_arguments(tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        ShapesDataset(str(tmp_path), **kwargs)
    assert list(tmp_path.iterdir()) == []


@MODELS.register_module()
class _GroundTruthModel(BaseModel):
    """Predicts the ground truth."""

    def forward(self, inputs, data_samples, mode='tensor'):
        for sample in data_samples:
            truth = sample.gt_instances
            masks = truth.masks.to_tensor(bool, 'cpu')
            boxes = truth.bboxes.tensor
            sample.pred_instances = InstanceData(masks=masks, bboxes=boxes, labels=truth.labels, scores=boxes.new_ones(len(boxes)))
        return data_samples


@pytest.mark.parametrize('step', ['test', 'val'])
def test_a_runner_starts_from_nothing(tmp_path, step):
    """CocoMetric's annotation file doesn't exist when the runner is built: the loader's data set makes it."""
    root = tmp_path / 'data' / 'shapes'
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True},
        {'type': 'PackDetInputs', 'meta_keys': ('img_id', 'img_path', 'ori_shape', 'img_shape')},
    ]
    loader = {
        'batch_size': 2,
        'num_workers': 0,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'collate_fn': {'type': 'pseudo_collate'},
        'dataset': {'type': 'ShapesDataset', 'data_root': str(root), 'test_mode': True, 'pipeline': pipeline, **SMALL},
    }
    evaluator = {'type': 'CocoMetric', 'ann_file': str(shapes_folder(root, **SMALL) / 'instances.json'), 'metric': 'segm'}
    loops = {f'{step}_dataloader': loader, f'{step}_evaluator': evaluator, f'{step}_cfg': {}}
    model = {'type': '_GroundTruthModel', 'data_preprocessor': {'type': 'BaseDataPreprocessor'}}
    config = Config(copy.deepcopy({'model': model, 'work_dir': str(tmp_path / 'work'), 'default_scope': 'mmdet', **loops}))
    runner = Runner.from_cfg(config)
    assert not root.exists()
    metrics = getattr(runner, step)()
    assert metrics['coco/segm_mAP'] == 1.0
