"""Find faces in frames, follow one person through a video, cut a square around the face."""

from pathlib import Path

import cv2
import numpy as np

from data.decode import quiet_decoder, tells_no_memory
from data.files import InputError, fetch

# YuNet: Wu, Peng and Yu, YuNet: A Tiny Millisecond-level Face Detector, 2023
FACE_MODEL_URL = (
    "https://github.com/ShiqiYu/libfacedetection.train/raw/"
    "02246e79b1e976c83d1e135a85e0628120c93769/onnx/yunet_s_640_640.onnx"
)
FACE_MODEL_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
DETECTION_SIZE = 640  # longer side of what the detector gets: faces of 10 pixels are found
MIN_SCORE = 0.6  # upright faces in the clips tried had 0.74 and more, noise had none
MAX_FACES = 8  # a frame, the largest
MOST_LOSS = 0.75  # what movement costs at most, as a share of what a box is worth


# --- Finding faces ---


def load_face_detector(copy: Path | None = None) -> cv2.FaceDetectorYN:
    """YuNet, see fetch. It is not thread-safe: one for each thread."""
    otherwise = "name a copy with --face-model FILE"
    file = fetch(FACE_MODEL_URL, FACE_MODEL_SHA256, otherwise, copy)
    model = np.fromfile(file, np.uint8)  # given its path OpenCV wants it in ASCII
    no_config = np.empty(0, np.uint8)
    size = (DETECTION_SIZE, DETECTION_SIZE)
    quiet_decoder()  # OpenCV 5 warns at each load that it cannot choose a target
    return cv2.FaceDetectorYN.create("onnx", model, no_config, size, score_threshold=MIN_SCORE)


def shrink(frame: np.ndarray, longest: int) -> np.ndarray:
    """The frame scaled down to a longer side of `longest`, if it is not as small already."""
    height, width = frame.shape[:2]
    scale = min(1, longest / max(height, width))
    new_width = max(1, round(width * scale))
    new_height = max(1, round(height * scale))
    return cv2.resize(frame, (new_width, new_height), interpolation=cv2.INTER_AREA)


def detect_faces(detector: cv2.FaceDetectorYN, frame: np.ndarray) -> np.ndarray:
    """(k, 4) boxes in an (H, W, 3) uint8 BGR frame, largest first: x, y, width, height in pixels.

    Raises InputError where the detector fails, and cv2.error where the machine has no memory left.
    """
    small = shrink(frame, DETECTION_SIZE)
    try:
        detector.setInputSize(small.shape[1::-1])
        faces = detector.detect(small)[1]
    except cv2.error as error:
        if tells_no_memory(error):  # says nothing of the video
            raise
        reason = " ".join(str(error).split())  # not error.err: all threads share that
        raise InputError(f"the face detector failed: {reason}") from error
    if faces is None:
        return np.empty((0, 4))
    boxes = scale_boxes(faces[:, :4], small.shape, frame.shape)
    largest_first = np.argsort(-boxes[:, 2:].max(1), kind="stable")
    return boxes[largest_first][:MAX_FACES]


def scale_boxes(boxes: np.ndarray, shape: tuple, new_shape: tuple) -> np.ndarray:
    """(k, 4) boxes of a frame of this shape (H, W, ...) as they lie in one of another."""
    return boxes * np.tile(np.divide(new_shape[1::-1], shape[1::-1]), 2)


# --- Following one person ---


def follow_face(detections: list[np.ndarray]) -> np.ndarray:
    """The index (n,) of the box of one person among the (k, 4) boxes of each of n frames, or -1.

    A way has at most one box a frame and may pass over frames. The best one has the largest

        sum over its boxes i of  sqrt(s_i) - sqrt(m_i) * min(0.75, d_i / m_i)

    s_i is the longer side of box i.
    m_i is the larger one of s_i and s_(i-1).
    d_i is the distance from box i-1 to box i between points (x / 2, y / 2, s), x and y the centre;
    the first box loses nothing.

    So whoever is large, in many frames, and moves little is followed. Movement costs at most 0.75
    of a box: a person who walks, or is elsewhere after a cut, is followed, but a box elsewhere in
    a single frame does not pay. Two boxes follow each other only if each is the nearest one to the
    other in its frame: nobody is left for somebody else.

    The best way to a box is the best way to a box before it and on: dynamic programming.
    """
    counts = [len(boxes) for boxes in detections]
    boxes = np.concatenate(detections)  # of all frames, N in all
    size = boxes[:, 2:].max(1)
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    places = np.column_stack([centre / 2, size])  # where movement is measured
    frames = np.repeat(np.arange(len(counts)), counts)  # of each box
    totals = np.sqrt(size)  # of the best way that ends at each box
    before = np.full(len(boxes), -1)  # the box before it on that way; -1: it is the first one
    chosen = np.full(len(counts), -1)
    for frame in np.unique(frames)[1:]:
        now = frames == frame
        earlier = frames < frame
        ways = extend_ways(places[earlier], frames[earlier], totals[earlier], places[now])
        gain = ways.max(0).clip(0)
        totals[now] += gain
        before[now] = np.where(gain, ways.argmax(0), -1)
    box = totals.argmax() if len(boxes) else -1
    while box >= 0:
        chosen[frames[box]] = box - np.searchsorted(frames, frames[box])
        box = before[box]
    return chosen


def extend_ways(
    places: np.ndarray, frames: np.ndarray, totals: np.ndarray, next_places: np.ndarray
) -> np.ndarray:
    """(m, k) sums of the best ways to m boxes, less the step from there to each of k boxes.

    0 where two boxes cannot follow each other: then it is as good to begin.
    """
    moved = np.linalg.norm(places[:, None] - next_places, axis=2)
    larger = np.maximum(places[:, None, 2], next_places[:, 2])
    share = np.minimum(moved / larger, MOST_LOSS)
    loss = np.sqrt(larger) * share
    _, starts, group = np.unique(frames, return_index=True, return_inverse=True)
    nearest_there = moved == np.minimum.reduceat(moved, starts)[group]
    nearest_here = moved == moved.min(axis=1, keepdims=True)
    return np.where(nearest_there & nearest_here, totals[:, None] - loss, 0)


# --- Cutting a square ---


def place_square(box: np.ndarray, margin: float, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Left, top and side, in pixels, of the square around a box, `margin` times its longer side.

    It is shifted into a frame of this shape (H, W, ...), or around all of a side that is shorter.
    """
    side = max(1, round(margin * max(box[2:])))
    free = np.array(shape[1::-1]) - side
    corner = np.round(box[:2] + (box[2:] - side) / 2)
    corner = corner.clip(np.minimum(free, 0), np.maximum(free, 0))
    left, top = corner.astype(int).tolist()
    return left, top, side


def crop_square(frame: np.ndarray, box: np.ndarray, margin: float) -> np.ndarray:
    """(side, side, 3) of an (H, W, 3) frame: see place_square.

    What lies outside repeats the frame's edge.
    """
    height, width = frame.shape[:2]
    left, top, side = place_square(box, margin, frame.shape)
    right = left + side
    bottom = top + side
    inside = frame[max(top, 0) : bottom, max(left, 0) : right]
    beyond = -top, bottom - height, -left, right - width
    borders = [max(0, pixels) for pixels in beyond]
    return cv2.copyMakeBorder(inside, *borders, cv2.BORDER_REPLICATE)
