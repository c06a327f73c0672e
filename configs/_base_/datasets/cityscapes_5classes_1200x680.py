_base_ = './coco_1200x680.py'

# Cityscapes' five classes of street scenes, scaled to 1200x600 (an image is twice as wide as high). Once:
#   python tools/convert_cityscapes.py data/cityscapes --classes car person truck bus rider
# ============================ Usual knobs ============================
data_root = 'data/cityscapes/'
short_sides = (600, 576, 552, 528, 504, 480)
classes = ('car', 'person', 'truck', 'bus', 'rider')
ann_file = f'annotations/instancesonly_filtered_gtFine_{{}}_{"-".join(classes)}.json'
# =====================================================================
scales = [(_base_.scale[0], side) for side in short_sides]
resize = dict(type='RandomChoiceResize', scales=scales, resize_type='AlignedResize', keep_ratio=True)
train_pipeline = [resize if step['type'] == 'RandomChoiceResize' else step for step in _base_.train_pipeline]
dataset = dict(type='CityscapesDataset', data_root=data_root, metainfo=dict(classes=classes))
test_dataset = dict(**dataset, ann_file=ann_file.format('val'), data_prefix=dict(img='leftImg8bit/val/'))
train_dataset = dict(**dataset, ann_file=ann_file.format('train'), data_prefix=dict(img='leftImg8bit/train/'), pipeline=train_pipeline)
train_dataloader = dict(dataset=train_dataset)
val_dataloader = dict(dataset=test_dataset)
test_dataloader = dict(dataset=test_dataset)
val_evaluator = dict(type='ClasswiseCocoMetric', ann_file=data_root + ann_file.format('val'))
test_evaluator = val_evaluator
