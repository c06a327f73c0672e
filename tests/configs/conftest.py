import json
import os
from pathlib import Path

import pytest
from recipe_data import write_cityscapes


@pytest.fixture
def coco_folder(real_data, tmp_path, monkeypatch) -> Path:
    """A working folder with data/coco: four real images to train on and four to test on."""
    monkeypatch.chdir(tmp_path)
    folder, source = tmp_path / 'data' / 'coco', real_data / 'coco_panoptic_mini'
    (folder / 'annotations').mkdir(parents=True)
    for split in ('train2017', 'val2017'):
        os.symlink(source / split, folder / split)
        truth = json.loads((source / 'annotations' / f'instances_{split}.json').read_text())
        truth['images'] = truth['images'][:4]
        kept = {image['id'] for image in truth['images']}
        truth['annotations'] = [one for one in truth['annotations'] if one['image_id'] in kept]
        (folder / 'annotations' / f'instances_{split}.json').write_text(json.dumps(truth))
    return folder


@pytest.fixture(scope='session')
def cityscapes_folder(tmp_path_factory) -> Path:
    """A working folder with data/cityscapes, made and converted as the documents say: two images a split."""
    folder = tmp_path_factory.mktemp('user')
    write_cityscapes(folder / 'data', dict(train=2, val=2, test=2))
    return folder
