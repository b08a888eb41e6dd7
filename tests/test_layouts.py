# ruff: noqa: E501 - the trees are tables
"""Each tree that people have on disk: every video used, with the right label, or left out."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import groups_of, touch

import data
from data.files import InputError
from data.layouts import (
    SAMPLE_DIR,
    find_data_set,
    find_videos,
    list_videos,
)
from data.public_sets import PUBLIC, SHARES_PEOPLE
from features.extraction_screen import print_data_set

# --- Every tree of data/README.md ---

# A line a video: its path (/* is a folder of five frames, * five numbers), real or the method of a
# fake, split, group, people; or "-" and the reason why it is left out. "." is nothing. A line with
# = is a file with content, one with # a note.
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
        manipulated_sequences/FaceSwap/c40/videos/001_002.mp4   FaceSwap  val   b FaceForensics++_001+002
        manipulated_sequences/Deepfakes/c23/videos/odd name.mp4 Deepfakes train e .
        manipulated_videos/end_to_end/008_M101.mp4   end_to_end test  c FaceForensics++_008+M101
        manipulated_sequences/Deepfakes/masks/videos/000_003.mp4 - masks, not videos
        downloaded_videos/000.mp4                                - downloaded_videos, not videos
        splits/elsewhere/000.mp4                                 - not in the layout FaceForensics++
        train.json = [[0, 3]]
        val.json = [["002", "001"]]
        splits/test.json = [["008", "990"]]
        # 2 videos are in no official list: they are for training
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
        # NO LIST OF FACEFORENSICS++
    """,
    "FaceForensics++ as frames": """
        FaceForensics++
        original_sequences/youtube/c23/images/000/*.png          real train a FaceForensics++_000
        original_sequences/youtube/c23/frames/003/*.png          real train a FaceForensics++_003
        manipulated_sequences/Deepfakes/c23/frames/000_003/*.png Deepfakes train a FaceForensics++_000+003
        manipulated_sequences/Deepfakes/c23/landmarks/000_003/*.png - landmarks, not videos
        # NO LIST OF FACEFORENSICS++
        # each folder of images is read as a video (videos: 3, frames: 15)
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
        FaceForensics++_C23/DeepFakeDetection/01_02__exit__ABCD1234.mp4 - of DFD, whose reals are not here
        FaceForensics++_C23/csv/FF++_Metadata.csv = x
        FaceForensics++_C23/train.json = [["000", "003"]]
        val.json = [["001", "002"]]
        # the data set lies in FaceForensics++_C23/
        # no official split found: looked for test.json and splits/test.json and dataset/splits/test.json
    """,
    "Kaggle's FaceForensics++ as frames": """
        FaceForensics++
        original/000/*.png           real train a FaceForensics++_000
        Deepfakes/000_003/*.png      Deepfakes train a FaceForensics++_000+003
        # no official split found: looked for train.json and splits/train.json and dataset/splits/train.json, and so for val and test
        # each folder of images is read as a video (videos: 2, frames: 10)
    """,
    "one name as in FaceForensics++ among others": """
        class folders
        original/000.mp4             real train a train_000
        original/anna.mp4            real train b train_anna
        original/ben.mp4             real train c train_ben
        Deepfakes/000_003.mp4        .    train a train_000
        Deepfakes/anna_x.mp4         .    train b train_anna
        Deepfakes/ben_x.mp4          .    train c train_ben
    """,
    "FaceForensics++ in compressions that tell the class": """
        FaceForensics++
        original_sequences/youtube/c40/videos/000.mp4            real train a FaceForensics++_000
        manipulated_sequences/Deepfakes/c23/videos/000_003.mp4   Deepfakes train a FaceForensics++_000+003
        # NO LIST OF FACEFORENSICS++
        # WARNING: reals are c40, fakes c23: that alone gives the label away
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
        demo.png                             - not in the layout Celeb-DF
        List_of_testing_videos.txt = 1 Celeb-real/id1_0003.mp4
1 YouTube-real/00170.mp4
0 Celeb-synthesis/id0_id1_0000.mp4
1 Celeb-real/id9_0000.mp4
        # 1 of 4 videos of List_of_testing_videos.txt are not there, celeb-real/id9_0000 for one
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
        # the data set lies in Celeb-DF-v1/
        # each folder of images is read as a video (videos: 1, frames: 5)
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
    "DeeperForensics-1.0 with the lists and a little of FaceForensics++": """
        DeeperForensics-1.0
        manipulated_videos/end_to_end/000_M004.mp4             end_to_end train a FaceForensics++_000+M004
        manipulated_videos/end_to_end/001_M005.mp4             end_to_end val   b FaceForensics++_001+M005
        manipulated_videos/end_to_end_level_1/000_M004.mp4     end_to_end_level_1 train a FaceForensics++_000+M004
        original_sequences/youtube/c23/videos/000.mp4          real train a FaceForensics++_000
        manipulated_sequences/FaceSwap/c23/videos/000_003.mp4  FaceSwap train a FaceForensics++_000+003
        train.json = [["000", "003"]]
        splits/val.json = [[1, "870"]]
        # no official split found: looked for lists/splits/test.txt and test.json and splits/test.json and dataset/splits/test.json
    """,
    "FakeAVCeleb": """
        FakeAVCeleb
        FakeAVCeleb_v1.2/RealVideo-RealAudio/African/men/id00109/00109.mp4      real train a FakeAVCeleb_id00109
        FakeAVCeleb_v1.2/RealVideo-FakeAudio/African/men/id00109/00109_fake.mp4 real train a FakeAVCeleb_id00109
        FakeAVCeleb_v1.2/FakeVideo-FakeAudio/African/men/id00109/00109_2_id00166_wavtolip.mp4 wavtolip train a FakeAVCeleb_id00109+id00166
        FakeAVCeleb_v1.2/FakeVideo-RealAudio/African/men/id00200/00001_id00166_abc_faceswap.mp4 faceswap train a FakeAVCeleb_id00200+id00166
        FakeAVCeleb_v1.2/RealVideo-RealAudio/Asian/women/id00300/00002.mp4      real train b FakeAVCeleb_id00300
        FakeAVCeleb_v1.2/meta_data.csv = source,target1
        # the data set lies in FakeAVCeleb_v1.2/
    """,
    "DFDC in parts": """
        DFDC
        train/dfdc_train_part_0/a.mp4         real  train a .
        train/dfdc_train_part_0/b.mp4         .     train a .
        train/dfdc_train_part_0/c.mp4         real  train a .
        train/dfdc_train_part_0/unlisted.mp4  - in no metadata.json or labels.csv
        train/part_01/part_1/d.mp4            .     train b .
        test/videos/e.mp4                     .     test  c .
        test/videos/f.mp4                     real  test  d .
        validation/g.mp4                      .     val   e .
        test_videos/h.mp4                     - in no metadata.json or labels.csv
        train/dfdc_train_part_0/metadata.json = {"a.mp4": {"label": "REAL", "split": "train", "original": null}, "b.mp4": {"label": "FAKE", "original": "a.mp4"}, "c.mp4": {"label": "REAL"}}
        train/part_01/part_1/metadata.json = {"d.mp4": {"label": "FAKE", "original": "gone.mp4"}, "gone.mp4": {"label": "REAL"}}
        test/metadata.json = {"e.mp4": {"width": 256}}
        test/labels.csv = filename,label
