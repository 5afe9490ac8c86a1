"""Faces of a video: frame by frame, each with its number, as it was filmed, whatever is wrong with the file."""

import csv
import io
import json
import os
import re
import signal
import sys
import time

import numpy as np
import pytest
from made import ROOT
from PIL import Image
from processes import start
from videos import write_sound, write_video

import pa_difc
from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.deploy import video_file
from pa_difc.deploy.prediction import frame_columns
from pa_difc.deploy.video_file import VideoFile
from pa_difc.util.errors import UserError

av = pytest.importorskip("av")

RED, GREEN, BLUE = np.array([220, 20, 20]), np.array([20, 200, 20]), np.array([20, 20, 220])


def colours(width=96, height=64):
    """A picture whose upper left quarter is red, and its upper right one green."""
    picture = np.full((height, width, 3), BLUE, np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = RED, GREEN
    return picture


@pytest.fixture(scope="session")
def walk(portrait, tmp_path_factory):
    """Two faces that cross, the second one hidden at times; where each is in each frame, and the file."""
    face = portrait.crop((150, 30, 300, 200)).resize((75, 85))
    other = face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    frames, middles = [], []
    for i in range(16):
        sheet = Image.new("RGB", (400, 128), (120, 130, 140))
        left = 320 - 20 * i, 20 + 20 * i
        sheet.paste(other, (left[1], 20))
        sheet.paste(face, (left[0], 16))
        frames.append(sheet)
        middles.append([x + 37 for x in left])
    path = tmp_path_factory.mktemp("walk") / "walk.mp4"
    return write_video(path, [np.asarray(f) for f in frames], rate=10), middles, frames


def test_faces_that_cross_keep_their_numbers(walk, prepared, predict):
    """And each row is what the model says of that face in that frame."""
    path, middles, _ = walk
    code, rows, err = predict(prepared["cdfer"], "--video", path)
    assert code == 0, err
    model = pa_difc.load(prepared["cdfer"])
    assert list(rows[0]) == frame_columns(model.labels)
    whose = {}
    for row in rows:
        x = (float(row["left"]) + float(row["right"])) / 2
        away = [abs(x - middle) for middle in middles[int(row["frame"])]]
        if abs(middles[int(row["frame"])][0] - middles[int(row["frame"])][1]) > 60:
            whose.setdefault(row["track"], set()).add(int(np.argmin(away)))
    assert sorted(whose) == ["1", "2"] and all(len(one) == 1 for one in whose.values()), whose
    assert [float(row["time_s"]) for row in rows] == pytest.approx([int(row["frame"]) / 10 for row in rows])
    assert {int(row["frame"]) for row in rows} == set(range(16)) and "16 frames in" in err and "; 2 faces" in err
    assert "a second (the video has 10.0)" in err

    frames = list(model.video(path))
    again = [row for frame in frames for row in frame.rows()]
    assert [{k: str(v) for k, v in row.items()} for row in again] == [
        {k: v for k, v in row.items() if v != ""} for row in rows
    ]
    faces = model(frames[3].image)
    assert [face.box for face in faces] == [face.box for face in frames[3].faces]
    assert frames[3].faces[0].track in (1, 2) and frames[3].faces[0].as_dict()["track"] == frames[3].faces[0].track
    assert faces[0].track is None and "track" not in faces[0].as_dict()


@pytest.mark.parametrize(("every", "numbers", "warned"), [(3, {"1"}, 0), (7, {"1", "2", "3"}, 2)])
def test_frames_too_far_apart_to_follow_faces_are_counted(
    every, numbers, warned, portrait, prepared, predict, tmp_path
):
    face = portrait.crop((120, 10, 330, 220))
    path = write_video(tmp_path / "still.mp4", [np.asarray(face)] * 15, rate=5)
    _, rows, err = predict(prepared["cdfer"], "--video", path, "--every", every)
    assert {row["track"] for row in rows} == numbers
    assert (f"{warned} frames came more than 1 s after the one before" in err) is bool(warned)
    assert ("; 1 face\n" in err) is (not warned) and ("3 face numbers" in err) is bool(warned)


def test_probabilities_are_smoothed_if_asked_for(walk, prepared):
    model = pa_difc.load(prepared["cdfer"])
    plain, smooth = (list(model.video(walk[0], every=4, smooth=s)) for s in (None, "ema:0.5"))
    expected, moved = {}, 0.0
    for before, after in zip(plain, smooth, strict=True):
        for face, one in zip(before.faces, after.faces, strict=True):
            last, then = expected.get(face.track, (face.probs_array, before.time_s))
            share = 1 - np.exp(-(before.time_s - then) / 0.5)
            expected[face.track] = last + share * (face.probs_array - last), before.time_s
            assert one.track == face.track and one.box == face.box
            np.testing.assert_allclose(one.probs_array, expected[face.track][0], rtol=1e-5)
            moved = max(moved, np.abs(one.probs_array - face.probs_array).max())
    assert moved > 1e-4


def test_an_annotated_video_has_the_frames_at_their_times(walk, prepared, predict, tmp_path):
    path, _, frames = walk
    drawn = tmp_path / "new" / "drawn.mp4"
    words = ["--video", path, "--annotate", drawn, "--every", 5, "--out", tmp_path / "t.csv"]
    assert predict(prepared["cdfer"], *words)[0] == 0
    stills = list(VideoFile(drawn))
    assert [still.time_s for still in stills] == pytest.approx([0, 0.5, 1.0, 1.5], abs=1e-3)
    with av.open(str(drawn)) as container:
        assert next(container.decode(video=0)).time == 0  # players show it from the start
    assert stills[0].image.size == (400, 128)
    before = np.asarray(frames[5]).astype(int)
    assert np.abs(np.asarray(stills[1].image).astype(int) - before)[100:].mean() < 8  # but for what is drawn
    pink = np.abs(np.asarray(stills[1].image).astype(int) - [0xFF, 0x2D, 0x55]).sum(axis=2) < 120
    assert pink.sum() > 300
    content = drawn.read_bytes()
    code, _, err = predict(prepared["cdfer"], *words)
    assert code == 2 and "drawn.mp4 exists, and videos are never overwritten" in err and drawn.read_bytes() == content
    for name, said in (("a.png", "give a file that ends in .mp4 or .mkv"), ("folder", "ends in .mp4")):
        code, _, err = predict(prepared["cdfer"], "--video", path, "--annotate", tmp_path / name)
        assert code == 2 and said in err and not (tmp_path / name).exists()


def test_frames_have_the_times_that_the_file_says(tmp_path):
    times = [0.0, 0.04, 0.5, 0.52, 2.0]
    for name in ("a.mp4", "a.mkv"):
        path = write_video(tmp_path / name, [colours()] * 5, [1.3 + t for t in times])
        stills = list(VideoFile(path))
        assert [still.time_s for still in stills] == pytest.approx(times, abs=2e-3)
        assert [still.number for still in VideoFile(path, 2)] == [0, 2, 4]


@pytest.mark.parametrize(
    ("turn", "corners"), [(None, (RED, GREEN)), (90, (GREEN, BLUE)), (-90, (BLUE, RED)), (180, (BLUE, BLUE))]
)
def test_a_video_is_upright_as_a_player_shows_it(turn, corners, tmp_path):
    """Turned by 90° counterclockwise, what was at the upper right is at the upper left."""
    (still,) = VideoFile(write_video(tmp_path / "a.mp4", [colours()], turn=turn))
    assert still.image.size == ((64, 96) if turn in (90, -90) else (96, 64))
    pixels = np.asarray(still.image).astype(int)
    for x, colour in zip((8, -8), corners, strict=True):
        assert np.abs(pixels[8, x] - colour).max() < 40


def test_a_damaged_video_gives_what_can_be_read(tmp_path):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(20)]
    path = write_video(tmp_path / "a.mkv", frames)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert 3 < len(list(VideoFile(path))) < 20
    with av.open(io.BytesIO(whole)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    holes = bytearray(whole)
    for at, size in packets[6:9]:
        holes[at + 16 : at + size] = bytes(size - 16)
    path.write_bytes(bytes(holes))
    video = VideoFile(path)
    times = [still.time_s for still in video]
    assert times == pytest.approx([i / 10 for i in range(20) if not 6 <= i < 9]) and video.damaged == 3


def test_what_is_no_video_is_refused_in_a_line(tmp_path, as_they_are, predict, monkeypatch):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    write_sound(tmp_path / "sound.m4a")
    whole = write_video(tmp_path / "whole.mp4", [colours()] * 3).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, said in {
        "empty.mp4": "empty.mp4: the file is empty",
        "text.mp4": "text.mp4: not a video that can be read",
        "sound.m4a": "sound.m4a: there is no video in it, only sound",
        "cut.mp4": "cut.mp4: ",
        "nowhere.mp4": "nowhere.mp4: no such file",
        ".": "is a folder, not a video",
        "pipe.mp4": "pipe.mp4: not a regular file",
    }.items():
        code, rows, err = predict(as_they_are, "--video", tmp_path / name)  # and no warning of the crop before it
        assert (code, rows) == (2, []) and said in err and err.startswith("error: ") and err.count("\n") == 1, err
    monkeypatch.setattr(video_file, "MAX_PIXELS", 5000)
    code, _, err = predict(as_they_are, "--crop", "none", "--video", tmp_path / "whole.mp4")
    assert code == 2 and "frames of 96x64 pixels are more than 5,000" in err
    monkeypatch.setitem(sys.modules, "av", None)
    code, _, err = predict(as_they_are, "--crop", "none", "--video", tmp_path / "whole.mp4")
    assert code == 2 and "video needs PyAV: pip install 'pa-difc[video]'" in err


@pytest.mark.parametrize("name", ["text.jpg", "text.png", "hollow.mkv"])
def test_nothing_is_written_of_a_video_without_a_frame(name, tmp_path, as_they_are, capsys):
    """FFmpeg believes the name of a picture, and opens any file as one; it fails at the first frame only."""
    (tmp_path / name).write_text("no picture\n" * 100)
    if name.endswith(".mkv"):
        write_video(tmp_path / name, [colours()])
        with av.open(tmp_path / name) as container:
            places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
        holes = bytearray((tmp_path / name).read_bytes())
        for at, size in places:
            holes[at + 16 : at + size] = bytes(size - 16)
        (tmp_path / name).write_bytes(holes)
    before = sorted(tmp_path.rglob("*"))
    words = ["predict", "--model", str(as_they_are), "--video", str(tmp_path / name)]
    for more in ([], ["--out", tmp_path / "t.csv", "--annotate", tmp_path / "drawn.mp4"], ["--format", "json"]):
        with pytest.raises(SystemExit) as stop:
            exit_with(lambda more=more: main([*words, *map(str, more)]))
        out, err = capsys.readouterr()
        assert stop.value.code == 2 and out == "" and err.count("\n") == 1, (out, err)
        assert f"{name}: no frame could be decoded" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_flags_that_do_not_go_together_are_refused(tmp_path, as_they_are, predict):
    path = write_video(tmp_path / "a.mp4", [colours()])
    for words, said in (
        ([], "give image files, folders of them, or --video FILE"),
        (["a.jpg", "--video", path], "a.jpg: give images or --video, not both"),
        (["a.jpg", "--smooth", "ema"], "--smooth needs --video"),
        (["a.jpg", "--every", 2], "--every needs --video"),
        (["--video", path, "--every", 0], "every=0: must be a whole number of at least 1"),
        (["--video", path, "--smooth", "emma"], "unknown filter 'emma'"),
        (["--video", path, "--out", path], "is what --video names"),
        (["--video", path, "--out", tmp_path / "t.xls"], "t.xls: .xls is no format of a table; give a name that ends"),
    ):
        code, _, err = predict(as_they_are, *words)
        assert code == 2 and said in err, err
    assert path.stat().st_size > 500


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_table_of_a_video_is_not_written_over(kind, tmp_path, as_they_are, predict):
    """Its rows do not name the video. Without a crop each frame is a face; so is each row."""
    path, out = write_video(tmp_path / "a.mp4", [colours()] * 3), tmp_path / "t"
    Image.fromarray(colours()).save(tmp_path / "a.png")
    words = ["--crop", "none", "--out", out, "--format", kind]
    code, _, err = predict(as_they_are, "--video", path, *words)
    assert code == 0, err
    text = out.read_text()
    rows = json.loads(text) if kind == "json" else list(csv.DictReader(io.StringIO(text)))
    assert [int(row["frame"]) for row in rows] == [0, 1, 2] and {int(row["track"]) for row in rows} == {1}
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == ["a.mp4", "a.png", "t"]
    for given in (["--video", path], [tmp_path / "a.png"]):
        code, _, err = predict(as_they_are, *given, *words)
        said = "t has predictions for 3 frames of a video, and would be overwritten: give another --out, or remove it"
        assert code == 2 and said in err and err.count("\n") == 1 and out.read_text() == text
    out.unlink()
    assert predict(as_they_are, tmp_path / "a.png", *words)[0] == 0
    code, _, err = predict(as_they_are, "--video", path, *words)
    assert code == 2 and "t has predictions for 1 image, and would be overwritten" in err
    out.write_text("frame,time\n1,2\n")
    code, _, err = predict(as_they_are, "--crop", "none", "--video", path, "--out", out)
    assert code == 2 and "was not written by predict" in err and out.read_text() == "frame,time\n1,2\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_what_was_written_before_the_end_stays(how, tmp_path, as_they_are):
    path = write_video(tmp_path / "a.mp4", [colours()] * 600)
    words = ["--crop", "none", "--video", str(path), "--out", str(tmp_path / "t.csv")]
    process = start("-m", "pa_difc", "predict", "--model", as_they_are, *words, "--annotate", tmp_path / "drawn.mp4")
    part = tmp_path / "t.csv.part-video"
    while not part.exists() or part.read_text().count("\n") < 20:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(how)
    _, err = process.communicate(timeout=120)
    rows = list(csv.DictReader(io.StringIO(part.read_text())))
    assert 19 <= len(rows) < 600 and [int(row["frame"]) for row in rows[:-1]] == list(range(len(rows) - 1))
    assert not (tmp_path / "t.csv").exists()
    if how != signal.SIGKILL:
        assert process.returncode == 128 + how and f"stopped; the rows so far are in {part}" in err
        drawn = len(list(VideoFile(tmp_path / "drawn.mp4")))
        assert len(rows) - 1 <= drawn <= len(rows)  # it may come between a row and its picture


@pytest.mark.parametrize(("how", "expected"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_camera_s_video_ends_with_ctrl_c_alone(how, expected, tmp_path, as_they_are, predict, monkeypatch):
    """FFmpeg's test pattern stands in for one."""
    monkeypatch.setitem(video_file._CAMERAS, sys.platform, ("lavfi", "testsrc=size=64x48:rate=25", {}))
    from pa_difc.deploy.video import FilmedFaces

    following = FilmedFaces.__next__

    def stopped(faces):
        frame = following(faces)
        if frame.number == 5:
            os.kill(os.getpid(), how)
            time.sleep(0.01)
        return frame

    monkeypatch.setattr(FilmedFaces, "__next__", stopped)
    out = tmp_path / "t.csv"
    code, _, err = predict(as_they_are, "--crop", "none", "--video", 0, "--out", out)
    assert code == expected and "5 frames in" in err, err
    assert (out if expected == 0 else tmp_path / "t.csv.part-video").read_text().count("\n") == 6


@pytest.mark.parametrize(
    ("platform", "camera", "said"),
    [
        ("linux", ("v4l2", "/dev/nothing{}", {}), "camera 7: there is no /dev/nothing7"),
        ("linux", ("nothing", "{}", {}), "camera 7: this PyAV was built without nothing"),
        ("win32", None, "camera 7: cameras are read on Linux and macOS; record to a file here"),
    ],
)
def test_a_camera_that_is_not_there_is_said(platform, camera, said, monkeypatch):
    monkeypatch.setattr(video_file.sys, "platform", platform)
    if camera is not None:
        monkeypatch.setitem(video_file._CAMERAS, platform, camera)
    with pytest.raises(UserError) as error:
        VideoFile(7)
    assert said in str(error.value)


def test_programs_in_the_page_on_using_run(walk, prepared, portrait, tmp_path, monkeypatch, capsys):
    (tmp_path / "my_model").symlink_to(prepared["cdfer"])
    (tmp_path / "walk.mp4").symlink_to(walk[0])
    (tmp_path / "holiday").mkdir()
    for name in ("photo.jpg", "holiday/beach.jpg"):
        portrait.crop((120, 0, 330, 210)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "using.md").read_text()
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "using.md", "exec"), scope)
    out = capsys.readouterr().out
    assert "holiday/beach.jpg [{'source': 'holiday/beach.jpg', 'label'" in out and "1.5 [(" in out
    assert scope["vectors"].shape[0] == 1
