_base_ = 'mmdet::_base_/default_runtime.py'

# ============================ Usual knobs ============================
# max_iters          train_cfg.max_iters of the leaf, with T_max beside it
# learning rate      optim_wrapper.optimizer.lr; `--auto-scale-lr` scales it from base_batch_size
# mixed precision    `--amp`, or optim_wrapper.type='AmpOptimWrapper'; on a GPU
# TensorBoard        --cfg-options visualizer.vis_backends.0.type=TensorboardVisBackend
# seed               --cfg-options randomness.seed=1
# long runs          --cfg-options train_cfg.type=ResumableIterBasedTrainLoop default_hooks.preemption.type=PreemptionHook \
#                    default_hooks.guard.type=NonFiniteGuardHook; where epochs are counted ResumableEpochBasedTrainLoop
# =====================================================================
custom_imports = dict(imports=['mmext_instseg'], allow_failed_imports=False)

# Safe on a machine without a GPU; `Runner` picks the device, torchrun and slurm the backend.
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))
randomness = dict(seed=0)
custom_hooks = [dict(type='CheckClassPriorityHook')]