e.mp4,1
f.mp4,0
        validation/labels.csv = filename,label
g.mp4,1
        # 1 videos in metadata.json or labels.csv are not there, train/part_01/part_1/gone for one
    """,
    "DFDC with one metadata.json": """
        DFDC
        videos/a.mp4 real train a .
        videos/b.mp4 .    train a .
        videos/c.mp4 real train b .
        metadata.json = {"a.mp4": {"label": "REAL"}, "b.mp4": {"label": "FAKE", "original": "a.mp4"}, "c.mp4": {"label": "REAL"}}
        # DFDC does not say who is in a video: the same people may be on both sides
    """,
    "a list with labels alone": """
        labels.csv
        videos/000.mp4      real train a train_000
        videos/001.mp4      real train a train_001
        videos/000_001.mp4  .    train a train_000+001
        videos/001_000.mp4  .    train a train_001+000
        videos/7.mp4        .    train b .
        videos/labels.csv = filename,label
000.mp4,REAL
001.mp4,real
000_001.mp4,FAKE
001_000.mp4,fake
7.mp4,1
    """,
    "a list with originals, splits and photos": """
        labels.csv
        a.jpg  real train a .
        b.jpg  gan  train a .
        c.png  real test  b .
        d.png  .    test  b .
        labels.csv = filename,label,original,split,fold,method
