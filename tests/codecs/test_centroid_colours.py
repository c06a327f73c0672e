import torch

from mmext_instseg.codecs import PECentroidCodec
from mmext_instseg.structures import InstanceMap


def test_colours_name_the_cell():
    """A grid as large as the map: object 1 has its centroid in the first cell, object 2 in the last one."""
    codec = PECentroidCodec(harmonics=3, grid=(16, 16))
    ids = torch.zeros(16, 16, dtype=torch.int64)
    ids[0, 0], ids[15, 15] = 1, 2
    colours = codec.colours({'centroid_code': codec.encode(InstanceMap.from_ids(ids, torch.zeros(2)))[0]['centroid_code'][None]})
    assert colours.shape == (1, 3, 16, 16)
    assert colours[0, :, 0, 0].tolist() == [0, 0, 0.5] and colours[0, :, 15, 15].tolist() == [1, 1, 0.5]
    assert not colours[0, :, 1:15].any()
