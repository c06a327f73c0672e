# mmseg's runtime with our parts, safe on a machine without a GPU.
_base_ = 'mmseg::_base_/default_runtime.py'
custom_imports = dict(imports=['mmext_instseg'], allow_failed_imports=False)
env_cfg = dict(cudnn_benchmark=False)
randomness = dict(seed=0)
