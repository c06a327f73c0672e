"""mmcv.ops on the fallback of mmcv._ext: the ops that sample, against torchvision, mmcv in Python and written-out loops."""

import math

import mmcv.ops
import pytest
import torch
import torchvision.ops
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch
from mmcv_ext_checks import DEVICES, assert_same_gradients, needs_fallback

pytestmark = needs_fallback


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


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
