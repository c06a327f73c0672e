"""LabelMe folders as a data set."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from labelme_files import SQUARE, mask_shape, shape, write_labelme
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmdet.evaluation import CocoMetric
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import MMLogger
from PIL import Image

from mmext_instseg.datasets.labelme import check_classes, labelme_to_coco, read_frames
from mmext_instseg.datasets.labelme.splits import read_names
from mmext_instseg.registry import DATASETS
from mmext_instseg.structures import InstanceMap, decode_segmentation, to_labelme, write_json

TO_MAP = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='labelme')),
    dict(type='CheckAnnotations'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='GenerateInstanceMap', overlap='ignore'),
    dict(type='PackDenseInputs'),
]


def build(folder, classes=('house',), pipeline=(), **options):
    metainfo = {} if classes is None else dict(metainfo=dict(classes=classes))
    # mmengine collects garbage when it serialises, half a second each time
    config = dict(type='LabelMeDataset', data_root=str(folder), pipeline=list(pipeline), serialize_data=False)
    return DATASETS.build({**config, **metainfo, **options})


def masks_of(info) -> list[np.ndarray]:
    return [decode_segmentation(one['mask'], info['height'], info['width']) for one in info['instances']]


def box_mask(y1, y2, x1, x2, size=(8, 10)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def messages(caplog) -> str:
    return '\n'.join(record.getMessage() for record in caplog.records)


@pytest.fixture
def log(caplog):
    """The text that a data set logs."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    yield lambda: messages(caplog)
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize('version', ['3.16.7', '4.5.6', '5.0.1'])
@pytest.mark.parametrize('image', ['file', 'embedded'])
def test_every_version_and_kind_of_image(tmp_path, version, image):
    square = shape('house', SQUARE)
    if version.startswith('3'):
        square = {'label': 'house', 'line_color': None, 'fill_color': None, 'points': SQUARE}
    write_labelme(tmp_path / 'a.json', [square], version=version, image=image)
    dataset = build(tmp_path, serialize_data=True)
    info = dataset.get_data_info(0)
    assert (info['height'], info['width']) == (8, 10)
    (one,) = info['instances']
    assert one['bbox'] == [2, 1, 6, 5] and one['bbox_label'] == 0 and one['ignore_flag'] == 0
    assert np.array_equal(masks_of(info)[0], box_mask(1, 5, 2, 6))
    # mmcv's loader, as in any config, reads the embedded image too
    assert (LoadImageFromFile()(info)['img'] == 90).all() and info['img'].shape == (8, 10, 3)
    assert Path(info['img_path']).name == 'a.png'


@pytest.mark.parametrize(
    ('kind', 'points', 'expected'),
    [
        ('rectangle', [[6, 5], [2, 1]], box_mask(1, 5, 2, 6)),
        ('rectangle', SQUARE, box_mask(1, 5, 2, 6)),
        ('oriented_rectangle', SQUARE, box_mask(1, 5, 2, 6)),
        ('polygon', [[-5, -5], [3, -5], [3, 4], [-5, 4]], box_mask(0, 4, 0, 3)),
        (None, SQUARE, box_mask(1, 5, 2, 6)),
    ],
)
def test_shapes_by_hand(tmp_path, kind, points, expected):
    write_labelme(tmp_path / 'a.json', [shape('house', points, kind)])
    assert np.array_equal(masks_of(build(tmp_path).get_data_info(0))[0], expected)


def test_circle_is_centre_and_rim(tmp_path):
    """Every pixel whose centre is 0.2 px inside or outside is right; pycocotools draws in steps of 0.2."""
    write_labelme(tmp_path / 'a.json', [shape('house', [[30, 25], [30, 5]], 'circle')], size=(60, 60))
    y, x = np.mgrid[:60, :60] + 0.5
    distance = np.hypot(x - 30, y - 25)
    mask = masks_of(build(tmp_path).get_data_info(0))[0]
    assert mask[distance < 19.7].all() and not mask[distance > 20.2].any()


def test_bitmap_with_a_hole_partly_outside(tmp_path):
    mask = np.ones((4, 5), bool)
    mask[1, 2] = False
    write_labelme(tmp_path / 'a.json', [mask_shape('house', (-2, 5), mask)])
    info = build(tmp_path).get_data_info(0)
    expected = np.zeros((8, 10), bool)
    expected[5:8, 0:3] = mask[:3, 2:]
    assert np.array_equal(masks_of(info)[0], expected)


