"""Panoptic quality as Kirillov et al. define it (arXiv 1801.00868, section 4): counts, and their summary.

The counting of images stands in mmdet (`pq_compute_single_core`); it fills a `PQStat`.
"""

from collections import defaultdict

OFFSET = 256**3
VOID = 0


class PQStatCat:
    """Counts of one category: sum of the matched IoUs, true positives, false positives, false negatives."""

    def __init__(self) -> None:
        self.iou = 0.0
        self.tp = 0
        self.fp = 0
        self.fn = 0

    def __iadd__(self, other: 'PQStatCat') -> 'PQStatCat':
        self.iou += other.iou
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn
        return self


class PQStat:
    """Counts of all categories."""

    def __init__(self) -> None:
        self.pq_per_cat: defaultdict[int, PQStatCat] = defaultdict(PQStatCat)

    def __getitem__(self, category: int) -> PQStatCat:
        return self.pq_per_cat[category]

    def __iadd__(self, other: 'PQStat') -> 'PQStat':
        for category, counts in other.pq_per_cat.items():
            self.pq_per_cat[category] += counts
        return self

    def pq_average(self, categories: dict[int, dict], isthing: bool | None) -> tuple[dict, dict]:
        """PQ, SQ and RQ averaged over the categories that occur at all, and per category.

        Args:
            categories: id -> category with `isthing`.
            isthing: only things (True), only stuff (False), or all (None).

        Returns:
            {'pq', 'sq', 'rq' in [0, 1], 'n': categories counted}, and category id -> {'pq', 'sq', 'rq'}.
        """
        results, counted = {}, []
        for category, info in categories.items():
            if isthing is not None and bool(info['isthing'] == 1) != isthing:
                continue
            results[category] = self._quality(self.pq_per_cat[category])
            counts = self.pq_per_cat[category]
            if counts.tp + counts.fp + counts.fn > 0:
                counted.append(results[category])
        number = len(counted)
        average = {key: sum(one[key] for one in counted) / max(number, 1) for key in ('pq', 'sq', 'rq')}
        return {**average, 'n': number}, results

    @staticmethod
    def _quality(counts: PQStatCat) -> dict[str, float]:
        size = counts.tp + 0.5 * counts.fp + 0.5 * counts.fn
        return {
            'pq': counts.iou / size if size else 0.0,
            'sq': counts.iou / counts.tp if counts.tp else 0.0,
            'rq': counts.tp / size if size else 0.0,
        }
