"""mmcv.ops on the fallback of mmcv._ext: values and gradients against torchvision, autograd and written-out loops."""

import math

import mmcv._ext
import mmcv.ops
import pytest
import torch
import torchvision.ops
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch
from mmengine.utils.dl_utils.misc import mmcv_full_available

pytestmark = pytest.mark.skipif('mmcv_ext' not in mmcv._ext.__file__, reason='mmcv has compiled ops here, so the fallback is not used')
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU'))]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def assert_same_gradients(ours, reference, inputs):
    """Same value and same gradients for all inputs, under one random weighting of the output."""
    values, grads = [], []
    for function in (ours, reference):
        leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
        value = function(*leaves)
        torch.manual_seed(1)
        values.append(value.detach())
        grads.append(torch.autograd.grad(value, leaves, torch.randn(value.shape, dtype=value.dtype).to(value.device)))
    torch.testing.assert_close(*values)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)
        assert one.abs().sum() > 0


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


def roi_align_loops(x, rois, size, scale, ratio, aligned, reduce):
    """RoIAlign point by point; differentiable because it only indexes and adds."""
    height, width = x.shape[2:]
    shift = 0.5 if aligned else 0.0

    def sample(image, row, column):
        if row < -1 or row > height or column < -1 or column > width:
            return image[:, 0, 0] * 0
        row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
        top, left = int(row), int(column)
        down, right = min(top + 1, height - 1), min(left + 1, width - 1)
        a, b = row - top, column - left
        upper = (1 - b) * image[:, top, left] + b * image[:, top, right]
        return (1 - a) * upper + a * ((1 - b) * image[:, down, left] + b * image[:, down, right])

    pooled = []
    for index, x1, y1, x2, y2 in rois.tolist():
        left, top, right, bottom = (v * scale - shift for v in (x1, y1, x2, y2))
        box_h, box_w = bottom - top, right - left
        if not aligned:
            box_h, box_w = max(box_h, 1), max(box_w, 1)
        bin_h, bin_w = box_h / size[0], box_w / size[1]
        rows, columns = (ratio, ratio) if ratio > 0 else (math.ceil(bin_h), math.ceil(bin_w))
        for i in range(size[0]):
            for j in range(size[1]):
                points = [
                    sample(x[int(index)], top + (i + (r + 0.5) / rows) * bin_h, left + (j + (c + 0.5) / columns) * bin_w)
                    for r in range(rows)
                    for c in range(columns)
                ]
                pooled.append(reduce(torch.stack(points)))
    return torch.stack(pooled).view(len(rois), *size, -1).permute(0, 3, 1, 2)


# Inside, over the border, far outside, tiny, and of unlike shapes, so that adaptive sampling takes several grids.
ROIS = [[0, 1, 2, 9, 11], [1, -3, -2, 4, 5], [0, 40, 40, 50, 52], [1, 3, 3, 3.6, 3.4], [1, 2, 1, 23, 7], [0, 0, 0, 5, 19]]


