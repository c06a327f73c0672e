"""The smallest thing that mmengine trains: y = w x on ten numbers."""

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from mmext_instseg.registry import DATASETS, METRICS, MODELS


@DATASETS.register_module()
class ToyNumbers(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return {'inputs': torch.tensor([float(index)])}


@MODELS.register_module()
class ToyLine(BaseModel):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layer = nn.Linear(1, 1, bias=False)

    def forward(self, inputs, mode='tensor'):
        inputs = torch.stack(inputs)
        out = self.layer(inputs)
        return {'loss': ((out - 2 * inputs) ** 2).mean()} if mode == 'loss' else [out]


@METRICS.register_module()
class ToyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0.5)

    def compute_metrics(self, results):
        return {'toy': sum(results) / len(results)}


def toy_config(work_dir, train_cfg, param_scheduler=None):
    """Batches of two: five an epoch."""
    loader = dict(batch_size=2, num_workers=0, dataset=dict(type='ToyNumbers'))
    return dict(
        model=dict(type='ToyLine'),
        train_dataloader=dict(**loader, sampler=dict(type='DefaultSampler', shuffle=True)),
        val_dataloader=dict(**loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=train_cfg,
        val_cfg=dict(),
        val_evaluator=dict(type='ToyMetric'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.001)),
        param_scheduler=param_scheduler,
        default_scope='mmengine',
        work_dir=str(work_dir),
        experiment_name=str(work_dir).replace('/', '_'),
    )
