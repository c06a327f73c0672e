"""Checks a COCO file (instances, LVIS or panoptic JSON) before training and prints what is wrong with it."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from mmext_instseg.datasets.validation import Finding, check_coco, clean_coco, read_coco

EXAMPLE = """example:
  python tools/check_annotations.py data/fruits_nuts/trainval.json --images data/fruits_nuts/images

exit code: 0 nothing but harmless findings, 1 something is wrong, 2 the command itself. FILE is never changed."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', type=Path, help='COCO JSON')
    parser.add_argument('--images', type=Path, help='folder of the images: compares their sizes too')
    parser.add_argument('--output', type=Path, help='write a copy without the wrong records, and with derived fields, for training')
    return parser.parse_args()


def print_findings(findings: list[Finding], limit: int = 100) -> None:
    """Prints a line for each wrong record, and a count for each kind of harmless one."""
    wrong = [finding for finding in findings if finding.severity != 'harmless']
    width = max((len(finding.name) for finding in wrong[:limit]), default=0)
    for finding in wrong[:limit]:
        print(f'{finding.name:<{width}}  {finding.severity:<10}  {finding.problem}')
    if len(wrong) > limit:
        print(f'... and {len(wrong) - limit} more')
    harmless = Counter(finding.problem.split(': ')[-1] for finding in findings if finding.severity == 'harmless')
    for problem, count in harmless.most_common():
        print(f'{count} times, harmless: {problem}')


def main() -> int:
    args = parse_args()
    if args.output and args.output.resolve() == args.file.resolve():
        print('--output must be another file than FILE', file=sys.stderr)
        return 2
    try:
        data = read_coco(args.file)
        findings = check_coco(data, args.images)
        print_findings(findings)
        if args.output:
            args.output.write_text(json.dumps(clean_coco(data, findings, args.file)), encoding='utf-8')
            print(f'written: {args.output}')
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    wrong = sum(finding.severity != 'harmless' for finding in findings)
    counts = f'{len(data["images"])} images, {len(data["annotations"])} annotations, {len(data["categories"])} categories'
    print(f'{args.file}: {counts}: ' + (f'{wrong} problems' if wrong else 'no problem'))
    return int(wrong > 0)


if __name__ == '__main__':
    sys.exit(main())