@pytest.mark.parametrize('device', DEVICES)
class TestRoIAlign:
    @pytest.mark.parametrize('aligned', [True, False])
    @pytest.mark.parametrize('ratio', [0, 2])
    def test_mean_equals_torchvision(self, device, aligned, ratio):
        x, rois = torch.randn(2, 3, 12, 14, device=device), torch.tensor(ROIS, device=device)
        layer = mmcv.ops.RoIAlign((3, 4), 0.5, ratio, 'avg', aligned)
        assert_same_gradients(
            lambda x: layer(x, rois),
            lambda x: torchvision.ops.roi_align(x, rois, (3, 4), 0.5, ratio, aligned),
            [x],
        )

    @pytest.mark.parametrize('mode', ['avg', 'max'])
    @pytest.mark.parametrize('aligned', [True, False])
    @pytest.mark.parametrize('ratio', [0, 2])
    def test_equals_written_out_loops(self, device, mode, aligned, ratio):
        x = torch.randn(2, 2, 12, 14, dtype=torch.float64, device=device)
        rois = torch.tensor(ROIS, dtype=torch.float64, device=device)
        layer = mmcv.ops.RoIAlign((3, 2), 0.5, ratio, mode, aligned)
        reduce = {'avg': lambda points: points.mean(0), 'max': lambda points: points.amax(0)}[mode]
        assert_same_gradients(lambda x: layer(x, rois), lambda x: roi_align_loops(x, rois, (3, 2), 0.5, ratio, aligned, reduce), [x])

    @pytest.mark.parametrize('mode', ['avg', 'max'])
    def test_gradcheck(self, device, mode):
        x = torch.randn(1, 2, 5, 6, dtype=torch.float64, device=device, requires_grad=True)
        rois = torch.tensor([[0, 0.3, 0.2, 4.1, 3.7], [0, 1, 1, 5.5, 2.5]], dtype=torch.float64, device=device)
        layer = mmcv.ops.RoIAlign((2, 2), 1.0, 0, mode)
        assert torch.autograd.gradcheck(lambda x: layer(x, rois), x, nondet_tol=1e-9)

    @pytest.mark.parametrize('mode', ['avg', 'max'])
    @pytest.mark.parametrize('ratio', [0, 2])
    def test_no_boxes(self, device, mode, ratio):
        x = torch.randn(2, 3, 8, 8, device=device, requires_grad=True)
        pooled = mmcv.ops.RoIAlign(7, 1.0, ratio, mode)(x, torch.zeros(0, 5, device=device))
        assert pooled.shape == (0, 3, 7, 7)
        pooled.sum().backward()
        assert x.grad.shape == x.shape
        assert not x.grad.any()

    @pytest.mark.parametrize('mode', ['avg', 'max'])
    @pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
    def test_reduced_precision(self, device, mode, dtype):
        x = torch.arange(64.0, device=device).view(1, 1, 8, 8).to(dtype).requires_grad_()  # all values exact
        pooled = mmcv.ops.RoIAlign(2, 1.0, 1, mode)(x, torch.tensor([[0, 0, 0, 8, 8]], dtype=dtype, device=device))
        # Bins of 4 x 4 pixels, sampled at their middle: between pixels 1 and 2 (value 13.5), and 4 right, 32 down.
        assert pooled.dtype == dtype
        assert pooled.flatten().tolist() == [13.5, 17.5, 45.5, 49.5]
        pooled.sum().backward()
        expected = torch.zeros(8, 8, device=device)
        expected[[[1], [2], [5], [6]], [1, 2, 5, 6]] = 0.25
        assert torch.equal(x.grad[0, 0].float(), expected)

    def test_max_with_many_samples_in_bfloat16(self, device):
        # 20 x 20 samples a bin over a 280 x 280 box: fine coordinates beyond 256 would be rounded in bfloat16.
        x = torch.rand(1, 1, 300, 300, device=device)
        rois = torch.tensor([[0.0, 4, 4, 284, 284]], device=device)
        grads = []
        for dtype in (torch.float32, torch.bfloat16):
            leaf = x.bfloat16().to(dtype).requires_grad_()
            mmcv.ops.RoIAlign(14, 1.0, 20, 'max')(leaf, rois.to(dtype)).sum().backward()
            grads.append(leaf.grad.float())
        torch.testing.assert_close(grads[1], grads[0], atol=2e-2, rtol=2e-2)


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


def deform_inputs(device, batch=2, groups=2, dtype=torch.float64):
    """Input 7 x 8 with 4 channels; 3 x 2 kernel, stride (2, 1), padding (1, 0), dilation (1, 2): output 4 x 6."""
    torch.manual_seed(2)
    offset = torch.randn(batch, 2 * groups * 6, 4, 6, dtype=dtype, device=device) * 2
    return torch.randn(batch, 4, 7, 8, dtype=dtype, device=device), offset, torch.rand(batch, groups * 6, 4, 6, dtype=dtype, device=device)


