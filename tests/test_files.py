import json
import shutil

import feature_extraction as fe
from features.splits import load_split

OPTIONS = ["--weights", "random", "--frames-per-video", "4", "--device", "cpu"]


def test_csv_files_hold_no_formulas(videos, tmp_path):
    shutil.move(videos / "fake/fifty.mp4", videos / "=cmd()|'x'.mp4")
    lines = ["path,label", *(f"{path.relative_to(videos)},real" for path in (videos / "real").iterdir())]
    (videos / "list.csv").write_text("\n".join([*lines, "=cmd()|'x'.mp4,fake", "fake/000_003.mp4,fake"]))
    fe.main(["--videos-csv", str(videos / "list.csv"), "--features-dir", str(tmp_path / "features"), *OPTIONS])
    text = (tmp_path / "features/train_videos.csv").read_text()
    assert "\n'=cmd()" in text and "\n=" not in text and ",=" not in text
    split = load_split(tmp_path / "features/train_features.npy")
    assert json.loads((tmp_path / "features/extraction.json").read_text())["counts"]["used"] == len(split.videos) == 7
    assert {(videos / row["video"]).is_file() for row in split.videos} == {True}
