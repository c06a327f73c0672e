import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData, PixelData

from mmext_instseg.models.data_preprocessors import DenseDataPreprocessor
from mmext_instseg.registry import MODELS
from mmext_instseg.structures import InstanceMap


def sample_of(height: int, width: int, dtype: torch.dtype = torch.uint8) -> DetDataSample:
    """One instance on the left half, class 3 and depth 2 everywhere."""
    ids = torch.zeros(height, width, dtype=torch.int32)
    ids[:, : width // 2] = 1
    sample = DetDataSample(metainfo={'img_shape': (height, width), 'ori_shape': (height, width)})
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[0.0, 0.0, width // 2, height]]), labels=torch.tensor([0]))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    sample.gt_instance_map = InstanceMap.from_ids(ids, torch.tensor([0]))
    sample.gt_sem_seg = PixelData(metainfo={'ignore_index': 255}, sem_seg=torch.full((1, height, width), 3, dtype=dtype))
    sample.gt_depth_map = PixelData(data=torch.full((1, height, width), 2.0))
    return sample


def batch_of(*shapes: tuple[int, int], dtype: torch.dtype = torch.uint8) -> dict:
    inputs = [torch.full((3, *shape), 100, dtype=torch.uint8) for shape in shapes]
    return {'inputs': inputs, 'data_samples': [sample_of(*shape, dtype=dtype) for shape in shapes]}


@pytest.mark.parametrize('training', [True, False])
def test_dense_targets_are_padded_in_training_and_in_testing(training):
    preprocessor = MODELS.build(
        {'type': 'DenseDataPreprocessor', 'mean': [100.0] * 3, 'std': [1.0] * 3, 'pad_size_divisor': 4, 'pad_seg': True}
    )
    data = preprocessor(batch_of((5, 6), (3, 9)), training)
    assert data['inputs'].shape == (2, 3, 8, 12) and data['inputs'].dtype == torch.float32 and (data['inputs'] == 0).all()
    for sample, (height, width), pad_shape in zip(data['data_samples'], [(5, 6), (3, 9)], [(8, 8), (4, 12)], strict=True):
        assert sample.batch_input_shape == (8, 12) and sample.pad_shape == pad_shape and sample.img_shape == (height, width)
        maps = {
            -1: sample.gt_instance_map.ids,
            255: sample.gt_sem_seg.sem_seg[0],
            0: sample.gt_depth_map.data[0],
        }
        inside = torch.zeros(8, 12, dtype=torch.bool)
        inside[:height, :width] = True
        for pad_value, pixels in maps.items():
            assert pixels.shape == (8, 12) and (pixels[~inside] == pad_value).all()
        assert torch.equal(maps[-1][inside], sample_of(height, width).gt_instance_map.ids.flatten())
        assert (maps[255][inside] == 3).all() and (maps[0][inside] == 2).all()
        assert sample.gt_instance_map.areas.tolist() == [height * (width // 2)]
        assert sample.gt_sem_seg.ignore_index == 255


def test_batch_of_one_size_stays_as_it_is():
    data = DenseDataPreprocessor()(batch_of((4, 6), (4, 6)), True)
    assert (data['data_samples'][1].gt_instance_map.ids >= 0).all() and data['data_samples'][0].gt_sem_seg.sem_seg.shape == (1, 4, 6)


@pytest.mark.parametrize('data_samples', [None, [DetDataSample(metainfo={'img_shape': (5, 6)})]])
def test_works_without_targets(data_samples):
    data = DenseDataPreprocessor(pad_size_divisor=4)({'inputs': [torch.zeros(3, 5, 6)], 'data_samples': data_samples}, False)
    assert data['inputs'].shape == (1, 3, 8, 8)
    if data_samples:
        assert 'gt_instance_map' not in data['data_samples'][0] and data['data_samples'][0].batch_input_shape == (8, 8)


def test_stacked_inputs():
    batch = batch_of((4, 6), (4, 6))
    data = DenseDataPreprocessor(pad_size_divisor=8)({**batch, 'inputs': torch.stack(batch['inputs'])}, False)
    assert data['inputs'].shape == (2, 3, 8, 8) and data['data_samples'][0].gt_instance_map.shape == (8, 8)


@pytest.mark.parametrize(('dtype', 'fits'), [(torch.int64, True), (torch.int32, True), (torch.uint8, False)])
def test_vocabularies_of_256_classes_need_another_padding(dtype, fits):
    preprocessor = DenseDataPreprocessor(seg_pad_value=65535, pad_size_divisor=8)
    if fits:
        padded = preprocessor(batch_of((5, 6), dtype=dtype))['data_samples'][0].gt_sem_seg.sem_seg
        assert padded.dtype == dtype and padded[0, 7, 7] == 65535 and padded[0, 0, 0] == 3
    else:
        with pytest.raises(ValueError, match=r'seg_pad_value=65535 does not fit .*uint8; load it with a wider dtype'):
            preprocessor(batch_of((5, 6), dtype=dtype))


def test_padding_to_a_fixed_size():
    preprocessor = DenseDataPreprocessor(batch_augments=[{'type': 'BatchFixedSizePad', 'size': (16, 20)}])
    data = preprocessor(batch_of((5, 6), (3, 9)), True)
    assert data['inputs'].shape == (2, 3, 16, 20)
    for sample, area in zip(data['data_samples'], [15, 12], strict=True):
        assert sample.gt_instance_map.shape == sample.gt_sem_seg.shape == sample.gt_depth_map.shape == (16, 20)
        assert (sample.gt_instance_map.ids == 1).sum() == area == sample.gt_instance_map.areas


def test_targets_follow_a_batch_resize():
    # The batch of 8 x 8 becomes 16 x 16; the second image has 6 x 8 of it, so 12 x 16 afterwards.
    preprocessor = DenseDataPreprocessor(batch_augments=[{'type': 'BatchResize', 'scale': (16, 16)}])
    data = preprocessor(batch_of((8, 8), (6, 8)), True)
    assert data['inputs'].shape == (2, 3, 16, 16)
    for sample, height in zip(data['data_samples'], [16, 12], strict=True):
        assert sample.img_shape == (height, 16)
        ids = torch.full((16, 16), -1, dtype=torch.int32)
        ids[:height] = 0
        ids[:height, :8] = 1
        assert torch.equal(sample.gt_instance_map.ids, ids)
        assert sample.gt_instance_map.boxes.tolist() == sample.gt_instances.bboxes.tolist() == [[0, 0, 8, height]]
        seg, depth = sample.gt_sem_seg.sem_seg[0], sample.gt_depth_map.data[0]
        assert (seg[:height] == 3).all() and (seg[height:] == 255).all() and seg.dtype == torch.uint8
        assert (depth[:height] == 2).all() and (depth[height:] == 0).all()


def test_targets_follow_a_batch_resize_to_the_last_row():
    """5 rows of a batch of 8, enlarged to 12, are 7.5 rows, which mmdet calls 7: the eighth one's centre is the fifth old row's edge.

    At 13 they are 8.125; 3 columns of 8 at 13 are 4.875, which mmdet calls 4.
    """
    preprocessor = DenseDataPreprocessor(batch_augments=[{'type': 'BatchSyncRandomResize', 'random_size_range': (32, 32)}])
    (augment,) = preprocessor.batch_augments
    MessageHub.get_current_instance().update_info('iter', 0)  # from which it draws the next size
    for size, side, (height, width), called in ((12, 16, (7, 6), (7, 6)), (13, 13, (8, 5), (8, 4))):
        augment._input_size = (size, side)
        batch = batch_of((8, 8), (5, 3))
        part = batch['data_samples'][1]
        part.gt_instance_map = InstanceMap.from_ids(torch.arange(1, 16, dtype=torch.int32).view(5, 3), torch.zeros(15))
        part.gt_sem_seg = PixelData(sem_seg=part.gt_instance_map.ids[None].clone())
        marked = F.pad(part.gt_instance_map.ids.float(), (0, 5, 0, 3))
        data = preprocessor(batch, True)
        sample = data['data_samples'][1]
        assert sample.img_shape == called
        ids, seg = sample.gt_instance_map.ids, sample.gt_sem_seg.sem_seg[0]
        inside = torch.zeros(size, side, dtype=torch.bool)
        inside[:height, :width] = True
        assert ((ids > 0) == inside).all() and (ids[~inside] == -1).all() and (seg[~inside] == 255).all()
        wanted = F.interpolate(marked[None, None], (size, side), mode='nearest-exact')[0, 0].int()
        assert torch.equal(ids[inside], wanted[inside]) and torch.equal(seg[inside], wanted[inside])
        assert sample.gt_instance_map.extent == (5 * size / 8, 3 * side / 8)


def test_resampling_keeps_large_ids_exact():
    batch = batch_of((2, 2), dtype=torch.int64)
    batch['data_samples'][0].gt_sem_seg.sem_seg = torch.tensor([[[2**24 + 1, 2**24 + 3], [1202, 255]]])
    preprocessor = DenseDataPreprocessor(batch_augments=[{'type': 'BatchResize', 'scale': (4, 4)}])
    seg = preprocessor(batch, True)['data_samples'][0].gt_sem_seg.sem_seg[0]
    assert seg.tolist() == [[2**24 + 1] * 2 + [2**24 + 3] * 2] * 2 + [[1202] * 2 + [255] * 2] * 2


def test_everything_moves_to_the_models_device():
    # The meta device stands for an accelerator: it shows what was moved.
    preprocessor = DenseDataPreprocessor(pad_size_divisor=8).to('meta')
    sample = preprocessor(batch_of((5, 6)))['data_samples'][0]
    assert {sample.gt_instance_map.device.type, sample.gt_instance_map.labels.device.type, sample.gt_sem_seg.sem_seg.device.type} == {
        'meta'
    }
    assert sample.gt_depth_map.data.device.type == 'meta'
