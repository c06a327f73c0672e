"""mmdet's own tools, unmodified, on a config and a checkpoint of ours; one process runs them in turn."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import mmcv
import mmdet
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.registry import VISUALIZERS
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'
CONFIG = ROOT / 'configs' / 'dcme' / 'dcme_tiny_shapes.py'
CLASSES = ('circle', 'square', 'triangle', 'star', 'ring')


def write_config(folder: Path) -> Path:
    """The tiny config of DCME at a quarter of its width, on six scenes, for three iterations."""
    config = Config.fromfile(CONFIG)
    for loader, seed in ((config.train_dataloader, 0), (config.val_dataloader, 1), (config.test_dataloader, 1)):
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
        loader.dataset.update(data_root=str(folder / 'data'), num_images=6, seed=seed)
    truth = folder / 'data' / 'v1_standard_128x128_seed1_n6' / 'instances.json'
    for metric in (*config.val_evaluator, *config.test_evaluator):
        metric.ann_file = str(truth)
    config.model.backbone.base_channels = 4
    config.model.heads.instance.in_channels = config.model.heads.semantic.in_channels = 4
    config.train_cfg.update(max_iters=3, val_interval=3)
    config.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=3)
    config.default_hooks.logger.interval = 1
    config.dump(folder / 'config.py')
    return folder / 'config.py'


def steps(folder: Path, config: Path) -> list[tuple]:
    """(name, script, arguments) in the order in which they run."""
    trained, checkpoint, results = folder / 'work', folder / 'work' / 'iter_3.pth', folder / 'results.pkl'
    logs = trained / '*' / 'vis_data' / 'scalars.json'
    few = ('--max-iter', 4, '--num-warmup', 1, '--log-interval', 2)
    tensorboard = 'visualizer.vis_backends.0.type=TensorboardVisBackend', 'visualizer.name=new'  # the old one is kept by its name
    longer = ('--cfg-options', 'train_cfg.max_iters=4', 'train_cfg.val_interval=4')
    analysis = 'analysis_tools/'
    # The default of onedl-mmdetection's analyze_logs.py is a style of seaborn, which it doesn't use
    style = ('--style', 'default') if mmdet.__version__ >= '3.4' else ()
    curve = ('plot_curve', logs, '--keys', 'loss', 'mse', '--out', folder / 'curve.png', *style)
    return [
        ('train', 'train.py', (config, '--work-dir', trained, '--auto-scale-lr')),
        ('test', 'test.py', (config, checkpoint, '--work-dir', folder / 'test', '--show-dir', 'shown', '--out', results)),
        ('resume', 'train.py', (config, '--work-dir', trained, '--resume', *longer, *tensorboard)),
        ('get_flops', f'{analysis}get_flops.py', (config, '--num-images', 1)),
        ('browse_dataset', f'{analysis}browse_dataset.py', (config, '--output-dir', folder / 'browsed', '--not-show')),
        ('benchmark', f'{analysis}benchmark.py', (config, '--task', 'dataset', *few)),
        ('analyze_curve', f'{analysis}analyze_logs.py', curve),
        ('analyze_time', f'{analysis}analyze_logs.py', ('cal_train_time', logs, '--include-outliers')),
        ('eval_metric', f'{analysis}eval_metric.py', (config, results)),
        ('confusion_matrix', f'{analysis}confusion_matrix.py', (config, results, folder / 'matrix')),
        ('analyze_results', f'{analysis}analyze_results.py', (config, results, folder / 'best', '--topk', 2)),
        ('print_config', 'misc/print_config.py', (config, '--cfg-options', 'model.codec.min_votes=3')),
    ]


@pytest.fixture(scope='module')
def ran(tmp_path_factory) -> Path:
    """Folder in which all of `steps` have run: NAME.txt holds what a tool printed."""
    folder = tmp_path_factory.mktemp('run')
    config = write_config(folder)
    plan = [dict(name=name, script=str(TOOLS / script), arguments=list(map(str, words))) for name, script, words in steps(folder, config)]
    (folder / 'plan.json').write_text(json.dumps(plan))
    command = [sys.executable, str(Path(__file__).with_name('run_in_turn.py')), str(folder / 'plan.json')]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture(scope='module')
def printed(ran):
    """What a tool printed, once it is sure that it didn't fail."""

    def read(name: str) -> str:
        text = (ran / f'{name}.txt').read_text()
        assert 'Traceback' not in text, text[-3000:]
        return text

    return read


@pytest.fixture(scope='module')
def trained(ran) -> tuple[str, str]:
    return str(ran / 'config.py'), str(ran / 'work' / 'iter_3.pth')


def test_train_writes_a_checkpoint_of_plain_data(ran, printed):
    printed('train')
    loaded = torch.load(ran / 'work' / 'iter_3.pth', weights_only=True)
    assert loaded['meta']['iter'] == 3
    assert loaded['meta']['dataset_meta']['classes'] == CLASSES


def test_the_learning_rate_is_scaled_to_the_batch(printed):
    assert 'batch size of 8 and the current batch size is 2. Scaling the original LR by 0.25' in printed('train')


def test_test_prints_both_metrics(ran, printed):
    text = printed('test')
    assert 'coco/segm_mAP' in text and 'agnostic/segm_mAP' in text
    assert len(list((ran / 'test').rglob('shown/**/*.png'))) == 6


