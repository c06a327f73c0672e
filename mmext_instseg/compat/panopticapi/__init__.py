"""What mmdet needs of panopticapi, which isn't on the package index; a real one is found first and wins.

Upstream: cocodataset/panopticapi, open-mmlab/mmdetection issue 7309. It can go once panopticapi is on the index.
"""
