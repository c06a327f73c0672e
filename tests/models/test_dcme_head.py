import torch
from head_contract import HeadContract, make_sample


class TestDCMEHead(HeadContract):
    config = dict(type='DCMEHead', codec=dict(type='DCMECodec', unit=4.0))

    def test_loss_and_mse_by_hand(self, head):
        sample = make_sample(torch.tensor([[1, 1, 0, -1]]))  # displacements +-1/2 px = +-1/8 unit, 0, ignored
        raw = torch.zeros(1, 2, 1, 4)
        losses = head.loss_by_output(raw, [sample])
        error = torch.tensor(1 / 8)
        value = 4 * (error / 2 + torch.log1p(torch.exp(-error)) - torch.log(torch.tensor(2.0)))
        torch.testing.assert_close(losses['loss_dcme'], 2 * value / 6)  # two of the six values that count
        torch.testing.assert_close(losses['mse'], 2 * error**2 / (2 * 6))

    def test_reads_the_feature_it_is_told_to(self, head):
        first, second = self.feats(5, 6)[0], self.feats(7, 8)[0]
        assert head((first, second)).shape == (2, 2, 5, 6)
        head.in_index = 1
        assert head((first, second)).shape == (2, 2, 7, 8)

    def test_a_sum_is_the_papers_gradient_to_the_letter(self, head):
        head.loss_displacement.reduction = 'sum'
        raw = torch.zeros(1, 2, 1, 4, requires_grad=True)
        head.loss_by_output(raw, [make_sample(torch.tensor([[1, 1, 0, -1]]))])['loss_dcme'].backward()
        slope = 4 * (torch.sigmoid(torch.tensor(1 / 8)) - 0.5)
        torch.testing.assert_close(raw.grad[0, :, 0], torch.stack([torch.stack([-slope, slope, slope * 0, slope * 0]), torch.zeros(4)]))


class TestDCMEHeadWithTheEuclideanLoss(HeadContract):
    config = dict(type='DCMEHead', codec=dict(type='DCMECodec', unit=4.0), loss_displacement=dict(type='EuclideanLoss', reduction='images'))
