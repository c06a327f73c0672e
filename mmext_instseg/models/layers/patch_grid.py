"""Images as a grid of patches."""


def patch_grid(height: int, width: int, size: int, name: str) -> tuple[int, int]:
    """(rows, columns) of the patches of an image.

    Args:
        height, width: of the image, in pixels.
        size: side of a patch.
        name: of the network, for the error.

    Raises:
        ValueError: a side is no multiple of `size`; names the padding.
    """
    rows, cols = -height % size, -width % size
    if rows or cols:
        raise ValueError(
            f'{name}: an image of {height}x{width} (height x width) is no multiple of the patch size {size}: pad it by {rows} rows '
            f'and {cols} columns to {height + rows}x{width + cols}; data_preprocessor=dict(pad_size_divisor={size}) does it'
        )
    return height // size, width // size
