"""tools/draw_results.py on an untrained model: the pictures are there, whatever is on them."""

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmext_instseg.registry import MODELS
from mmext_instseg.visualization import confidence_statistics, size_confidence


def test_pictures_of_the_test_data(tool, untrained, tmp_path):
    config, weights, _ = untrained
    status, text = tool('draw_results.py', config, weights, '--out', tmp_path / 'new', '--num', 2, '--device', 'cpu')
    assert status == 0, text
    # two of three images, evenly spread: the first and the last
    names = ['000_000000000001.png', '001_000000000003.png', 'contact_sheet.png']
    assert text.splitlines()[-3:] == [str(tmp_path / 'new' / name) for name in names]
    sizes = [Image.open(tmp_path / 'new' / name).size for name in names]
    assert sizes[0][0] > 5 * sizes[0][1], 'six columns: the ground truth is there'
    assert sizes[2][0] == 2400


def test_pictures_of_given_files(tool, untrained, tmp_path):
    config, weights, images = untrained
    picture = tmp_path / 'photo.png'
    with Image.open(next(images.iterdir())) as image:
        image.resize((150, 70)).save(picture)
    status, text = tool('draw_results.py', config, weights, '--out', tmp_path, '--images', picture, '--device', 'cpu')
    assert status == 0, text
    assert (tmp_path / '000_photo.png').is_file()


@pytest.fixture
def embedding_model(untrained, tmp_path):
    """(config, checkpoint) of an untrained embedding U-Net; its data are those of `untrained`."""
    path = tmp_path / 'embedding.py'
    text = untrained[0].read_text().replace('dcme/dcme_tiny', 'embedding_unet/embedding_unet_tiny')
    path.write_text(
        text + 'model = dict(backbone=dict(base_channels=8), heads=dict(instance=dict(in_channels=8), semantic=dict(in_channels=8)))'
    )
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(path).model)
    meta = torch.load(untrained[1], weights_only=False)['meta']
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, tmp_path / 'embedding.pth')
    return path, tmp_path / 'embedding.pth'


@pytest.mark.parametrize('threshold', [0.5, None])
def test_pictures_of_embeddings(tool, embedding_model, tmp_path, monkeypatch, threshold):
    """Semantics, embeddings and confidence beside the rest; true maps in place of an untrained network's."""
    drawn = []
    monkeypatch.setattr('mmext_instseg.visualization.draw_panel', lambda *args, **kwargs: drawn.append((args, kwargs)) or args[0])
    monkeypatch.setattr('mmext_instseg.visualization.contact_sheet', lambda paths, out: out)
    true = ("model.test_cfg.true_maps=['semantic','instance']", f'model.test_cfg.foreground_threshold={threshold}')
    words = ('--out', tmp_path, '--num', '1', '--device', 'cpu', '--cfg-options', *true)
    status, text = tool('draw_results.py', *embedding_model, *words)
    assert status == 0, text
    (((_, image, found), kwargs),) = drawn
    names = ['semantic mask', 'embeddings (principal components)', 'confidence (box size)']
    assert list(kwargs['pictures']) == names
    semantic, embeddings, confidence = kwargs['pictures'].values()
    thing = found.ids.numpy() > 0
    assert len(found) > 2 and semantic.shape == embeddings.shape == image.shape == (128, 128, 3)
    assert ((semantic != 255).any(axis=2) == (thing if threshold else kwargs['truth'].ids.numpy() > 0)).all()
    if threshold is not None:
        assert (embeddings[~thing] == 255).all() and (embeddings[thing] != 255).any()
        colours = {tuple(embeddings[found.ids.numpy() == number].mean(axis=0).round()) for number in range(1, len(found) + 1)}
        assert len(colours) == len(found)
    assert confidence.shape == (512, 512, 3), 'enlarged, with thin outlines'
    assert kwargs['captions'] == {names[2]: str(confidence_statistics(size_confidence(found.boxes, found.shape)))}


def test_bad_arguments(tool, untrained, tmp_path):
    config, weights, _ = untrained
    for words, message in (
        ((config, tmp_path / 'no.pth', '--out', tmp_path), 'no.pth is not a file'),
        ((config, weights, '--out', tmp_path, '--images', tmp_path / 'no.jpg'), 'no.jpg is not a file'),
        ((config, weights, '--out', tmp_path, '--num', '0'), 2),
    ):
        status, _ = tool('draw_results.py', *words, '--device', 'cpu')
        assert status == message if isinstance(message, int) else message in status


def test_models_without_dense_maps(tool, untrained, tmp_path):
    config = tmp_path / 'other.py'
    small = 'backbone=dict(depth=18, base_channels=8, init_cfg=None), mask_head=dict(stacked_convs=1, feat_channels=32)'
    config.write_text(f"_base_ = 'mmdet::solov2/solov2_r50_fpn_1x_coco.py'\nmodel = dict({small})\n")
    status, _ = tool('draw_results.py', config, untrained[1], '--out', tmp_path, '--device', 'cpu')
    assert "untrained.pth doesn't fit the SOLOv2 of" in status
    torch.save(MODELS.build(Config.fromfile(config).model).state_dict(), tmp_path / 'own.pth')
    status, _ = tool('draw_results.py', config, tmp_path / 'own.pth', '--out', tmp_path, '--device', 'cpu')
    assert 'a SOLOv2 predicts no dense maps' in status


def test_help_has_an_example(tool):
    status, text = tool('draw_results.py', '--help')
    assert status == 0
    assert 'python tools/draw_results.py configs/dcme/dcme_tiny_shapes.py' in text
