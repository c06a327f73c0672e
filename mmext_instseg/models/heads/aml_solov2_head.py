"""SOLOv2's head with adaptive minimum-loss matching (location_attention_solov2, Section 2.3).

Shapes: B images, C classes, D mask feature channels, (h, w) size of the mask features, N cells of a batch in the order of
`flatten_levels`, M candidates (pairs of a cell and an instance).
"""

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import SOLOHead, SOLOV2Head
from mmdet.models.dense_heads.solov2_head import MaskFeatModule
from mmdet.models.utils import generate_coordinate
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor

from ...ops import enlarge_masks, mask_boxes, matrix_nms
from ...registry import MODELS
from ..losses import normaliser
from .aml_matching import contested, minimum_of_cell
from .solo_targets import Candidates, Instances, assign_cells, crowd_cells, gather_instances

_MATCHING_PIXELS = 2**24  # mask logits decoded at once to compare candidates


def flatten_levels(maps: list[Tensor]) -> Tensor:
    """Predictions of a batch as rows: L maps (B, X, g, g) -> (N, X), ordered by level, image, row, column."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in maps])


def dynamic_conv(kernels: Tensor, feats: Tensor, size: int = 1) -> Tensor:
    """Mask logits: kernels (n, D * size^2) applied to feats (D, h, w) -> (n, h, w); n may be 0. Needs size^2 * D * h * w above size 1."""
    columns = feats.flatten(1) if size == 1 else F.unfold(feats[None], size, padding=size // 2)[0]
    return (kernels @ columns).view(-1, *feats.shape[1:])


@MODELS.register_module()
class AMLSOLOV2Head(SOLOV2Head):
    """mmdet's SOLOv2 head with the paper's loss and matching, for mmdet's `SOLOv2` detector; same layers, same parameter names.

    An instance claims up to 3 x 3 cells of each level that suits its size. Where several claim one cell, mmdet labels it with the last
    one but trains its kernel on all their masks. Here the cell is trained, label and mask both, on the candidate with the smallest
    sigmoid(L_cate) + sigmoid(lambda L_mask) (Eq. 3); lambda is `loss_mask.loss_weight`, L_cate the focal loss summed over classes.

    The losses are `loss_mask`, over the positive cells of all ranks, and `loss_cls`, over these + 1, so that the mean over the ranks is
    the loss of all images together. Each loss reaches every parameter of its branch, whether the batch has instances or not. Crowd
    regions are ignored: cells that lie in them by more than half, and their pixels in the mask loss.

    Memory of a training step, beside the network: `gather_instances`; about 17 bytes * h * w for each positive cell (logits,
    probabilities, target and gradient of its mask, as in mmdet); matching decodes the candidates of contested cells alone, without
    gradient and `_MATCHING_PIXELS` at a time, 17 bytes each (285 MB).

    Args:
        mask_feature_head: with `type` a module from the registry (such as CSMF), built with `in_channels` and called with all inputs,
            that has `out_channels` and `mask_stride` and gives one map, in a tuple or bare; without, the arguments of mmdet's
            MaskFeatModule, which gets the first L inputs.
        matching: 'minimum' is the paper's; 'none' is mmdet's assignment.
        literal_loss: train on Eq. 3 itself at positive cells, as the paper says. By default Eq. 3 selects, and L_cate + lambda L_mask
            trains: the sigmoids' gradients vanish where the losses are large (ours).
        loss_mask: loss of (n, h, w) logits with mmdet's `reduction_override='none'`.
        num_classes, in_channels, dynamic_conv_size, dcn_cfg, dcn_apply_to_all_conv, kwargs: mmdet's.

    Raises:
        ValueError: unknown matching; even dynamic_conv_size; mask_feature_head.in_channels differs from in_channels.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        mask_feature_head: dict,
        matching: str = 'minimum',
        literal_loss: bool = False,
        loss_mask: dict = dict(type='CentroidDiceLoss', loss_weight=3.0),
        dynamic_conv_size: int = 1,
        dcn_cfg: dict | None = None,
        dcn_apply_to_all_conv: bool = True,
        init_cfg: dict | list = [
            dict(type='Normal', layer='Conv2d', std=0.01),
            dict(type='Normal', std=0.01, bias_prob=0.01, override=dict(name='conv_cls')),
        ],
        **kwargs,
    ) -> None:
        if matching not in ('minimum', 'none'):
            raise ValueError(f"AMLSOLOV2Head.matching must be 'minimum' or 'none', not {matching!r}")
        if dynamic_conv_size % 2 == 0:
            raise ValueError(f'AMLSOLOV2Head.dynamic_conv_size must be odd, not {dynamic_conv_size}')
        cfg = {'in_channels': in_channels, **mask_feature_head}
        if cfg['in_channels'] != in_channels:
            raise ValueError(
                f'AMLSOLOV2Head: mask_feature_head.in_channels={cfg["in_channels"]}, but its inputs have in_channels={in_channels}'
            )
        mask_head = MODELS.build(cfg) if 'type' in cfg else MaskFeatModule(**cfg)
        self.dcn_cfg = dcn_cfg
        self.with_dcn = dcn_cfg is not None
        self.dcn_apply_to_all_conv = dcn_apply_to_all_conv
        self.dynamic_conv_size = dynamic_conv_size
        self.kernel_out_channels = mask_head.out_channels * dynamic_conv_size**2
        # not SOLOV2Head's: it can build no other mask head than mmdet's
        SOLOHead.__init__(self, num_classes, in_channels, loss_mask=loss_mask, init_cfg=init_cfg, **kwargs)
        self.mask_feature_head = mask_head
        self.mask_stride = mask_head.mask_stride
        self.matching = matching
        self.literal_loss = literal_loss

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Kernels and classes from the first L inputs, mask features from the mask head's.

        Args:
            x: at least L maps (B, in_channels, H / stride, W / stride).

        Returns:
            L kernel maps (B, D * size^2, g, g); L class logits (B, C, g, g); mask features (B, D, h, w).

        Raises:
            ValueError: fewer than L inputs.
        """
        if len(x) < self.num_levels:
            raise ValueError(f'AMLSOLOV2Head has {self.num_levels} strides but got {len(x)} inputs: set num_outs of the neck')
        levels = x[: self.num_levels]
        mask_feats = self.mask_feature_head(levels if isinstance(self.mask_feature_head, MaskFeatModule) else x)
        if not isinstance(mask_feats, Tensor):
            (mask_feats,) = mask_feats
        kernels, classes = [], []
        for level, num_grid in zip(self.resize_feats(levels), self.num_grids, strict=True):
            feat = torch.cat([level, generate_coordinate(level.shape, level.device)], dim=1)
            kernel = F.interpolate(feat, size=num_grid, mode='bilinear', align_corners=False)
            cls = kernel[:, :-2]
            for kernel_conv, cls_conv in zip(self.kernel_convs, self.cls_convs, strict=True):
                kernel, cls = kernel_conv(kernel), cls_conv(cls)
            kernels.append(self.conv_kernel(kernel))
            classes.append(self.conv_cls(cls))
        return kernels, classes, mask_feats

    def loss_by_feat(
        self,
        mlvl_kernel_preds: list[Tensor],
        mlvl_cls_preds: list[Tensor],
        mask_feats: Tensor,
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
        **kwargs,
    ) -> dict[str, Tensor]:
        """The two losses, () float32 each.

        Args:
            mlvl_kernel_preds, mlvl_cls_preds, mask_feats: outputs of `forward`.
            batch_gt_instances: labels, masks and, if there are any, bboxes of each image.
            batch_gt_instances_ignore: crowd regions of each image.
        """
        kernels, classes = flatten_levels(mlvl_kernel_preds), flatten_levels(mlvl_cls_preds).float()
        height, width = mask_feats.shape[-2:]
        instances = gather_instances(batch_gt_instances, batch_gt_instances_ignore, (height, width), self.mask_stride)
        image_shape = (height * self.mask_stride, width * self.mask_stride)
        candidates = assign_cells(instances, len(mask_feats), image_shape, self.scale_ranges, self.num_grids, self.pos_scale)
        if self.matching == 'minimum':
            candidates = self._match(candidates, kernels, classes, mask_feats, instances)

        owner = candidates.owner(len(classes))
        positive = owner >= 0
        num_ranks = get_world_size()
        num_positive = num_ranks * normaliser(positive)
        cls_loss = self._cls_loss(classes, torch.cat([instances.labels, instances.labels.new_tensor([self.num_classes])])[owner])
        mask_loss = self._mask_loss(candidates, kernels, mask_feats, instances)
        if self.literal_loss:
            cls_loss, mask_loss = torch.where(positive, cls_loss.sigmoid(), cls_loss), mask_loss.sigmoid()
        if instances.crowd is not None:
            cls_loss = cls_loss * (positive | ~crowd_cells(instances.crowd, self.num_grids))
        return dict(
            loss_mask=num_ranks * mask_loss.sum() / num_positive.clamp(min=1), loss_cls=num_ranks * cls_loss.sum() / (num_positive + 1)
        )

    @torch.no_grad()
    def _match(self, candidates: Candidates, kernels: Tensor, classes: Tensor, feats: Tensor, instances: Instances) -> Candidates:
        """One candidate a cell, by Eq. 3; only contested cells are looked at."""
        rows = contested(candidates.cell, len(classes))
        if not len(rows):
            return candidates  # mmcv's focal loss on a GPU takes no empty input
        rivals = candidates[rows]
        cls_loss = self._cls_loss(classes[rivals.cell], instances.labels[rivals.instance])
        at_once = max(1, _MATCHING_PIXELS // feats[0, 0].numel())
        mask_loss = self._mask_loss(rivals, kernels, feats, instances, at_once)
        keep = torch.ones_like(candidates.cell, dtype=torch.bool)
        keep[rows] = minimum_of_cell(rivals.cell, cls_loss, mask_loss)
        return candidates[keep.nonzero().squeeze(1)]

    def _cls_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """L_cate of cells: (n, C) logits, (n,) labels with C for background -> (n,)."""
        return self.loss_cls(logits, labels, reduction_override='none').sum(dim=1)

    def _mask_loss(self, pairs: Candidates, kernels: Tensor, feats: Tensor, instances: Instances, at_once: int | None = None) -> Tensor:
        """lambda L_mask of pairs, (n,), in their order; masks are decoded image by image, at most `at_once` together."""
        counts = torch.bincount(pairs.image, minlength=len(feats)).tolist()
        losses = []
        for image, (cells, rows) in enumerate(zip(pairs.cell.split(counts), pairs.instance.split(counts), strict=True)):
            size = at_once or max(1, len(cells))
            for cell, row in zip(cells.split(size), rows.split(size), strict=True):
                logits = dynamic_conv(kernels[cell], feats[image], self.dynamic_conv_size).float()
                if instances.crowd is not None:
                    logits = logits.masked_fill(instances.crowd[image], torch.finfo(logits.dtype).min)
                losses.append(self.loss_mask(logits, instances.masks[row], reduction_override='none'))
        return torch.cat(losses)

    def predict_by_feat(
        self,
        mlvl_kernel_preds: list[Tensor],
        mlvl_cls_scores: list[Tensor],
        mask_feats: Tensor,
        batch_img_metas: list[dict],
        rescale: bool = True,
        **kwargs,
    ) -> list[InstanceData]:
        """Instances of each image, best first.

        As mmdet, but the `nms_pre` best pairs of cell and class are chosen by their class score before any mask is decoded (mmdet
        decodes all and ranks by score x maskness; with at most `nms_pre` pairs the results are the same), matrix NMS is exact, boxes
        are those of the masks, and masks without a pixel in the image (all in the padding, or lost when it shrinks) are dropped.

        Args:
            mlvl_kernel_preds, mlvl_cls_scores, mask_feats: outputs of `forward`.
            batch_img_metas: img_shape, ori_shape.
            rescale: masks at ori_shape, else at img_shape.

        Returns:
            bboxes (K, 4) float32, labels (K,) int64, scores (K,) float32, masks (K, H, W) bool. Memory: about 16 * nms_pre * h * w
            bytes, then what `enlarge_masks` says.
        """
        classes = []
        for logits in mlvl_cls_scores:
            scores = logits.float().sigmoid()
            peak = F.max_pool2d(scores, 2, stride=1, padding=1)[:, :, :-1, :-1] == scores
            classes.append(scores * peak)
        results = []
        for image, meta in enumerate(batch_img_metas):
            kernel, scores = (flatten_levels([level[image : image + 1] for level in maps]) for maps in (mlvl_kernel_preds, classes))
            results.append(self._predict_image(kernel, scores, mask_feats[image], meta, rescale))
        return results

    def _predict_image(self, kernels: Tensor, classes: Tensor, feats: Tensor, meta: dict, rescale: bool) -> InstanceData:
        """One image: kernels (sum g^2, D * size^2), class scores (sum g^2, C) and mask features (D, h, w)."""
        cfg = self.test_cfg
        cells, labels = (classes > cfg.score_thr).nonzero().unbind(1)
        scores, order = classes[cells, labels].sort(descending=True, stable=True)
        order = order[: cfg.nms_pre] if cfg.nms_pre > 0 else order
        cells, labels, scores = cells[order], labels[order], scores[: len(order)]

        probs = dynamic_conv(kernels[cells], feats, self.dynamic_conv_size).float().sigmoid()
        masks = probs > cfg.mask_thr
        areas = masks.sum(dim=(1, 2)).float()
        strides = torch.cat([areas.new_full((num**2,), stride) for num, stride in zip(self.num_grids, self.strides, strict=True)])
        large = (areas > strides[cells]).nonzero().squeeze(1)
        probs, masks, labels = probs[large], masks[large], labels[large]
        maskness = (probs * masks).sum(dim=(1, 2)) / areas[large]
        scores = matrix_nms(masks, labels, scores[large] * maskness, cfg.kernel, cfg.sigma)

        scores, order = scores.sort(descending=True, stable=True)
        if cfg.filter_thr > 0:
            order = order[scores >= cfg.filter_thr]
        order = order[: cfg.max_per_img] if cfg.max_per_img > 0 else order
        crop, shape = tuple(meta['img_shape'][:2]), tuple(meta['ori_shape'][:2])
        masks = enlarge_masks(probs[order], self.mask_stride, crop, shape if rescale else crop, cfg.mask_thr)
        found = InstanceData(masks=masks, bboxes=mask_boxes(masks), labels=labels[order], scores=scores[: len(order)])
        seen = found.bboxes[:, 2] > 0
        return found if seen.all() else found[seen]  # indexing would copy the masks
