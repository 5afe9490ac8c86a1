"""The one order of the seven expressions, and the names under which datasets know them."""

from ..errors import UserError

#: Class names by index, in the order of the paper's tables.
EXPRESSIONS = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")
NUM_CLASSES = len(EXPRESSIONS)

#: The label of a face that nobody labelled.
UNLABELLED = -1

_SYNONYMS = {
    "surprised": "surprise",
    "fearful": "fear",
    "afraid": "fear",
    "disgusted": "disgust",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "angry": "anger",
    "neutrality": "neutral",
}

#: Names of expressions that are not among the seven; samples of these are left out, and counted.
EXCLUDED = ("contempt",)

#: FER2013's and ExpW's numbers: angry, disgust, fear, happy, sad, surprise, neutral.
FER2013_CODES = {0: 5, 1: 2, 2: 1, 3: 3, 4: 4, 5: 0, 6: 6}


def label_name(label: int) -> str:
    """The expression of a label, for people."""
    return "no label" if label == UNLABELLED else EXPRESSIONS[label]


def expression_index(name: str) -> int | None:
    """The class of a folder's or a list's word, in any case and with the usual synonyms.

    Returns:
        0..6, or None for an expression that is left out (contempt).

    Raises:
        UserError: the word names no expression.
    """
    word = name.strip().lower()
    word = _SYNONYMS.get(word, word)
    if word in EXCLUDED:
        return None
    if word not in EXPRESSIONS:
        raise UserError(f"unknown expression {name!r}: must be one of {', '.join(EXPRESSIONS)} or a synonym")
    return EXPRESSIONS.index(word)
