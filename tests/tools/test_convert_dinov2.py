"""DINOv2's weights from any layout to ours, and files that are something else."""

import pytest
import torch
from converters import load
from dinov2_small import LAYOUTS, timm_model
from mmdet.models.backbones import ResNet
from safetensors.torch import load_file, save_file

tool = load('convert_dinov2')


@pytest.mark.parametrize('layout', list(LAYOUTS))
@pytest.mark.parametrize('registers', [0, 4])
@pytest.mark.parametrize(('source', 'target'), [('in.pth', 'out.safetensors'), ('in.safetensors', 'out.pth')])
def test_every_layout_becomes_ours(tmp_path, capsys, layout, registers, source, target):
    model = timm_model(registers)
    (save_file if source.endswith('.safetensors') else torch.save)(LAYOUTS[layout](model), tmp_path / source)
    before = (tmp_path / source).read_bytes()
    assert tool.main([str(tmp_path / source), str(tmp_path / target)]) == 0
    output = capsys.readouterr().out
    found = load_file(tmp_path / target) if target.endswith('.safetensors') else torch.load(tmp_path / target, weights_only=True)
    expected = model.state_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value)
    total = len(expected)
    assert f"layout    {layout}'s, {len(LAYOUTS[layout](model))} tensors" in output
    assert f'num_registers={registers}, patch_size=14, img_size=70)' in output
    assert f'matched   {total} of {total} tensors, {sum(value.numel() for value in expected.values()):,} values' in output
    assert f'not used  {"nothing" if layout == "timm" else "mask_token"}' in output
    assert (tmp_path / source).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source, target])


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (lambda: ResNet(18).state_dict(), "holds no DINOv2: 'patch_embed.proj.weight' is missing"),
        (lambda: {k: v for k, v in timm_model().state_dict().items() if k != 'blocks.2.ls1.gamma'}, 'blocks.2.ls1.gamma is missing'),
        (lambda: {'weights': [print]}, 'print'),
    ],
    ids=['a ResNet', 'a key is missing', 'a pickle'],
)
def test_other_files_are_refused(tmp_path, capsys, content, said):
    torch.save(content(), tmp_path / 'in.pth')
    assert tool.main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')]) == 1
    error = capsys.readouterr().err
    assert f'{tmp_path}/in.pth is refused, nothing was written' in error and said in error
    assert [path.name for path in tmp_path.iterdir()] == ['in.pth']


def test_no_file_is_overwritten(tmp_path, capsys):
    torch.save(timm_model().state_dict(), tmp_path / 'in.pth')
    before = (tmp_path / 'in.pth').read_bytes()
    for source, said in (('in.pth', 'in.pth exists; name a new file'), ('no.pth', 'no.pth is not a file')):
        with pytest.raises(SystemExit):
            tool.main([str(tmp_path / source), str(tmp_path / 'in.pth')])
        assert said in capsys.readouterr().err
    assert (tmp_path / 'in.pth').read_bytes() == before
