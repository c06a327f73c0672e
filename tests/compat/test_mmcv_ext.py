"""mmcv.ops on the fallback of mmcv._ext: dispatch, NMS and focal loss, values and gradients against torchvision."""

import math

import mmcv._ext
import mmcv.ops
import pytest
import torch
import torchvision.ops
from mmcv_ext_checks import DEVICES, assert_same_gradients, needs_fallback
from mmengine.utils.dl_utils.misc import mmcv_full_available

pytestmark = needs_fallback


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class TestDispatch:
    def test_is_a_module_that_mmengine_finds(self):
        assert mmcv._ext.__spec__.name == 'mmcv._ext'
        assert mmcv_full_available()

    @pytest.mark.parametrize('name', ['softnms', 'carafe_forward', 'no_such_op'])
    def test_missing_op_raises_on_call_only(self, name):
        op = getattr(mmcv._ext, name)
        with pytest.raises(NotImplementedError, match=rf'^{name} of mmcv._ext.*MMCV_WITH_OPS=1 pip install'):
            op(1, key=2)

    def test_missing_op_reached_through_mmcv(self):
        with pytest.raises(NotImplementedError, match='softnms'):
            mmcv.ops.soft_nms(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([0.5]))

    def test_names_that_are_no_op(self):
        assert not hasattr(mmcv._ext, '__no_such_dunder__')
        assert all(hasattr(mmcv._ext, name) for name in mmcv._ext.__all__)

    def test_collect_env_names_the_fallback(self):
        assert 'mmext_instseg' in mmcv.ops.get_compiler_version()
        assert mmcv.ops.get_compiling_cuda_version() == 'not available'


@pytest.mark.parametrize('device', DEVICES)
class TestNMS:
    def test_equals_torchvision(self, device):
        corners = torch.rand(300, 2, device=device) * 50
        boxes = torch.cat([corners, corners + torch.rand(300, 2, device=device) * 30], 1)
        scores = torch.rand(300, device=device)
        dets, kept = mmcv.ops.nms(boxes, scores, 0.4)
        expected = torchvision.ops.nms(boxes, scores, 0.4)
        assert 10 < len(kept) < 290
        assert torch.equal(kept, expected)
        assert torch.equal(dets, torch.cat([boxes[kept], scores[kept, None]], 1))

    def test_offset_counts_pixels_inclusively(self, device):
        # Inclusive widths are 10; the shift by 3 leaves IoU 70 / 130 = 0.538. Exclusive: 9 * 6 / (162 - 54) = 0.5.
        boxes = torch.tensor([[0.0, 0, 9, 9], [3, 0, 12, 9]], device=device)
        scores = torch.tensor([0.9, 0.8], device=device)
        assert mmcv.ops.nms(boxes, scores, 0.52, offset=1)[1].tolist() == [0]
        assert mmcv.ops.nms(boxes, scores, 0.52, offset=0)[1].tolist() == [0, 1]

    def test_iou_at_the_threshold_is_kept(self, device):
        boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 2]], device=device)  # IoU 0.5, exact in floating point
        assert mmcv.ops.nms(boxes, torch.tensor([0.1, 0.2], device=device), 0.5)[1].tolist() == [1, 0]

    def test_score_threshold_and_max_num(self, device):
        boxes = torch.tensor([[0.0, 0, 1, 1], [5, 5, 6, 6], [9, 9, 10, 10], [20, 20, 21, 21]], device=device)
        scores = torch.tensor([0.2, 0.9, 0.6, 0.7], device=device)
        assert mmcv.ops.nms(boxes, scores, 0.5, score_threshold=0.5, max_num=2)[1].tolist() == [1, 3]

    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
    def test_other_dtypes(self, device, dtype):
        boxes = torch.tensor([[0, 0, 8, 8], [0, 0, 8, 7], [20, 20, 24, 24]], dtype=dtype, device=device)
        scores = torch.tensor([0.25, 0.5, 0.125], dtype=dtype, device=device)
        dets, kept = mmcv.ops.nms(boxes, scores, 0.5)
        assert kept.tolist() == [1, 2]
        assert dets.dtype == dtype

    def test_empty(self, device):
        dets, kept = mmcv.ops.nms(torch.zeros(0, 4, device=device), torch.zeros(0, device=device), 0.5)
        assert dets.shape == (0, 5)
        assert kept.shape == (0,)
        assert kept.dtype == torch.int64

    @pytest.mark.parametrize('split', [10_000, 50])
    def test_batched_nms(self, device, split):
        corners = torch.rand(200, 2, device=device) * 20
        boxes = torch.cat([corners, corners + 5 + torch.rand(200, 2, device=device) * 10], 1)
        scores, classes = torch.rand(200, device=device), torch.randint(0, 4, (200,), device=device)
        dets, kept = mmcv.ops.batched_nms(boxes, scores, classes, {'type': 'nms', 'iou_threshold': 0.5, 'split_thr': split})
        expected = torchvision.ops.batched_nms(boxes, scores, classes, 0.5)
        assert torch.equal(kept, expected)
        assert torch.equal(dets[:, 4], scores[kept])

    def test_batched_nms_class_agnostic(self, device):
        boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4]], device=device)
        scores, classes = torch.tensor([0.3, 0.4], device=device), torch.tensor([0, 1], device=device)
        config = {'type': 'nms', 'iou_threshold': 0.5}
        assert mmcv.ops.batched_nms(boxes, scores, classes, config)[1].tolist() == [1, 0]
        assert mmcv.ops.batched_nms(boxes, scores, classes, config, class_agnostic=True)[1].tolist() == [1]


