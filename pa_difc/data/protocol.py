"""Names and numbers of the data that flags and settings need, without heavy imports."""

#: The ways to crop a face: the paper's protocol, alignment by the five points, or the whole image.
CROPS = ("cdfer", "arcface", "none")

#: Longer side to which images are scaled for MTCNN, enlarged at most fourfold: decides its speed and smallest face.
DETECT_PX = 256

#: The name that stands for no source.
NO_SOURCE = "none"

#: The ways to treat near duplicates, and how each is reported.
NEAR_DUPLICATES = {
    "keep": "all are kept",
    "group": "each group is kept on one side of the split",
    "drop": "one of each is kept",
}

#: Images with a longer side up to this are treated as face crops, and not searched for small faces.
CLOSE_PX = 128

#: ``DETECT_PX`` of predictions, where all faces are wanted: finds faces 4 % as wide as the photograph.
SEARCH_PX = 640
