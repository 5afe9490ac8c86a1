"""The local page: what it answers, whom it refuses, and a photograph that is dropped on it in a browser."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from chromium import NEEDED, Chromium
from made import ROOT
from made_models import untrained
from PIL import Image
from rare import slow

from pa_difc.commands.console import exit_with
from pa_difc.commands.parser import main
from pa_difc.commands.serve import _name
from pa_difc.data.labels import LabelSet
from pa_difc.data.photograph import Photograph
from pa_difc.deploy.given import Given
from pa_difc.deploy.model import save_model
from pa_difc.deploy.predictor import Predictor
from pa_difc.util.errors import ModelWarning

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

LABELS = LabelSet(("dog", "cat", "<b>bird</b>"))


def encoded(image, kind="PNG", **more):
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


@pytest.fixture(scope="module")
def model():
    return Predictor(untrained(LABELS, crop="cdfer", views="flip"))


@pytest.fixture(scope="module")
def client(model):
    from starlette.testclient import TestClient

    from pa_difc.deploy.serve import page_of

    return TestClient(page_of(model, "my_model", 8765), base_url="http://127.0.0.1:8765")


def test_it_says_of_a_photograph_what_the_model_says(client, model, portrait):
    answer = client.post("/predict", content=encoded(portrait))
    assert answer.status_code == 200
    said, expected = answer.json(), model(portrait)
    assert (said["width"], said["height"]) == portrait.size and len(said["faces"]) == len(expected) == 1
    (face,), (wanted,) = said["faces"], expected
    assert face["label"] == wanted.label and face["box"] == pytest.approx(wanted.box)
    assert face["box"] == pytest.approx([181, 70, 269, 178], abs=10)  # read off the photograph by eye
    np.testing.assert_allclose(face["probabilities"], wanted.probs_array, atol=1e-5)


def test_boxes_are_in_the_photograph_as_browsers_show_it(client, portrait):
    turned = Image.Exif()
    turned[0x0112] = 6  # stored lying on its side
    lying = portrait.transpose(Image.Transpose.ROTATE_90).crop((0, 0, 512, 400))
    said = client.post("/predict", content=encoded(lying, "JPEG", exif=turned, quality=95)).json()
    assert (said["width"], said["height"]) == (400, 512)
    assert abs(said["faces"][0]["box"][1] - 70) < 10


def test_faces_are_numbered_from_left_to_right_everywhere(client, model, portrait, tmp_path, monkeypatch):
    sheet, face = Image.new("RGB", (1400, 800), "gray"), portrait.crop((120, 0, 330, 210))
    for i, side in enumerate((210, 300, 380)):
        sheet.paste(face.resize((side, side)), (60 + 430 * i, 150))
    sheet.save(tmp_path / "sheet.png")
    drawn = []
    monkeypatch.setattr("pa_difc.deploy.predict.annotated", lambda image, faces, _: drawn.extend(faces) or image.image)
    (faces,) = model.each([tmp_path / "sheet.png"], annotate=[tmp_path / "annotated.png"])
    found = model.search.detect([model.search.picture(Photograph(sheet))])[0]
    lefts = [face.box[0] for face in found]
    assert len(lefts) == 3 and lefts != sorted(lefts)  # the detector has another order
    page = client.post("/predict", content=encoded(sheet)).json()["faces"]
    orders = [[face.box[0] for face in those] for those in (faces, drawn, model(sheet), faces.predictions)]
    for order in (*orders, [face["box"][0] for face in page], [row["left"] for row in faces.rows()]):
        assert order == pytest.approx(sorted(lefts), abs=0.06)


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 422, "This image can't be read"),
        (b"not an image", 422, "This image can't be read"),
        (encoded(Image.new("RGB", (64, 64)))[:60], 422, "This image can't be read"),
        (b"0" * ((64 << 20) + 1), 413, "too large: 64 MB is the limit"),
    ],
)
def test_what_is_no_photograph_is_answered_in_words(client, content, status, words):
    answer = client.post("/predict", content=content)
    assert answer.status_code == status and words in answer.text and answer.text.count("\n") == 0


def test_a_bomb_is_not_decoded(client):
    content = encoded(Image.new("1", (20_000, 20_000)))
    assert len(content) < 1 << 20
    answer = client.post("/predict", content=content)
    assert answer.status_code == 422 and "pixels" in answer.text


def test_a_file_without_a_stated_length_is_measured_as_it_comes(client):
    answer = client.post("/predict", content=(b"0" * (1 << 20) for _ in range(66)))
    assert answer.status_code == 413


def test_a_picture_without_a_face_is_no_error(client):
    answer = client.post("/predict", content=encoded(Image.new("RGB", (90, 60), "gray")))
    assert answer.json() == {"width": 90, "height": 60, "crop": "model", "faces": []}


def test_an_image_that_is_one_face_is_taken_whole_where_that_is_asked_for(client, model, portrait):
    said = client.post("/predict?crop=none", content=encoded(portrait)).json()
    with pytest.warns(ModelWarning, match="whole images"):
        (wanted,) = model(portrait, crop="none")
    (face,) = said["faces"]
    assert face["box"] == [0, 0, *portrait.size] and said["crop"] == "none"
    np.testing.assert_allclose(face["probabilities"], wanted.probs_array, atol=1e-6)
    about = client.get("/about.json").json()
    assert about["crop"] == "model" and about["crops"]["model"] == {"whole": False, "notes": []}
    assert about["crops"]["none"]["whole"] and "now sees whole images" in about["crops"]["none"]["notes"][0]
    answer = client.post("/predict?crop=arcface", content=encoded(portrait))
    assert answer.status_code == 400 and answer.text == "crop=arcface: must be model or none."
    answer = client.post("/predict?crop=none&crop=model", content=encoded(portrait))
    assert answer.status_code == 400 and answer.text == "crop=none,model: must be model or none."
    answer = client.post("/predict?crops=none", content=encoded(portrait))
    assert answer.status_code == 400 and answer.text == "crops: unknown; the only parameter is crop."
    answer = client.post("/predict")
    assert answer.status_code == 422 and "curl --data-binary @photo.jpg" in answer.text


@pytest.mark.parametrize("path", ["/", "/about.json", "/page.js"])
@pytest.mark.parametrize("host", ["evil.example:8765", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8765", ""])
def test_another_name_for_this_computer_is_refused(client, path, host):
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 421 and "my_model" not in answer.text


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8765"])
def test_another_website_s_request_is_refused(client, origin, portrait):
    answer = client.post("/predict", content=encoded(portrait), headers={"Origin": origin})
    assert answer.status_code == 403 and "faces" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765"])
def test_its_own_pages_are_answered(client, host):
    answer = client.get("/about.json", headers={"Host": host, "Origin": "http://localhost:8765"})
    said = answer.json()
    assert said["name"] == "my_model" and said["classes"] == list(LABELS.names) and said["notes"] == []


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/faces.js", "/camera.js", "/about.json", "/nothing"])
def test_no_answer_lets_a_browser_load_anything_from_elsewhere(client, path):
    answer = client.get(path)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"
    assert not re.findall(r"(?:src|href|url|import|from)\W{1,3}(?:https?:)?//(?!www\.w3\.org)", answer.text)


def test_only_what_is_there_is_served(client):
    for path in ("/page.html", "/../serve.py", "/%2e%2e/serve.py", "/docs", "/predict"):
        assert client.get(path).status_code in (404, 405)


def test_a_crop_that_it_was_not_trained_on_is_said_on_the_page():
    from starlette.testclient import TestClient

    from pa_difc.deploy.serve import page_of

    page = page_of(Predictor(untrained(LABELS)), "my_model", 8765)
    (note,) = TestClient(page, base_url="http://localhost:8765").get("/about.json").json()["notes"]
    assert note.startswith("the model was trained on images as they are, but now sees faces that are detected")
    assert "predictions may be less accurate" in note and "--" not in note and "`" not in note  # for visitors


def test_whoever_starts_it_is_told_how_to_change_the_crop(tmp_path, capsys, monkeypatch):
    from pa_difc.commands import serve as command

    monkeypatch.setattr(command, "_serve", lambda page, listener: None)
    save_model(untrained(LABELS), tmp_path / "my_model")
    for more, told in (([], True), (["--crop", "none"], False)):
        assert main(["serve", "--model", str(tmp_path / "my_model"), "--port", "0", *more]) == 0
        assert ("(--crop none if your images are faces" in capsys.readouterr().err) is told


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        exit_with(lambda: main(["serve", *map(str, arguments)]))
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1 and err.startswith("error: ")
    return err


def test_a_model_that_adapt_exported_is_named_with_its_folder():
    assert _name(Path("/runs/net/model")) == "net/model" and _name(Path("/home/my_model")) == "my_model"


def test_a_port_that_cannot_be_is_said_in_a_line(tmp_path, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        err = refused(capsys, "--model", tmp_path, "--port", taken)
    assert f"--port {taken}" in err and "give another one, or 0 for any that is free" in err
    for port in (-1, 65536):
        assert "must be from 0 to 65535" in refused(capsys, "--model", tmp_path, "--port", port)
    assert "no model here" in refused(capsys, "--model", tmp_path, "--port", 0)


def test_without_its_packages_it_names_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'pa-difc[web]'" in refused(capsys, "--model", tmp_path)


@pytest.fixture(scope="module")
def served(tmp_path_factory, model):
    """A running command, and its address."""
    folder = tmp_path_factory.mktemp("served") / "my_model"
    save_model(model.model, folder)
    line = [sys.executable, "-W", "ignore", "-m", "pa_difc", "serve", "--model", str(folder), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(line, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = process.stdout.readline()
    assert "for this computer only" in said, said + process.stderr.read()
    yield process, re.search(r"http://127\.0\.0\.1:\d+/", said)[0]
    process.kill()
    process.communicate()


@NEEDED
def test_a_photograph_that_is_dropped_in_a_browser_gets_a_label(served, portrait, tmp_path, model):
    address = served[1]
    portrait.save(tmp_path / "portrait.jpg", quality=95)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    with Chromium() as page:
        page.size(1280)
        page.go(address)
        page.until("document.getElementById('name').textContent === 'my_model'")
        page.drop("#drop", [tmp_path / "portrait.jpg", tmp_path / "broken.jpg"])
        page.until("document.getElementById('status').textContent.includes(', 1 face;')")
        status = page.run("document.getElementById('status').textContent")
        assert status == "1 photograph, 1 face; 1 file could not be read."
        (expected,) = model(tmp_path / "portrait.jpg")
        label = page.run("document.querySelector('.face h3').textContent")
        assert label == expected.label  # as text, whatever is in it
        assert page.run("document.querySelectorAll('.face dt').length") == 3
        best = page.run("document.querySelector('.face dd.best').textContent")
        assert best == f"{100 * expected.confidence:.1f} %"
        assert "can't be read" in page.run("document.querySelectorAll('.photograph')[1].textContent")
        # The box is where the face is, in the picture as it is shown.
        over = page.run(
            "((p, b) => [(b.left - p.left) / p.width, (b.bottom - p.top) / p.height])"
            "(...['.picture img', '.box rect'].map(s => document.querySelector(s).getBoundingClientRect()))"
        )
        assert over == pytest.approx([181 / 512, 178 / 512], abs=0.03)
        for width in (390, 1280):
            page.size(width)
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
        assert page.complaints() == [] and page.asked() and all(url.startswith(address) for url in page.asked())
        # A tiny picture is enlarged, in its proportions.
        portrait.crop((150, 30, 300, 230)).resize((48, 64)).save(tmp_path / "tiny.png")
        page.drop("#drop", [tmp_path / "tiny.png"])
        page.until("[...document.querySelectorAll('.picture img')].some(i => i.naturalWidth === 48)")
        for width in (390, 1280):
            page.size(width)
            shown = page.run(
                "(b => [b.width, b.height])([...document.querySelectorAll('.picture img')]"
                ".find(i => i.naturalWidth === 48).getBoundingClientRect())"
            )
            assert shown == pytest.approx([240, 320], abs=1)
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
        page.run("document.getElementById('clear').click()")
        assert page.run("document.querySelectorAll('.photograph').length") == 0


@NEEDED
def test_the_keyboard_reaches_everything(served):
    with Chromium() as page:
        page.go(served[1])
        page.until("document.getElementById('name').textContent === 'my_model'")
        reached = []
        for _ in range(3):
            page.press("Tab")
            reached.append(page.run("document.activeElement.id"))
        assert reached == ["files", "camera", "whole"]


@NEEDED
def test_a_visitor_can_say_that_each_image_is_one_face(served, portrait, tmp_path, model):
    """What is on the page already is looked at again, in both directions."""
    face = portrait.crop((181, 70, 269, 178))
    face.save(tmp_path / "cut.png")
    wall = Image.new("RGB", (90, 60), "gray")
    wall.save(tmp_path / "wall.png")
    with Chromium() as page:
        page.size(390)
        page.go(served[1])
        page.until("document.getElementById('name').textContent === 'my_model'")
        assert page.run("document.getElementById('whole').checked") is False
        page.drop("#drop", [tmp_path / "wall.png", tmp_path / "cut.png"])
        page.until("document.getElementById('status').textContent.startsWith('2 photographs, ')")
        assert "No face was found." in page.run("document.querySelector('.photograph').textContent")
        page.run("document.getElementById('whole').click()")
        page.until("document.getElementById('status').textContent === '2 photographs, 2 faces.'")
        assert "now sees whole images" in page.run("document.getElementById('notes').textContent")
        assert page.run("document.querySelectorAll('.box').length") == 0
        said = page.run("[...document.querySelectorAll('.face dd.best')].map(d => d.textContent)")
        wanted = [faces[0].confidence for faces in model.each([Given("a", wall), Given("b", face)], crop="none")]
        assert said == [f"{100 * p:.1f} %" for p in wanted]
        for width in (390, 1280):
            page.size(width)
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
        page.run("document.getElementById('whole').click()")
        page.until("document.querySelector('.photograph').textContent.includes('No face was found.')")
        page.until("document.getElementById('notes').hidden")
        assert page.complaints() == []


@NEEDED
def test_the_camera_s_frames_get_boxes_until_it_is_stopped(served, portrait, tmp_path):
    film(tmp_path / "film.y4m", portrait)
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with Chromium(*flags, f"--use-file-for-fake-video-capture={tmp_path / 'film.y4m'}") as page:
        page.go(served[1])
        page.until("document.getElementById('name').textContent === 'my_model'")
        page.run("document.getElementById('camera').click()")
        page.until("document.getElementById('status').textContent === 'Camera: 1 face.'")
        assert page.run("document.querySelectorAll('#live .box').length") == 1
        page.run("document.getElementById('camera').click()")
        assert page.run("document.querySelectorAll('video').length") == 0
        assert page.complaints() == []


@NEEDED
def test_a_browser_without_a_camera_is_told_so(served):
    with Chromium() as page:
        page.go(served[1])
        page.until("document.getElementById('name').textContent === 'my_model'")
        page.run("document.getElementById('camera').click()")
        page.until("/No camera|not allowed/.test(document.getElementById('status').textContent)")


def film(path, picture, frames=10):
    """A film of one picture, uncompressed: what Chromium takes for a camera."""
    y, cb, cr = (np.asarray(part) for part in picture.resize((512, 512)).convert("YCbCr").split())
    frame = b"FRAME\n" + b"".join(part.tobytes() for part in (y, cb[::2, ::2], cr[::2, ::2]))
    path.write_bytes(b"YUV4MPEG2 W512 H512 F10:1 Ip A1:1 C420jpeg\n" + frames * frame)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 128 + signal.SIGTERM), *slow((signal.SIGINT, 0), (signal.SIGHUP, 128 + signal.SIGHUP))],
)
def test_a_signal_ends_it_without_a_trace(number, code, tmp_path, model):
    """Ctrl-C is the way to end it; the other ones give the codes that docs/troubleshooting.md states."""
    save_model(model.model, tmp_path / "my_model")
    line = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "pa_difc",
        "serve",
        "--model",
        str(tmp_path / "my_model"),
        "--port",
        "0",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(line, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = process.stdout.readline()
    port = int(re.search(r":(\d+)/", said)[1])
    with socket.create_connection(("127.0.0.1", port)):  # a browser keeps its connection
        time.sleep(0.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code and out == "ended\n" and err == ""