a.jpg,0,,train,1,
b.jpg,1,a.jpg,Training,1,gan
c.png,0,,test,2,
d.png,1,c.png,test,2,
        # columns of labels.csv that are not used: fold
        # each loose image is read as a video of one frame (videos: 4)
    """,
    "DFDC preview": """
        DFDC preview
        original_videos/1226/1226_A_001.mp4         real train a DFDC-preview_1226
        original_videos/77/77_B_002.mp4             real test  b DFDC-preview_77
        method_A/1226/1226_77/x.mp4                 method_A train a DFDC-preview_1226
        method_B/77/77_D/y.mp4                      method_B test b DFDC-preview_77
        dataset.json = {"original_videos/1226/1226_A_001.mp4": {"label": "real", "set": "train"}, "original_videos/1226/1226_B_003.mp4": {"label": "real", "set": "train"}, "original_videos/77/77_B_002.mp4": {"label": "real", "set": "test"}, "method_A/1226/1226_77/x.mp4": {"label": "fake", "set": "train"}, "method_B/77/77_D/y.mp4": {"label": "fake", "set": "test"}}
        # 1 of 5 videos of dataset.json are not there, original_videos/1226/1226_b_003 for one
    """,
    "DeepfakeTIMIT": """
        DeepfakeTIMIT
        higher_quality/fadg0/sa1-video-fram1.avi  higher_quality train a DeepfakeTIMIT_fadg0
        lower_quality/fadg0/sa2-video-fram1.avi   lower_quality  train a DeepfakeTIMIT_fadg0
        lower_quality/mccs0/sa1-video-mccs0.avi   lower_quality  train b DeepfakeTIMIT_mccs0
        # no real video here: a set to test on, not to train on
    """,
    "DF40": """
        DF40
        blendface/ff/frames/000_003/*.png      blendface train a FaceForensics++_000+003
        blendface/cdf/frames/id0_id1_0000/*.png blendface train b Celeb-DF_id0+id1
        sd2.1/fake/1/*.png                     sd2.1 train c FaceForensics++_1
        sd2.1/real/2/*.png                     real train d FaceForensics++_2
        # each folder of images is read as a video (videos: 4, frames: 20)
    """,
    "WildDeepfake": """
        WildDeepfake
        real_train/0/12/*.png   real train a .
        real_train/0/13/*.png   real train a .
        real_train/1/14/*.png   real train b .
        fake_train/0/12/*.png   .    train c .
        real test/3/1/*.png     real test  d .
        fake_test/3/1/*.png     .    test  e .
        real_train/4/real/1/*.png   real train f .
        real_train/4/real/2/*.png   real train f .
        fake_train/4/fake/1/*.png   .    train g .
        # each folder of images is read as a video (videos: 9, frames: 45)
    """,
    "class folders": """
        class folders
        real/000.mp4                real train a train_000
        real/003.MP4                real train a train_003
        real/deep/er/clip.webm      real train b .
        fake/000_003.mp4            .    train a train_000+003
        fake/FaceSwap/003_000.mp4   FaceSwap train a train_003+000
        fake/real.avi               .    train c .
        Deep-Fakes/c23/o.mp4        .    train d .
        fake2/x.mp4                 - not in the layout class folders
        notes/figure.png            - not in the layout class folders
        notes/shots/*.png           - not in the layout class folders
        fake/thumbnails/*.png       - thumbnails, not videos
        fake/FaceSwap/003_000.jpg   - image beside videos
    """,
    "class folders in class folders": """
        class folders
        deepfakes/real/a.mp4            real train a train_a
        deepfakes/fake/a_x.mp4          .    train a train_a
        deepfakes/fake/swap/c.mp4       swap train b .
        deepfakes/d.mp4                 .    train c .
        original/e.mp4                  real train d .
        fake/deepfakes/f.mp4            deepfakes train e .
        fake/fakes/g.mp4                fakes train f .
        fake/fake/h.mp4                 .    train g .
        fake/swap/c/*.png               swap train b .
        # deepfakes/ holds both classes: the innermost folder is the class
        # each folder of images is read as a video (videos: 1, frames: 5)
    """,
    "class folders with folders as in DF40": """
        class folders
        real/ff/a.mp4                   real train a .
        fake/cdf/b.mp4                  cdf  train b .
    """,
    "a set far below, with labels that are not used": """
        class folders
        up/deepfakes/videos_real/a.mp4  real train a .
        up/deepfakes/fake-videos/b.mp4  .    train b .
        readme/cover.png                - not in the layout class folders
        up/deepfakes/labels.csv = filename,label
        # the data set lies in up/deepfakes/
        # up/deepfakes/labels.csv is not used: labels are those of the folders
    """,
    "split folders": """
        class folders
        data/Training/Real/a.mp4         real train a train_a
        data/Training/synthetic/a_b.mp4  .    train a train_a
        data/validation/REAL/a.mp4       real val   b val_a
        data/valid/forged/a_b.mp4        .    val   b val_a
        data/dev/pristine/x.mp4          real val   d .
        data/Test/original/c.mp4         real test  c test_c
        data/testing/manipulated/m/c.mp4 m    test  c test_c
        data/holdout/real/x.mp4          - not in the layout class folders
        # the data set lies in data/
    """,
    "classes with numbers and splits": """
        class folders
        0_real/train/a.mp4              real train a train_a
        1_fake/train/m/a_b.mp4          m    train a train_a
        real_test/c.mp4                 real test  b test_c
        fake-test/deepfake_test/c_d.mp4 .    test  b test_c
        training_fake/k.mp4             .    train c .
        Real videos/test/n.mp4          real test  e .
    """,
    "frames and photos": """
        class folders
        real/anna/*.jpg                 real train a train_anna
        real/frames/ben/*.png           real train b train_ben
        real/000_frame*.png             real train c train_000
        real/003_frame*.png             real train c train_003
        fake/m/anna_x/*.png             m    train a train_anna
        fake/videos/ben_y.mp4           .    train b train_ben
        fake/photos/000_003_frame*.jpg  photos train c train_000+003
        fake/photos/003_000_frame*.jpg  photos train c train_003+000
        fake/smile.jpg                  .    train d .
        # each folder of images is read as a video (videos: 3, frames: 15)
        # loose images are read as frames, by their names (videos: 4, frames: 20)
        # each loose image is read as a video of one frame (videos: 1)
    """,
    "images that alone tell the class": """
        class folders
        real/a.mp4       real train a .
        fake/c/*.png     .    train b .
        fake/me.jpg      .    train c .
        # each folder of images is read as a video (videos: 1, frames: 5)
        # each loose image is read as a video of one frame (videos: 1)
        # WARNING: reals are videos, fakes frames and photos: that alone gives the label away
    """,
    "frames beside their clips": """
        class folders
        real/a.mp4               real train a .
        real_frames/a/*.png      - frames of a clip that is used already
        real_frames/c/*.png      real train b .
        real/d/frames/*.png      real train c train_d
        fake/frames/d_fake/*.png .    train c train_d
        real/faces_001/*.png     real train i .
        real/e/e.mp4             real train d .
        real/e/frames/0.png      - image beside videos
        fake_videos/b.mp4        .    train f .
        fake_frames/b/*.png      - frames of a clip that is used already
        fake/f/f.mp4             f    train g .
        fake/frames/f.mp4/*.png  - frames of a clip that is used already
        fake/f_frames/*.png      - frames of a clip that is used already
        fake/g/faces_224/*.png   .    train h .
        fake/g/masks/*.png       - masks, not videos
        # each folder of images is read as a video (videos: 5, frames: 25)
    """,
    "loose frames beside a folder of their name": """
        class folders
        test/real/a_frame*.png   real test a .
        test/real/ann_frame*.png real test b .
        test/real/ann/*.png      - frames of a clip that is used already
        # loose images are read as frames, by their names (videos: 2, frames: 10)
        # no fake video here: a set to test on, not to train on
    """,
}


NO_LIST = "# NO LIST OF FACEFORENSICS++"
NO_LIST_SAID = """# no official split found: looked for train.json and splits/train.json and \
dataset/splits/train.json, and so for val and test"""


def build(root, tree):
    """Write a tree; return its layout, what is told of each video by its identifier, and notes."""
    layout, *lines = tree.strip().split("\n")
    entries, notes, expected = [], [], {}
    for line in lines:
        entry = line.strip()
        if not line.startswith(" " * 8):  # the content of a file goes on
            entries[-1] += f"\n{line}"
        elif entry.startswith("# "):
            notes.append({NO_LIST: NO_LIST_SAID}.get(entry, entry).removeprefix("# "))
        elif entry:
            entries.append(entry)
    for entry in entries:
        name, is_file, content = entry.partition(" =")
        if is_file:
            touch(root, name)
            (root / name).write_text(content.strip())
            continue
        path, rest = re.fullmatch(r"(.*?\.\w+)\s+(\S+ .*)", entry).groups()
        rest = rest.split(None, 1 if rest[0] == "-" else 4)
        touch(root, *(path.replace("*", f"{i:04d}") for i in range(5)))
        name = path.split("/*")[0]
        name = name.rpartition(".")[0].replace("*", "{frame}") if "*" in name else name
        n_images = 5 if "*" in path else int(path.endswith(("jpg", "png")))
        expected[name] = rest if rest[0] == "-" else [*rest, n_images]
    return layout.strip(), expected, notes


@pytest.mark.parametrize("name", TREES)
def test_tree(tmp_path, name):
    layout, expected, notes = build(tmp_path, TREES[name])
    data_set = find_data_set(tmp_path)
    found = {line.path: ["-", line.reason] for line in data_set.left_out}
    letters = {}
    for video in data_set.videos:
        group = letters.setdefault(video.group, expected[video.video][2])
        found_ids = [person.removeprefix("~") for person in video.people]
        ids = {person.rpartition(" ")[0].replace(" ", "-") for person in found_ids}
        people = "+".join(person.rpartition(" ")[2] for person in found_ids)
        method = video.method or "." if video.label else "real"
        told = [method, video.split, group, "_".join([*ids, people]) or ".", video.n_images]
        found[video.video] = told
        assert (tmp_path / video.video) == video.path
    assert (data_set.layout, found, data_set.notes) == (layout, expected, notes)
    assert len(set(letters.values())) == len(letters), letters
    assert data_set.found == len(expected)


def test_of_which_sets_ids_mean_the_same_wherever_they_lie():
    assert {"FaceForensics++", "Celeb-DF", "DFDC", "DFD"} <= PUBLIC
    assert PUBLIC.isdisjoint({"class folders", "list", "WildDeepfake"})
    assert {"Celeb-DF"} == SHARES_PEOPLE


# A tree, a clip, and the videos of it
CLIPS = """
FaceForensics++ with other levels | FaceForensics++ 000 | 000 000_003
DFD in FaceForensics++'s tree | DFD 03__exit_room | 03_07__exit_room__ABCD1234 03__exit_room
Celeb-DF v2 | Celeb-DF id0_0000 | id0_0000 id0_id1_0000
FakeAVCeleb | FakeAVCeleb id00109/00109 | 00109 00109_2_id00166_wavtolip 00109_fake
DFDC in parts | DFDC a | a b
WildDeepfake | WildDeepfake real_train/0 | 12 13
a list with labels alone | videos/000.mp4 | 000 000_001
"""


@pytest.mark.parametrize("row", CLIPS.strip().split("\n"))
def test_a_fake_has_the_clip_of_its_target(tmp_path, row):
    tree, clip, expected = row.split(" | ")
    build(tmp_path, TREES[tree])
    found = sorted(video.path.stem for video in find_videos(tmp_path) if video.clip == clip)
    assert found == expected.split()


# --- The walk ---


def test_what_is_not_looked_at_is_named_but_for_hidden_files(tmp_path, monkeypatch):
    touch(tmp_path, "elsewhere/x.mp4", "set/.cache/fake/z.mp4", "set/fake/closed/y.mp4")
    names = "y.mp4 .hidden.mp4 ._y.mp4 notes.txt c.mp4.part b d.QT e.qt"
    touch(tmp_path / "set/fake", *names.split())
    (tmp_path / "set/real").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/fake/gone").symlink_to(tmp_path / "nowhere")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", refuse)
    data_set = find_data_set(tmp_path / "set")
    assert [video.video for video in data_set.videos] == ["fake/y.mp4", "real/x.mp4"]
    assert data_set.left_out == []
    assert data_set.notes == [
        "fake/closed/ cannot be read (Permission denied): videos may be missing",
        "real/up/ leads to a folder that was read already: left out",
        "not looked at: files that are links to nowhere (1), fake/gone for one",
        "not looked at: files that end in .part (1), fake/c.mp4.part for one",
        "not looked at: files that end in .qt (2), fake/d.QT for one",
        "not looked at: files that have no ending (1), fake/b for one",
    ]


def test_listing_asks_the_system_for_each_photo_once_and_for_no_frame(tmp_path, monkeypatch):
    touch(tmp_path, *(f"real/{i}/{n:03d}.png" for i in range(5) for n in range(20)))
    touch(tmp_path, *(f"fake/{n}.jpg" for n in range(80)))
    calls, stat = [], os.stat
    monkeypatch.setattr("os.stat", lambda *args, **kwargs: calls.append(1) or stat(*args, **kwargs))
    data_set = find_data_set(tmp_path)
    assert data_set.found == len(data_set.videos) == 85
    assert len(calls) < 95  # the size of a photo, to find copies


# --- Images ---


def spread(pattern, **ranges):
    """The names that a pattern gives for all combinations of values."""
    names = [pattern]
    for word, values in ranges.items():
        names = [name.replace(f"<{word}>", str(value)) for name in names for value in values]
    return " ".join(names)


FRAMES = {"v": range(10), "f": range(0, 30, 10)}


@pytest.mark.parametrize(
    ("names", "videos"),
    [
        # the number after the word frame is the frame
        (spread("fake/fake<v>_frame00<f>.png", **FRAMES), "fake/fake<v>_frame{frame}"),
        (spread("fake/frame_0000<f>_00<v>.jpg", **FRAMES), "fake/frame_{frame}_00<v>"),
        (spread("fake/frame<f>_video<v>.jpg", **FRAMES), "fake/frame{frame}_video<v>"),
        (spread("fake/<v>_frame<f>_face0.jpg", **FRAMES), "fake/<v>_frame{frame}_face{face}"),
        # photos: nothing recurs
        (spread("fake/stylegan2_000<f>.png", f=range(20)), "photos"),
        (spread("fake/mainframe<f>.png", f=range(4)), "photos"),
        (spread("fake/000<v>(<k>).jpg", v=range(9), k=range(2, 11)), "photos"),
        ("real/real_1.jpg real/real_2.jpg fake/easy_1_0011.jpg fake/easy_2_1011.jpg", "photos"),
        ("real/videos/1.png real/videos/2.png fake/20230101_1.jpg fake/20230101_2.jpg", "photos"),
        # a folder of its own
        ("real/a/0_0.png real/a/0_1.png real/a/1_0.png real/a/1_1.png real/a/9_0.png", "real/a"),
        ("real/a/frame_1.png real/a/frame_2.png real/a/cover.png", "real/a"),
        ("real/a/b_frame1.png real/a/c_frame1.png", "real/a/b_frame{frame} real/a/c_frame{frame}"),
    ],
)
def test_frames_or_photos(tmp_path, names, videos):
    touch(tmp_path, *names.split())
    expected = names.split() if videos == "photos" else spread(videos, v=range(10)).split()
    n = len(names.split()) / len(set(expected))
    assert {v.video: v.n_images for v in find_videos(tmp_path)} == dict.fromkeys(expected, n)


FLAT = f"{spread('real/00<v>_<f>_<k>.jpg', v=(0, 3), f=(10, 20), k=(0, 1))} fake/000_003_10_0.jpg"


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (FLAT, '"{video}_{frame}" (4 videos), "{video}_{frame}_{face}" (2 videos), photo (8 photo'),
        ("real/ann-1.png real/ann-2.png real/bo-1.png", '"{video}-{frame}" (2 videos), photo (3 p'),
        ("real/x_1.png real/x_2.png real/y_1.png real/o.png", '"{video}_{frame}" (3 videos), phot'),
        ("real/0017_anna.png real/0018_anna.png real/0017_b.png", '"{frame}_{video}" (2 videos), '),
        ("real/frame_1.png real/frame_2.png", "photo (2 photos); or put the frames of each vid"),
        (spread("fake/m/<v>_<f>.png", v=("000_003", "003_000"), f=(1, 2)), '"{video}_{frame}" (2'),
        (spread("real/a/<v>_<f>.png", v=("ann", "bo"), f=(1, 2)), '"{video}_{frame}" (2'),
    ],
)
def test_where_names_leave_open_which_number_is_the_frame_the_program_asks(
    tmp_path, names, readings
):
    touch(tmp_path, *names.split(), "original/0.jpg", "original/1.jpg")
    asks = r"leave open which number is the frame.*--image-names"
    with pytest.raises(InputError, match=asks) as error:
        find_videos(tmp_path)
    assert readings in str(error.value)
    photos = {video.video for video in find_videos(tmp_path, image_names="photo")}
    assert photos >= set(names.split()) or "/a/" in names  # a folder of photos is one video
    assert {path.name for path in list_videos(tmp_path)[0]} >= {Path(n).name for n in names.split()}


def test_the_pattern_of_a_user_settles_it(tmp_path):
    touch(tmp_path, *FLAT.split(), "real/cover.jpg", "real/own/1.jpg", "real/own/2.jpg")
    videos = find_videos(tmp_path, image_names="{video}_{frame}_{face}")
    assert {video.video: (video.n_images, video.clip) for video in videos} == {
        "fake/000_003_{frame}_{face}": (1, "real/000_{frame}_{face}"),
        "real/000_{frame}_{face}": (4, "real/000_{frame}_{face}"),
        "real/003_{frame}_{face}": (4, "real/003_{frame}_{face}"),
        "real/cover.jpg": (1, "real/cover.jpg"),
        "real/own": (2, "real/own"),
    }
    assert len(groups_of(videos)) == 3
    for pattern in ("{video}_{number}", "{video}{video}", "plain"):
        with pytest.raises(InputError, match=r"--image-names .*: expected photo, or text with {vi"):
            find_videos(tmp_path, image_names=pattern)


def test_flat_frames_of_a_public_set_are_read_by_the_pattern_of_the_user(tmp_path):
    names = ("original/000", "original/003", "Face2Face/000_003", "FaceSwap/003_000")
    touch(tmp_path, *(f"{name}_{frame}.png" for name in names for frame in range(3)))
    (tmp_path / "test.json").write_text('[["000", "003"]]')
    data_set = find_data_set(tmp_path, image_names="{video}_{frame}")
    assert data_set.layout == "FaceForensics++" and data_set.left_out == []
    told = [(v.method, v.split, v.n_images) for v in data_set.videos]
    assert told == [(method, "test", 3) for method in ("Face2Face", "FaceSwap", "", "")]


def test_videos_for_prediction(tmp_path):
    touch(tmp_path, "a/1.png", "a/2.png", "b/c.mp4", "b/c.jpg", "m/me.jpg", "m/you.jpg")
    touch(tmp_path, "masks/1.png")
    videos, notes = list_videos(tmp_path)
    assert videos == [tmp_path / name for name in ("a", "b/c.mp4", "m")]
    assert notes == [
        "each folder of images is read as a video (videos: 2, frames: 4)",
        "left out b/c.jpg: image beside videos",
        "left out masks: masks, not videos",
    ]
    one = "each folder of images is read as a video (videos: 1, frames: 2)"
    assert list_videos(tmp_path / "a") == ([tmp_path / "a"], [one])


def test_many_of_a_kind_are_one_line(tmp_path, capsys):
    touch(tmp_path, "real/a.mp4", "fake/b.mp4", *(f"fake/masks/{n}/1.mp4" for n in range(9)))
    touch(tmp_path, *(f"other/{n}.mp4" for n in range(5)), "one/1.mp4")
    print_data_set(find_data_set(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("Left out   15 of 17 videos")
    assert [line.strip() for line in lines[start + 1 : start + 4]] == [
        "fake/masks/: 9 videos: masks, not videos",
        "one/1.mp4: not in the layout class folders",
        "other/: 5 videos: not in the layout class folders",
    ]


# --- What is no data set, or an odd one ---

CELEB = "Celeb-real/id0_0000.mp4 Celeb-real/id0_0001.mp4 YouTube-real/00000.mp4"
FF = "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4"
CELEB_LIST = "List_of_testing_videos.txt"

# videos | a part of the error (a regular expression) | other files
WRONG = r"""
NONE | is not a folder: point --videos-dir at a folder with real/ and fake/
readme.txt | no data set that is known \(found no video\): expected real/ and fake/
footage/x.mp4 y.png | known \(found footage/x.mp4, y.png\): expected real/
a/real/x.mp4 b/fake/x.mp4 | several data sets: a/ \(class folders\), b/ .*: name one of them; if these are
fake/original/x.mp4 fake/y.mp4 real/z.mp4 | ^fake/ says fake, but fake/original/ in it real: rename one of the two
real/x.mp4 test/real/y.mp4 | has both test/real/y.mp4 and, in no folder of a split, real/x.mp4: which
FF | 000_003 joins people of the official splits train and val: remove | train.json = [["000", 1]] | val.json = [["003", 2]]
FF | val\.json: 000 is in the train split too | train.json = [["000", "001"]] | val.json = [[0, 2]]
FF | train.json: 000_003 is not a pair of ids | train.json = ["000_003"]
FF | train\.json is not valid JSON | train.json = [[
CELEB | CELEB_LIST, line 2: '0 Celeb-real/id0_0000.mp4' does not fit | CELEB_LIST = 1 YouTube-real\00000.mp4\n0 Celeb-real\id0_0000.mp4
CELEB | 2 of 3 videos of CELEB_LIST .* take the list that belongs | CELEB_LIST = 1 Celeb-real/id0_0000.mp4\n1 Celeb-real/a.mp4\n1 Celeb-real/b.mp4
original_videos/1/a.mp4 | a.mp4 is fake, but lies where reals are | dataset.json = {"original_videos/1/a.mp4": {"label": "fake", "set": "train"}}
a.mp4 | a.mp4 has no label REAL or FAKE | metadata.json = {"a.mp4": {"label": "UNKNOWN"}}
a.mp4 | a.mp4 has no label REAL or FAKE | metadata.json = {"a.mp4": []}
a.mp4 | is a list, as in LAV-DF: give it to --videos-csv | metadata.json = [{"file": "a.mp4"}]
a.mp4 | columns filename and label, or give it to --v | labels.csv = name,label\na.mp4,1
a.mp4 | Left out: a.mp4: in no metadata.json or labels.csv | labels.csv = label,filename\nreal
a.mp4 | labels.csv, line 3: a.mp4 has two labels | labels.csv = filename,label\na.mp4,0\na.mp4,1
a.mp4 | a\.mp4 has split 'fold1', not train, val, test | labels.csv = filename,label,split\na.mp4,0,fold1
"""
SHORT = {"NONE": "", "FF": FF, "CELEB_LIST": CELEB_LIST, "CELEB": CELEB}


@pytest.mark.parametrize("row", WRONG.strip("\n").split("\n"))
def test_what_is_wrong_is_said(tmp_path, row):
    for short, name in SHORT.items():
        row = row.replace(short, name)
    names, message, *files = row.split(" | ")
    touch(tmp_path, *(f"set/{name}" for name in names.split()))
    for file in files:
        name, text = file.split(" = ", 1)
        (tmp_path / "set" / name).write_text(text.replace(r"\n", "\n"))
    with pytest.raises(InputError, match=message):
        find_videos(tmp_path / "set")


# --- Less than all ---


def test_methods_narrow_the_fakes(tmp_path):
    build(tmp_path, TREES["Kaggle's FaceForensics++"])
    data_set = find_data_set(tmp_path, methods=["faceswap", "Face2Face"])
    assert Counter(v.method for v in data_set.videos) == {"": 3, "FaceSwap": 1, "Face2Face": 1}
    assert data_set.found == 9
    known = "expected some of: Deepfakes, Face2Face, FaceShifter, FaceSwap, NeuralTextures"
    with pytest.raises(InputError, match=f"--methods swap: {known}"):
        find_data_set(tmp_path, methods=["swap"])


def test_compression_narrows_faceforensics_alone(tmp_path):
    build(tmp_path / "ff", TREES["FaceForensics++ as its authors ship it"])
    names = [video.video for video in find_videos(tmp_path / "ff", compression="c40")]
    fake = "manipulated_sequences/FaceSwap/c40/videos/001_002.mp4"
    assert names == [fake, "original_sequences/youtube/c40/videos/003.mp4"]
    with pytest.raises(InputError, match=r"has no video to use. Left out: .*mp4: not c0"):
        find_videos(tmp_path / "ff", compression="c0")
    build(tmp_path / "kaggle", TREES["Kaggle's FaceForensics++"])
    data_set = find_data_set(tmp_path / "kaggle", compression="c23")
    assert "no folder tells a compression: --compression c23 takes all videos" in data_set.notes
    touch(tmp_path, "set/real/x.mp4")
    with pytest.raises(InputError, match=r"c23 is for FaceForensics\+\+, but this is: class folde"):
        find_videos(tmp_path / "set", compression="c23")


def test_a_few_videos_of_each_class_from_different_groups(tmp_path):
    touch(tmp_path, *(f"real/{n:03d}.mp4" for n in range(20)))
    touch(tmp_path, *(f"fake/{m}/{n:03d}_x.mp4" for n in range(20) for m in "ab"))
    data_set = find_data_set(tmp_path, max_videos=10)
    assert Counter(video.label for video in data_set.videos) == {0: 10, 1: 10}
    assert len(groups_of(data_set.videos)) == 10  # a real and a fake of each
    names = [video.video for video in data_set.videos]
    assert names == [v.video for v in find_videos(tmp_path, max_videos=10)]
    assert data_set.found == 60
    assert names[:10] != [f"fake/a/{n:03d}_x.mp4" for n in range(10)]
    assert len(find_videos(tmp_path, max_videos=25)) == 45


def test_each_source_keeps_its_share_of_a_few_videos(tmp_path):
    touch(tmp_path, *(f"Celeb-real/id{n % 20}_{n // 20:04d}.mp4" for n in range(60)))
    touch(tmp_path, *(f"YouTube-real/{n:05d}.mp4" for n in range(30)))
    touch(tmp_path, *(f"Celeb-synthesis/{m}/id1_id2_{n:04d}.mp4" for m in "ab" for n in range(30)))
    videos = find_videos(tmp_path, max_videos=12)
    sources = Counter(video.video.rpartition("/")[0] for video in videos)
    fakes = {"Celeb-synthesis/a": 6, "Celeb-synthesis/b": 6}
    assert sources == {"Celeb-real": 8, "YouTube-real": 4, **fakes}
    people = [video.people for video in videos if video.video.startswith("Celeb-real")]
    assert len(set(people)) == 8


def test_without_the_sample_set_the_default_says_how_to_draw_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"draw the sample set with `.*--videos-dir") as error:
        find_videos(SAMPLE_DIR)
    _, script, *flags = str(error.value).split("`")[1].split()
    assert Path(script).samefile(Path(data.__file__).with_name("make_sample.py"))
    assert flags == ["--output-dir", "data/sample"]  # where the default looks


# --- The real trees ---


def test_real_trees(real_videos):
    found = find_videos(real_videos / "faceforensics")
    counts = {("train", 0): 1, ("train", 1): 2, ("val", 0): 1, ("val", 1): 1, ("test", 0): 1}
    assert Counter((v.split, v.label) for v in found) == counts | {("test", 1): 1}
    found = find_videos(real_videos / "dfdc")
    assert Counter(video.label for video in found) == {0: 1, 1: 3}


def test_official_faceforensics_splits_give_disjoint_identities(real_videos, tmp_path):
    """All names of the whole set, under the official split files."""
    sizes = {"train": 360, "val": 70, "test": 70}
    reals = "original_sequences/youtube/c23/videos"
    fakes = "manipulated_sequences/NeuralTextures/c23/videos"
    for split in sizes:
        text = (real_videos / f"faceforensics/splits/{split}.json").read_text()
        (tmp_path / f"{split}.json").write_text(text)
        for a, b in json.loads(text):
            touch(tmp_path / reals, f"{a}.mp4", f"{b}.mp4")
            touch(tmp_path / fakes, f"{a}_{b}.mp4", f"{b}_{a}.mp4")
    videos = find_videos(tmp_path)
    counts = {(split, label): 2 * n for split, n in sizes.items() for label in (0, 1)}
    assert Counter((video.split, video.label) for video in videos) == counts
    assert len({video.group for video in videos}) == 500
    assert len({(video.group, video.split) for video in videos}) == 500
