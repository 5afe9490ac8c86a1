"""The detector finds what facenet-pytorch's own does."""

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image
from skimage.data import astronaut

from pa_difc.data.detect import FaceDetector


def test_faces_are_those_of_the_library_in_its_own_layout():
    photograph = Image.fromarray(astronaut()).crop((80, 0, 380, 300))
    images = [photograph, photograph.rotate(8), Image.new("RGB", (300, 300), (90, 120, 150))]
    detector = FaceDetector("cpu", detect_px=300)
    library = MTCNN(keep_all=True, select_largest=False, min_face_size=25)
    canvases = []
    for image in images:
        canvases.append(Image.new("RGB", (390, 390), (128,) * 3))
        canvases[-1].paste(image, (45, 45))  # 0.15 of a side of gray all around
    with torch.no_grad():
        boxes, probs, points = library.detect(canvases, landmarks=True)
    found = detector.detect(images, [False] * 3)
    assert [len(faces) for faces in found] == [1, 1, 0] and boxes[2] is None
    for i, (face,) in enumerate(found[:2]):
        np.testing.assert_allclose(face.box, boxes[i][0] - 45, atol=1e-3)
        np.testing.assert_allclose(face.points, points[i][0] - 45, atol=1e-3)
        assert abs(face.confidence - probs[i][0]) < 1e-5


def test_a_face_does_not_depend_on_other_images_or_on_threads():
    face = Image.fromarray(astronaut()).crop((160, 40, 290, 200))
    images = [face.crop((i, i, 100 + 3 * i, 128)).resize((100 + i, 120)).rotate(i) for i in range(10)]
    detector, threads = FaceDetector("cpu"), torch.get_num_threads()
    alone = [detector.detect([image], [True])[0] for image in images]
    try:
        torch.set_num_threads(3)
        together = detector.detect(images, [True] * 10)
        assert torch.get_num_threads() == 3  # for whatever else runs
    finally:
        torch.set_num_threads(threads)
    assert sum(map(len, alone)) >= 8
    for one, other in zip(alone, together, strict=True):
        assert [(f.box, f.points.tolist(), f.confidence) for f in one] == [
            (f.box, f.points.tolist(), f.confidence) for f in other
        ]
