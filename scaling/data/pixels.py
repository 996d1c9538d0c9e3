"""Images as uint8 arrays, (n, channels, height, width): resized, and measured for normalisation."""

from __future__ import annotations

import numpy as np

AT_A_TIME = 4_096  # images, so that float copies take little memory


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Return square images of `size` pixels by triangle-filtered resampling, which averages when it shrinks."""
    height, width = images.shape[-2:]
    if (height, width) == (size, size):
        return images
    rows, columns = _triangle(height, size), _triangle(width, size)
    out = np.empty((*images.shape[:-2], size, size), dtype=np.uint8)
    for start in range(0, len(images), AT_A_TIME):
        part = images[start : start + AT_A_TIME].astype(np.float32)
        out[start : start + AT_A_TIME] = np.rint(rows @ part @ columns.T).clip(0, 255)
    return out


def _triangle(old: int, new: int) -> np.ndarray:
    """Return the resampling weights, (new, old) float32; each row sums to 1."""
    scale = old / new
    reach = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centres[:, None]) / reach
    weights = np.maximum(1 - distance, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def moments(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of each channel of uint8 images, in units of a pixel's value, exactly."""
    channels = images.shape[1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(images), AT_A_TIME):
        for channel in range(channels):
            part = images[start : start + AT_A_TIME, channel]
            counts[channel] += np.bincount(part.reshape(-1), minlength=256)
    values = np.arange(256, dtype=np.float64)
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    std = np.sqrt(shares @ values**2 - mean**2)
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def feature_moments(x: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the one mean and the one deviation of all values of a float array."""
    std = float(x.std(dtype=np.float64))
    return (float(x.mean(dtype=np.float64)),), (std if std > 0 else 1.0,)
