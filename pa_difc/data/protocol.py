"""What flags and settings know of data, in names and numbers that need no array."""

#: The ways to cut a face out: the paper's protocol, alignment by the points, or the whole image as it is.
CROPS = ("cdfer", "arcface", "none")

#: Sides of images are enlarged to this at most fourfold, and made smaller to it: MTCNN's speed and reach depend on it.
DETECT_PX = 256

#: The name of a source that there is none of.
NO_SOURCE = "none"

#: What is done with near duplicates, and how that is reported.
NEAR_DUPLICATES = {
    "keep": "all are kept",
    "group": "each group is kept on one side of the split",
    "drop": "one of each is kept",
}

#: Images with a longer side of at most this are treated as crops of faces: small faces aren't searched for in them.
CLOSE_PX = 128

#: The same in predictions, where all faces are wanted: what is 4 % as wide as the photograph is found.
SEARCH_PX = 640
