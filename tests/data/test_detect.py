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
