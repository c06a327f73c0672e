"""tools/benchmark.py zoo with small detectors; nothing here looks at a time."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import mmdet
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

from mmext_instseg.engine.benchmark import Entry, Racer, Standing, Truth, explain, measurement, ratios_to_first, zoo_rows
from mmext_instseg.engine.benchmark.zoo_scores import score_all

CPU = torch.device('cpu')
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
DCONV = 'mmdet::dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py'


def tiny(method: str) -> str:
    return str(CONFIGS / method / f'{method}_tiny_shapes.py')


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp('image') / 'one.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    return path


def test_table_and_files(tool, tmp_path, image, untrained):
    config, checkpoint, images = untrained
    names = (config, tiny('pe_centroid'), tiny('instance_clipseg'), DCONV)
    truth = images.parent / 'instances.json'
    files = sorted(images.iterdir())[:2]
    words = ('--images', *files, '--size', '32x48', '--rounds', '2', '--ann', truth, '--phrases', 'a star', '--out', tmp_path)
    status, text = tool('benchmark.py', 'zoo', *names, *words, '--checkpoints', checkpoint, '-', '-', '-')
    assert status == 0, text
    with (tmp_path / 'zoo.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row['model'] for row in rows] == [
        'tiny',
        'tiny',
        'pe_centroid_tiny_shapes',
        'pe_centroid_tiny_shapes',
        'instance_clipseg_tiny_shapes',
        'instance_clipseg_tiny_shapes',
        'faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco',
    ]
    for row in rows[:6]:
        assert float(row['network s']) > 0 and float(row['post-processing s']) > 0 and float(row['peak bytes']) > 0
        assert bool(row['AP']) == (row['model'] == 'tiny') and not row['PQ'] and not row['problem']
    assert rows[6]['problem'] == 'needs a compiled op: deform_conv' and not rows[6]['network s']
    markdown = (tmp_path / 'zoo.md').read_text()
    assert '| needs a compiled op: deform_conv |' in markdown and 'random weights' in markdown.splitlines()[-1]
    assert (tmp_path / 'zoo.png').stat().st_size > 5000


def test_post_processing_is_what_follows_the_network(image):
    """The heads' own network outputs cost nothing of it: without the codec there is next to none."""
    racer = Racer(Entry('one', tiny('dcme')), [(image, 0)], (32, 48), CPU, ('object',))
    calls, right = [], racer.model.codec.decode
    racer.model.codec.decode = lambda *args, **kwargs: (calls.append(racer._since), right(*args, **kwargs))[1]
    (found,) = racer.run()
    assert len(calls) == 1 and calls[0] is not None and racer._since is None and len(racer.rounds) == 1
    assert found.ori_shape == (60, 90) and found.img_shape == (32, 48)
    assert racer.parameters == sum(one.numel() for one in racer.model.parameters())


def test_its_own_pipeline_without_a_size(image):
    racer = Racer(Entry('one', tiny('dcme')), [(image, 7)], None, CPU, ('object',))
    assert racer.batches[0][1][0].img_shape == (60, 90) and racer.batches[0][1][0].img_id == 7
    assert racer.classes()['classes'] == ('circle', 'square', 'triangle', 'star', 'ring')


def test_ratios_are_to_the_first_that_ran():
    broken, first = Standing(Entry('broken', 'a'), problem='why'), Standing(Entry('first', 'b'), 10, [1.0, 3.0], [1.0, 1.0], 2**20)
    other = Standing(Entry('other', 'c', Path('x/o.pth')), 2_000_000, [4.0, 2.0], [0.5, 0.5], 2**21, {'AP': 12.34})
    assert ratios_to_first([broken, first, other], 'network') == [[], [0.5, 0.75], [2.0, 0.5]]
    assert ratios_to_first([broken], 'network') == [[]]
    rows = zoo_rows([broken, first, other])
    assert rows[1] == ['broken', 'random', '', '', '', '', '', '', '', 'why']
    assert rows[3] == ['other', 'o.pth', '1.25 (0.50 to 2.00)', '0.19 (0.12 to 0.25)', '2.0', '2', '12.3', '', '', '']


def test_problems_are_one_line():
    assert explain(NotImplementedError('carafe_forward of mmcv._ext: get it so')) == 'needs a compiled op: carafe'
    assert explain(ValueError('a\n  b')) == 'ValueError: a b'


def perfect(panoptic: bool):
    """A racer that finds the two objects of an image of 8 x 8 pixels; with things and a background of stuff."""
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, :4, :4] = masks[1, 5:, 5:] = True

    def predict(path, number):
        sample = DetDataSample(metainfo=dict(img_id=number, img_path=str(path), ori_shape=(8, 8)))
        boxes = torch.tensor([[0.0, 0, 4, 4], [5, 5, 8, 8]])
        sample.pred_instances = InstanceData(masks=masks, bboxes=boxes, scores=torch.tensor([0.9, 0.8]), labels=torch.tensor([0, 0]))
        if panoptic:
            segments = torch.full((1, 8, 8), 1)
            segments[0][masks[0]], segments[0][masks[1]] = 1000, 2000
            sample.pred_panoptic_seg = PixelData(sem_seg=segments)
        return sample

    meta = dict(classes=('box', 'wall'), thing_classes=('box',), stuff_classes=('wall',))
    return SimpleNamespace(images=[(Path('3.jpg'), 3)], predict=predict, classes=lambda: meta), masks


