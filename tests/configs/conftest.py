import json
import os
from pathlib import Path

import pytest


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
