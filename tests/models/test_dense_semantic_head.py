import torch
from head_contract import HeadContract, WithoutLabels, make_sample
from mmengine.structures import PixelData


class TestDenseSemanticHead(WithoutLabels, HeadContract):
    config = dict(type='DenseSemanticHead', num_things_classes=3, edge=dict(d=4.0))

    def test_unlabelled_pixels_cost_nothing(self, head):
        raw = torch.zeros(1, 3, 1, 4, requires_grad=True)
        losses = head.loss_by_output(raw, [make_sample(torch.tensor([[1, 2, 0, -1]]))])
        losses['loss_semantic'].backward()
        torch.testing.assert_close(losses['loss_semantic'], torch.tensor(3.0).log())
        assert raw.grad[..., :2].abs().min() > 0 and not raw.grad[..., 2:].any()


class TestDenseSemanticHeadWithStuff(WithoutLabels, HeadContract):
    config = dict(type='DenseSemanticHead', num_things_classes=3, num_stuff_classes=2, loss_tv=None, edge=dict(d=1.0))

    def test_labels_and_weights_by_hand(self, head):
        sample = make_sample(torch.tensor([[1, 1, 0, 0, 0, 0, 0, -1]]))
        sample.gt_sem_seg = PixelData(sem_seg=torch.tensor([[[9, 9, 3, 3, 3, 4, 255, 255]]]))
        labels, segments = head._targets([sample], (1, 8), torch.device('cpu'))
        assert labels.tolist() == [[[0, 0, 3, 3, 3, 4, head.IGNORE, head.IGNORE]]]
        assert segments.tolist() == [[[1, 1, 5, 5, 5, 6, 0, -1]]]
        raw = torch.zeros(1, 5, 1, 8)
        raw[:, :, :, 0] = torch.tensor([2.0, 0, 0, 0, 0]).view(1, 5, 1)  # the only pixel away from a boundary but for the fourth
        loss = head.loss_by_output(raw, [sample])['loss_semantic']
        far = torch.exp(torch.tensor(-1.0))  # Eq. 5 one pixel away, D = 1
        uniform, better = torch.tensor(5.0).log(), torch.log(4 + torch.tensor(2.0).exp()) - 2
        torch.testing.assert_close(loss, (far * better + (4 + far) * uniform) / (4 + 2 * far))

    def test_borders_between_stuff_count(self, head):
        """An image without things is trained too."""
        sample = make_sample(torch.zeros(1, 4, dtype=torch.int64))
        sample.gt_sem_seg = PixelData(sem_seg=torch.tensor([[[3, 3, 4, 4]]]))
        assert head.loss_by_output(torch.zeros(1, 5, 1, 4), [sample])['loss_semantic'] > 1

    def test_stuff_is_resized_at_pixel_centres(self, head):
        sample = make_sample(torch.zeros(1, 6, dtype=torch.int64))
        sample.gt_sem_seg = PixelData(sem_seg=torch.tensor([[[3, 4, 4, 3, 3, 4]]]))
        assert head._targets([sample], (1, 4), torch.device('cpu'))[0].tolist() == [[[3, 4, 3, 4]]]