def test_parts_of_one_label_and_group_are_one_object(tmp_path):
    left, right, low = [[0, 0], [2, 2]], [[4, 0], [6, 2]], [[0, 5], [3, 8]]
    shapes = [
        shape('house', left, 'rectangle', group_id=1),
        shape('shed', low, 'rectangle', group_id=1),
        shape('house', right, 'rectangle', group_id=1),
        shape('house', low, 'rectangle'),
        shape('house', low, 'rectangle', group_id=2),
        mask_shape('shed', (8, 6), np.ones((2, 2)), group_id=1),
    ]
    write_labelme(tmp_path / 'a.json', shapes)
    info = build(tmp_path, classes=('house', 'shed')).get_data_info(0)
    assert [one['bbox_label'] for one in info['instances']] == [0, 1, 0, 0]
    house, shed = masks_of(info)[:2]
    assert np.array_equal(house, box_mask(0, 2, 0, 2) | box_mask(0, 2, 4, 6))
    assert np.array_equal(shed, box_mask(5, 8, 0, 3) | box_mask(6, 8, 8, 10))
    assert info['instances'][0]['bbox'] == [0, 0, 6, 2] and isinstance(info['instances'][1]['mask'], dict)


def test_through_the_pipeline_with_overlap_and_an_ignored_region(tmp_path):
    shapes = [
        shape('house', [[0, 0], [4, 4]], 'rectangle'),
        shape('shed', [[2, 2], [6, 6]], 'rectangle'),
        shape('__ignore__', [[8, 0], [10, 8]], 'rectangle'),
        shape('_background_', [[0, 7], [10, 8]], 'rectangle'),
    ]
    write_labelme(tmp_path / 'a.json', shapes, image='embedded')
    dataset = build(tmp_path, ('house', 'shed'), TO_MAP)
    assert [one['ignore_flag'] for one in dataset.get_data_info(0)['instances']] == [0, 0, 1, 1]
    made = dataset[0]['data_samples'].gt_instance_map
    expected = torch.zeros(8, 10, dtype=torch.int32)
    expected[:4, :4], expected[2:6, 2:6], expected[2:4, 2:4], expected[:, 8:] = 1, 2, -1, -1
    assert torch.equal(made.ids, expected) and made.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ('image_path', 'place'),
    [
        ('..\\images\\b.png', 'images/b.png'),
        ('../images/b.png', 'images/b.png'),
        ('C:\\Users\\me\\b.png', 'json/b.png'),
        ('/home/me/b.png', 'json/b.png'),
        ('renamed.png', 'json/a.png'),
        ('b.png', 'elsewhere/b.png'),
    ],
)
def test_where_images_are_looked_for(tmp_path, image_path, place):
    write_labelme(tmp_path / 'json/a.json', [shape('house', SQUARE)], image='none', image_path=image_path)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    Image.new('RGB', (10, 8)).save(tmp_path / place)
    info = build(tmp_path, data_prefix=dict(json='json', img='elsewhere')).get_data_info(0)
    assert Path(info['img_path']).resolve() == tmp_path / place


def test_an_embedded_image_whose_file_names_itself(tmp_path):
    write_labelme(tmp_path / 'a.json', [shape('house', SQUARE)], image='embedded', image_path='a.json')
    info = build(tmp_path).get_data_info(0)
    assert info['img_path'].endswith('a.json/a.png') and LoadImageFromFile()(info)['img'].shape == (8, 10, 3)


