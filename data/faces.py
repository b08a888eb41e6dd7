"""Find faces in frames, follow one person through a video, cut a square around the face."""

from pathlib import Path

import cv2
import numpy as np

from data.decode import quiet_decoder
from data.files import InputError, fetch

# YuNet: Wu, Peng and Yu, YuNet: A Tiny Millisecond-level Face Detector, 2023
FACE_MODEL_URL = (
    "https://github.com/ShiqiYu/libfacedetection.train/raw/"
    "02246e79b1e976c83d1e135a85e0628120c93769/onnx/yunet_s_640_640.onnx"
)
FACE_MODEL_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
DETECTION_SIZE = 640  # longer side of a frame as the detector gets it: faces of 10 pixels are found
MIN_SCORE = 0.6  # upright faces in the clips tried had 0.74 and more, noise had no such box
MAX_FACES = 8  # a frame, the largest
MOST_LOSS = 0.75  # what movement costs at most, as a share of what a box is worth


# --- Finding faces ---


def load_face_detector(copy: Path | None = None) -> cv2.FaceDetectorYN:
    """YuNet from torch's cache, see fetch. For one thread: it is not thread-safe."""
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

    Raises InputError where the detector fails, and MemoryError where the machine does.
    """
    small = shrink(frame, DETECTION_SIZE)
    height, width = small.shape[:2]
    try:
        detector.setInputSize((width, height))
        faces = detector.detect(small)[1]
    except cv2.error as error:
        reason = " ".join(str(error).split())  # not error.err: all threads share that
        if "Insufficient memory" in reason:  # says nothing of the video
            raise MemoryError("no memory left for the face detector") from error
        raise InputError(f"the face detector failed: {reason}") from error
    if faces is None:
        return np.empty((0, 4))
    across = frame.shape[1] / width
    down = frame.shape[0] / height
    boxes = faces[:, :4] * np.array([across, down, across, down])
    size = boxes[:, 2:].max(1)
    largest_first = np.argsort(-size, kind="stable")
    return boxes[largest_first][:MAX_FACES]


# --- Following one person ---


def follow_face(detections: list[np.ndarray]) -> np.ndarray:
    """The index (n,) of the box of one person among the (k, 4) boxes of each of n frames.

    Where the person is not seen it is -1. It is the best way through the boxes of all frames.
    A way has at most one box a frame and may pass over frames. The best one has the largest

        sum over its boxes i of  sqrt(s_i) - sqrt(m_i) * min(0.75, d_i / m_i)

    s_i is the longer side of box i.
    m_i is the larger one of s_i and s_(i-1).
    d_i is the distance from box i-1 to box i between points (x / 2, y / 2, s), x and y the centre.

    The first box loses nothing. So whoever is large, in many frames, and moves little is followed.
    Movement costs at most 0.75 of a box: a person who walks, or is elsewhere after a cut, is
    followed, but a box elsewhere in a single frame does not pay. Two boxes follow each other only
    if each is the nearest one to the other in its frame: nobody is left for somebody else.

    Found by dynamic programming: the best way to a box is the best way to a box before it and on.
    All frames have room for as many boxes, so that a box is one number, frame * most + k.
    """
    n, most = len(detections), max(map(len, detections), default=0)
    is_box = np.zeros((n, most), bool)
    places = np.zeros((n, most, 3))
    # the sum of the best way that ends at each box
    totals = np.full((n, most), -np.inf)
    # the box before it on that way, as an index of the flat array; -1: it is the first one
    before = np.full((n, most), -1)
    for frame, boxes in enumerate(detections):
        k = len(boxes)
        if k == 0:
            continue
        place = locate(boxes)
        sums = extend_ways(places[:frame], is_box[:frame], totals[:frame], place)
        begin = np.zeros((1, k))  # a way that begins here
        choices = np.vstack([begin, sums.reshape(-1, k)])
        is_box[frame, :k] = True
        places[frame, :k] = place
        totals[frame, :k] = np.sqrt(place[:, 2]) + choices.max(0)
        before[frame, :k] = choices.argmax(0) - 1
    chosen = np.full(n, -1)
    box = totals.argmax() if is_box.any() else -1
    while box >= 0:
        frame, k = divmod(box, most)
        chosen[frame] = k
        box = before.flat[box]
    return chosen


def locate(boxes: np.ndarray) -> np.ndarray:
    """(k, 3) half the centre, and the longer side, of (k, 4) boxes: the space movement is in."""
    size = boxes[:, 2:].max(1)
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return np.column_stack([centre / 2, size])


def extend_ways(
    places: np.ndarray, is_box: np.ndarray, totals: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """The sums of the ways to boxes so far, up to m in each of t frames, less the step from there.

    (t, m, k), for the step to each of k boxes. 0 where two boxes cannot follow each other: then it
    is as good to begin.
    """
    moved = np.linalg.norm(places[:, :, None] - place, axis=3)
    moved[~is_box] = np.inf
    larger = np.maximum(places[:, :, None, 2], place[:, 2])
    loss = np.sqrt(larger) * np.minimum(moved / larger, MOST_LOSS)
    joined = are_nearest(moved) & is_box[:, :, None]
    return np.where(joined, totals[:, :, None] - loss, 0)


def are_nearest(distances: np.ndarray) -> np.ndarray:
    """Whether, of m boxes in each of t frames and k others, two are nearest to each other.

    (t, m, k), like the distances.
    """
    nearest_there = distances == distances.min(axis=1, keepdims=True)
    nearest_here = distances == distances.min(axis=2, keepdims=True)
    return nearest_there & nearest_here


# --- Cutting a square ---


def place_square(box: np.ndarray, margin: float, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Left, top and side, in pixels, of the square around a box, `margin` times its longer side.

    It is shifted into the frame of this shape (H, W, ...); along a side that it is longer than, it
    holds all of it.
    """
    side = max(1, round(margin * max(box[2:])))
    height, width = shape[:2]
    free = np.array([width - side, height - side])
    corner = np.round(box[:2] + (box[2:] - side) / 2)
    corner = np.clip(corner, np.minimum(free, 0), np.maximum(free, 0))
    left, top = corner.astype(int).tolist()
    return left, top, side


def crop_square(frame: np.ndarray, box: np.ndarray, margin: float) -> np.ndarray:
    """(side, side, 3) of an (H, W, 3) frame: see place_square.

    What lies outside repeats the frame's edge.
    """
    height, width = frame.shape[:2]
    left, top, side = place_square(box, margin, frame.shape)
    right, bottom = left + side, top + side
    inside = frame[max(top, 0) : bottom, max(left, 0) : right]
    above, below = max(0, -top), max(0, bottom - height)
    before, behind = max(0, -left), max(0, right - width)
    return cv2.copyMakeBorder(inside, above, below, before, behind, cv2.BORDER_REPLICATE)