def write_truth(folder: Path, masks: torch.Tensor) -> Truth:
    areas = [int(mask.sum()) for mask in masks]
    images = [dict(id=number, file_name=f'{number}.jpg', height=8, width=8) for number in (3, 5)]  # the race shows the first alone
    categories = [dict(id=1, name='box', isthing=1), dict(id=2, name='wall', isthing=0)]
    polygons = [[0, 0, 4, 0, 4, 4, 0, 4], [5, 5, 8, 5, 8, 8, 5, 8]]
    boxes = [[0, 0, 4, 4], [5, 5, 3, 3]]
    found = [
        dict(id=2 * image + n, image_id=image, category_id=1, iscrowd=0, area=areas[n], bbox=boxes[n], segmentation=[polygons[n]])
        for image in (3, 5)
        for n in range(2)
    ]
    (folder / 'coco.json').write_text(json.dumps(dict(images=images, annotations=found, categories=categories[:1])))
    ids = np.full((8, 8), 9, np.uint8)
    for number, mask in enumerate(masks.numpy()):
        ids[mask] = number + 1
    (folder / 'panoptic').mkdir()
    cv2.imwrite(str(folder / 'panoptic' / '3.png'), np.dstack([np.zeros_like(ids), np.zeros_like(ids), ids]))  # BGR: ids in red
    segments = [dict(id=n + 1, category_id=1, iscrowd=0, area=areas[n], bbox=boxes[n]) for n in range(2)]
    segments.append(dict(id=9, category_id=2, iscrowd=0, area=64 - sum(areas), bbox=[0, 0, 8, 8]))
    annotations = [dict(image_id=number, file_name=f'{number}.png', segments_info=segments) for number in (3, 5)]
    (folder / 'panoptic.json').write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return Truth(folder / 'coco.json', folder / 'panoptic.json')


@pytest.mark.parametrize('panoptic', [False, True])
def test_scores_of_a_perfect_detector_on_some_of_the_images(tmp_path, panoptic):
    racer, masks = perfect(panoptic)
    truth = write_truth(tmp_path, masks)
    assert truth.image_ids() == {'3': 3, '5': 5}
    found = score_all(racer, truth)
    assert found == pytest.approx({'AP': 100, 'AP50': 100, **({'PQ': 100} if panoptic else {})})


def test_scores_need_truth_and_classes_in_common(tmp_path):
    racer, masks = perfect(False)
    truth = write_truth(tmp_path, masks)
    assert truth.ids_of([Path('a/5.png'), Path('3.jpg')]) == [5, 3] and Truth().ids_of([Path('x'), Path('y')]) == [0, 1]
    with pytest.raises(ValueError, match=r'new\.jpg is not among the images of .*coco\.json \(1 such\)'):
        truth.ids_of([Path('3.jpg'), Path('new.jpg')])
    racer.classes = lambda: dict(classes=('dog', 'cat'))
    with pytest.raises(ValueError, match=r'none of its classes \(dog, cat, \.\.\.\) is one of .*coco\.json \(box'):
        score_all(racer, truth)


def test_no_more_images_are_kept_than_are_timed(image, monkeypatch):
    monkeypatch.setattr('mmext_instseg.engine.benchmark.zoo.TIMED', 2)
    racer = Racer(Entry('one', tiny('dcme')), [(image, number) for number in range(5)], (32, 48), CPU, ('object',))
    assert len(racer.batches) == len(racer.run()) == 2 and racer.predict(*racer.images[4]).img_id == 4


def test_truths_that_disagree(tmp_path):
    _, masks = perfect(False)
    truth = write_truth(tmp_path, masks)
    truth.panoptic.write_text(truth.panoptic.read_text().replace('"id": 3', '"id": 4'))
    with pytest.raises(ValueError, match=r'image 3\.jpg has id 4, but 3 is that of another image or file'):
        truth.image_ids()


def test_the_ready_lists_exist(tool):
    text = (CONFIGS.parent / 'tools' / '_benchmark' / 'zoo.py').read_text()
    theirs = re.findall(r"'mmdet::([^']+)'", text)
    assert len(theirs) == 9 and all((Path(mmdet.__file__).parent / '.mim' / 'configs' / name).is_file() for name in theirs)
    assert 'SOLOv2 R50' in text and all(f'{method}/' in text for method in ('dcme', 'pe_centroid', 'embedding_unet', 'aml_solov2'))
    status, shown = tool('benchmark.py', 'zoo', '--help')
    assert status == 0 and 'zoo --size 272x480' in shown


def test_bad_arguments(tool, tmp_path, image):
    name = tiny('dcme')
    assert tool('benchmark.py', 'zoo', name, '--checkpoints', 'a.pth', 'b.pth')[0].startswith('error: 2 checkpoints for 1 configs')
    assert 'none.pth is not a file' in tool('benchmark.py', 'zoo', name, '--checkpoints', tmp_path / 'none.pth')[0]
    assert 'none.png is not a file' in tool('benchmark.py', 'zoo', name, '--images', tmp_path / 'none.png')[0]
    status, text = tool('benchmark.py', 'zoo', 'nowhere::x.py', '--images', image, '--rounds', '1')
    assert status == 0 and 'nowhere' in text and 'give the path of the file' in text


def test_the_clock_of_a_part_is_that_of_the_whole(monkeypatch):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    monkeypatch.setattr('time.process_time', lambda: 5.0)
    assert measurement.now(CPU) == 5.0