@pytest.mark.parametrize('device', DEVICES)
class TestModulatedDeformConv:
    @pytest.mark.parametrize('bias', [True, False])
    @pytest.mark.parametrize('groups', [1, 2])
    def test_equals_torchvision(self, device, bias, groups):
        x, offset, mask = deform_inputs(device)
        layer = mmcv.ops.ModulatedDeformConv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups, 2, bias).to(x)
        parameters = [p.detach() + torch.randn_like(p) for p in layer.parameters()]

        def ours(x, offset, mask, weight, *rest):
            return mmcv.ops.modulated_deform_conv2d(x, offset, mask, weight, *(rest or [None]), (2, 1), (1, 0), (1, 2), groups, 2)

        def reference(x, offset, mask, weight, *rest):
            return torchvision.ops.deform_conv2d(x, offset, weight, *(rest or [None]), (2, 1), (1, 0), (1, 2), mask)

        assert len(parameters) == 1 + bias
        assert_same_gradients(ours, reference, [x, offset, mask, *parameters])

    def test_without_offsets_it_is_a_convolution(self, device):
        x, offset, mask = deform_inputs(device, dtype=torch.float32)
        layer = mmcv.ops.ModulatedDeformConv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), deform_groups=2).to(device)
        expected = torch.nn.functional.conv2d(x, layer.weight, layer.bias, (2, 1), (1, 0), (1, 2))
        torch.testing.assert_close(layer(x, offset * 0, torch.ones_like(mask)), expected)

    def test_offsets_are_y_then_x(self, device):
        x = torch.arange(20.0, device=device).view(1, 1, 4, 5)
        offset = torch.tensor([1.0, 2.0], device=device).view(1, 2, 1, 1).expand(1, 2, 4, 5)
        layer = mmcv.ops.ModulatedDeformConv2d(1, 1, 1, bias=False).to(device)
        torch.nn.init.ones_(layer.weight)
        out = layer(x, offset, torch.full((1, 1, 4, 5), 0.5, device=device))
        expected = torch.zeros(4, 5, device=device)
        expected[:3, :3] = x[0, 0, 1:, 2:] / 2
        torch.testing.assert_close(out[0, 0], expected)

    def test_gradcheck(self, device):
        x, offset, mask = (tensor[:1].requires_grad_() for tensor in deform_inputs(device, groups=1))
        weight = torch.randn(2, 4, 3, 2, dtype=torch.float64, device=device, requires_grad=True)
        bias = torch.randn(2, dtype=torch.float64, device=device, requires_grad=True)
        function = mmcv.ops.modulated_deform_conv2d
        assert torch.autograd.gradcheck(
            lambda *inputs: function(*inputs, (2, 1), (1, 0), (1, 2), 1, 1),
            (x, offset, mask, weight, bias),
            fast_mode=True,
            nondet_tol=1e-9,
        )

    def test_pack_trains(self, device):
        layer = mmcv.ops.ModulatedDeformConv2dPack(3, 4, 3, padding=1, deform_groups=1).to(device)
        layer(torch.randn(2, 3, 6, 6, device=device)).square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
        assert layer.conv_offset.bias.grad.abs().sum() > 0


def attention_inputs(device, batch=2, queries=3, dtype=torch.float64):
    """Levels of 4 x 5 and 2 x 3 pixels, 2 heads of 3 channels, 2 points; some locations lie outside."""
    torch.manual_seed(3)
    value = torch.randn(batch, 26, 2, 3, dtype=dtype, device=device)
    locations = torch.rand(batch, queries, 2, 2, 2, 2, dtype=dtype, device=device) * 1.4 - 0.2
    weights = torch.rand(batch, queries, 2, 2, 2, dtype=dtype, device=device)
    return value, locations, weights, torch.tensor([[4, 5], [2, 3]], device=device), torch.tensor([0, 20], device=device)


