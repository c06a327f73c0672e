"""CLIPSeg's decoder from its published layouts to a file for `load_from`, and files that are something else."""

import pytest
import torch
from clipseg_small import LAYOUTS, CLIPSeg, clipseg
from converters import load
from mmdet.models.backbones import ResNet
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file

from mmext_instseg.models.necks import DistanceMapDecoder
from mmext_instseg.registry import MODELS

tool = load('convert_clipseg')


def rd64() -> CLIPSeg:
    """The sizes of the published file."""
    return CLIPSeg(768, 512, 64, 4, 2048)


@pytest.mark.parametrize(('layout', 'source', 'others'), [('CLIPSeg', 'rd64.pth', 4), ('Hugging Face', 'rd64.safetensors', 5)])
def test_rd64_becomes_a_file_to_start_from(tmp_path, capsys, layout, source, others):
    model = rd64()
    (save_file if source.endswith('.safetensors') else torch.save)(LAYOUTS[layout](model), tmp_path / source)
    before = (tmp_path / source).read_bytes()
    assert tool.main([str(tmp_path / source), str(tmp_path / 'decoder.pth')]) == 0
    lines = capsys.readouterr().out.splitlines()
    fresh = DistanceMapDecoder(fusion='hybrid', upsample='pixel_shuffle_icnr', coord_merge=True).state_dict()
    assert sum(line.startswith('matched ') for line in lines) == 46
    assert sum(line.startswith('unmatched ') for line in lines) == len(fresh) - 46
    assert sum(line.startswith('left out ') for line in lines) == others
    assert {'matched   film.mul.weight (64, 512)', 'left out  trans_conv.weight (64, 1, 16, 16)'} <= set(lines)
    assert f'unmatched projects.0.weight {tuple(fresh["projects.0.weight"].shape)}' in lines
    assert f"layout    {layout}'s, {len(LAYOUTS[layout](model))} tensors" in lines
    state = torch.load(tmp_path / 'decoder.pth', weights_only=True)['state_dict']
    assert len(state) == 46 and torch.equal(state['neck.blocks.2.linear1.weight'], model.blocks[2].linear1.weight)
    assert (tmp_path / source).read_bytes() == before


def test_a_training_starts_from_it(tmp_path):
    """What `load_from` does, on a small network; and the decoder alone by `init_cfg`."""
    cfg = Config.fromfile(tool.CONFIG.with_name('instance_clipseg_tiny_shapes.py'))
    (tmp_path / 'small.py').write_text(f"_base_ = '{cfg.filename}'\n")
    source = CLIPSeg(64, 64, 64, 4, 128)
    torch.save(source.state_dict(), tmp_path / 'in.pth')
    out = tmp_path / 'out.pth'
    assert tool.main([str(tmp_path / 'in.pth'), str(out), '--config', str(tmp_path / 'small.py')]) == 0
    model = MODELS.build(cfg.model)
    heads = {key: value.clone() for key, value in model.heads.state_dict().items()}
    load_checkpoint(model, str(out), map_location='cpu')
    alone = MODELS.build(cfg.model.neck)
    alone.load_weights(str(out))
    for neck in (model.neck, alone):
        assert torch.equal(neck.film.add.bias, source.film_add.bias)
        assert torch.equal(neck.reduces[1].weight, source.reduces[1].weight)
    assert all(torch.equal(value, heads[key]) for key, value in model.heads.state_dict().items())


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (lambda: ResNet(18).state_dict(), "none of its 120 tensors is of CLIPSeg's decoder; the first is 'conv1.weight'"),
        (dict, 'none of its 0 tensors'),
        (lambda: {'state_dict': {'neck.film.mul.bias': torch.zeros(64)}}, "the first is 'neck.film.mul.bias'"),
        (lambda: clipseg().state_dict(), r'reduces.0.weight is (8, 12) instead of (64, 768)'),
        (lambda: CLIPSeg(1024, 768, 64, 4, 2048).state_dict(), 'is (64, 1024) instead of (64, 768)'),
        (lambda: {k: v for k, v in rd64().state_dict().items() if k != 'film_add.bias'}, 'film.add.bias is missing'),
        (lambda: {'weights': [print]}, 'print'),
    ],
    ids=['a ResNet', 'nothing', 'our own', 'other widths', 'another CLIP', 'a key is missing', 'a pickle'],
)
def test_other_files_are_refused(tmp_path, capsys, content, said):
    torch.save(content(), tmp_path / 'in.pth')
    assert tool.main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')]) == 1
    error = capsys.readouterr().err
    assert f'{tmp_path}/in.pth is refused, nothing was written' in error and said in error
    assert [path.name for path in tmp_path.iterdir()] == ['in.pth']


def test_arguments(tmp_path, capsys):
    torch.save(rd64().state_dict(), tmp_path / 'in.pth')
    dcme = tool.CONFIG.parents[1] / 'dcme' / 'dcme_tiny_shapes.py'
    assert tool.main([str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth'), '--config', str(dcme)]) == 1
    assert 'dcme_tiny_shapes.py has no model.neck of type DistanceMapDecoder' in capsys.readouterr().err
    for words, code, said in (
        (('no.pth', 'out.pth'), 2, 'no.pth is not a file'),
        (('in.pth', 'in.pth'), 2, 'in.pth exists; name a new file'),
        (('in.pth', 'out.safetensors'), 2, 'out.safetensors: name a .pth file'),
        (('--help',), 0, 'python tools/convert_clipseg.py rd64-uni.pth checkpoints/clipseg_decoder.pth'),
    ):
        with pytest.raises(SystemExit) as stop:
            tool.main([word if word.startswith('--') else str(tmp_path / word) for word in words])
        assert stop.value.code == code
        assert said in ''.join(capsys.readouterr())
