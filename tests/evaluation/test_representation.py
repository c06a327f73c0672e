import json
from math import isnan

import numpy as np
import pytest
import torch
from head_contract import make_sample
from PIL import Image

from mmext_instseg.codecs import BaseCodec, DCMECodec
from mmext_instseg.evaluation.representation import RepresentationCeiling, Setting, TrueImage, TruthFile, reconstruct
from mmext_instseg.evaluation.representation.scores import touching
from mmext_instseg.registry import MODELS
from mmext_instseg.structures import InstanceMap, to_coco_annotations

CATEGORIES = [dict(id=3, name='cup', isthing=1), dict(id=7, name='pot', isthing=1), dict(id=9, name='sky', isthing=0)]


class Blind(BaseCodec):
    """Sees one object, whatever there is."""

    channels = {'nothing': 1}

    def encode(self, instances):
        return {'nothing': instances.ids[None] * 0.0}, instances.ids * 0.0 + 1

    def decode(self, maps, foreground=None, extents=None):
        return [InstanceMap.from_ids(mask.int(), torch.zeros(1), torch.ones(1)) for mask in foreground]


def rectangle(x, y, width, height):
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def write(folder, rectangles, size=(64, 48), crowd=()):
    """A COCO file of one image a list of (category, x, y, width, height); (width, height) of the images."""
    images = [dict(id=number, width=size[0], height=size[1], file_name=f'{number}.jpg') for number in range(1, len(rectangles) + 1)]
    annotations = [
        dict(image_id=image, category_id=category, segmentation=rectangle(*box), bbox=list(box), area=box[2] * box[3])
        for image, boxes in enumerate(rectangles, 1)
        for category, *box in boxes
    ]
    annotations = [dict(one, id=number, iscrowd=int(number in crowd)) for number, one in enumerate(annotations, 1)]
    path = folder / 'instances.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=CATEGORIES)))
    return path


def measure(truth, *settings):
    ceiling = RepresentationCeiling(truth.categories, settings)
    for image in truth:
        ceiling.add(image)
    return ceiling


def test_groups_and_scores_by_hand(tmp_path):
    # Image 1: two cups side by side and a pot apart. Image 2: a cup alone.
    path = write(tmp_path, [[(3, 0, 0, 20, 20), (3, 20, 0, 20, 16), (7, 0, 30, 30, 10)], [(3, 8, 8, 16, 16)]])
    perfect, blind = Setting(1, DCMECodec()), Setting(1, Blind())
    ceiling = measure(TruthFile(path), perfect, blind)
    numbers = ceiling.numbers()
    assert {key: numbers[key] for key in ('AP', 'S', 'M', 'L')} == dict(AP=4, S=4, M=0, L=0)
    assert {key: numbers[key] for key in ('apart', 'touching', '1-5', '6-10')} == {'apart': 2, 'touching': 2, '1-5': 4, '6-10': 0}
    scores = ceiling.scores(perfect)
    assert [scores[key] for key in ('AP', 'AP50', 'agnostic', 'S', 'apart', 'touching', '1-5')] == pytest.approx([1.0] * 7)
    assert isnan(scores['M']) and isnan(scores['6-10']) and 'PQ' not in scores
    # The blind codec makes one object of image 1, 400 of 1020 pixels of which are the first cup: IoU 0.39. It finds image 2's cup.
    scores = ceiling.scores(blind)
    # One of three cups is found, after a false detection of the same score: precision 1/2 up to recall 1/3, 34 of 101 points. The pot: 0.
    assert scores['AP50'] == pytest.approx(34 / 101 / 2 / 2)
    assert scores['touching'] == 0.0


def test_strides_lose_what_is_smaller_than_their_pixels(tmp_path):
    path = write(tmp_path, [[(3, 0, 0, 2, 2), (3, 16, 16, 24, 24)]])
    fine, coarse = Setting(1, DCMECodec()), Setting(8, DCMECodec(**DCMECodec.arguments_at(8)))
    ceiling = measure(TruthFile(path), fine, coarse)
    assert ceiling.scores(fine)['AP'] == pytest.approx(1.0)
    assert [one['row'] for one in coarse.detections] == [2]  # the centre (4, 4) of the first block isn't in the small one