@pytest.mark.parametrize('device', DEVICES)
class TestSigmoidFocalLoss:
    @pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
    @pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (1.5, 0.6)])
    def test_equals_torchvision(self, device, reduction, gamma, alpha):
        logits = torch.randn(40, 5, dtype=torch.float64, device=device) * 4
        target = torch.randint(0, 6, (40,), device=device)  # 5 is background: no class is positive
        onehot = torch.nn.functional.one_hot(target, 6)[:, :5].to(logits)
        rows = 40 if reduction == 'mean' else 1  # mmcv's mean is over rows, torchvision's over elements
        reference = 'none' if reduction == 'none' else 'sum'
        assert_same_gradients(
            lambda x: mmcv.ops.sigmoid_focal_loss(x, target, gamma, alpha, None, reduction),
            lambda x: torchvision.ops.sigmoid_focal_loss(x, onehot, alpha, gamma, reference) / rows,
            [logits],
        )

    def test_values_by_hand(self, device):
        # p = 0.5 at logit 0: positive 0.25 * 0.25 * ln 2, negative 0.75 * 0.25 * ln 2.
        loss = mmcv.ops.sigmoid_focal_loss(torch.zeros(1, 2, device=device), torch.tensor([1], device=device), 2.0, 0.25, None, 'none')
        expected = torch.tensor([[0.1875, 0.0625]], device=device) * math.log(2)
        torch.testing.assert_close(loss, expected)

    def test_class_weights(self, device):
        logits, target = torch.randn(4, 3, device=device), torch.tensor([0, 2, 1, 3], device=device)
        weight = torch.tensor([2.0, 0.5, 4.0], device=device)
        factor = torch.tensor([[2.0], [4.0], [0.5], [1.0]], device=device)  # background has no weight of its own
        assert_same_gradients(
            lambda x: mmcv.ops.sigmoid_focal_loss(x, target, 2.0, 0.25, weight, 'none'),
            lambda x: mmcv.ops.sigmoid_focal_loss(x, target, 2.0, 0.25, None, 'none') * factor,
            [logits],
        )

    @pytest.mark.parametrize('gamma', [0.5, 1.0, 2.0])
    def test_extreme_logits_stay_finite(self, device, gamma):
        logits = torch.tensor([[1e4, -1e4, 90.0, -90.0]], device=device, requires_grad=True)
        loss = mmcv.ops.SigmoidFocalLoss(gamma, 0.25, reduction='none')(logits, torch.tensor([1], device=device))
        # All of them wrong except the last: -log p is |logit| itself.
        torch.testing.assert_close(loss, torch.tensor([[7500.0, 2500.0, 67.5, 0.0]], device=device))
        loss.sum().backward()
        torch.testing.assert_close(logits.grad, torch.tensor([[0.75, -0.25, 0.75, 0.0]], device=device))

    def test_gradcheck(self, device):
        logits = torch.randn(6, 3, dtype=torch.float64, device=device, requires_grad=True)
        target, layer = torch.tensor([0, 1, 2, 3, 0, 3], device=device), mmcv.ops.SigmoidFocalLoss(2.0, 0.25)
        assert torch.autograd.gradcheck(lambda x: layer(x, target), logits)

    def test_empty(self, device):
        logits = torch.zeros(0, 3, device=device, requires_grad=True)
        loss = mmcv.ops.sigmoid_focal_loss(logits, torch.zeros(0, dtype=torch.int64, device=device), 2.0, 0.25, None, 'sum')
        loss.backward()
        assert loss.item() == 0
        assert logits.grad.shape == (0, 3)
