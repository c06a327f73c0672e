"""Evaluates a checkpoint: mmdet's own tools/test.py and its flags."""

from _mmdet import run

if __name__ == '__main__':
    run('test.py', 'python tools/test.py configs/dcme/dcme_tiny_shapes.py work_dirs/first/iter_500.pth --show-dir pictures')