def test_crowds_are_neither_found_nor_missed(tmp_path):
    path = write(tmp_path, [[(3, 0, 0, 10, 10), (3, 20, 20, 30, 20)]], crowd=(2,))
    setting = Setting(1, DCMECodec())
    ceiling = measure(TruthFile(path), setting)
    assert ceiling.numbers()['AP'] == 1 and len(setting.detections) == 1 and ceiling.scores(setting)['AP'] == pytest.approx(1.0)


def test_large_images_are_scaled_down(tmp_path):
    path = write(tmp_path, [[(3, 0, 0, 400, 200), (7, 400, 200, 400, 200)]], size=(800, 400))
    small = next(iter(TruthFile(path, max_side=80)))
    assert small.instances.shape == (40, 80) and small.instances.areas.tolist() == [800, 800]
    assert [one['bbox'] for one in small.annotations] == [[0, 0, 40, 20], [40, 20, 40, 20]]
    data = json.loads(path.read_text())
    rle = TruthFile(path)
    data['annotations'] = [
        dict(one, segmentation=dict(size=given['segmentation']['size'], counts=given['segmentation']['counts'].decode()))
        for one, given in zip(data['annotations'], next(iter(rle)).annotations, strict=True)
    ]
    path.write_text(json.dumps(data))
    assert torch.equal(next(iter(TruthFile(path, max_side=80))).instances.ids, small.instances.ids)


def write_panoptic(folder, ids, segments):
    (folder / 'panoptic').mkdir()
    Image.fromarray(np.stack([ids, ids * 0, ids * 0], axis=-1).astype(np.uint8)).save(folder / 'panoptic/1.png')
    path = folder / 'panoptic.json'
    image = dict(id=1, height=ids.shape[0], width=ids.shape[1], file_name='1.jpg')
    entry = dict(image_id=1, file_name='1.png', segments_info=[dict(one, bbox=[0, 0, 9, 9]) for one in segments])
    path.write_text(json.dumps(dict(images=[image], annotations=[entry], categories=CATEGORIES)))
    return path


def test_panoptic_quality_by_hand(tmp_path):
    ids = np.zeros((24, 32), np.int64)
    ids[:12] = 5
    ids[14:22, 2:10], ids[14:22, 10:18] = 6, 8
    ids[14:22, 24:30] = 9
    segments = [
        dict(id=5, category_id=9, area=12 * 32, iscrowd=0),
        dict(id=6, category_id=3, area=64, iscrowd=0),
        dict(id=8, category_id=3, area=64, iscrowd=0),
        dict(id=9, category_id=3, area=48, iscrowd=1),
    ]
    perfect, blind = Setting(1, DCMECodec()), Setting(1, Blind())
    ceiling = measure(TruthFile(write_panoptic(tmp_path, ids, segments)), perfect, blind)
    scores = ceiling.scores(perfect)
    assert [scores[key] for key in ('AP', 'PQ', 'PQ things', 'PQ stuff')] == pytest.approx([1.0] * 4)
    assert ceiling.numbers()['AP'] == 2
    scores = ceiling.scores(blind)  # one object of two: IoU 1/2 with each, which is no match
    assert [scores[key] for key in ('PQ', 'PQ things', 'PQ stuff')] == [0.5, 0.0, 1.0]


def test_a_png_of_another_size_or_missing_is_named(tmp_path):
    path = write_panoptic(tmp_path, np.ones((4, 4), np.int64), [dict(id=1, category_id=3, area=16, iscrowd=0)])
    Image.new('RGB', (5, 4), (1, 0, 0)).save(tmp_path / 'panoptic/1.png')
    with pytest.raises(ValueError, match=r'panoptic/1\.png: \(4, 5\) \(height, width\), the annotations say \(4, 4\)'):
        list(TruthFile(path))
    (tmp_path / 'panoptic/1.png').unlink()
    with pytest.raises(ValueError, match=r'panoptic/1\.png'):
        list(TruthFile(path))