def attention_loops(value, shapes, locations, weights):
    """The formula of the paper, sample by sample: sum over levels and points of weight x bilinear value."""
    batch, _, heads, _ = value.shape
    out = []
    for b in range(batch):
        for q in range(locations.shape[1]):
            for m in range(heads):
                total, start = value[0, 0, 0] * 0, 0
                for level, (height, width) in enumerate(shapes.tolist()):
                    for p in range(locations.shape[4]):
                        x = locations[b, q, m, level, p, 0] * width - 0.5
                        y = locations[b, q, m, level, p, 1] * height - 0.5
                        left, top = int(x.floor()), int(y.floor())
                        for row, by in ((top, 1 - (y - top)), (top + 1, y - top)):
                            for column, bx in ((left, 1 - (x - left)), (left + 1, x - left)):
                                if 0 <= row < height and 0 <= column < width:
                                    pixel = value[b, start + row * width + column, m]
                                    total = total + weights[b, q, m, level, p] * by * bx * pixel
                    start += height * width
                out.append(total)
    return torch.stack(out).view(batch, locations.shape[1], -1)


@pytest.mark.parametrize('device', DEVICES)
class TestMultiScaleDeformableAttention:
    @staticmethod
    def op(shapes, starts):
        return lambda value, locations, weights: MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)

    def test_equals_written_out_loops(self, device):
        *inputs, shapes, starts = attention_inputs(device)
        assert_same_gradients(self.op(shapes, starts), lambda v, loc, w: attention_loops(v, shapes, loc, w), inputs)

    def test_equals_mmcv_in_python(self, device):
        *inputs, shapes, starts = attention_inputs(device, queries=20)
        assert_same_gradients(self.op(shapes, starts), lambda v, loc, w: multi_scale_deformable_attn_pytorch(v, shapes, loc, w), inputs)

    def test_level_start_index_is_followed(self, device):
        value, locations, weights, shapes, starts = attention_inputs(device)
        swapped = torch.cat([value[:, 20:], value[:, :20]], 1)
        expected = self.op(shapes, starts)(value, locations, weights)
        torch.testing.assert_close(self.op(shapes, torch.tensor([6, 0], device=device))(swapped, locations, weights), expected)

    def test_gradcheck(self, device):
        *inputs, shapes, starts = attention_inputs(device, batch=1)
        inputs = [tensor.requires_grad_() for tensor in inputs]
        assert torch.autograd.gradcheck(self.op(shapes, starts), inputs, nondet_tol=1e-9)

    @pytest.mark.parametrize(('batch', 'queries'), [(2, 0), (0, 3)])
    def test_empty(self, device, batch, queries):
        value, locations, weights, shapes, starts = attention_inputs(device, batch, queries)
        out = self.op(shapes, starts)(value.requires_grad_(), locations, weights)
        assert out.shape == (batch, queries, 6)
        out.sum().backward()
        assert not value.grad.any()

    def test_half_precision_value(self, device):
        value, locations, weights, shapes, starts = attention_inputs(device, dtype=torch.float32)
        out = self.op(shapes, starts)(value.half(), locations, weights)
        assert out.dtype == torch.float16
        expected = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
        torch.testing.assert_close(out.float(), expected, atol=1e-2, rtol=1e-2)

    def test_module_trains(self, device):
        layer = mmcv.ops.MultiScaleDeformableAttention(8, 2, 2, 2, batch_first=True).to(device)
        _, _, _, shapes, starts = attention_inputs(device)
        query, value = torch.randn(1, 3, 8, device=device), torch.randn(1, 26, 8, device=device)
        out = layer(
            query, value=value, reference_points=torch.rand(1, 3, 2, 2, device=device), spatial_shapes=shapes, level_start_index=starts
        )
        out.square().mean().backward()
        assert out.shape == (1, 3, 8)
        assert layer.value_proj.weight.grad.abs().sum() > 0
