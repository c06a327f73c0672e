"""TorchScript archives, read without running them."""

import pickle
import zipfile

import pytest
import torch
from torch import nn

from mmext_instseg.models.layers.torchscript import is_torchscript, read_torchscript


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.register_buffer('size', torch.tensor([224, 7]))
        self.register_buffer('flags', torch.tensor([True, False, True]))
        self.register_buffer('none', torch.zeros(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) * self.scale


class Restored(nn.Module):
    """Would run its own code when loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    @torch.jit.export
    def __getstate__(self):
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        raise AssertionError('run')

    def forward(self, x):
        return x


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_reads_what_jit_load_reads(tmp_path, dtype):
    path = str(tmp_path / 'net.pt')
    net = Net().eval()
    with torch.no_grad():
        net.layers[0].weight = nn.Parameter(torch.randn(3, 5).T)  # not contiguous
    torch.jit.script(net.to(dtype)).save(path)
    assert is_torchscript(path)
    expected, found = torch.jit.load(path).state_dict(), read_torchscript(path)
    assert found.keys() == expected.keys() and len(found) == 11
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


def test_other_files_are_none(tmp_path):
    torch.save({'weight': torch.zeros(2)}, tmp_path / 'state.pth')
    (tmp_path / 'text.pt').write_text('weights')
    assert not is_torchscript(str(tmp_path / 'state.pth')) and not is_torchscript(str(tmp_path / 'text.pt'))


def test_no_program_of_the_archive_runs(tmp_path):
    path = str(tmp_path / 'restored.pt')
    torch.jit.script(Restored()).save(path)
    with pytest.raises(torch.jit.Error, match='run'):
        torch.jit.load(path)
    with pytest.raises(pickle.UnpicklingError, match='by a program of its own'):
        read_torchscript(path)


class Call:
    def __reduce__(self):
        return print, ('run',)


def test_no_function_of_python_is_called(tmp_path, capsys):
    path = tmp_path / 'evil.pt'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('evil/constants.pkl', pickle.dumps(()))
        archive.writestr('evil/data.pkl', pickle.dumps(Call()))
    with pytest.raises(pickle.UnpicklingError, match=r'no need of builtins\.print'):
        read_torchscript(str(path))
    assert not capsys.readouterr().out