def test_touching_means_side_by_side():
    ids = torch.tensor([[1, 1, 2, 0, 3], [0, 0, 0, 4, 0], [5, 0, -1, 0, 0]])
    assert touching(InstanceMap.from_ids(ids, torch.zeros(5))).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize('shape', [(48, 64), (37, 53)])
def test_the_detector_reaches_this_ceiling(shape):
    """With true maps at stride 2 the detector's results are `reconstruct`'s."""
    in_index, channels = 3, 8  # the decoder's output before the last
    heads = dict(
        instance=dict(type='DCMEHead', in_channels=channels, in_index=in_index, channels=4),
        semantic=dict(type='GridClassHead', in_channels=channels, in_index=in_index, channels=4, num_things_classes=3),
    )
    codec = dict(type='DCMECodec', **DCMECodec.arguments_at(2))
    backbone = dict(type='mmseg.UNet', base_channels=4, upsample_cfg=dict(type='mmseg.InterpConv'))
    preprocessor = dict(type='DenseDataPreprocessor', pad_size_divisor=16)
    model = MODELS.build(
        dict(
            type='BottomUpSegmentor',
            backbone=backbone,
            codec=codec,
            heads=heads,
            data_preprocessor=preprocessor,
            test_cfg=dict(true_maps=('semantic', 'instance')),
        )
    ).eval()
    ids = torch.zeros(shape, dtype=torch.int64)
    # Borders between blocks: of others the grid class marks every block that an object meets.
    ids[4:20, 6:16], ids[6:30, 16:40], ids[26:36, 2:8], ids[30:36, 42:52] = 1, 2, 3, 4
    sample = make_sample(ids)
    truth = sample.gt_instance_map
    data = model.data_preprocessor(dict(inputs=[torch.zeros(3, *shape, dtype=torch.uint8)], data_samples=[sample]), False)
    found = model.predict(data['inputs'], data['data_samples'])[0].pred_instances
    expected = reconstruct(truth, Setting(2, DCMECodec(**DCMECodec.arguments_at(2))))
    pixels = {tuple(mask.flatten().nonzero().flatten().tolist()) for mask in found.masks}
    assert len(pixels) == 4 and pixels == {tuple(mask.flatten().nonzero().flatten().tolist()) for mask in expected.masks()}


def test_nothing_is_lost_on_real_photos_at_stride_1(real_data):
    truth = TruthFile(real_data / 'coco_panoptic_mini/annotations/panoptic_val2017.json')
    truth.images = truth.images[:4]
    setting = Setting(1, DCMECodec())
    scores = measure(truth, setting).scores(setting)
    assert scores['AP'] >= 0.99 and scores['PQ'] >= 0.99


def test_an_image_without_things(tmp_path):
    image = TrueImage(1, InstanceMap.from_ids(torch.zeros(8, 8), torch.zeros(0)), [])
    ceiling = RepresentationCeiling({3: CATEGORIES[0]}, [Setting(2, DCMECodec())])
    ceiling.add(image)
    assert isnan(ceiling.scores(ceiling.settings[0])['AP']) and ceiling.settings[0].detections == []


def test_no_detection_is_cut_off():
    ids = torch.arange(1, 145).view(12, 12).repeat_interleave(2, 0).repeat_interleave(2, 1)  # COCO's figures are of 100
    instances = InstanceMap.from_ids(ids, torch.full((144,), 3))
    annotations = [dict(one, image_id=1, iscrowd=0, row=row) for row, one in enumerate(to_coco_annotations(instances), 1)]
    setting = Setting(1, None)
    ceiling = RepresentationCeiling({3: CATEGORIES[0]}, [setting])
    ceiling.add(TrueImage(1, instances, annotations))
    scores = ceiling.scores(setting)
    assert scores['AP'] == pytest.approx(1.0) and scores['agnostic'] == pytest.approx(1.0)
