"""How faces are found and cut out, in names and numbers that need no array: what flags and settings know."""

#: The ways to cut a face out: the paper's protocol, alignment by the points, or the whole image as it is.
CROPS = ("cdfer", "arcface", "none")

#: Sides of images are enlarged to this at most fourfold, and made smaller to it: MTCNN's speed and reach depend on it.
DETECT_PX = 256

#: What is done with near duplicates, and how that is said.
NEAR_DUPLICATES = {
    "keep": "all are kept",
    "group": "each group is kept on one side of the split",
    "drop": "one of each is kept",
}