@pytest.mark.parametrize('version', ['3.16.7', '5.0.1'])
def test_exif_rotation(tmp_path, version):
    """A JPEG of 10 x 8 stored pixels that is shown as 8 x 10."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (8, 10)).save(tmp_path / 'a.jpg', exif=exif)
    write_labelme(tmp_path / 'a.json', [shape('house', SQUARE)], version=version, image='none', image_path='a.jpg')
    dataset = build(tmp_path, pipeline=TO_MAP)
    assert dataset.get_data_info(0)['height'] == 8
    assert dataset[0]['data_samples'].gt_instance_map.shape == (8, 10)


def test_points_and_lines_are_counted(tmp_path, log):
    shapes = [shape('house', SQUARE), *(shape('x', [[1, 1]], kind) for kind in ('point', 'line', 'linestrip', 'point'))]
    write_labelme(tmp_path / 'a.json', shapes)
    assert len(build(tmp_path).get_data_info(0)['instances']) == 1
    assert 'left out shapes without area: 2 point, 1 line, 1 linestrip' in log()


def test_degenerate_shapes_are_reported_by_file(tmp_path, log):
    outside = [[20, 20], [30, 20], [30, 30]]
    shapes = [
        shape('house', SQUARE[:2]),
        shape('house', []),
        shape('house', [[1, 1], [5, 5], [3, 3]]),
        shape('house', outside, group_id=1),
        shape('house', SQUARE, group_id=1),
        shape('house', [[3, 3], [3, 3]], 'circle'),
        shape('house', [[3, 3]], 'rectangle'),
        shape('house', [[3, 3]], 'circle'),
        mask_shape('house', (20, 2), np.ones((2, 2))),
    ]
    write_labelme(tmp_path / 'a.json', shapes)
    write_labelme(tmp_path / 'b.json', [])
    info = build(tmp_path).get_data_info(0)
    assert len(info['instances']) == 1 and np.array_equal(masks_of(info)[0], box_mask(1, 5, 2, 6))
    lines = [line for line in log().splitlines() if 'a.json: shape' in line]
    assert [line.split(': ')[-1] for line in lines[:2]] == ['2 points are too few', '0 points are too few'] and len(lines) == 8
    assert "a.json: shape 3 ('house', polygon): no pixel inside the image of 8 x 10" in lines[3]


def test_lists_and_ids(tmp_path):
    for name in ('a', 'b', 'sub/c', 'd'):
        write_labelme(tmp_path / f'json/{name}.json', [shape('house', SQUARE)])
    (tmp_path / 'val.txt').write_text('# flight 2\nsub/c\n\na.png  # with an ending\n')
    (tmp_path / 'train.json').write_text('["d", "b.json"]')
    (tmp_path / 'json/coco.json').write_text('{"images": []}')
    everything = build(tmp_path, data_prefix=dict(json='json/'))
    by_path = {info['img_path']: info['img_id'] for info in (everything.get_data_info(i) for i in range(4))}
    assert len(everything) == 4 and len(set(by_path.values())) == 4
    for ann_file, names in (('val.txt', ['sub/c', 'a']), ('train.json', ['d', 'b'])):
        part = build(tmp_path, ann_file=ann_file, data_prefix=dict(json='json/'))
        infos = [part.get_data_info(i) for i in range(len(part))]
        assert [Path(info['img_path']) for info in infos] == [tmp_path / f'json/{name}.png' for name in names]
        assert [info['img_id'] for info in infos] == [by_path[info['img_path']] for info in infos]


def test_ids_are_those_of_this_release(tmp_path):
    """COCO files written before must still fit: the number may not change."""
    write_labelme(tmp_path / 'sub/DJI_0485_6168.json', [])
    assert build(tmp_path).get_data_info(0)['img_id'] == 279026396701582


def test_empty_images_and_small_ones_are_filtered_in_training_only(tmp_path):
    write_labelme(tmp_path / 'a.json', [shape('house', SQUARE)])
    write_labelme(tmp_path / 'b.json', [shape('__ignore__', SQUARE)])
    write_labelme(tmp_path / 'c.json', [shape('house', SQUARE)], size=(6, 40))
    rule = dict(filter_empty_gt=True, min_size=8)
    assert len(build(tmp_path, filter_cfg=rule)) == 1
    assert len(build(tmp_path, filter_cfg=dict(filter_empty_gt=True))) == 2
    assert len(build(tmp_path, filter_cfg=rule, test_mode=True)) == len(build(tmp_path)) == 3


def test_skipped_labels(tmp_path):
    write_labelme(tmp_path / 'a.json', [shape('house', SQUARE), shape('tree', SQUARE)])
    assert len(build(tmp_path, skip_labels=['tree']).get_data_info(0)['instances']) == 1


def test_an_unknown_label_is_named_with_the_class_that_may_be_meant(tmp_path):
    write_labelme(tmp_path / 'a.json', [shape('house', SQUARE)])
    write_labelme(tmp_path / 'b.json', [shape('House ', SQUARE), shape('tree', SQUARE), shape('House ', SQUARE)])
    with pytest.raises(ValueError) as raised:
        build(tmp_path)
    first, *lines = str(raised.value).splitlines()
    assert first.startswith('2 labels are no class (classes: ') and "skip_labels=['House ', 'tree']" in first
    assert lines[0].endswith("b.json: label 'House ' (2 objects), did you mean 'house'?")
    assert lines[1].endswith("b.json: label 'tree' (1 objects)")


def test_without_classes_the_labels_are_shown(tmp_path):
    write_labelme(tmp_path / 'a.json', [shape('shed', SQUARE), shape('house', SQUARE), shape('__ignore__', SQUARE)])
    with pytest.raises(ValueError, match=r"metainfo=dict\(classes=\('house', 'shed'\)\)"):
        build(tmp_path, classes=None)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"shapes": [', r'a\.json: not a JSON file'),
        ('[1, 2]', "none of its 1 JSON files is LabelMe's"),
    ],
)
def test_files_of_other_kinds(tmp_path, text, message):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        build(tmp_path)


@pytest.mark.parametrize(
    ('shapes', 'options', 'message'),
    [
        ([shape('', SQUARE)], {}, r'a\.json: shape 0 has no label'),
        (['house'], {}, r'a\.json: shape 0 has no label'),
        ([shape('house', SQUARE), shape('house', [[1, 'x']])], {}, r"a\.json: shape 1 \('house', polygon\): points are"),
        ([shape('house', [[1, 1], [float('nan'), 2], [3, 3]])], {}, r'shape 0 .* not pairs of finite numbers'),
        ([shape('house', [[1, 1], [1e9, 2], [3, 3]])], {}, r'a\.json: shape 0 .* not a number of pixels within'),
        ([shape('house', [[1, 1], [2, 2]], 'mask', mask='????')], {}, r'a\.json: shape 0 .* bitmap is missing or damaged'),
        ([], dict(image='none'), r"a\.json: its image 'a\.png' is not there \(.*a\.png\), and imageData is empty"),
        ([], dict(image='none', imageData='%%%', imageHeight=None), r'a\.json: imageData is damaged'),
        ([], dict(imageHeight=100_000, imageWidth=100_000), r'a\.json: 100000 x 100000 pixels are over the limit'),
    ],
)
def test_what_stops_with_the_file_and_the_shape(tmp_path, shapes, options, message):
    write_labelme(tmp_path / 'a.json', shapes, **options)
    with pytest.raises(ValueError, match=message):
        build(tmp_path)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a\nc', r'c\.json: no such file; annotate the image'),
        ('a\na.png', r'a\.json: named 2 times'),
        ('/tmp/a', 'an absolute path in the list'),
        ('# none\n', r'list\.txt: no name in it'),
        ('coco', r"coco\.json: not a LabelMe file, it has no list 'shapes'"),
    ],
)
def test_wrong_lists(tmp_path, text, message):
    write_labelme(tmp_path / 'a.json', [])
    (tmp_path / 'coco.json').write_text('{}')
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
        build(tmp_path, ann_file='list.txt')


@pytest.mark.parametrize(('options', 'message'), [(dict(ann_file='no.txt'), r'no\.txt: can not be read'), ({}, 'no such folder')])
def test_missing_places(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path / 'nowhere', **options)


def test_a_json_list_must_be_a_list(tmp_path):
    write_labelme(tmp_path / 'a.json', [])
    (tmp_path / 'splits.json').write_text('{"train": ["a"]}')
    with pytest.raises(ValueError, match=r'splits\.json: not a JSON list of names'):
        build(tmp_path, ann_file='splits.json')


def test_an_image_of_another_size_is_named_in_the_pipeline(tmp_path):
    write_labelme(tmp_path / 'a.json', [shape('house', SQUARE)], imageHeight=9)
    with pytest.raises(ValueError, match=r'a\.png: the image has 8 x 10 pixels .* says 9 x 10'):
        build(tmp_path, pipeline=TO_MAP)[0]


def test_an_embedded_image_that_is_cut_off(tmp_path):
    path = write_labelme(tmp_path / 'a.json', [shape('house', SQUARE)], image='embedded')
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, 'imageData': data['imageData'][:40]}))
    dataset = build(tmp_path, pipeline=TO_MAP)
    with pytest.raises(ValueError, match=r'a\.json: imageData'):
        dataset[0]


def evaluate(dataset, metric, drop=0):
    metric.dataset_meta = dataset.metainfo
    for i in range(len(dataset)):
        batch = pseudo_collate([dataset[i]])
        sample = batch['data_samples'][0].to_dict()
        things = dataset.get_data_info(i)['instances'][drop:]
        masks = torch.from_numpy(np.stack(masks_of(dataset.get_data_info(i))[drop:]))
        boxes, labels = (torch.tensor([one[key] for one in things]) for key in ('bbox', 'bbox_label'))
        sample['pred_instances'] = dict(bboxes=boxes, labels=labels, scores=torch.ones(len(things)), masks=masks)
        metric.process(batch, [sample])
    return metric.evaluate(len(dataset))


@pytest.fixture
def two_images(tmp_path):
    for name in ('a', 'b'):
        corners = [[0, 0], [5, 3]], [[6, 4], [10, 8]], [[0, 5], [3, 8]]
        labels = ('shed', 'house', 'shed')
        shapes = [shape(label, points, 'rectangle') for label, points in zip(labels, corners, strict=True)]
        write_labelme(tmp_path / f'{name}.json', shapes)
    return tmp_path


@pytest.mark.parametrize('converted', [False, True])
def test_coco_metric_with_and_without_a_file(two_images, converted):
    keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances')
    steps = [LoadImageFromFile(), LoadAnnotations(with_bbox=True, with_mask=True), PackDetInputs(meta_keys=keys)]
    dataset = build(two_images, ('house', 'shed'))
    dataset.pipeline = Compose(steps)
    ann_file = None
    if converted:
        frames = read_frames(two_images)
        ann_file = str(two_images / 'coco.json')
        write_json(ann_file, labelme_to_coco(frames, ('house', 'shed'), lambda frame: f'{frame.name}.png'))
    assert evaluate(dataset, CocoMetric(ann_file, metric=['bbox', 'segm']))['coco/segm_mAP'] == 1
    # the first of two sheds is missing in both images: recall 0.5, so 51 of 101 points, and the house is perfect
    found = evaluate(dataset, CocoMetric(ann_file, metric='segm'), drop=1)
    assert found['coco/segm_mAP'] == pytest.approx((51 / 101 + 1) / 2, abs=1e-3)


def test_converted_file_read_by_mmdet_is_the_same(two_images):
    frames = read_frames(two_images)
    write_json(two_images / 'coco.json', labelme_to_coco(frames, check_classes(frames), lambda frame: f'{frame.name}.png'))
    options = dict(data_root=str(two_images), metainfo=dict(classes=('house', 'shed')))
    coco, ours = CocoDataset(ann_file='coco.json', data_prefix=dict(img=''), **options), build(two_images, ('house', 'shed'))
    for i in range(2):
        theirs, info = coco.get_data_info(i), ours.get_data_info(i)
        assert {key: theirs[key] for key in ('img_id', 'height', 'width', 'instances')} == {
            key: info[key] for key in ('img_id', 'height', 'width', 'instances')
        }
        assert Path(theirs['img_path']) == Path(info['img_path'])


def test_exported_and_read_again(tmp_path):
    """Holes, several parts and touching instances come back pixel for pixel."""
    ids = torch.randint(0, 5, (30, 40), generator=torch.Generator().manual_seed(0))
    ids[5:20, 5:20], ids[8:12, 8:12], ids[10, 10] = 1, 2, 3
    made = InstanceMap.from_ids(ids, torch.tensor([1, 0, 1, 0]))
    Image.new('RGB', (40, 30)).save(tmp_path / 'a.png')
    write_json(tmp_path / 'a.json', to_labelme(made, ('house', 'shed'), 'a.png'))
    back = build(tmp_path, ('house', 'shed'), TO_MAP)[0]['data_samples'].gt_instance_map
    assert torch.equal(back.ids, made.ids) and torch.equal(back.labels, made.labels)


def test_real_frames_there_and_back(real_data, tmp_path):
    """20 frames, 129 buildings; the exported files give the same maps. Frames with imageData work without their JPEG."""
    folder = real_data / 'building_drone_labelme'
    dataset = build(folder, ('building',), TO_MAP)
    assert len(dataset) == 20 and sum(len(dataset.get_data_info(i)['instances']) for i in range(20)) == 129
    for i in (0, 4, 19):
        sample = dataset[i]['data_samples']
        instances = sample.gt_instance_map
        assert instances.shape == (1080, 1920) and (instances.areas > 100).all()
        stem = Path(sample.img_path).stem
        shutil.copyfile(sample.img_path, tmp_path / f'{stem}.jpg')
        write_json(tmp_path / f'{stem}.json', to_labelme(instances, ('building',), f'{stem}.jpg'))
    back = build(tmp_path, ('building',), TO_MAP)
    for i, k in enumerate((0, 4, 19)):
        before, after = (one['data_samples'] for one in (dataset[k], back[i]))
        expected = before.gt_instance_map.ids.clamp(min=0)  # overlaps belong to none
        assert torch.equal(after.gt_instance_map.ids, expected) and after.img_id == before.img_id
    shutil.copyfile(folder / 'DJI_0485_6570.json', tmp_path / 'DJI_0485_6570.json')
    info = build(tmp_path, ('building',)).get_data_info(2)
    assert info['img_path'].startswith('labelme://') and LoadImageFromFile()(info)['img'].shape == (1080, 1920, 3)


def test_a_list_may_hold_names_with_a_hash_and_lines_of_comment(tmp_path):
    (tmp_path / 'list.txt').write_text('# frames\na#1\n\n  b c  \n')
    assert read_names(tmp_path / 'list.txt') == ['a#1', 'b c']
