"""Each tree that people have on disk: every video used, with the right label, or left out."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import groups_of, touch

from data.files import InputError
from data.layouts import (
    SAMPLE_DIR,
    find_data_set,
    find_videos,
    print_data_set,
    read_drawn_by,
    sample_command,
)
from data.public_sets import PUBLIC, SETS, SHARES_PEOPLE
from data.walk import list_videos, walk

# --- Every tree of data/README.md -----------------------------------------------------------------

# A line a video: its path (/* is a folder of five frames, * five numbers), real or the method of a
# fake, split, group, people; or "-" and a part of the reason why it is left out. "." is nothing.
# A line with = is a file with content.
FF_JSON = '[["000", "003"]]'
TREES = {
    "FaceForensics++ as its authors ship it": """
        FaceForensics++
        original_sequences/youtube/c23/videos/000.mp4         real train a FaceForensics++_000
        original_sequences/youtube/c23/videos/003.mp4         real train a FaceForensics++_003
        original_sequences/youtube/c40/videos/003.mp4         real train a FaceForensics++_003
        original_sequences/youtube/c23/videos/001.mp4         real val   b FaceForensics++_001
        original_sequences/youtube/c23/videos/008.mp4         real test  c FaceForensics++_008
        original_sequences/youtube/c23/videos/005.mp4         real train d FaceForensics++_005
        manipulated_sequences/Deepfakes/c23/videos/000_003.mp4  Deepfakes train a FaceForensics++_000+003
        manipulated_sequences/FaceSwap/raw/videos/003_000.mp4   FaceSwap  train a FaceForensics++_003+000
        manipulated_sequences/FaceSwap/c40/videos/001_002.mp4   FaceSwap  val   b FaceForensics++_001+002
        manipulated_sequences/Deepfakes/c23/videos/odd name.mp4 Deepfakes train e .
        manipulated_videos/end_to_end/008_M101.mp4   end_to_end test  c FaceForensics++_008+M101
        manipulated_sequences/Deepfakes/masks/videos/000_003.mp4 - masks, not videos
        downloaded_videos/000.mp4                                - downloaded_videos, not videos
        splits/elsewhere/000.mp4                                 - not where FaceForensics++ has its videos
        train.json = [[0, 3]]
        val.json = [["002", "001"]]
        splits/test.json = [["008", "990"]]
    """,
    "FaceForensics++ with other levels": """
        FaceForensics++
        original_sequences/youtube/C23/000.mp4                  real train a FaceForensics++_000
        original_sequences/youtube/c23/videos/part1/003.mp4     real train a FaceForensics++_003
        original_sequences/youtube/videos/001.mp4               real val   b FaceForensics++_001
        manipulated_sequences/NeuralTextures/C23/000_003.mp4    NeuralTextures train a FaceForensics++_000+003
        manipulated_sequences/Face2Face/c23/videos/part2/001_002.mp4 Face2Face val b FaceForensics++_001+002
        dataset/splits/train.json = [["000", "003"]]
        dataset/splits/val.json = [[1, 2]]
        dataset/splits/test.json = []
    """,
    "DFD in FaceForensics++'s tree": """
        FaceForensics++
        original_sequences/actors/c23/videos/03__exit_room.mp4   real train a DFD_03
        original_sequences/actors/c23/videos/07__exit_room.mp4   real train a DFD_07
        original_sequences/actors/c23/videos/09__hug.mp4         real train b DFD_09
        original_sequences/youtube/c23/videos/003.mp4            real train c FaceForensics++_003
        manipulated_sequences/DeepFakeDetection/c23/videos/03_07__exit_room__ABCD1234.mp4 DeepFakeDetection train a DFD_03+07
    """,
    "FaceForensics++ as frames": """
        FaceForensics++
        original_sequences/youtube/c23/images/000/*.png          real train a FaceForensics++_000
        original_sequences/youtube/c23/frames/003/*.png          real train a FaceForensics++_003
        manipulated_sequences/Deepfakes/c23/frames/000_003/*.png Deepfakes train a FaceForensics++_000+003
        manipulated_sequences/Deepfakes/c23/videos/003_000.mp4   Deepfakes train a FaceForensics++_003+000
        manipulated_sequences/Deepfakes/c23/frames/003_000/*.png - frames of a clip that is used already
        manipulated_sequences/Deepfakes/c23/masks/000_003/*.png  - masks, not videos
        manipulated_sequences/Deepfakes/c23/landmarks/000_003/*.png - landmarks, not videos
    """,
    "Kaggle's FaceForensics++": """
        FaceForensics++
        FaceForensics++_C23/original/000.mp4                 real train a FaceForensics++_000
        FaceForensics++_C23/original/003.mp4                 real train a FaceForensics++_003
        FaceForensics++_C23/original/001.mp4                 real val   b FaceForensics++_001
        FaceForensics++_C23/Deepfakes/000_003.mp4            Deepfakes train a FaceForensics++_000+003
        FaceForensics++_C23/Face2Face/003_000.mp4            Face2Face train a FaceForensics++_003+000
        FaceForensics++_C23/FaceShifter/001_002.mp4          FaceShifter val b FaceForensics++_001+002
        FaceForensics++_C23/FaceSwap/000_003.mp4             FaceSwap train a FaceForensics++_000+003
        FaceForensics++_C23/NeuralTextures/000_003.mp4       NeuralTextures train a FaceForensics++_000+003
        FaceForensics++_C23/DeepFakeDetection/01_02__exit__ABCD1234.mp4 - a fake of DFD, whose reals are not here
        FaceForensics++_C23/csv/FF++_Metadata.csv = x
        FaceForensics++_C23/train.json = [["000", "003"]]
        val.json = [["001", "002"]]
    """,
    "Kaggle's DFD": """
        DFD
        DFD_original sequences/01__exit_room.mp4           real train a DFD_01
        DFD_original_sequences/02__exit_room.mp4           real train a DFD_02
        DFD_manipulated_sequences/DFD_manipulated_sequences/01_02__exit_room__ABCD1234.mp4 DeepFakeDetection train a DFD_01+02
        DFD_manipulated_sequences/03_04__hug__ABCD1235.mp4 DeepFakeDetection train b DFD_03+04
    """,
    "Celeb-DF v2": """
        Celeb-DF
        Celeb-real/id0_0000.mp4              real train a Celeb-DF_id0
        Celeb-real/id1_0003.mp4              real test  a Celeb-DF_id1
        YouTube-real/00170.mp4               real test  b .
        YouTube-real/00171.mp4               real train c .
        Celeb-synthesis/id0_id1_0000.mp4     Celeb-synthesis test a Celeb-DF_id0+id1
        Celeb-synthesis/id2_id3_0000.mp4     Celeb-synthesis train d Celeb-DF_id2+id3
        Celeb-synthesis/no name.mp4          Celeb-synthesis train e .
        demo.png                             - not where Celeb-DF has its videos
        List_of_testing_videos.txt = 1 Celeb-real/id1_0003.mp4
1 YouTube-real/00170.mp4
0 Celeb-synthesis/id0_id1_0000.mp4
    """,
    "Celeb-DF as others spell it": """
        Celeb-DF
        Celeb-DF-v1/Celeb-real/videos/id0_0000_c.mp4          real test  a Celeb-DF_id0
        Celeb-DF-v1/Youtube-real/videos/00170_face.mp4        real test  b .
        Celeb-DF-v1/Celeb-synthesis/videos/id0_id1_0000_face.mp4 Celeb-synthesis test a Celeb-DF_id0+id1
        Celeb-DF-v1/Celeb-synthesis/frames/id0_id1_0001/*.png Celeb-synthesis train a Celeb-DF_id0+id1
        Celeb-DF-v1/List_of_testing_videos.txt = 1 Celeb-real/id0_0000.mp4
1 YouTube-real/00170.mp4
0 Celeb-synthesis/id0_id1_0000.mp4
    """,
    "Celeb-DF++": """
        Celeb-DF
        Celeb-real/id0_0000.mp4                                  real train a Celeb-DF_id0
        Celeb-synthesis/FaceSwap/Celeb-DF/id0_id1_0000.mp4       Celeb-DF train a Celeb-DF_id0+id1
        Celeb-synthesis/FaceSwap/BlendFace/id0_id1_0000.mp4      BlendFace test a Celeb-DF_id0+id1
        Celeb-synthesis/TalkingFace/SadTalker/videos/id2_0000.mp4 SadTalker train b Celeb-DF_id2
        List_of_testing_videos.txt = 0 Celeb-synthesis/FaceSwap/BlendFace/id0_id1_0000.mp4
    """,
    "DeeperForensics-1.0 alone": """
        DeeperForensics-1.0
        manipulated_videos/end_to_end/000_M004.mp4             end_to_end train a FaceForensics++_000+M004
        manipulated_videos/end_to_end_level_1/001_M004.mp4     end_to_end_level_1 train a FaceForensics++_001+M004
        manipulated_videos/reenact_postprocess/002_W010.mp4    reenact_postprocess test b FaceForensics++_002+W010
        original/000.mp4                                       real train a FaceForensics++_000
        original_sequences/youtube/c23/videos/002.mp4          real test  b FaceForensics++_002
        source_videos/M004/BlendShape/x.mp4                    - source_videos, not videos
        lists/splits/train.txt = 000_M004.mp4 001_M004.mp4
        lists/splits/val.txt =
        lists/splits/test.txt = 002_W010.mp4
    """,
    "DeeperForensics-1.0 and a little of FaceForensics++": """
        DeeperForensics-1.0
        manipulated_videos/end_to_end/000_M004.mp4             end_to_end train a FaceForensics++_000+M004
        manipulated_videos/end_to_end_level_1/000_M004.mp4     end_to_end_level_1 train a FaceForensics++_000+M004
        original_sequences/youtube/c23/videos/000.mp4          real train a FaceForensics++_000
        manipulated_sequences/FaceSwap/c23/videos/000_003.mp4  FaceSwap train a FaceForensics++_000+003
    """,
    "FakeAVCeleb": """
        FakeAVCeleb
        FakeAVCeleb_v1.2/RealVideo-RealAudio/African/men/id00109/00109.mp4      real train a FakeAVCeleb_id00109
        FakeAVCeleb_v1.2/RealVideo-FakeAudio/African/men/id00109/00109_fake.mp4 real train a FakeAVCeleb_id00109
        FakeAVCeleb_v1.2/FakeVideo-FakeAudio/African/men/id00109/00109_2_id00166_wavtolip.mp4 wavtolip train a FakeAVCeleb_id00109+id00166
        FakeAVCeleb_v1.2/FakeVideo-RealAudio/African/men/id00200/00001_id00166_abc_faceswap.mp4 faceswap train a FakeAVCeleb_id00200+id00166
        FakeAVCeleb_v1.2/RealVideo-RealAudio/Asian/women/id00300/00002.mp4      real train b FakeAVCeleb_id00300
        FakeAVCeleb_v1.2/meta_data.csv = source,target1
    """,
    "DFDC in parts": """
        DFDC
        train/dfdc_train_part_0/a.mp4         real  train a DFDC_a.mp4
        train/dfdc_train_part_0/b.mp4         .     train a DFDC_a.mp4
        train/dfdc_train_part_0/c.mp4         real  train a DFDC_c.mp4
        train/dfdc_train_part_0/unlisted.mp4  - not where DFDC has its videos
        train/part_01/part_1/d.mp4            .     train b DFDC_gone.mp4
        test/videos/e.mp4                     .     test  c .
        test/videos/f.mp4                     real  test  d .
        validation/g.mp4                      .     val   e .
        test_videos/h.mp4                     - not where DFDC has its videos
        train/dfdc_train_part_0/metadata.json = {"a.mp4": {"label": "REAL", "split": "train", "original": null}, "b.mp4": {"label": "FAKE", "original": "a.mp4"}, "c.mp4": {"label": "REAL"}}
        train/part_01/part_1/metadata.json = {"d.mp4": {"label": "FAKE", "original": "gone.mp4"}, "gone.mp4": {"label": "REAL"}}
        test/labels.csv = filename,label
e.mp4,1
f.mp4,0
        validation/labels.csv = filename,label
g.mp4,1
    """,
    "DFDC with one metadata.json": """
        DFDC
        videos/a.mp4 real train a DFDC_a.mp4
        videos/b.mp4 .    train a DFDC_a.mp4
        videos/c.mp4 real train b DFDC_c.mp4
        metadata.json = {"a.mp4": {"label": "REAL"}, "b.mp4": {"label": "FAKE", "original": "a.mp4"}, "c.mp4": {"label": "REAL"}}
    """,
    "DFDC preview": """
        DFDC preview
        original_videos/1226/1226_A_001.mp4         real train a DFDC-preview_1226
        original_videos/77/77_B_002.mp4             real test  b DFDC-preview_77
        method_A/1226/1226_77/x.mp4                 method_A train a DFDC-preview_1226
        method_B/77/77_D/y.mp4                      method_B test b DFDC-preview_77
        dataset.json = {"original_videos/1226/1226_A_001.mp4": {"label": "real", "set": "train"}, "original_videos/77/77_B_002.mp4": {"label": "real", "set": "test"}, "method_A/1226/1226_77/x.mp4": {"label": "fake", "set": "train"}, "method_B/77/77_D/y.mp4": {"label": "fake", "set": "test"}}
    """,
    "DeepfakeTIMIT": """
        DeepfakeTIMIT
        higher_quality/fadg0/sa1-video-fram1.avi  higher_quality train a DeepfakeTIMIT_fadg0
        lower_quality/fadg0/sa2-video-fram1.avi   lower_quality  train a DeepfakeTIMIT_fadg0
        lower_quality/mccs0/sa1-video-mccs0.avi   lower_quality  train b DeepfakeTIMIT_mccs0
    """,
    "DF40": """
        DF40
        blendface/ff/frames/000_003/*.png      blendface train a FaceForensics++_000+003
        blendface/cdf/frames/id0_id1_0000/*.png blendface train b Celeb-DF_id0+id1
        sd2.1/fake/1/*.png                     sd2.1 train c FaceForensics++_1
        sd2.1/real/2/*.png                     real train d FaceForensics++_2
    """,
    "WildDeepfake": """
        WildDeepfake
        real_train/0/12/*.png   real train a .
        real_train/0/13/*.png   real train a .
        real_train/1/14/*.png   real train b .
        fake_train/0/12/*.png   .    train c .
        real test/3/1/*.png     real test  d .
        fake_test/3/1/*.png     .    test  e .
    """,
    "class folders": """
        class folders
        real/000.mp4                real train a .
        real/003.MP4                real train a .
        real/deep/er/clip.webm      real train b .
        fake/000_003.mp4            .    train a .
        fake/FaceSwap/003_000.mp4   FaceSwap train a .
        fake/real.avi               .    train c .
        fake2/x.mp4                 - not where class folders has its videos
        notes/figure.png            - not where class folders has its videos
        fake/thumbnails/000.png     - thumbnails, not videos
        fake/FaceSwap/003_000.jpg   - image beside videos
    """,
    "split folders": """
        class folders
        Training/Real/a.mp4      real train a .
        Training/Fake/a_b.mp4    .    train a .
        valid/REAL/a.mp4         real val   b .
        valid/FAKE/a_b.mp4       .    val   b .
        Test/original/c.mp4      real test  c .
        Test/manipulated/m/c.mp4 m    test  c .
        holdout/real/x.mp4       - not where class folders has its videos
    """,
    "split words of others": """
        class folders
        data/validation/originals/a.mp4 real val   a .
        data/dev/synthetic/a_1.mp4      .    val   a .
        data/testing/authentic/b.mp4    real test  b .
        data/testing/deepfakes/c.mp4    .    test  c .
    """,
    "classes with numbers and splits": """
        class folders
        0_real/train/a.mp4              real train a .
        1_fake/train/m/a_b.mp4          m    train a .
        real_test/c.mp4                 real test  b .
        fake-test/c_d.mp4               .    test  b .
        training_fake/k.mp4             .    train c .
        train_real/l.mp4                real train d .
        Real videos/test/n.mp4          real test  e .
    """,
    "frames and photos": """
        class folders
        real/anna/*.jpg                 real train a .
        real/frames/ben/*.png           real train b .
        real/000_*.png                  real train c .
        real/003_*.png                  real train c .
        fake/m/anna_x/*.png             m    train a .
        fake/videos/ben_y.mp4           .    train b .
        fake/frames/ben_y/*.png         - frames of a clip that is used already
        fake/photos/000_003_*.jpg       photos train c .
        fake/photos/003_000_*.jpg       photos train c .
        fake/smile.jpg                  .    train d .
        fake/masks/anna_x/*.png         - masks, not videos
    """,
}


def build(root, tree):
    """Write a tree; return its layout, and the rest of each video's line by its identifier."""
    entries = []
    layout, *lines = tree.strip().split("\n")
    for line in lines:
        if not line.startswith(" " * 8):
            entries[-1] += "\n" + line
        elif line.strip():
            entries.append(line.strip())
    expected = {}
    for entry in entries:
        if " = " in entry or entry.endswith(" ="):
            name, _, content = entry.partition(" =")
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content.strip())
            continue
        end = entry.index(".", entry.rindex("/") if "/" in entry else 0)
        end = next(i for i in range(end, len(entry) + 1) if entry[i : i + 1] in (" ", ""))
        path, rest = entry[:end], entry[end:].split(None, 1 if entry[end:].split()[0] == "-" else 4)
        touch(root, *(path.replace("*", f"{i:04d}") for i in range(5)))
        name = path.split("/*")[0].split("_*")[0]
        expected[name] = rest
    return layout.strip(), expected


@pytest.mark.parametrize("name", TREES)
def test_tree(tmp_path, name):
    layout, expected = build(tmp_path, TREES[name])
    data_set = find_data_set(tmp_path)
    assert data_set.layout == layout
    found = {}
    letters = {}
    for video in data_set.videos:
        group = letters.setdefault(video.group, expected[video.video][2])
        ids = {person.rpartition(" ")[0].replace(" ", "-") for person in video.people}
        people = "+".join(person.rpartition(" ")[2] for person in video.people)
        method = video.method or "." if video.label else "real"
        told = [method, video.split, group, "_".join([*ids, people]) or "."]
        found[video.video] = told
        assert (tmp_path / video.video) == video.path
    for line in data_set.left_out:
        assert line.n == 1, line
        found[line.path] = ["-", line.reason]
    assert found == expected
    assert len(set(letters.values())) == len(letters), letters
    assert data_set.found == len(expected)
