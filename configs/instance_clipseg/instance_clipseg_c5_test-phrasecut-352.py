# Tests weights of LVIS on PhraseCut, as the paper does; with train_dataloader it can also be trained there.
_base_ = './instance_clipseg_c5_3e_lvis-352.py'
data_root = 'data/VGPhraseCut_v0/'
dataset = dict(type='PhraseCutDataset', data_root=data_root)
# No flips: phrases may say left or right
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'RandomFlip']
train_dataloader = dict(
    dataset=dict(_delete_=True, **dataset, ann_file='refer_train.json', negative_prob=_base_.negative_prob, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(_delete_=True, **dataset, ann_file='refer_val.json', test_mode=True, pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(_delete_=True, **dataset, ann_file='refer_test.json', test_mode=True, pipeline=_base_.test_pipeline))
