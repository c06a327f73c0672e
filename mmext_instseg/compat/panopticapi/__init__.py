"""What mmdet needs of panopticapi, which isn't on the package index; a real one is found first and wins.

Upstream: cocodataset/panopticapi, a requirement of mmdet since its pull request 5231. It can go once panopticapi is on the index.
"""
