"""Find faces in frames, follow one person through a video, cut a square around the face."""

from pathlib import Path

import cv2
import numpy as np

from data.files import fetch

# YuNet: Wu, Peng and Yu, YuNet: A Tiny Millisecond-level Face Detector, 2023
FACE_MODEL_URL = (
    "https://github.com/ShiqiYu/libfacedetection.train/raw/"
    "02246e79b1e976c83d1e135a85e0628120c93769/onnx/yunet_s_640_640.onnx"
)
FACE_MODEL_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
DETECTION_SIZE = 640  # longer side of a frame as the face detector gets it: faces of 10 pixels and more are found
MAX_FACES = 8  # a frame, the largest


def load_face_detector(copy: Path | None = None) -> cv2.FaceDetectorYN:
    """YuNet from torch's cache, see fetch. For one thread: it is not thread-safe."""
    file = fetch(FACE_MODEL_URL, FACE_MODEL_SHA256, "name a copy with feature_extraction.py --face-model PATH", copy)
    model, no_config = np.fromfile(file, np.uint8), np.empty(0, np.uint8)  # given its path OpenCV wants it in ASCII
    # upright faces in the clips tried had scores of 0.74 and more, noise had none
    return cv2.FaceDetectorYN.create("onnx", model, no_config, (DETECTION_SIZE, DETECTION_SIZE), score_threshold=0.6)


def shrink(frame: np.ndarray, longest: int) -> np.ndarray:
    """The frame scaled down to a longer side of `longest`, if it is not as small already."""
    scale = min(1, longest / max(frame.shape[:2]))
    size = [max(1, round(side * scale)) for side in frame.shape[1::-1]]
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def detect_faces(detector: cv2.FaceDetectorYN, frame: np.ndarray) -> np.ndarray:
    """(k, 4) boxes in an (H, W, 3) uint8 BGR frame, largest first: x, y, width, height in pixels."""
    small = shrink(frame, DETECTION_SIZE)
    size, full_size = small.shape[1::-1], frame.shape[1::-1]
    detector.setInputSize(size)
    faces = detector.detect(small)[1]
    boxes = np.empty((0, 4)) if faces is None else faces[:, :4] * np.tile(np.divide(full_size, size), 2)
    return boxes[np.argsort(-boxes[:, 2:].max(1), kind="stable")][:MAX_FACES]


def follow_face(detections: list[np.ndarray], numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Of the (k, 4) boxes in each of n frames that of the one person to look at: its index (n,), and the box (n, 4).

    Where the person is not seen the index is -1, and the box lies on straight lines, by the frames' numbers (n,),
    between those before and after; None where nobody is seen at all.

    It is the way through the frames with the largest sum, over its boxes, of the square root of the size, which is the
    longer side, less what movement costs: large, in many frames, constant. Movement is the distance of half the place
    and all of the size, relative to the size. It costs a box's worth at most 0.75 times, so a person who walks, or is
    elsewhere after a cut, is followed, but a box elsewhere in a single frame does not pay. Two boxes are joined only if
    each is nearest to the other in its frame: nobody is left for somebody else in the picture. Found by dynamic
    programming over the boxes.
    """
    places, totals, before, owner, starts = np.empty((0, 3)), np.empty(0), [], [], []
    for frame, boxes in enumerate(detections):
        if not len(boxes):
            continue
        size = boxes[:, 2:].max(1)
        place = np.column_stack([(boxes[:, :2] + boxes[:, 2:] / 2) / 2, size])
        linked = np.zeros((1, len(boxes)))  # the first row: to begin here
        if len(places):
            moved = np.linalg.norm(places[:, None] - place, axis=2)
            counts = np.diff([*starts, len(places)])
            nearest = moved == np.repeat(np.minimum.reduceat(moved, starts), counts, axis=0)
            nearest &= moved == moved.min(1, keepdims=True)
            larger = np.maximum(places[:, 2:], size)
            loss = np.sqrt(larger) * np.minimum(moved / larger, 0.75)
            linked = np.vstack([linked, np.where(nearest, totals[:, None] - loss, 0)])
        starts.append(len(places))
        owner += [(frame, k) for k in range(len(boxes))]
        before += (linked.argmax(0) - 1).tolist()
        places, totals = np.concatenate([places, place]), np.concatenate([totals, np.sqrt(size) + linked.max(0)])
    chosen = np.full(len(detections), -1)
    if not owner:
        return chosen, None
    box = totals.argmax()
    while box >= 0:
        frame, k = owner[box]
        chosen[frame] = k
        box = before[box]
    seen = np.flatnonzero(chosen >= 0)
    known = np.array([detections[i][chosen[i]] for i in seen])
    return chosen, np.column_stack([np.interp(numbers, numbers[seen], column) for column in known.T])


def place_square(box: np.ndarray, margin: float, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Left, top and side, in pixels, of the square around a box, `margin` times its longer side.

    It is shifted into the frame of this shape (H, W, ...); along a side that it is longer than, it holds all of it.
    """
    side = max(1, round(margin * max(box[2:])))
    free = np.array(shape[1::-1]) - side
    corner = np.clip(np.round(box[:2] + (box[2:] - side) / 2), np.minimum(free, 0), np.maximum(free, 0))
    return *corner.astype(int).tolist(), side


def crop_square(frame: np.ndarray, box: np.ndarray, margin: float) -> np.ndarray:
    """(side, side, 3) of an (H, W, 3) frame: see place_square. What lies outside repeats the frame's edge."""
    left, top, side = place_square(box, margin, frame.shape)
    outside = -top, top + side - frame.shape[0], -left, left + side - frame.shape[1]
    inside = frame[max(top, 0) : top + side, max(left, 0) : left + side]
    return cv2.copyMakeBorder(inside, *np.maximum(outside, 0).tolist(), cv2.BORDER_REPLICATE)
