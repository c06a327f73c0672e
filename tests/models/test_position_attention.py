from itertools import accumulate
from math import log

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mmext_instseg.models.layers import PositionAttention


def make(channels: int = 64, theta: float = 0.0, residual: bool = False) -> PositionAttention:
    torch.manual_seed(0)
    module = PositionAttention(channels, residual)
    nn.init.constant_(module.theta, theta)
    return module


@torch.no_grad()
def hand_set(theta: float) -> PositionAttention:
    """On 8 channels: T1, P, A, M are channels 0, 1, 2, 3; T2 = 2 M' + 1; output channel k is (k + 1) theta T1 + 10 T2."""
    module = PositionAttention(8)
    for parameter in module.parameters():
        parameter.zero_()
    module.theta.fill_(theta)
    for part in range(4):
        module.reduce.weight[8 * part, part] = 1.0
    module.project.weight[0, 0], module.project.bias[0] = 2.0, 1.0
    module.fuse.weight[:, 0, 0, 0] = torch.arange(1.0, 9.0)
    module.fuse.weight[:, 8] = 10.0
    return module


def test_two_tokens_by_hand():
    x = torch.zeros(1, 8, 1, 2)
    x[0, 0, 0] = torch.tensor([10.0, 20.0])  # T1
    x[0, 1, 0] = torch.tensor([1.0, 0.0])  # P
    x[0, 2, 0] = torch.tensor([log(3.0), 0.0])  # A
    x[0, 3, 0] = torch.tensor([4.0, 8.0])  # M
    # Token 0: energies log 3 and 0, softmax 3/4 and 1/4, gathers 3 + 2 = 5, T2 = 11. Token 1: energies 0 and 0, gathers 6, T2 = 13.
    out = hand_set(theta=0.5)(x)[0, :, 0]
    torch.testing.assert_close(out[0], torch.tensor([5.0 + 110.0, 10.0 + 130.0]))
    torch.testing.assert_close(out[7], torch.tensor([40.0 + 110.0, 80.0 + 130.0]))
    torch.testing.assert_close(hand_set(theta=0.0)(x)[0, :, 0], torch.tensor([110.0, 130.0]).expand(8, 2))


@pytest.mark.parametrize(('height', 'width'), [(6, 5), (1, 7), (1, 1), (33, 17)])
def test_equals_the_matrix_form(height, width):
    module = make(theta=0.3)
    x = torch.randn(2, 64, height, width)
    t1, p, a, m = module.reduce(x).chunk(4, dim=1)
    attention = (p.flatten(2).mT @ a.flatten(2)).softmax(dim=-1)  # a row per query
    t2 = module.project((m.flatten(2) @ attention.mT).view_as(t1))
    expected = module.fuse(torch.cat([0.3 * t1, t2], dim=1))
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)
    residual = make(theta=0.3, residual=True)
    torch.testing.assert_close(residual(x), x + expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('channels', 'reduced'), [(512, 64), (1024, 128), (96, 16), (64, 8), (12, 8)])
def test_an_eighth_of_the_channels_in_multiples_of_8(channels, reduced):
    module = PositionAttention(channels)
    assert module.reduce.out_channels == 4 * reduced and module.fuse.out_channels == channels
    assert module(torch.randn(1, channels, 3, 2)).shape == (1, channels, 3, 2)


def test_theta_starts_at_zero_and_nothing_waits_for_it():
    module = make()
    module.init_weights()
    x = torch.randn(2, 64, 4, 5)
    assert module.theta == 0
    module(x).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    assert gradients['theta'] != 0
    t1, *others = gradients['reduce.weight'].chunk(4)
    assert (t1 == 0).all() and all(part.abs().sum() > 0 for part in others)
    with torch.no_grad():
        module.theta -= 0.01 * gradients['theta']
    module.zero_grad()
    module(x).square().sum().backward()
    assert all(part.abs().sum() > 0 for part in module.reduce.weight.grad.chunk(4))


def test_starts_soft_within_a_network_of_another_initialisation():
    network = BaseModule(init_cfg=dict(type='Kaiming', layer='Conv2d'))
    network.attention = PositionAttention(512)
    network.init_weights()
    _, p, a, _ = network.attention.reduce(torch.randn(1, 512, 16, 16)).chunk(4, dim=1)
    attention = (p.flatten(2).mT @ a.flatten(2)).softmax(dim=-1)
    assert attention.amax(dim=-1).mean() < 0.6  # with the network's initialisation: 0.93


@pytest.mark.parametrize('residual', [False, True])
def test_bfloat16_is_finite(residual):
    module = make(128, theta=0.5, residual=residual)
    x = 30 * torch.randn(2, 128, 9, 7)  # large energies: nothing divides them
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = module(x)
    out.float().sum().backward()
    assert out.isfinite().all() and all(parameter.grad.isfinite().all() for parameter in module.parameters())


def peak_bytes(call) -> int:
    """The most bytes that `call` holds at a time, by the allocator's own records."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        call()
    records = [event for event in run.profiler.kineto_results.events() if event.name() == '[memory]']
    return max(accumulate(event.nbytes() for event in sorted(records, key=lambda event: event.start_ns())))


def step(channels: int, height: int, width: int, mixed: bool = False) -> int:
    module = make(channels)
    x = torch.randn(1, channels, height, width, requires_grad=True)

    def call() -> None:
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
            out = module(x)
        out.float().sum().backward()

    call()
    return peak_bytes(call)


@pytest.mark.parametrize('channels', [16, 128])
def test_memory_grows_linearly_with_the_tokens(channels):
    small, middle, large = (step(channels, height, 64) for height in (24, 48, 96))
    assert large - middle < 2.2 * (middle - small)  # quadratic: 4
    assert large < 4 * (96 * 64) ** 2 / 4  # far less than the matrix


@pytest.mark.parametrize(('height', 'width'), [(61, 67), (4087, 1)])
@pytest.mark.parametrize('mixed', [False, True])
def test_memory_on_odd_sizes(height, width, mixed):
    tokens = height * width
    used = step(64, height, width, mixed)
    assert used < 4 * tokens**2 / 4 and used < 1.3 * step(64, 64, 64, mixed)


def test_the_count_sees_the_matrix():
    def matrix(tokens: int) -> int:
        query = torch.randn(1, 8, tokens).mT.unsqueeze(1)
        return peak_bytes(lambda: (query @ query.mT).softmax(-1) @ query)

    assert matrix(2048) >= 4 * 2048**2 and matrix(2048) > 3.5 * matrix(1024)
