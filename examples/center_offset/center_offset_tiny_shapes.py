# DCME's tiny config with another codec and another head; all else is inherited: U-Net, semantic head, data, schedule.
_base_ = '../../configs/dcme/dcme_tiny_shapes.py'

custom_imports = dict(imports=['mmext_instseg', 'center_offset'], allow_failed_imports=False)
model = dict(
    codec=dict(_delete_=True, type='CenterOffsetCodec', join_radius=6),
    heads=dict(instance=dict(type='CenterOffsetHead')),
)
