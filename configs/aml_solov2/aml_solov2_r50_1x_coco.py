# The data, schedule and evaluation of the model zoo's solov2_r50_fpn_1x_coco (segm AP 34.8; the zoo's figure), to stand beside it.
_base_ = [
    '../_base_/models/aml_solov2_r50.py',
    'mmdet::_base_/datasets/coco_instance.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    '../_base_/runtime.py',
]
optim_wrapper = dict(optimizer=dict(lr=0.01), clip_grad=dict(max_norm=35, norm_type=2))
