# tools/test.py with this config and a checkpoint of the 512x1024 one writes the files for Cityscapes' test server (Table VI). Pack what
# lies in outfile_prefix/results/ into a zip. For another config, give its test_dataloader and test_evaluator these values.
_base_ = './dcme_vgg16_80k_cityscapes-512x1024.py'
test_dataloader = dict(
    dataset=dict(ann_file='annotations/instancesonly_filtered_gtFine_test.json', data_prefix=dict(img='leftImg8bit/test/'))
)
test_evaluator = [dict(type='CityScapesMetric', format_only=True, outfile_prefix='work_dirs/cityscapes_submission')]
