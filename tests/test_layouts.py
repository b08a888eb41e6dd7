# ruff: noqa: E501 - the trees are tables
"""Each tree that people have on disk: every video used, with the right label, or left out."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import groups_of, touch

import data
from data.files import InputError
from data.images import list_images
from data.layouts import (
    SAMPLE_DIR,
    find_data_set,
    find_videos,
    list_videos,
    read_drawn_by,
    summarise,
)
from data.public_sets import PUBLIC, SHARES_PEOPLE
from features.extraction_screen import print_data_set

# --- Every tree of data/README.md ---

# A line a video: its path (/* is a folder of five frames, * five numbers), real or the method of a
# fake, split, group, people; or "-" and a part of the reason why it is left out. "." is nothing.
# A line with = is a file with content.
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
        splits/elsewhere/000.mp4                                 - not in the layout FaceForensics++
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
        FaceForensics++_C23/DeepFakeDetection/01_02__exit__ABCD1234.mp4 - of DFD, whose reals are not here
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
        demo.png                             - not in the layout Celeb-DF
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
        manipulated_videos/end_to_end/000_M004.mp4             end_to_end test a FaceForensics++_000+M004
        manipulated_videos/end_to_end_level_1/000_M004.mp4     end_to_end_level_1 test a FaceForensics++_000+M004
        original_sequences/youtube/c23/videos/000.mp4          real test a FaceForensics++_000
        manipulated_sequences/FaceSwap/c23/videos/000_003.mp4  FaceSwap test a FaceForensics++_000+003
        dataset/splits/test.json = [["000", "003"]]
    """,
    "DeeperForensics-1.0 with the lists of FaceForensics++": """
        DeeperForensics-1.0
        manipulated_videos/end_to_end/000_M004.mp4  end_to_end train a FaceForensics++_000+M004
        manipulated_videos/end_to_end/001_M005.mp4  end_to_end val   b FaceForensics++_001+M005
        manipulated_videos/end_to_end/002_M006.mp4  end_to_end test  c FaceForensics++_002+M006
        original/002.mp4                            real test  c FaceForensics++_002
        train.json = [["000", "003"]]
        splits/val.json = [["001", "870"]]
        test.json = [[2, 4]]
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
        test/labels.csv = filename,label
e.mp4,1
f.mp4,0
        validation/labels.csv = filename,label
g.mp4,1
    """,
    "DFDC with one metadata.json": """
        DFDC
        videos/a.mp4 real train a .
        videos/b.mp4 .    train a .
        videos/c.mp4 real train b .
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
    "WildDeepfake with the class inside": """
        WildDeepfake
        real_train/1/real/1/*.png   real train a .
        real_train/1/real/2/*.png   real train a .
        fake_train/1/fake/1/*.png   .    train b .
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
        real/000.mp4                real train a train_000
        real/003.MP4                real train a train_003
        real/deep/er/clip.webm      real train b .
        fake/000_003.mp4            .    train a train_000+003
        fake/FaceSwap/003_000.mp4   FaceSwap train a train_003+000
        fake/real.avi               .    train c .
        fake2/x.mp4                 - not in the layout class folders
        notes/figure.png            - not in the layout class folders
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
    """,
    "a set in a class folder alone": """
        class folders
        deepfakes/real/a.mp4            real train a .
        deepfakes/fake/b.mp4            .    train b .
    """,
    "UADFV as frames": """
        class folders
        real/frames/0000/*.png          real train a train_0000
        real/frames/0001/*.png          real train b .
        real/faces_001/*.png            real train d .
        fake/frames/0000_fake/*.png     .    train a train_0000
        fake/clip_7/*.png               .    train c .
    """,
    "split folders": """
        class folders
        Training/Real/a.mp4      real train a train_a
        Training/Fake/a_b.mp4    .    train a train_a
        valid/REAL/a.mp4         real val   b val_a
        valid/FAKE/a_b.mp4       .    val   b val_a
        Test/original/c.mp4      real test  c test_c
        Test/manipulated/m/c.mp4 m    test  c test_c
        holdout/real/x.mp4       - not in the layout class folders
    """,
    "split words of others": """
        class folders
        data/validation/originals/a.mp4 real val   a val_a
        data/dev/synthetic/a_1.mp4      .    val   a val_a
        data/testing/authentic/b.mp4    real test  b .
        data/testing/deepfakes/c.mp4    .    test  c .
    """,
    "classes with numbers and splits": """
        class folders
        0_real/train/a.mp4              real train a train_a
        1_fake/train/m/a_b.mp4          m    train a train_a
        real_test/c.mp4                 real test  b test_c
        fake-test/c_d.mp4               .    test  b test_c
        training_fake/k.mp4             .    train c .
        train_real/l.mp4                real train d .
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
        fake/frames/ben_y/*.png         - frames of a clip that is used already
        fake/photos/000_003_frame*.jpg  photos train c train_000+003
        fake/photos/003_000_frame*.jpg  photos train c train_003+000
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
        name = path.split("/*")[0]
        name = name.rpartition(".")[0].replace("*", "{frame}") if "*" in name else name
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
        found_ids = [person.removeprefix("~") for person in video.people]
        ids = {person.rpartition(" ")[0].replace(" ", "-") for person in found_ids}
        people = "+".join(person.rpartition(" ")[2] for person in found_ids)
        method = video.method or "." if video.label else "real"
        told = [method, video.split, group, "_".join([*ids, people]) or "."]
        found[video.video] = told
        assert (tmp_path / video.video) == video.path
    for line in data_set.left_out:
        found[line.path] = ["-", line.reason]
    assert found == expected
    assert len(set(letters.values())) == len(letters), letters
    assert data_set.found == len(expected)


def test_ids_mean_the_same_wherever_a_public_set_lies(tmp_path):
    for root in (tmp_path / "here", tmp_path / "there/deeper"):
        build(root, TREES["FaceForensics++ with other levels"])
    here, there = find_videos(tmp_path / "here"), find_videos(tmp_path / "there/deeper")
    assert [video.people for video in here] == [video.people for video in there]
    assert [video.clip for video in here] == [video.clip for video in there]
    clips = {video.path.stem: video.clip for video in here}
    assert clips["000_003"] == clips["000"] == "FaceForensics++ 000"
    assert {"FaceForensics++", "Celeb-DF", "DFDC", "DFD"} <= PUBLIC
    assert PUBLIC.isdisjoint({"class folders", "list", "WildDeepfake"})
    assert {"Celeb-DF"} == SHARES_PEOPLE


CLIPS = {
    "DFD in FaceForensics++'s tree": (
        "DFD 03__exit_room",
        "03__exit_room 03_07__exit_room__ABCD1234",
    ),
    "Celeb-DF v2": ("Celeb-DF id0_0000", "id0_0000 id0_id1_0000"),
    "FakeAVCeleb": ("FakeAVCeleb id00109/00109", "00109 00109_fake 00109_2_id00166_wavtolip"),
    "DFDC in parts": ("DFDC a", "a b"),
    "WildDeepfake": ("WildDeepfake real_train/0", "12 13"),
}


@pytest.mark.parametrize("name", CLIPS)
def test_a_fake_has_the_clip_of_its_target(tmp_path, name):
    build(tmp_path, TREES[name])
    clip, expected = CLIPS[name]
    found = sorted(video.path.stem for video in find_videos(tmp_path) if video.clip == clip)
    assert found == sorted(expected.split())


# --- The walk ---


def test_hidden_files_and_circles(tmp_path):
    touch(tmp_path, "elsewhere/x.mp4", "set/fake/y.mp4", "set/fake/.hidden.mp4")
    touch(tmp_path, "set/fake/._y.mp4", "set/.cache/fake/z.mp4", "set/fake/notes.txt")
    (tmp_path / "set/real").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(tmp_path / "elsewhere")
    data_set = find_data_set(tmp_path / "set")
    assert [video.video for video in data_set.videos] == ["fake/y.mp4", "real/x.mp4"]
    assert data_set.found == 2 and data_set.left_out == []
    assert data_set.notes[0] == "real/up/ leads to a folder that was read already: left out"


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "real/x.mp4", "real/closed/y.mp4", "fake/z.mp4")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", refuse)
    data_set = find_data_set(tmp_path)
    assert len(data_set.videos) == 2
    assert data_set.notes[0].startswith("real/closed/ cannot be read (Permission denied)")


def test_listing_asks_the_system_for_each_photo_once_and_for_no_frame(tmp_path, monkeypatch):
    touch(tmp_path, *(f"real/{i}/{n:03d}.png" for i in range(20) for n in range(30)))
    touch(tmp_path, *(f"fake/{n}.jpg" for n in range(400)))
    calls = Counter()
    stat = os.stat
    monkeypatch.setattr(
        "os.stat", lambda *args, **kwargs: calls.update([1]) or stat(*args, **kwargs)
    )
    data_set = find_data_set(tmp_path)
    assert data_set.found == len(data_set.videos) == 420
    assert calls.total() < 450  # the size of a photo, to find copies


def test_how_images_are_read_is_said(tmp_path):
    build(tmp_path, TREES["frames and photos"])
    data_set = find_data_set(tmp_path)
    images = {video.video: video.n_images for video in data_set.videos}
    assert images["real/anna"] == images["real/000_frame{frame}"] == 5
    assert (images["fake/smile.jpg"], images["fake/videos/ben_y.mp4"]) == (1, 0)
    assert data_set.notes[:3] == [
        "each folder of images is read as a video (videos: 3, frames: 15)",
        "loose images are read as frames, by their names (videos: 4, frames: 20)",
        "each loose image is read as a video of one frame (videos: 1)",
    ]


def test_a_compression_that_tells_the_class_is_named(tmp_path):
    real, fake = "original_sequences/youtube", "manipulated_sequences/Deepfakes"
    touch(tmp_path, f"{real}/c40/videos/000.mp4", f"{fake}/c23/videos/000_003.mp4")
    warning = "WARNING: reals are c40, fakes c23: that alone gives the label away"
    assert warning in find_data_set(tmp_path).notes
    touch(tmp_path, f"{fake}/c40/videos/000_003.mp4")
    assert warning not in find_data_set(tmp_path).notes


def test_one_part_of_dfdc_says_that_people_may_be_on_both_sides(tmp_path):
    build(tmp_path, TREES["DFDC with one metadata.json"])
    note = "DFDC does not say who is in a video: the same people may be on both sides"
    assert note in find_data_set(tmp_path).notes


def test_flat_frames_of_a_public_set_are_read_by_the_pattern_of_the_user(tmp_path):
    names = ("original/000", "original/003", "Face2Face/000_003", "FaceSwap/003_000")
    touch(tmp_path, *(f"{name}_{frame}.png" for name in names for frame in range(3)))
    (tmp_path / "test.json").write_text('[["000", "003"]]')
    data_set = find_data_set(tmp_path, image_names="{video}_{frame}")
    assert data_set.layout == "FaceForensics++" and data_set.left_out == []
    assert [(v.method, v.split, v.n_images) for v in data_set.videos] == [
        ("Face2Face", "test", 3),
        ("FaceSwap", "test", 3),
        ("", "test", 3),
        ("", "test", 3),
    ]


def test_a_class_that_images_alone_tell_from_the_other_is_named(tmp_path):
    touch(tmp_path, "real/a.mp4", "real/b.avi", "fake/c/1.png", "fake/c/2.png", "fake/me.jpg")
    fakes = "frames and photos"
    warning = f"WARNING: reals are videos, fakes {fakes}: that alone gives the label away"
    assert warning in find_data_set(tmp_path).notes
    touch(tmp_path, "fake/d.mp4")
    assert not any("WARNING" in note for note in find_data_set(tmp_path).notes)
    (tmp_path / "fake/d.mp4").unlink()
    touch(tmp_path, "real/more/you.jpg")
    assert not any("WARNING" in note for note in find_data_set(tmp_path).notes)


def spread(pattern, **ranges):
    """The names that a pattern gives for all combinations of values."""
    names = [pattern]
    for word, values in ranges.items():
        names = [name.replace(f"<{word}>", str(value)) for name in names for value in values]
    return " ".join(names)


FRAMES = {"v": range(10), "f": range(0, 50, 10)}
OTHERS = spread("real/<v>.jpg", v=range(2))


@pytest.mark.parametrize(
    ("names", "videos"),
    [
        # the number after the word frame is the frame
        (spread("fake/fake<v>_frame00<f>.png", **FRAMES), "fake/fake<v>_frame{frame}"),
        (spread("fake/video<v>_frame<f>.jpg", **FRAMES), "fake/video<v>_frame{frame}"),
        (spread("fake/frame_0000<f>_00<v>.jpg", **FRAMES), "fake/frame_{frame}_00<v>"),
        (spread("fake/frame<f>_video<v>.jpg", **FRAMES), "fake/frame{frame}_video<v>"),
        (spread("fake/a<v>_frame<f>_face<k>.jpg", **FRAMES, k=(0, 1)), None),
        # photos: nothing recurs
        (spread("fake/stylegan2_000<f>.png", f=range(20)), "photos"),
        (spread("fake/p<v>.jpg", v=range(1, 51)), "photos"),
        (spread("fake/000<v>(<k>).jpg", v=range(9), k=range(2, 11)), "photos"),
        ("real/real_1.jpg real/real_2.jpg fake/easy_1_0011.jpg fake/easy_2_1011.jpg", "photos"),
        ("fake/000_003.png fake/003_000.png fake/001_870.png fake/cover.png", "photos"),
        ("real/videos/1.png real/videos/2.png fake/20230101_1.jpg fake/20230101_2.jpg", "photos"),
        # a folder of its own
        ("real/a/0_0.png real/a/0_1.png real/a/1_0.png real/a/1_1.png real/a/9_0.png", "real/a"),
        ("real/a/smile.png real/a/laugh.png", "real/a"),
        ("real/a/frame_1.png real/a/frame_2.png real/a/cover.png", "real/a"),
        ("real/a/b_frame1.png real/a/c_frame1.png", "real/a/b_frame{frame} real/a/c_frame{frame}"),
    ],
)
def test_frames_or_photos(tmp_path, names, videos):
    touch(tmp_path, *names.split())
    found = {video.video: video.n_images for video in find_videos(tmp_path)}
    if videos == "photos":
        assert found == dict.fromkeys(names.split(), 1)
    elif videos is None:
        assert found == {f"fake/a{v}_frame{{frame}}_face{{face}}": 10 for v in range(10)}
    elif "<v>" in videos:
        assert found == {videos.replace("<v>", str(v)): 5 for v in range(10)}
    else:
        assert found.keys() == set(videos.split())


FLAT = f"{spread('real/00<v>_<f>_<k>.jpg', v=(0, 3), f=(10, 20), k=(0, 1))} fake/000_003_10_0.jpg"


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (FLAT, '"{video}_{frame}" (4 videos), "{video}_{frame}_{face}" (2 videos), photo (8 photo'),
        (
            spread("real/<v>_<f>_0.jpg", v=("aaqa", "bb"), f=(1, 2)),
            '"{video}_{frame}" (4 videos), ',
        ),
        ("real/ann-1.png real/ann-2.png real/bo-1.png", '"{video}-{frame}" (2 videos), photo (3 p'),
        ("real/x_1.png real/x_2.png real/y_1.png real/o.png", '"{video}_{frame}" (3 videos), phot'),
        ("real/IMG_1.jpg real/IMG_2.jpg real/DSC_1.jpg", '"{video}_{frame}" (2 videos), photo (3'),
        ("real/0017_anna.png real/0018_anna.png real/0017_b.png", '"{frame}_{video}" (2 videos), '),
        ("real/frame_1.png real/frame_2.png", "photo (2 photos); or put the frames of each vid"),
        (spread("fake/m/<v>_<f>.png", v=("000_003", "003_000"), f=(1, 2)), '"{video}_{frame}" (2'),
    ],
)
def test_where_names_leave_open_which_number_is_the_frame_the_program_asks(
    tmp_path, names, readings
):
    touch(tmp_path, *names.split(), *OTHERS.replace("real", "original").split())
    with pytest.raises(
        InputError, match=r"leave open which number is the frame.*--image-names"
    ) as e:
        find_videos(tmp_path)
    assert readings in str(e.value)
    photos = {video.video for video in find_videos(tmp_path, image_names="photo")}
    assert photos >= set(names.split())
    assert {path.name for path in list_videos(tmp_path)[0]} >= {
        n.split("/")[-1] for n in names.split()
    }


def test_the_pattern_of_a_user_settles_it(tmp_path):
    touch(tmp_path, *FLAT.split(), "real/cover.jpg", *spread("real/own/<f>.jpg", f=(1, 2)).split())
    videos = find_videos(tmp_path, image_names="{video}_{frame}_{face}")
    assert {video.video: (video.n_images, video.clip) for video in videos} == {
        "fake/000_003_{frame}_{face}": (1, "real/000_{frame}_{face}"),
        "real/000_{frame}_{face}": (4, "real/000_{frame}_{face}"),
        "real/003_{frame}_{face}": (4, "real/003_{frame}_{face}"),
        "real/cover.jpg": (1, "real/cover.jpg"),
        "real/own": (2, "real/own"),
    }
    assert len(groups_of(videos)) == 3
    names = [name for _, names in [list_images(videos[1].path)] for name in names]
    assert names == ["000_10_0.jpg", "000_10_1.jpg", "000_20_0.jpg", "000_20_1.jpg"]
    for pattern in ("{video}_{number}", "{video}{video}", "plain"):
        with pytest.raises(
            InputError, match=r"--image-names .*: expected photo, or text with \{vid"
        ):
            find_videos(tmp_path, image_names=pattern)


def test_labels_beside_class_folders_are_not_used_and_that_is_said(tmp_path):
    touch(tmp_path, "videos_real/a.mp4", "fake-videos/b.mp4")
    (tmp_path / "labels.csv").write_text("filename,label\na.mp4,1\n")
    data_set = find_data_set(tmp_path)
    assert {video.video: video.label for video in data_set.videos} == {
        "videos_real/a.mp4": 0,
        "fake-videos/b.mp4": 1,
    }
    assert "labels.csv is not used: labels are those of the folders" in data_set.notes
    for name in ("videos_real", "fake-videos"):
        (tmp_path / "inside").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "inside" / name)
    assert find_data_set(tmp_path).notes[0] == "the data set lies in inside/"
    assert not any("not used" in note for note in find_data_set(tmp_path).notes)


TREES_OF_IMAGES = {  # {a tree: {video: number of its images}}, and what is left out
    "the frames of each clip in a folder of its own": (
        "real/a/frames/0.png real/a/frames/1.png real/a/masks/0.png fake/b/faces_224/x.png",
        {"real/a/frames": 2, "fake/b/faces_224": 1},
        {"real/a/masks": "masks, not videos"},
    ),
    "a clip beside its frames": (
        "real/a/a.mp4 real/a/frames/0.png fake/b/b.mp4 fake/frames/b.mp4/0.png fake/b_frames/0.png",
        {"real/a/a.mp4": 0, "fake/b/b.mp4": 0},
        {
            "real/a/frames/0.png": "image beside videos",
            "fake/frames/b.mp4": "frames of a clip that is used already",
            "fake/b_frames": "frames of a clip that is used already",
        },
    ),
    "names that end with a word, and a face in each frame": (
        "real/a/0000_crop.png real/a/0001_crop.png real/a/thumb.jpg "
        "fake/b/07_0.png fake/b/07_1.png fake/b/07_2.png fake/b/08_0.png fake/b/08_1.png",
        {"real/a": 3, "fake/b": 5},
        {},
    ),
    "loose frames beside a folder of their name": (
        "real/a_frame0.png real/a_frame1.png real/ann_frame0.png real/ann_frame1.png real/ann/0.png",
        {"real/a_frame{frame}": 2, "real/ann_frame{frame}": 2},
        {"real/ann": "frames of a clip that is used already"},
    ),
}


@pytest.mark.parametrize("name", TREES_OF_IMAGES)
def test_trees_of_images(tmp_path, name):
    names, videos, left = TREES_OF_IMAGES[name]
    touch(tmp_path, *names.split())
    data_set = find_data_set(tmp_path)
    found = {video.video: video.n_images for video in data_set.videos}
    assert found == videos
    assert {line.path: line.reason for line in data_set.left_out} == left


def test_videos_for_prediction(tmp_path):
    touch(
        tmp_path, "a/1.png", "a/2.png", "b/c.mp4", "b/c.jpg", "m/me.jpg", "m/you.jpg", "masks/1.png"
    )
    videos, notes = list_videos(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in videos]
    assert found == ["a", "b/c.mp4", "m"]
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
    data_set = find_data_set(tmp_path)
    lines = [(line.path, line.n, line.reason) for line in summarise(data_set.left_out)]
    assert lines == [
        ("fake/masks/", 9, "masks, not videos"),
        ("one/1.mp4", 1, "not in the layout class folders"),
        ("other/", 5, "not in the layout class folders"),
    ]
    assert data_set.found == 17
    print_data_set(data_set)
    out = capsys.readouterr().out
    assert "Left out   15 of 17 videos" in out and "fake/masks/: 9 videos: masks, not videos" in out


# --- What is no data set, or an odd one ---


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"is not a folder: point --videos-dir at a folder with real/ and fake/"),
        (["readme.txt"], r"no data set that is known \(found no video\): expected real/ and fake/"),
        (["footage/x.mp4", "y.png"], r"known \(found footage/x.mp4, y.png\): expected real/"),
        (
            ["a/real/x.mp4", "b/fake/x.mp4"],
            r"several data sets: a/ \(class folders\), b/ .*: name one of them; if these are",
        ),
        (
            [f"{s}/{c}/x.mp4" for s in ("original", "cropped") for c in ("real", "fake")],
            r"several data sets: cropped/ \(class folders\), original/ \(class folders\): name one",
        ),
        (
            ["fake/original/x.mp4", "fake/y.mp4", "real/z.mp4"],
            r"^fake/ says fake, but fake/original/ in it real: rename one of the two",
        ),
        (
            ["real/x.mp4", "test/real/y.mp4"],
            r"has both test/real/y.mp4 and, in no folder of a split, real/x.mp4: which",
        ),
    ],
)
def test_unexpected_folders(tmp_path, names, message):
    if names:
        touch(tmp_path / "set", *names)
    with pytest.raises(InputError, match=message):
        find_videos(tmp_path / "set")


@pytest.mark.parametrize("name", ["test/real/x.mp4", "test/fake/x.mp4", "fake/x.mp4", "real/x.mp4"])
def test_a_set_with_one_split_or_class_is_taken(tmp_path, name):
    touch(tmp_path, name)
    (video,) = find_videos(tmp_path)
    assert (video.video, video.label) == (name, int("fake" in name))
    assert video.split == ("test" if "test" in name else "train")


def test_a_class_folder_that_is_a_set_is_said(tmp_path):
    touch(tmp_path, "deepfakes/real/a.mp4", "deepfakes/fake/b.mp4", "real/c.mp4")
    note = "deepfakes/ holds both classes: the innermost folder is the class"
    assert find_data_set(tmp_path).notes[0] == note


def test_where_the_set_starts_is_said(tmp_path):
    touch(tmp_path, "up/up2/real/x.mp4", "readme/cover.png")
    data_set = find_data_set(tmp_path)
    assert data_set.notes[0] == "the data set lies in up/up2/"
    assert [line.path for line in data_set.left_out] == ["readme/cover.png"]


def test_official_splits_that_are_missing_are_said(tmp_path):
    build(tmp_path, TREES["DFD in FaceForensics++'s tree"])
    notes = find_data_set(tmp_path).notes
    looked_for = "train.json and splits/train.json and dataset/splits/train.json"
    assert notes == [f"no official split found: looked for {looked_for}, and so for val and test"]
    (tmp_path / "train.json").write_text("[[3, 4]]")
    assert (
        "4 videos are in no official list: they are for training" in find_data_set(tmp_path).notes
    )
    touch(tmp_path / "c", "Celeb-real/id0_0000.mp4")
    assert find_data_set(tmp_path / "c").notes == [
        "no official split found: looked for List_of_testing_videos.txt",
        "no fake video here: a set to test on, not to train on",
    ]


@pytest.mark.parametrize(
    ("train", "val", "message"),
    [
        ('[["000", "001"]]', '[["003", "002"]]', "000_003 joins people of the official splits tra"),
        ('[["000", "001"]]', '[["000", "002"]]', r"val\.json: 000 is in the train split too"),
        ("[[0, 3, 4]]", "[]", r"train\.json: \[0, 3, 4\] is not a pair of ids"),
        ('["000_003"]', "[]", "train.json: 000_003 is not a pair of ids"),
        ("[[", "[]", r"train\.json is not valid JSON"),
    ],
)
def test_wrong_lists_of_faceforensics(tmp_path, train, val, message):
    touch(tmp_path, "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4")
    (tmp_path / "train.json").write_text(train)
    (tmp_path / "val.json").write_text(val)
    with pytest.raises(InputError, match=message):
        find_videos(tmp_path)


def test_a_list_of_celeb_df_from_windows(tmp_path):
    touch(tmp_path, "Celeb-real/id0_0000.mp4", "Celeb-real/id0_0001.mp4")
    (tmp_path / "List_of_testing_videos.txt").write_bytes(
        b"\xef\xbb\xbf1 Celeb-real\\id0_0001.mp4\r\n"
    )
    assert [video.split for video in find_videos(tmp_path)] == ["train", "test"]


@pytest.mark.parametrize(
    "line", ["0 Celeb-real/id0_0000.mp4", "1 Celeb-synthesis/id0_id1_0000.mp4", "real x.mp4"]
)
def test_celeb_df_list_that_disagrees_with_the_folder(tmp_path, line):
    touch(tmp_path, "Celeb-real/id0_0000.mp4", "YouTube-real/00000.mp4")
    (tmp_path / "List_of_testing_videos.txt").write_text(f"1 YouTube-real/00000.mp4\n{line}\n")
    problem = rf"List_of_testing_videos\.txt, line 2: '{line}' does not fit"
    with pytest.raises(InputError, match=problem):
        find_videos(tmp_path)


def test_a_list_of_other_videos_is_an_error(tmp_path):
    touch(tmp_path, "Celeb-real/id0_0000.mp4", "Celeb-real/id0_0001.mp4")
    lines = [f"1 Celeb-real/id0_{n:04d}.mp4\n" for n in range(4)]
    (tmp_path / "List_of_testing_videos.txt").write_text("".join(lines))
    absent = "2 of 4 videos of List_of_testing_videos.txt are not there, celeb-real/id0_0002"
    assert f"{absent} for one" in find_data_set(tmp_path).notes
    (tmp_path / "Celeb-real/id0_0001.mp4").unlink()
    with pytest.raises(InputError, match=r"3 of 4 videos of List_of.* take the list that belongs"):
        find_videos(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metadata.json", "[", "not valid JSON"),
        ("metadata.json", '{"a.mp4": {"label": "UNKNOWN"}}', "a.mp4 has no label REAL or FAKE"),
        ("metadata.json", '{"a.mp4": 1}', "a.mp4 has no label REAL or FAKE"),
        ("metadata.json", '[{"file": "a.mp4"}]', "is a list, as in LAV-DF: make a CSV of it"),
        ("labels.csv", "name,label\na.mp4,1\n", "columns filename and label, or give it to --v"),
        ("labels.csv", "label,filename\nreal\n", "has no label REAL or FAKE|a.mp4"),
        ("labels.csv", "filename,label\nb\xe9.mp4,real\n", "not a CSV in UTF-8"),
    ],
)
def test_labels_of_another_kind(tmp_path, name, text, message):
    touch(tmp_path, "a.mp4")
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        find_videos(tmp_path)


def test_what_dfdc_lists_and_is_not_there_is_said(tmp_path):
    build(tmp_path, TREES["DFDC in parts"])
    absent = "1 videos in metadata.json or labels.csv are not there"
    assert absent in "; ".join(find_data_set(tmp_path).notes)


def test_labels_of_a_list_are_those_of_the_very_file(tmp_path):
    """Also where names differ in their last word alone, and whatever their endings are."""
    touch(tmp_path, "0_real.mp4", "0_fake.mp4", "a.MOV", "b.webm", "my.clip.v2.avi")
    lines = ["0_real.mp4,0", "0_fake.mp4,1", "a.MOV,0", "b.webm,1", "my.clip.v2.avi,0"]
    (tmp_path / "labels.csv").write_text("\n".join(["filename,label", *lines]))
    data_set = find_data_set(tmp_path)
    labels = {f"{video.video},{video.label}" for video in data_set.videos}
    assert labels == set(lines) and data_set.left_out == []
    assert not any("not there" in note for note in data_set.notes)
    (tmp_path / "labels.csv").write_text("filename,label\n0_real.mp4,0\n0_real.mp4,1\n")
    with pytest.raises(InputError, match=r"labels.csv, line 3: 0_real.mp4 has two labels"):
        find_data_set(tmp_path)


def write_labels(root, header, *lines):
    touch(root, *(f"videos/{line.split(',')[0]}" for line in lines))
    (root / "videos/labels.csv").write_text("\n".join([header, *lines]))


def test_where_a_list_has_labels_alone_the_names_tell_who_is_in_a_video(tmp_path):
    lines = ["000.mp4,REAL", "001.mp4,real", "000_001.mp4,FAKE", "001_000.mp4,fake", "7.mp4,1"]
    write_labels(tmp_path, "filename,label", *lines)
    videos = {video.video: video for video in find_videos(tmp_path)}
    assert {name: video.label for name, video in videos.items()} == {
        "videos/000.mp4": 0,
        "videos/000_001.mp4": 1,
        "videos/001.mp4": 0,
        "videos/001_000.mp4": 1,
        "videos/7.mp4": 1,
    }
    assert videos["videos/000_001.mp4"].clip == videos["videos/000.mp4"].clip != ""
    alone = videos.pop("videos/7.mp4")
    (group,) = {video.group for video in videos.values()}
    assert alone.group != group


def test_a_list_with_labels_may_name_originals_and_splits(tmp_path):
    header = "filename,label,original,split"
    lines = ["a.mp4,0,,train", "b.mp4,1,a.mp4,Training", "c.mp4,0,,test", "d.mp4,1,c.mp4,test"]
    write_labels(tmp_path, header, *lines)
    a, b, c, d = find_videos(tmp_path)
    assert [video.split for video in (a, b, c, d)] == ["train", "train", "test", "test"]
    assert a.group == b.group != c.group == d.group
    assert (b.clip, d.clip) == (a.clip, c.clip)
    write_labels(tmp_path, header, "a.mp4,0,,fold1")
    with pytest.raises(InputError, match=r"a\.mp4 has split 'fold1', not train, val, test"):
        find_videos(tmp_path)
    for column in ("group", "method"):
        write_labels(tmp_path, f"filename,label,{column}", "a.mp4,1,anna")
        with pytest.raises(
            InputError, match=r"line 2: a group or a method: read it with --videos-csv"
        ):
            find_videos(tmp_path)


def test_photos_in_a_list_of_labels_are_used(tmp_path):
    write_labels(tmp_path, "filename,label,fold", "a.jpg,0,1", "b.png,1,2")
    data_set = find_data_set(tmp_path)
    assert [video.label for video in data_set.videos] == [0, 1] and data_set.left_out == []
    assert "columns of labels.csv that are not used: fold" in data_set.notes


def test_files_with_other_endings_are_named(tmp_path):
    touch(tmp_path, "real/a.mp4", "fake/b.mp4", "fake/more.zip", "real/c.mp4.part", "notes.txt")
    (tmp_path / "real/gone").symlink_to(tmp_path / "nowhere")
    touch(tmp_path, "fake/b", "real/d.QT", "real/e.qt")
    assert find_data_set(tmp_path).notes[:5] == [
        "not looked at: files that are links to nowhere (1), real/gone for one",
        "not looked at: files that end in .part (1), real/c.mp4.part for one",
        "not looked at: files that end in .qt (2), real/d.QT for one",
        "not looked at: files that end in .zip (1), fake/more.zip for one",
        "not looked at: files that have no ending (1), fake/b for one",
    ]


def test_frames_in_a_folder_beside_that_of_their_videos_are_left_out(tmp_path):
    frames = [f"real_frames/a/{n}.png" for n in range(3)]
    others = [f"real_frames/c/{n}.png" for n in range(3)]
    touch(tmp_path, "real/a.mp4", "fake_videos/b.mp4", "fake_frames/b/1.png", "fake_frames/b/2.png")
    touch(tmp_path, *frames, *others)
    data_set = find_data_set(tmp_path)
    assert [video.video for video in data_set.videos] == [
        "fake_videos/b.mp4",
        "real/a.mp4",
        "real_frames/c",
    ]
    left = {line.path: line.reason for line in data_set.left_out}
    reason = "frames of a clip that is used already"
    assert left == {"real_frames/a": reason, "fake_frames/b": reason}


def test_clips_of_a_person_are_told_apart_in_the_list_of_the_dfdc_preview(tmp_path):
    names = ["original_videos/1226/1226_A_001.mp4", "original_videos/1226/1226_B_003.mp4"]
    fakes = ["method_A/1226/1226_A_001_x.mp4"]
    touch(tmp_path, *names[:1], *fakes)
    entries = {name: {"label": "real", "set": "train"} for name in names}
    entries |= {name: {"label": "fake", "set": "train"} for name in fakes}
    (tmp_path / "dataset.json").write_text(json.dumps(entries))
    absent = "1 of 3 videos of dataset.json are not there, original_videos/1226/1226_b_003 for one"
    assert absent in find_data_set(tmp_path).notes


# --- Less than all ---


def test_methods_narrow_the_fakes(tmp_path):
    build(tmp_path, TREES["Kaggle's FaceForensics++"])
    data_set = find_data_set(tmp_path, methods=["faceswap", "Face2Face"])
    assert {video.method for video in data_set.videos} == {"", "FaceSwap", "Face2Face"}
    assert sum(video.label == 0 for video in data_set.videos) == 3
    assert data_set.found == find_data_set(tmp_path).found
    reasons = [line.reason for line in data_set.left_out]
    assert reasons.count("not of the methods asked for") == 3
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
    assert len(data_set.videos) == 8
    assert "no folder tells a compression: --compression c23 takes all videos" in data_set.notes
    touch(tmp_path, "set/real/x.mp4")
    with pytest.raises(
        InputError, match=r"--compression c23 is for FaceForensics\+\+, but this is: c"
    ):
        find_videos(tmp_path / "set", compression="c23")


def test_a_few_videos_of_each_class_from_different_groups(tmp_path):
    touch(tmp_path, *(f"real/{n:03d}.mp4" for n in range(40)))
    touch(tmp_path, *(f"fake/{m}/{n:03d}_x.mp4" for n in range(40) for m in "ab"))
    data_set = find_data_set(tmp_path, max_videos=10)
    assert Counter(video.label for video in data_set.videos) == {0: 10, 1: 10}
    assert len(groups_of(data_set.videos)) == 10  # a real and a fake of each
    names = [video.video for video in data_set.videos]
    assert names == sorted(names) == [v.video for v in find_videos(tmp_path, max_videos=10)]
    assert data_set.found == 120
    assert names[:10] != [f"fake/a/{n:03d}_x.mp4" for n in range(10)]
    assert len(find_videos(tmp_path, max_videos=50)) == 90


def test_each_source_keeps_its_share_of_a_few_videos(tmp_path):
    touch(tmp_path, *(f"Celeb-real/id{n % 20}_{n // 20:04d}.mp4" for n in range(60)))
    touch(tmp_path, *(f"YouTube-real/{n:05d}.mp4" for n in range(30)))
    touch(tmp_path, *(f"Celeb-synthesis/{m}/id1_id2_{n:04d}.mp4" for m in "ab" for n in range(30)))
    videos = find_videos(tmp_path, max_videos=12)
    sources = Counter(video.video.rpartition("/")[0] for video in videos)
    assert sources == {
        "Celeb-real": 8,
        "YouTube-real": 4,
        "Celeb-synthesis/a": 6,
        "Celeb-synthesis/b": 6,
    }
    people = [video.people for video in videos if video.video.startswith("Celeb-real")]
    assert len(set(people)) == 8


# --- The sample set ---


def test_without_the_sample_set_the_default_says_how_to_draw_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = r"python /.*data/make_sample\.py --output-dir data/sample"
    with pytest.raises(InputError, match=rf"draw the sample set with `{command}`.*--videos-dir"):
        find_videos(SAMPLE_DIR)
    monkeypatch.chdir(Path(data.__file__).parents[1])  # where data/sample/ may be there
    if not SAMPLE_DIR.is_dir():
        with pytest.raises(
            InputError, match=r"with `python data/make_sample.py --output-dir data/s"
        ):
            find_videos(SAMPLE_DIR)


def test_the_command_of_the_hint_draws_where_the_default_looks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        find_videos(SAMPLE_DIR)
    words = str(error.value).split("`")[1].split()
    options = ["--people", "2", "--num-workers", "1"]
    subprocess.run([sys.executable, *words[1:], *options], check=True, capture_output=True)
    assert len(find_videos(SAMPLE_DIR)) == 4
    assert read_drawn_by(SAMPLE_DIR)["people"] == 2


def test_only_the_drawn_set_is_taken_for_drawn(tmp_path):
    assert read_drawn_by(tmp_path) is None
    for content in ("[", "[]", "{}", '{"drawn_by": "me"}'):
        (tmp_path / "sample.json").write_text(content)
        assert read_drawn_by(tmp_path) is None


# --- The real trees ---


def test_real_trees(real_videos):
    found = find_videos(real_videos / "faceforensics")
    counts = {("train", 0): 1, ("train", 1): 2, ("val", 0): 1, ("val", 1): 1, ("test", 0): 1}
    assert Counter((v.split, v.label) for v in found) == counts | {("test", 1): 1}
    data_set = find_data_set(real_videos / "dfdc")
    assert Counter((v.split, v.label) for v in data_set.videos) == {
        ("train", 0): 1,
        ("train", 1): 3,
    }
    assert any("are not there" in note for note in data_set.notes)


def test_official_faceforensics_splits_give_disjoint_identities(real_videos, tmp_path):
    """All names of the whole set, under the official split files."""
    sizes = {"train": 360, "val": 70, "test": 70}
    for split in sizes:
        text = (real_videos / "faceforensics/splits" / f"{split}.json").read_text()
        (tmp_path / f"{split}.json").write_text(text)
        for a, b in json.loads(text):
            reals = "original_sequences/youtube/c23/videos"
            fakes = "manipulated_sequences/NeuralTextures/c23/videos"
            touch(tmp_path, f"{reals}/{a}.mp4", f"{reals}/{b}.mp4")
            touch(tmp_path, f"{fakes}/{a}_{b}.mp4", f"{fakes}/{b}_{a}.mp4")
    videos = find_videos(tmp_path)
    counts = {(split, label): 2 * n for split, n in sizes.items() for label in (0, 1)}
    assert Counter((video.split, video.label) for video in videos) == counts
    assert len({video.group for video in videos}) == 500
    assert len({(video.group, video.split) for video in videos}) == 500
