"""Plain names, resolved from every scope and shadowed nowhere."""

import mmdet.registry
import mmpretrain.registry
import mmseg.registry
import pytest
from mmengine.registry import DefaultScope

from mmext_instseg import registry

CONTRACT = {
    'MODELS': [
        'AMLSOLOV2Head',
        'AffineInvariantDepthLoss',
        'BinaryMaskHead',
        'BottomUpSegmentor',
        'CLIPViT',
        'CSMF',
        'CSPAMResNet',
        'CenterEmbeddingLoss',
        'CenterHeatmapHead',
        'CentroidDiceLoss',
        'ContrastiveEmbeddingLoss',
        'DCMEHead',
        'DINOv2ViT',
        'DeepLabV3PlusDecoder',
        'DenseDataPreprocessor',
        'DiscriminativeLoss',
        'DistanceMapHead',
        'DistanceMapDecoder',
        'EmbeddingHead',
        'EmbeddingUNet',
        'EuclideanLoss',
        'GeneralizedDiceLoss',
        'GridClassHead',
        'InstanceCLIPSeg',
        'LogCoshLoss',
        'OpenCLIPTextEncoder',
        'PositionalEmbeddingLoss',
        'SegNet',
        'ShallowDecoder',
        'SiLogDepthLoss',
        'TWFPN',
        'TotalVariationLoss',
        'TripletEmbeddingLoss',
        'VGGDeepLab',
    ],
    'TASK_UTILS': ['BinnedCentroidCodec', 'BoxDistanceCodec', 'DCMECodec', 'DirectCentroidCodec', 'EmbeddingCodec', 'PECentroidCodec'],
    'DATA_SAMPLERS': ['MultiSourceBatchSampler'],
    'DATASETS': [
        'CityscapesPanopticDataset',
        'DepthDataset',
        'LVISPhraseDataset',
        'LabelMeDataset',
        'PhraseCutDataset',
        'ShapesDataset',
        'ShapesPanopticDataset',
        'ShapesPhraseDataset',
        'ShapesSegDataset',
    ],
    'TRANSFORMS': ['AlignedResize', 'DenseRandomCrop', 'DenseRandomFlip', 'GenerateInstanceMap', 'LoadDepthMap', 'PackDenseInputs'],
    'METRICS': [
        'ClassAgnosticCocoMetric',
        'ClasswiseCityScapesMetric',
        'ClasswiseCocoMetric',
        'DepthMapMetric',
        'DetectionAccuracy',
        'GridClassAccuracy',
        'IoUByArea',
        'PhraseMetric',
        'SemanticScores',
    ],
    'HOOKS': [
        'CheckClassPriorityHook',
        'NonFiniteGuardHook',
        'PreemptionHook',
        'RandomStateHook',
        'RestoreBestHook',
        'TimeBudgetHook',
        'TrainMetricsHook',
        'ValidationLossHook',
    ],
    'LOOPS': ['ResumableEpochBasedTrainLoop', 'ResumableIterBasedTrainLoop'],
}
CHILDREN = {'mmdet': mmdet.registry, 'mmseg': mmseg.registry, 'mmpretrain': mmpretrain.registry}


def ours(kind: str) -> dict[str, type]:
    return {name: cls for name, cls in getattr(registry, kind).module_dict.items() if cls.__module__.startswith('mmext_instseg.')}


def full_registry(kind: str):
    """The root registry with everything registered that can be, so that a later import can't shadow unseen."""
    for module in CHILDREN.values():
        child = getattr(module, kind, None)
        if child is not None:
            child.import_from_location()
    return getattr(registry, kind)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
@pytest.mark.parametrize('kind', list(CONTRACT))
def test_names_resolve_from_every_scope(kind, scope):
    with DefaultScope.overwrite_default_scope(scope):
        for name in CONTRACT[kind]:
            with getattr(registry, kind).switch_scope_and_registry(None) as found:
                assert found.get(name) is ours(kind)[name], f'{scope}: {name}'


@pytest.mark.parametrize('kind', registry.__all__)
def test_no_child_registry_has_one_of_our_names(kind):
    root = full_registry(kind)
    for scope, child in root.children.items():
        clash = set(child.module_dict) & set(ours(kind))
        assert not clash, f'{scope} has {sorted(clash)} too and would shadow ours'


def test_the_collision_test_sees_the_children():
    assert {'mmdet', 'mmseg', 'mmpretrain'} <= set(full_registry('MODELS').children)
    assert 'SOLOv2' in registry.MODELS.children['mmdet'].module_dict and 'UNet' in registry.MODELS.children['mmseg'].module_dict
