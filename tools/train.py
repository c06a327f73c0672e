"""Trains a model: mmdet's own tools/train.py and its flags."""

from _mmdet import run

if __name__ == '__main__':
    run(
        'train.py',
        'python tools/train.py configs/dcme/dcme_tiny_shapes.py --work-dir work_dirs/first --cfg-options train_cfg.max_iters=500',
    )