def test_resume_goes_on_where_it_stopped(ran, printed):
    assert 'resumed epoch: 0, iter: 3' in printed('resume')
    assert torch.load(ran / 'work' / 'iter_4.pth', weights_only=True)['meta']['iter'] == 4


def test_tensorboard_by_one_line(ran, printed):
    printed('resume')
    lines = [line.split() for line in (ran / 'tensorboard.txt').read_text().splitlines()]
    found = {(name, int(step)) for name, _, step in lines}
    assert {('loss', 4), ('loss_dcme', 4), ('lr', 4)} <= found
    assert 'coco/segm_mAP' in {name for name, _ in found}


def test_the_line_for_tensorboard_is_the_one_that_the_runtime_names():
    """`vis_backends` beside the visualizer, as in mmdet's runtime, is read by nobody."""
    assert 'visualizer.vis_backends.0.type=TensorboardVisBackend' in (ROOT / 'configs' / '_base_' / 'runtime.py').read_text()


def test_get_flops(printed):
    text = printed('get_flops')
    assert 'Flops' in text and 'Params' in text


def test_browse_dataset_draws_the_training_images(ran, printed):
    printed('browse_dataset')
    pictures = sorted((ran / 'browsed').iterdir())
    assert len(pictures) == 6
    (folder,) = (ran / 'data').glob('*seed0_n6')
    original = cv2.imread(str(next(folder.rglob(pictures[0].name))))
    drawn = cv2.imread(str(pictures[0]))
    assert drawn.shape == original.shape
    differs = [np.abs(np.flip(drawn, axes).astype(int) - original).max() for axes in ((), (0,), (1,), (0, 1))]  # training flips
    assert min(differs) > 40, 'boxes and masks are drawn'


def test_benchmark_of_the_data_set(ran):
    text = (ran / 'benchmark.txt').read_text()
    assert 'Overall fps' in text and 'Traceback' not in text, text[-3000:]


def test_analyze_logs(ran, printed):
    assert cv2.imread(str(ran / 'curve.png')) is not None and 'metric is mse' in printed('analyze_curve')
    assert 'average iter time' in printed('analyze_time')


def test_eval_metric_repeats_the_test(ran, printed):
    metrics = ('coco/segm_mAP', 'agnostic/segm_mAP')
    text = printed('eval_metric')
    tested = json.loads(next((ran / 'test').glob('*/*.json')).read_text())
    for name in metrics:
        assert f"'{name}': {tested[name]}" in text


def test_confusion_matrix_and_best_and_worst_images(ran, printed):
    printed('confusion_matrix')
    assert cv2.imread(str(ran / 'matrix' / 'confusion_matrix.png')) is not None
    printed('analyze_results')
    assert [len(list((ran / 'best' / kind).iterdir())) for kind in ('good', 'bad')] == [2, 2]


def test_results_are_plain(ran, printed):
    printed('test')
    results = pickle.loads((ran / 'results.pkl').read_bytes())
    assert len(results) == 6 and {'masks', 'bboxes', 'scores', 'labels'} <= set(results[0]['pred_instances'])


def test_print_config_with_an_override(printed):
    text = printed('print_config')
    assert "type='DCMECodec'" in text and 'min_votes=3' in text


def test_inferencer_draws_and_predicts(trained, tmp_path):
    """What demo/image_demo.py does; the demos aren't in mmdet's wheel."""
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    inferencer = DetInferencer(*trained, device='cpu', show_progress=False)
    result = inferencer(image, out_dir=str(tmp_path), no_save_pred=False, return_datasamples=True)
    pred = result['predictions'][0].pred_instances
    assert pred.masks.shape[1:] == (90, 70)
    assert cv2.imread(str(next(tmp_path.rglob('vis/*.jpg')))).shape == (90, 70, 3)
    assert inferencer.visualizer.dataset_meta['classes'] == CLASSES


def test_init_and_inference_detector(trained):
    model = init_detector(*trained, device='cpu')
    found = inference_detector(model, np.zeros((50, 60, 3), np.uint8))
    assert found.pred_instances.bboxes.shape[1] == 4
    assert model.dataset_meta['classes'][0] == 'circle'


def test_a_video_frame_by_frame(trained, tmp_path):
    """The calls of demo/video_demo.py: a pipeline that takes arrays, mmcv's reader, the config's visualizer."""
    path = str(tmp_path / 'film.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 5, (96, 64))
    for level in (0, 90, 200):
        writer.write(np.full((64, 96, 3), level, np.uint8))
    writer.release()
    model = init_detector(*trained, device='cpu')
    pipeline = model.cfg.test_dataloader.dataset.pipeline
    pipeline[0].type = 'mmdet.LoadImageFromNDArray'
    pipeline = Compose(pipeline)
    visualizer = VISUALIZERS.build(model.cfg.visualizer)
    visualizer.dataset_meta = model.dataset_meta
    frames = list(mmcv.VideoReader(path))
    assert len(frames) == 3
    for frame in frames:
        found = inference_detector(model, frame, test_pipeline=pipeline)
        assert found.pred_instances.masks.shape[1:] == (64, 96)
        visualizer.add_datasample('film', frame, found, draw_gt=False, pred_score_thr=0.0)
        assert visualizer.get_image().shape == (64, 96, 3)
